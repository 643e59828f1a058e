import pandas as pd
import pytest

from mmlab.items import ITEM_COLUMNS, read_table, write_items, write_table
from mmlab.runs import run_folder, start_step
from mmlab.runs.compared_runs import (
    changes_gallery,
    check_same_items,
    check_same_split,
    differing_parameters,
    run_costs,
)

ITEMS = pd.DataFrame(
    {
        "item_id": ["i1", "t1", "t2"],
        "modality": ["image", "text", "text"],
        "pair_id": ["1.jpg", "1.jpg", "1.jpg"],
        "text": [None, "a red mug", "a cup"],
        "image": ["/1.jpg", None, None],
        "split": ["test", "test", None],
    }
).reindex(columns=ITEM_COLUMNS)


def make(run, items=ITEMS, ef=50, latency=0.5):
    step = start_step("01_ingest", run, dataset="d")
    write_items(items, step.write("items.parquet"))
    step.finish("")
    step = start_step("03_index", run, ef=ef)
    step.read("items.parquet")
    benchmark = pd.DataFrame(
        {"search": ["exact", "HNSW ef=20", f"HNSW ef={ef}"], "p50_ms": [9.0, 8.0, latency]}
    )
    write_table(benchmark, step.write("index.parquet"))
    step.finish("")


def test_the_items_are_those_of_the_first_run():
    assert check_same_items({"a": ITEMS, "b": ITEMS.iloc[::-1]}) is ITEMS


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (ITEMS.iloc[:2], "a and b are over different items .* 1 of a are not in b, first the text 'a cup'; run both"),
        (ITEMS.assign(item_id=["i1", "t1", "t3"]), "1 of a are not in b, first the text 'a cup'"),
        (ITEMS.assign(split=["train", "test", None]),
         "different splits .*: 1 items, first the image '1.jpg', which is 'test' in a and 'train' in b"),
        (ITEMS.assign(split="test"), "first the text 'a cup', which is 'none' in a and 'test' in b"),
    ],
)  # fmt: skip
def test_other_items_and_other_splits_are_refused(items, message):
    with pytest.raises(ValueError, match=message):
        check_same_items({"a": ITEMS, "b": items})


def test_runs_that_judge_another_split_are_refused():
    assert check_same_split({"a": "test", "b": "test"}) == "test"
    with pytest.raises(ValueError, match="a judges test and c judges all, .* of c with -p split=test"):
        check_same_split({"a": "test", "b": "test", "c": "all"})


def test_items_that_only_the_other_has_are_told():
    with pytest.raises(ValueError, match="1 of a are not in b"):
        check_same_items({"b": ITEMS.iloc[:2], "a": ITEMS})


def test_one_run_is_no_comparison():
    with pytest.raises(ValueError, match="expected two runs or more to compare"):
        check_same_items({"a": ITEMS})


def test_parameters_that_differ_are_a_row_each():
    make("a")
    make("b", ef=100)
    assert differing_parameters(["a", "b"]).to_dict("records") == [
        {"notebook": "03_index", "parameter": "ef", "a": "50", "b": "100"}
    ]


def test_the_cost_is_that_of_the_runs_own_setting():
    make("a")
    make("b", ef=100, latency=0.25)
    (run_folder("b") / "vectors").mkdir()
    (run_folder("b") / "vectors" / "x.npz").write_bytes(bytes(range(256)) * 4096)
    spent = run_costs({run: read_table(run_folder(run) / "index.parquet") for run in "ab"}).set_index("run")
    assert spent["p50_ms"].to_dict() == {"a": 0.5, "b": 0.25}
    assert spent["disk_mb"]["a"] == 0
    assert spent["disk_mb"]["b"] == pytest.approx(1.05, abs=0.05)
    assert (spent["index_s"] >= 0).all()


SHOWN = pd.DataFrame(
    {
        "item_id": ["i1", "i2", "t1"],
        "modality": ["image", "image", "text"],
        "pair_id": ["1", "2", "1"],
        "text": [None, None, "<script>a mug"],
        "image": ["/none/1.jpg", "/none/2.jpg", None],
        "label": ["mug", "cup", "mug"],
    }
).reindex(columns=ITEM_COLUMNS)
QRELS = pd.DataFrame({"query_id": ["t1"], "item_id": ["i1"], "relevance": [1]})
CHANGED = pd.DataFrame({"query_id": ["t1"], "before": [1.0], "after": [0.5]})


def ranked(*items):
    return pd.DataFrame(
        {
            "query_id": "t1",
            "item_id": items,
            "rank": range(1, len(items) + 1),
            "score": [0.9, 0.8][: len(items)],
        }
    )


def test_both_answers_are_shown_one_under_the_other():
    html = str(changes_gallery(CHANGED, {"a<b>": ranked("i1"), "c": ranked("i2", "i1")}, QRELS, SHOWN, "RR"))
    assert html.index("a&lt;b&gt;, RR 1.000") < html.index("c, RR 0.500")
    assert html.index("first right answer at rank 1") < html.index("first right answer at rank 2")
    assert "<script>" not in html


def test_nothing_changed_is_said():
    assert str(changes_gallery(CHANGED.head(0), {}, QRELS, SHOWN, "RR")) == "<em>none</em>"
