import json
import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mmlab.index import build_index, open_store
from mmlab.items import ITEM_COLUMNS, Space, Vectors, read_items, write_items, write_table
from mmlab.runs import run_folder, start_step, verify_run
from mmlab.runs.upkeep import data_folder as using_folder
from mmlab.runs.upkeep import find_changed_in_store, find_differences
from tests.index.pairs import make_pairs


def test_there_must_be_something_to_verify():
    start_step("08_compare", "a").finish("")
    with pytest.raises(ValueError, match="there is nothing to verify"):
        verify_run("a")


def test_the_data_folder_is_another_one_for_a_while(data_folder, tmp_path, monkeypatch):
    with using_folder(tmp_path / "again"):
        assert os.environ["MMLAB_DATA"] == str(tmp_path / "again")
    assert os.environ["MMLAB_DATA"] == str(data_folder)
    monkeypatch.delenv("MMLAB_DATA")
    with using_folder(tmp_path):
        pass
    assert "MMLAB_DATA" not in os.environ


SPACE = Space("m", "1", "p", "", "", 2)


@pytest.fixture
def folders(tmp_path):
    """Two run folders that are the same."""
    for name in ("first", "second"):
        folder = tmp_path / name
        items = pd.DataFrame(
            {"item_id": ["a", "b"], "modality": "text", "pair_id": ["1", "2"], "text": ["x", "y"]}
        )
        write_items(items.reindex(columns=ITEM_COLUMNS), folder / "items.parquet")
        Vectors(["a", "b"], np.eye(2), SPACE).save(folder / "vectors" / "m.arrow")
        ranked = pd.DataFrame(
            {"query_id": ["a", "a"], "item_id": ["a", "b"], "rank": [1, 2], "score": [1.0, 0.5]}
        )
        write_table(ranked, folder / "rankings" / "text-to-image.parquet")
        write_measure(folder, 0.5)
    return tmp_path / "first", tmp_path / "second"


def write_measure(folder, value):
    measures = [{"direction": "text-to-image", "measure": "RR", "value": value}]
    (folder / "metrics.json").write_text(json.dumps({"measures": measures}))


def rows(folders, tolerance=1e-5):
    files = sorted(
        {str(path.relative_to(top)) for top in folders for path in top.rglob("*") if path.is_file()}
    )
    return find_differences(*folders, files, tolerance).to_numpy().tolist()


def test_the_same_numbers_have_no_difference(folders):
    assert rows(folders) == []
    write_measure(folders[1], 0.500001)
    assert rows(folders) == []


def test_every_kind_of_difference_is_a_row(folders):
    second = folders[1]
    items = pd.read_parquet(second / "items.parquet").assign(item_id=["a", "c"])
    write_items(items, second / "items.parquet")
    Vectors(["a", "b"], [[1, 0], [1, 0]], SPACE).save(second / "vectors" / "m.arrow")
    ranked = pd.read_parquet(second / "rankings" / "text-to-image.parquet").assign(score=[1.0, 0.4])
    write_table(ranked, second / "rankings" / "text-to-image.parquet")
    write_measure(second, 0.75)
    (second / "vectors" / "n.arrow").touch()
    assert rows(folders) == [
        ["items.parquet", "items that the other lacks", 1, 1],
        ["metrics.json", "text-to-image RR", 0.5, 0.75],
        ["rankings/text-to-image.parquet", "queries with other scores", 0, 1],
        ["vectors/m.arrow", "largest difference of a component", 0.0, 1.0],
        ["vectors/n.arrow", "file", "missing", "there"],
    ]


def write_ranking(folder, items, scores):
    ranks = range(1, len(items) + 1)
    table = pd.DataFrame({"query_id": "a", "item_id": list(items), "rank": ranks, "score": scores})
    write_table(table, folder / "rankings" / "text-to-image.parquet")


