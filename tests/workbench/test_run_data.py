"""What is read of a run is checked; within a step of another run it is recorded with the name of the run it is of."""

import numpy as np
import pandas as pd
import pytest

import mmlab
from mmlab.evaluate.summaries import write_metrics
from mmlab.index import build_index, open_index, open_store
from mmlab.items import ITEM_COLUMNS, Space, Vectors, unit_rows, write_items, write_table
from mmlab.items.files import file_hash
from mmlab.items.tables import item_id
from mmlab.runs import StaleInput, read_manifest, run_folder, start_step
from mmlab.workbench.run_comparison import RunComparison
from mmlab.workbench.run_data import RunData, RunReader
from tests.made_run import make_run, whole_items

ITEMS = pd.DataFrame(
    {
        "item_id": ["i1", "t1"],
        "modality": ["image", "text"],
        "pair_id": ["1.jpg", "1.jpg"],
        "text": [None, "a red mug"],
        "image": ["/1.jpg", None],
    }
).reindex(columns=ITEM_COLUMNS)


@pytest.fixture(autouse=True)
def made(tmp_path, monkeypatch):
    """Two runs, a and b, with items and scores."""
    monkeypatch.setenv("MMLAB_DATA", str(tmp_path))
    for name in "ab":
        step = start_step("01_ingest", name, dataset="d")
        write_items(ITEMS, step.write("items.parquet"))
        step.finish("")
        step = start_step("05_evaluate", name)
        step.read("items.parquet")
        scores = pd.DataFrame({"query_id": ["t1"], "RR": [1.0]})
        write_table(scores, step.write("per_query/text-to-image.parquet"))
        step.finish("")


def test_what_a_step_reads_of_another_run_is_recorded_with_its_name():
    step = start_step("08_compare", "both", runs=["a", "b"])
    data = RunData(RunReader("b", step))
    assert data.items["item_id"].tolist() == ["i1", "t1"]
    assert data.per_query("text-to-image")["RR"].tolist() == [1.0]
    written = read_manifest("b")["steps"]
    assert step.reads["b:items.parquet"] == written["01_ingest"]["writes"]["items.parquet"]
    assert set(step.reads) == {"b:items.parquet", "b:per_query/text-to-image.parquet"}


def test_a_notebook_that_runs_again_has_not_written_its_files_yet():
    file = "per_query/text-to-image.parquet"
    again, other = start_step("05_evaluate", "a"), start_step("06_visualize", "a")
    assert not RunReader("a", again).has(file)
    assert RunData(RunReader("a", again)).saved_table(file).empty
    assert RunReader("a", other).has(file) and RunReader("a").has(file) and RunReader("b", again).has(file)


@pytest.mark.parametrize("within", [True, False])
def test_files_that_were_changed_or_are_missing_are_refused(within):
    step = start_step("08_compare", "both", runs=["a", "b"]) if within else None
    (run_folder("b") / "items.parquet").write_bytes(b"by hand")
    with pytest.raises(StaleInput, match=r"items\.parquet is not what 01_ingest recorded"):
        RunReader("b", step).read("items.parquet")
    with pytest.raises(FileNotFoundError, match="run 05_evaluate for this run first"):
        RunData(RunReader("a", step)).per_query("image-to-text")


def evaluated(name, siblings, scores):
    """Let 05_evaluate of a run have written these scores of its text and image, and its protocol."""
    step = start_step("05_evaluate", name)
    step.read("items.parquet")
    for direction, query in (("text-to-image", "t1"), ("image-to-text", "i1")):
        table = pd.DataFrame({"query_id": [query] * len(scores), "Success@1": scores})
        write_table(table, step.write(f"per_query/{direction}.parquet"))
    protocol = pd.DataFrame({"direction": ["text-to-image"], "siblings": [siblings]})
    write_metrics(step.write("metrics.json"), pd.DataFrame(), protocol)
    step.finish("")


def test_runs_whose_queries_found_siblings_are_named_where_they_are_compared():
    evaluated("a", "left out", [0.0])
    evaluated("b", "kept: they answer and vote", [1.0])
    runs = [RunData(RunReader(name)) for name in "ab"]
    compared = RunComparison(runs, ("Success@1",))
    assert compared.conclusion.endswith(
        "Siblings are kept in b: there a caption finds its image by other captions of it, which does not compare with "
        "finding the image itself."
    )
    assert "Siblings are kept in b" in compared.overview().sentence
    assert RunComparison([runs[0], runs[0]], ("Success@1",)).siblings_sentence == ""
    assert runs[1].protocol["siblings"].tolist() == ["kept: they answer and vote"]


def test_a_run_that_measured_nothing_is_not_compared_with_one_that_did():
    evaluated("a", "left out", [0.0])
    evaluated("b", "left out", [])
    compared = RunComparison([RunData(RunReader(name)) for name in "ab"], ("Success@1",))
    with pytest.raises(
        ValueError, match="expected those that measured something, found b, whose 05_evaluate says"
    ):
        compared.overview()


