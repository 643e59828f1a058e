"""08_compare, executed on two runs that are made from vectors; by mmlab and by plain papermill."""

import re

import pandas as pd
import papermill
import pytest

import mmlab
from mmlab.items.files import file_hash
from mmlab.runs import find_notebook, read_manifest, run_folder, run_notebooks
from tests.cells import run_here
from tests.made_run import make_judged_run

PAIRS, SECRET = 30, "the-planted-secret"
GIVEN = {"runs": ["good", "poor"], "measures": ["Success@1", "RR"]}


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMLAB_DATA", str(tmp_path_factory.mktemp("data")))
        for name in ("QDRANT_API_KEY", "HF_TOKEN"):
            patch.setenv(name, SECRET)
        make_judged_run("good", 0.1)
        make_judged_run("poor", 3.0)
        yield run_notebooks("both", GIVEN, [find_notebook("08_compare")], progress=False)


def test_the_better_run_is_found_and_by_more_than_chance(compared):
    tests = pd.read_parquet(compared / "comparison.parquet")
    assert (tests["difference"] < 0).all()
    assert (tests["p_holm"] < 0.05).all()
    assert tests["queries"].eq(PAIRS).all()
    assert "**poor** -" in read_manifest("both")["steps"]["08_compare"]["summary"]
    assert pd.read_parquet(compared / "costs.parquet")["p50_ms"].tolist() == [1.1, 4.0]
    losses = pd.read_parquet(compared / "non_inferiority.parquet")
    assert losses["margin"].eq(0.005).all()
    assert (losses["p_holm"] > 0.9).all()
    assert (compared / "figures" / "08_power.png").is_file()
    gallery = (compared / "galleries" / "08_changed.html").read_text()
    assert "<b>0.jpg" not in gallery
    _, *directions = re.split("text-to-image|image-to-text", gallery)
    for part in directions:
        assert part.count("good, Success@1 1.000") == part.count("poor, Success@1 0.000") == 3
    assert len(directions) == 2


def test_plain_papermill_does_the_same(compared, tmp_path):
    notebook = find_notebook("08_compare")
    papermill.execute_notebook(
        notebook, tmp_path / "out.ipynb", {**GIVEN, "name": "plain"}, cwd=notebook.parent, progress_bar=False
    )
    ours, theirs = (read_manifest(run)["steps"]["08_compare"] for run in ("both", "plain"))
    for part in ("parameters", "reads", "summary"):
        assert ours[part] == theirs[part]
    assert ours["writes"] == theirs["writes"]


def test_runs_over_other_items_are_refused(compared):
    make_judged_run("fewer", 0.1, PAIRS - 1)
    told = "good and fewer are over different items and cannot be compared: 2 of good are not in fewer"
    with pytest.raises(ValueError, match=told):
        run_here("refused", {**GIVEN, "runs": ["good", "fewer"]}, [find_notebook("08_compare")])


def test_a_run_file_of_another_system_stands_beside_the_runs(compared, tmp_path):
    """It answers one text of the 30 rightly, and no image: from the notebook's figures, one right of 30."""
    items = mmlab.open_run("good").items.set_index(["pair_id", "modality"])["item_id"]
    path = tmp_path / "their results.txt"
    path.write_text(f"{items['0.jpg', 'text']} Q0 {items['0.jpg', 'image']} 1 7.5 theirs\n")
    given = {**GIVEN, "runs": ["good", str(path)], "name": "theirs"}
    folder, _ = run_here("theirs", given, [find_notebook("08_compare")])
    tests = pd.read_parquet(folder / "comparison.parquet")
    assert set(tests["system"]) == {"their-results.txt"}
    assert tests["direction"].unique().tolist() == ["text-to-image"]
    assert tests["value"].tolist() == pytest.approx([1 / PAIRS, 1 / PAIRS])
    assert tests["losses"].eq(PAIRS - 1).all()
    assert read_manifest("theirs")["steps"]["08_compare"]["reads"][str(path)] == file_hash(path)
    path.write_text("only three columns\n")
    with pytest.raises(ValueError, match="their results.txt, line 1: expected 6 columns"):
        run_here("theirs", given, [find_notebook("08_compare")])


def test_no_secret_of_the_environment_is_written(compared):
    written = [path.read_bytes() for path in run_folder("both").rglob("*") if path.is_file()]
    assert len(written) > 8
    assert not any(SECRET.encode() in content for content in written)
