"""Runs and TREC run files side by side, and what a run writes for other tools."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mmlab
from mmlab.runs import run_folder
from mmlab.workbench.run_comparison import RunComparison, _name_files
from tests.conftest import data_in
from tests.made_run import make_judged_run

MEASURES = ("Success@1", "RR")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with data_in(tmp_path_factory.mktemp("data")):
        make_judged_run("good", 0.5)
        make_judged_run("poor", 3.0)
        yield mmlab.open_run("good")


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    run.export(folder)
    return folder


def test_what_a_run_writes_is_that_run_again(run, exported):
    files = [exported / f"good.{direction}.run" for direction in ("text-to-image", "image-to-text")]
    found = run.compare(*files, "poor", measures=MEASURES)
    assert found.names == ["good", "poor", *(file.name for file in files)]
    table = found.differences.differences
    assert table.groupby("system").size().to_dict() == {"poor": 4, files[0].name: 2, files[1].name: 2}
    assert (table.loc[table["system"] != "poor", "difference"] == 0).all()
    assert (
        "- *good.text-to-image.run*, text-to-image: answers 30 of 30 queries." in found.parameters().sentence
    )
    assert "image-to-text: answers no query, so it is not compared" in found.parameters().sentence
    assert found.conclusion.startswith(
        "2 runs and 2 TREC run files over all items of 60 items, compared with **good**"
    )
    assert set(found.measures().table["run"]) == set(found.names)
    assert found.costs().table["run"].tolist() == ["good", "poor"]
    assert found.changed(1).table["changed queries"].tolist()[1:2] == [0]
    assert all(found.checks.values())


def test_scores_decide_and_not_the_rank_that_a_file_states(run, tmp_path):
    """Every text gives its own image the rank 1 and the lowest score of 30."""
    qrels = run.qrels("image")
    images = run.items.loc[run.items["modality"] == "image", "item_id"].tolist()
    own = dict(zip(qrels["query_id"], qrels["item_id"], strict=True))
    lines = [
        f"{text} Q0 {image} {2 - (image == right)} {-int(image == right)} x\n"
        for text, right in own.items()
        for image in images
    ]
    (tmp_path / "last.run").write_text("".join(lines))
    found = run.compare(tmp_path / "last.run", measures=MEASURES)
    assert found.differences.differences.set_index("measure").loc["RR", "value"] == pytest.approx(1 / 30)
    assert (
        "queries whose highest score is not that of the first rank: 30 (scores decide"
        in found.parameters().sentence
    )


def test_texts_are_shown_side_by_side_that_all_have_ranked(run, exported, tmp_path):
    lines = (exported / "good.text-to-image.run").read_text().splitlines(keepends=True)
    (tmp_path / "few.run").write_text("".join(lines[:30]))
    comparison = run.compare(tmp_path / "few.run", measures=MEASURES)
    query = lines[0].split()[0]
    assert comparison._text("", 0) == run.items.set_index("item_id")["text"][query]
    panel = comparison.panel()
    panel._make_static()
    assert "few.run" in panel._static
    only = run.compare(exported / "good.image-to-text.run", measures=MEASURES)
    assert "only one run has ranked text-to-image" in only.panel().children[0].value


def test_a_file_over_all_splits_is_judged_by_the_split_of_the_run(run, tmp_path):
    """Every text puts 20 images of the training split before its own: among those of the test split it is the first."""
    make_judged_run("split", 0.5, test=10)
    parted = mmlab.open_run("split")
    images = parted.items[parted.items["modality"] == "image"]
    texts = parted.items[parted.items["modality"] == "text"]
    lines = []
    for text in texts.itertuples():
        score = np.where(
            images["split"] == "train", 2.0, np.where(images["pair_id"] == text.pair_id, 1.0, 0.5)
        )
        lines += [
            f"{text.item_id} Q0 {item} 0 {one} x\n"
            for item, one in zip(images["item_id"], score, strict=True)
        ]
    (tmp_path / "all.run").write_text("".join(lines))
    found = parted.compare(tmp_path / "all.run", measures=MEASURES)
    table = found.differences.differences
    assert table["value"].tolist() == [1, 1]
    assert table["queries"].tolist() == [10, 10]
    said = (
        "answers 10 of 10 queries; left out, of other queries or items than those that are judged: 800 lines"
    )
    assert said in found.parameters().sentence
    assert "1 run and 1 TREC run file over the test split of 60 items" in found.conclusion


def test_a_file_alone_or_a_name_that_is_neither_is_refused(run, exported):
    with pytest.raises(ValueError, match="run 'none': no notebook has finished in .* no TREC run file"):
        run.compare("none")
    file = exported / "good.text-to-image.run"
    with pytest.raises(
        ValueError, match=r"expected a run, and another run .* found \['good.text-to-image.run'\]"
    ):
        RunComparison([], files=[file]).items  # noqa: B018
    with pytest.raises(ValueError, match="each run and each file once"):
        run.compare(file, file)


def test_files_of_one_name_are_told_apart():
    files = [Path("/a/x.run"), Path("/b/x.run"), Path("/b/<b>*x*.run"), Path("/a/demo")]
    assert _name_files(files, ["demo"]) == ["x.run", "b-x.run", "b-x-.run", "a-demo"]


def test_the_folder_of_an_export_is_that_of_the_run(run):
    written = run.export()
    folder = run_folder("good") / "export"
    assert sorted(path.name for path in folder.iterdir()) == sorted(written.table["file"])
    scores = pd.read_csv(folder / "good.text-to-image.csv").set_index("query_id")
    ours = run.per_query("text-to-image").set_index("query_id")["Success@1"]
    assert scores["Success@1"].to_dict() == ours.to_dict()


def test_other_rankings_of_a_run_have_a_name_of_their_own(run, tmp_path):
    run.export(tmp_path, replace(run.rankings, name="rrf, k 5"))
    names = {path.name for path in tmp_path.iterdir()}
    assert names >= {"good-rrf-k-5.text-to-image.run", "good-rrf-k-5.items.csv"}
