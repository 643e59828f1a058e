"""08_compare, executed on two runs that are made from vectors; by mmlab and by plain papermill."""

import re

import numpy as np
import pandas as pd
import papermill
import pytest

from mmlab.evaluate import qrels_from_pairs, score_queries
from mmlab.items import ITEM_COLUMNS, Space, Vectors, read_table, unit_rows, write_table
from mmlab.items.tables import item_id
from mmlab.runs import find_notebook, read_manifest, run_folder, run_notebooks, start_step
from tests.cells import run_here
from tests.made_run import make_run

PAIRS, SECRET = 30, "the-planted-secret"
GIVEN = {"runs": ["good", "poor"], "measures": ["Success@1", "RR"]}


def make(run, noise, pairs=PAIRS):
    """A run over the same items, whose texts lie the further from their images the more noise there is."""
    rng = np.random.default_rng(0)
    names = [f"{number}.jpg" for number in range(pairs)]
    rows = [("image", name, None, f"/none/{name}") for name in names]
    rows += [("text", name, f"<b>{name}</b>", None) for name in names]
    items = pd.DataFrame(rows, columns=["modality", "pair_id", "text", "image"])
    items["item_id"] = [item_id(row.modality, row.pair_id, str(row.text)) for row in items.itertuples()]
    images = unit_rows(rng.standard_normal((pairs, 8)))
    texts = unit_rows(images + noise * rng.standard_normal((pairs, 8)))
    space = Space(run, "1", "projected", "", "", 8)
    spaces = [Vectors(items["item_id"], np.vstack([images, texts]), space)]
    items = items.assign(content="c", origin="caption").reindex(columns=ITEM_COLUMNS)
    make_run(run, items, spaces)
    step = start_step("03_index", run, ef=50)
    judged = pd.DataFrame({"search": ["HNSW ef=50"], "recall": [1.0], "p50_ms": [1 + noise]})
    write_table(judged, step.write("index.parquet"))
    step.finish("")
    step = start_step("05_evaluate", run)
    for a, b in (("text", "image"), ("image", "text")):
        ranked = read_table(step.read(f"rankings/{a}-to-{b}.parquet"))
        scores = score_queries(ranked, qrels_from_pairs(items, a, b), ["Success@1", "RR"])
        write_table(scores, step.write(f"per_query/{a}-to-{b}.parquet"))
    step.finish("")


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMLAB_DATA", str(tmp_path_factory.mktemp("data")))
        for name in ("QDRANT_API_KEY", "HF_TOKEN"):
            patch.setenv(name, SECRET)
        make("good", 0.1)
        make("poor", 3.0)
        yield run_notebooks("both", GIVEN, [find_notebook("08_compare")], progress=False)


def test_the_better_run_is_found_and_by_more_than_chance(compared):
    tests = pd.read_parquet(compared / "comparison.parquet")
    assert (tests["difference"] < 0).all()
    assert (tests["p_holm"] < 0.05).all()
    assert tests["queries"].eq(PAIRS).all()
    assert "**poor** -" in read_manifest("both")["steps"]["08_compare"]["summary"]
    assert pd.read_parquet(compared / "costs.parquet")["p50_ms"].tolist() == [1.1, 4.0]
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
    make("fewer", 0.1, PAIRS - 1)
    told = "good and fewer are over different items and cannot be compared: 2 of good are not in fewer"
    with pytest.raises(ValueError, match=told):
        run_here("refused", {**GIVEN, "runs": ["good", "fewer"]}, [find_notebook("08_compare")])


def test_no_secret_of_the_environment_is_written(compared):
    written = [path.read_bytes() for path in run_folder("both").rglob("*") if path.is_file()]
    assert len(written) > 8
    assert not any(SECRET.encode() in content for content in written)