def test_items_of_the_same_score_may_change_places_and_no_others(folders):
    for before, after, scores in (
        ("abcd", "acbd", [0.9, 0.5, 0.5, 0.1]),
        ("abc", "bac", [0.5, 0.5 - 1e-6, 0.1]),
        ("abc", "abd", [0.9, 0.5, 0.1]),  # the last may tie with one below the last rank
    ):
        write_ranking(folders[0], before, scores)
        write_ranking(folders[1], after, scores)
        assert rows(folders) == []
    write_ranking(folders[0], "abcd", [0.9, 0.8, 0.7, 0.6])
    write_ranking(folders[1], "dcba", [0.9, 0.8, 0.7, 0.6])
    changed = "queries with other items, though their scores do not tie"
    assert rows(folders) == [["rankings/text-to-image.parquet", changed, 0, 1]]
    write_ranking(folders[1], "abc", [0.9, 0.8, 0.7])
    assert rows(folders) == [["rankings/text-to-image.parquet", "queries with other scores", 0, 1]]


def test_every_other_file_is_compared_but_for_times(folders):
    for folder, score, seconds, colour in zip(folders, (0.5, 0.6), (1.0, 2.0), ("red", "blue"), strict=True):
        table = pd.DataFrame({"query_id": ["a", None], "score": [score, float("nan")], "p50_ms": seconds})
        write_table(table, folder / "per_query" / "text-to-image.parquet")
        (folder / "fixes.csv").write_text(f"a\n{score}\nb\n")
        (folder / "galleries").mkdir()
        (folder / "galleries" / "a.html").write_text(f'<b>a</b><img src="data:image/png;base64,{seconds}">')
        (folder / "figures").mkdir()
        for name in ("03_a.png", "05_a.png"):
            Image.new("RGB", (4, 2), colour).save(folder / "figures" / name)
        metrics = {"measures": [], "protocol": [{"direction": "a", "gallery": score}]}
        (folder / "metrics.json").write_text(json.dumps(metrics))
    assert rows(folders) == [
        ["figures/05_a.png", "mean difference of a pixel, of 255", 0.0, 170.0],
        ["fixes.csv", "lines that differ", 0, 1],
        ["metrics.json", "protocol 0 gallery", 0.5, 0.6],
        ["per_query/text-to-image.parquet", "rows with another score", 0, 1],
    ]


def test_a_file_that_is_not_as_recorded_is_named_before_anything_is_run(monkeypatch):
    monkeypatch.setattr("mmlab.runs.upkeep.run_notebooks", None)
    step = start_step("01_ingest", "a")
    step.write("items.parquet").write_text("whole")
    step.write("gone.csv").write_text("there")
    step.finish("")
    (run_folder("a") / "items.parquet").write_text("half")
    (run_folder("a") / "gone.csv").unlink()
    found = verify_run("a")
    assert found.folder is None
    assert found.differences[["file", "what"]].to_numpy().tolist() == [
        [
            "items.parquet",
            "is not what 01_ingest recorded: it was changed, or made by a run of 01_ingest that did not reach its "
            "end; run 01_ingest again",
        ],
        ["gone.csv", "is gone; run 01_ingest again"],
    ]


def test_items_that_say_something_else_are_told(folders):
    items = read_items(folders[1] / "items.parquet")
    items.loc[1, "text"] = "z"
    items["image"] = [None, "/elsewhere/image.png"]
    items["split"] = ["test", None]
    write_items(items, folders[1] / "items.parquet")
    assert rows(folders) == [
        ["items.parquet", "items with another text", 0, 1],
        ["items.parquet", "items with another split", 0, 1],
    ]


def test_every_file_of_the_store_is_looked_at(tmp_path):
    pairs = make_pairs(4)
    build_index(open_store(tmp_path / "store"), "demo", pairs.items, [pairs.both], progress=False)
    assert find_changed_in_store(tmp_path).empty
    vectors = max((tmp_path / "store").rglob("*.mmap"), key=lambda path: path.stat().st_blocks)
    content = bytearray(vectors.read_bytes())
    content[5] ^= 1
    vectors.write_bytes(content)
    (tmp_path / "store" / "demo-unified" / "schema.json").unlink()
    found = find_changed_in_store(tmp_path)
    assert found["file"].tolist() == [
        "store/demo-unified/schema.json",
        vectors.relative_to(tmp_path).as_posix(),
    ]
    assert found["what"].unique().tolist() == ["bytes"]
