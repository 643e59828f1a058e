"""Images that were replaced after a run was made are not shown as if the figures were about them."""

import pytest

import mmlab
from mmlab.workbench.hits import Hits
from tests.made_run import draw_plain, make_judged_run

COUNTED = "**9 of 10 images changed since 01_ingest**"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of 10 pairs with its images; all but the first were replaced since."""
    monkeypatch.setenv("MMLAB_DATA", str(tmp_path / "data"))
    make_judged_run("r", noise=0.1, pairs=10, folder=tmp_path / "images")
    for number in range(1, 10):
        draw_plain(tmp_path / "images" / f"{number}.jpg", number + 10)
    return mmlab.open_run("r")


def test_they_are_counted_in_what_is_said_of_the_run(run):
    assert COUNTED in run.rankings.sentence
    assert COUNTED in run.evaluate().sentence
    assert COUNTED in run.evaluate().conclusion()
    assert COUNTED in run.map(pairs=10).conclusion


def test_they_are_marked_where_they_would_be_shown(run):
    shown = str(run.evaluate().queries("best", 10).html)
    first, *others = run.items.loc[run.items["modality"] == "image", "image"]
    assert shown.count("[changed file: ") >= len(others)
    assert "data:image/jpeg" in shown
    assert run.changed_images == others
    assert str(run.sample("image")) == first


def test_one_is_not_explained(run):
    hits = run.items[run.items["modality"] == "image"].assign(rank=range(1, 11), score=1.0)
    answer = Hits(
        run, hits.assign(pair_image=hits["image"], words=""), {}, [], "a mug", text="a mug"
    ).explain(2)
    assert "has changed since 01_ingest: its vector is of another one" in answer.sentence


def test_a_run_whose_images_are_as_they_were_says_nothing(run, tmp_path):
    for number in range(10):
        draw_plain(tmp_path / "images" / f"{number}.jpg", number)
    again = mmlab.open_run("r")
    assert (again.changed_images, again.changed_sentence) == ([], "")
    assert "changed" not in again.rankings.sentence
    assert "[changed file]" not in str(again.evaluate().queries("best", 10).html)