def test_the_card_says_what_ingest_refused():
    step = start_step("01_ingest", "a")
    write_table(
        pd.DataFrame({"reason": ["damaged file", "short", "damaged file"]}), step.write("skipped.parquet")
    )
    step.finish("")
    assert RunData(RunReader("a")).refused == "damaged file 2, short 1"
    write_table(
        pd.DataFrame({"reason": pd.Series(dtype="str")}),
        start_step("01_ingest", "b").write("skipped.parquet"),
    )
    assert RunData(RunReader("b")).refused == "not recorded"  # since 01 has not finished


def test_the_models_answer_in_the_order_in_which_they_were_given(tmp_path):
    """Not in that of the files' names: "zeta" leads "alpha", in the vectors and in the index of every layout."""
    pairs = [f"{number}.jpg" for number in range(6)]
    items = whole_items(pairs, ["a text"] * 6, np.arange(6))
    items["item_id"] = [
        item_id(*row)
        for row in zip(items["modality"], items["pair_id"], items.index.astype(str), strict=True)
    ]
    rows = unit_rows(np.random.default_rng(0).standard_normal((2, 12, 4)).reshape(24, 4)).reshape(2, 12, 4)
    names = ("zeta", "alpha")
    spaces = [Space(name, "1", "projected", "", "", 4) for name in names]
    make_run("two", items, [Vectors(items["item_id"], *own) for own in zip(rows, spaces, strict=True)])
    vectors = RunData(RunReader("two")).all_vectors
    assert [own.space.model for own in vectors] == ["zeta", "alpha"]
    store = open_store(tmp_path / "store")
    for layout in ("unified", "separate", "named"):
        build_index(store, "two", items, vectors, layout, progress=False)
        index = open_index(store, "two", layout)
        assert [space.model for space in index.spaces] == ["zeta", "alpha"]
        assert [own.space.model for own in index.in_order(vectors[::-1])] == ["zeta", "alpha"]


def test_a_dataset_whose_folder_vanished_is_told_before_anything_is_embedded():
    message = (
        r"none of the 1 images is there any more, below /: the folder was moved or removed, or its disk is not "
        r"mounted. Bring it back, or run 01_ingest again"
    )
    with pytest.raises(FileNotFoundError, match=message):
        mmlab.open_run("a").embed(["demo"])
    items = whole_items(["1.jpg", "2.jpg"], ["a mug", "a cup"], np.arange(2))
    make_run("gone", items, [Vectors(items["item_id"], np.eye(4), Space("m", "1", "p", "", "", 4))])
    run = mmlab.open_run("gone")
    assert run.sample("text") in ("a mug", "a cup")
    with pytest.raises(FileNotFoundError, match="none of the 2 images is there any more, below /nowhere"):
        run.sample("image")


def test_a_run_without_a_vector_of_any_image_ends_in_02(tmp_path):
    """Not three notebooks later with the name of a column."""
    step = start_step("01_ingest", "spoilt", dataset="d")
    (tmp_path / "1.jpg").write_text("no image")
    path = tmp_path / "1.jpg"
    items = ITEMS.assign(image=[str(path), None], content=[file_hash(path), "b"])
    write_items(items, step.write("items.parquet"))
    step.finish("")
    message = r"none of the 1 images has a vector of demo: not an image 1\. Nothing could be found"
    with pytest.raises(ValueError, match=message):
        mmlab.open_run("spoilt").embed(["demo"], progress=False)


def test_a_server_that_only_the_manifest_names_is_not_asked(tmp_path):
    start_step("03_index", "a", store="http://127.0.0.1:1").finish("")
    assert RunData(RunReader("a")).store == "http://127.0.0.1:1"
    (tmp_path / "stores.txt").unlink()
    with pytest.raises(
        ValueError, match="its manifest alone names the store http://127.0.0.1:1, which would be sent"
    ):
        _ = RunData(RunReader("a")).store
    assert RunData(RunReader("b")).store == str(tmp_path / "runs" / "b" / "store")


def test_an_image_is_opened_by_the_path_of_the_run_whatever_the_store_says(tmp_path):
    """The index lies on somebody else's server: what it says of an item's file is not opened."""
    items = whole_items(["0.jpg", "1.jpg"], ["a text"] * 2, np.arange(2))
    names = items.index.astype(str)
    items["item_id"] = list(map(item_id, items["modality"], items["pair_id"], names))
    vectors = [
        Vectors(items["item_id"], np.eye(4, dtype="float32"), Space("demo", "1", "projected", "", "", 4))
    ]
    make_run("own", items, vectors)
    folder = tmp_path / "runs" / "own" / "store"
    build_index(open_store(folder), "own", items.assign(image="/etc/passwd"), vectors, progress=False)
    step = start_step("03_index", "own", store="")
    write_table(pd.DataFrame({"a": [1]}), step.write("index.parquet"))
    step.finish("")
    index = RunData(RunReader("own")).index
    own = items.set_index("item_id")["image"]
    for found in (index.items(), index.fetch(items["item_id"].tolist())):
        assert found.set_index("item_id")["image"].reindex(own.index).equals(own)
