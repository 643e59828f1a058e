"""The user's own queries, from the files of a made run to their measures: every value is read off the vectors."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mmlab
from mmlab.evaluate.measures.qrels import append_labels
from mmlab.items import DIRECTIONS, ITEM_COLUMNS, Space, Vectors, write_table
from mmlab.runs import run_folder, start_step
from mmlab.runs.record import run_files
from mmlab.workbench.query_report import _thirds
from tests.conftest import data_in
from tests.made_run import make_run, rank_exactly

SPACE = Space("toy", "1", "projected", "", "none", 2)
PAIRS = {
    "p": ([1, 0], "a red mug", "x"),
    "q": ([0.6, 0.8], "a blue hat", "x"),
    "r": ([0, 1], "a green shoe", "y"),
}
# what each query asks by, and what is right: east finds p, q, r in this order; north finds r, q, p
ASKED = {
    "east": ([1, 0], "red mug", {"p-image": 2, "q-image": 1}, "colour"),
    "north": ([0, 1], "green", {"r-image": 1}, "colour"),
    "wrong": ([1, 0], "shoe that is not there at all", {"r-image": 1}, "negation"),
    "unjudged": ([0, 1], "hat", {}, "colour"),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data folder with the run `own`, which has queries, and `none`, which has not."""
    with data_in(tmp_path_factory.mktemp("own") / "data") as folder:
        for name in ("own", "none"):
            _make(name)
        _add_queries("own")
        yield folder


def _make(name: str) -> None:
    rows = [
        {"item_id": f"{pair}-{modality}", "modality": modality, "pair_id": pair, "product_id": product}
        | ({"text": text} if modality == "text" else {"image": f"/nowhere/{pair}.jpg"})
        for pair, (_, text, product) in PAIRS.items()
        for modality in ("image", "text")
    ]
    items = (
        pd.DataFrame(rows)
        .reindex(columns=[*ITEM_COLUMNS, "product_id"])
        .assign(content="0", origin="caption")
    )
    array = np.repeat(np.array([vector for vector, *_ in PAIRS.values()]), 2, axis=0)
    make_run(name, items, [Vectors(items["item_id"], array, SPACE)])


def _add_queries(name: str) -> None:
    folder = run_folder(name)
    step = start_step("01_ingest", name, dataset="vectors")
    write_table(pd.read_parquet(folder / run_files.ITEMS), step.write(run_files.ITEMS))
    queries = [(one, text, "", kind) for one, (_, text, _, kind) in ASKED.items()]
    qrels = [
        (one, item, grade, "image")
        for one, (_, _, right, _) in ASKED.items()
        for item, grade in right.items()
    ]
    write_table(
        pd.DataFrame(queries, columns=["query_id", "text", "image", "kind"]), step.write(run_files.QUERIES)
    )
    write_table(
        pd.DataFrame(qrels, columns=["query_id", "item_id", "relevance", "named"]),
        step.write(run_files.QRELS),
    )
    step.finish("queries")
    step = start_step("02_embed", name, models=["toy"])
    vectors = Vectors.load(folder / f"vectors/{SPACE.key}.arrow")
    asking = Vectors(list(ASKED), [vector for vector, *_ in ASKED.values()], SPACE)
    vectors.save(step.write(f"vectors/{SPACE.key}.arrow"))
    asking.save(step.write(run_files.OWN_QUERY_VECTORS.format(SPACE.key) + ".arrow"))
    step.finish("queries embedded")
    step = start_step("04_retrieve", name, depth=100)
    items = pd.read_parquet(folder / run_files.ITEMS)
    for source, target in DIRECTIONS.values():
        ranked = rank_exactly(items, [vectors], source, target, 100)
        for file in ("/exact", "/index", ""):
            write_table(ranked, step.write(f"{run_files.RANKINGS}/{source}-to-{target}{file}.parquet"))
    step.finish("ranked")


@pytest.fixture
def own(data):
    return mmlab.open_run("own").own_queries(k_values=(1, 2))


def value(table: pd.DataFrame, system: str, measure: str) -> float:
    chosen = (table["system"] == system) & (table["measure"] == measure)
    return table.loc[chosen, "value"].item()


def test_each_system_is_measured_on_the_queries_that_have_a_right_answer(own):
    table = own.table
    dense = SPACE.key
    assert own.units.name == "image"
    assert list(own.answers) == [dense, "bm25", "all, by rrf"]
    assert own.answers[dense].query("query_id == 'east'")["item_id"].tolist() == [
        "p-image",
        "q-image",
        "r-image",
    ]
    assert value(table, dense, "Success@1") == pytest.approx(2 / 3)
    # by words: red mug finds p, green finds r, shoe finds r, hat finds q
    assert value(table, "bm25", "Success@1") == 1.0
    # of the third query the dense one finds r-image last: 1 / log2(4)
    assert value(table, dense, "nDCG@10") == pytest.approx((1 + 1 + 0.5) / 3)
    assert table["queries"].unique().tolist() == [3]
    assert (
        "**4 queries of your own**, 3 of them with a right answer among 3 images of all items" in own.sentence
    )


def test_groups_show_where_a_system_fails(own):
    table = own.by_group("kind").table
    dense = table[table["system"] == SPACE.key].set_index("group")["value"]
    assert dense.to_dict() == {"negation": pytest.approx(0.5), "colour": 1.0}
    assert "length" in own.by_group().table["column"].tolist()


def test_products_are_found_by_the_best_of_their_members(own):
    by_product = mmlab.open_run("own").own_queries("product_id")
    assert by_product.answers[SPACE.key].query("query_id == 'north'")["item_id"].tolist() == ["y", "x"]
    assert by_product.qrels.to_numpy().tolist() == [["east", "x", 2], ["north", "y", 1], ["wrong", "y", 1]]
    mean = mmlab.open_run("own").own_queries("product_id", "mean").answers[SPACE.key]
    assert mean.query("query_id == 'east'")["score"].tolist() == pytest.approx([0.8, 0.0])


def test_an_image_of_the_collection_does_not_find_itself(own):
    folder = run_folder("own")
    asked = pd.read_parquet(folder / run_files.QUERIES)
    by_image = asked.assign(image=["/nowhere/p.jpg", "", "", ""])
    object.__setattr__(own, "queries", by_image)
    ranked = own.answers[SPACE.key]
    assert ranked.query("query_id == 'east'")[["item_id", "rank"]].to_numpy().tolist() == [
        ["q-image", 1], ["r-image", 2],
    ]  # fmt: skip
    assert ["east", "p-image", 2] not in own.qrels.to_numpy().tolist()


def test_systems_are_compared_with_bm25_query_by_query(own):
    table = own.compare().table
    assert table["baseline"].unique().tolist() == ["bm25"]
    row = table[(table["system"] == SPACE.key) & (table["measure"] == "Success@1")].iloc[0]
    assert (row["wins"], row["ties"], row["losses"]) == (0, 2, 1)


def test_hits_that_nobody_judged_are_listed_without_their_system(own):
    table = own.unjudged(k=1).table
    assert table.to_numpy().tolist() == [
        ["wrong", "p-image"],
        ["unjudged", "q-image"],
        ["unjudged", "r-image"],
    ]


def test_measures_for_partial_judgements_need_one_of_a_wrong_answer(own):
    assert own.partial().sentence.startswith("The judgements name right answers alone and none that is wrong")
    labels = run_folder("own") / run_files.LABELS
    append_labels(
        labels, pd.DataFrame({"query_id": ["north"], "item_id": ["q-image"], "relevance": [0]}), "one"
    )
    try:
        partial = mmlab.open_run("own").own_queries().partial()
        # of three hits of each query that is judged: two, two and one
        assert value(partial.table, SPACE.key, "Judged@10") == pytest.approx(5 / 9)
        assert "judge the others first" in partial.sentence
    finally:
        labels.unlink()


def test_a_judgement_by_hand_counts_before_the_others(own, data: Path):
    labels = run_folder("own") / run_files.LABELS
    answer = pd.DataFrame({"query_id": ["wrong"], "item_id": ["r-image"], "relevance": [0]})
    append_labels(labels, answer, "one")
    try:
        changed = mmlab.open_run("own").own_queries()
        assert changed.table["queries"].unique().tolist() == [2]
    finally:
        labels.unlink()


def test_the_worst_answered_are_shown_with_their_right_answer(own):
    shown = own.examples(1)
    assert shown.table["query_id"].tolist() == ["wrong"]
    assert "shoe that is not there at all" in str(shown.html)


def test_own_queries_are_exported_beside_the_directions(own, data: Path, tmp_path):
    run = mmlab.open_run("own")
    files = run.export(tmp_path).table["file"].tolist()
    assert "own.own-queries.qrels" in files
    read = (tmp_path / "own.own-queries.qrels").read_text().splitlines()
    assert read == ["east 0 p-image 2", "east 0 q-image 1", "north 0 r-image 1", "wrong 0 r-image 1"]
    assert "<title>red mug</title>" in (tmp_path / "own.own-queries.topics.xml").read_text()
    run.export(tmp_path, to="beir")
    lines = (tmp_path / "own-queries" / "queries.jsonl").read_text().splitlines()
    assert [json.loads(line)["text"] for line in lines] == [
        "red mug",
        "green",
        "shoe that is not there at all",
    ]
    assert (tmp_path / "own-queries" / "qrels" / "test.tsv").read_text().splitlines()[1] == "east\tp-image\t2"


def test_05_reads_the_rankings_that_04_wrote_for_the_same_units(own, data: Path, monkeypatch):
    step = start_step("04_retrieve", "own", unit="image")
    own.write_rankings(step)
    step.finish("ranked")
    again = mmlab.open_run("own").own_queries()
    monkeypatch.setattr(type(again), "_ranked", lambda self: pytest.fail("ranked again"))
    pd.testing.assert_frame_equal(again.answers["bm25"], own.answers["bm25"], check_dtype=False)
    with pytest.raises(pytest.fail.Exception, match="ranked again"):
        _ = mmlab.open_run("own").own_queries("pair").answers


def test_numbers_of_many_values_are_cut_into_three_groups_of_as_many_queries():
    thirds = _thirds(pd.Series(range(30), dtype=float))
    assert thirds.value_counts().tolist() == [10, 10, 10]
    assert thirds.iloc[0] == "0 to 9.67"
    assert pd.isna(_thirds(pd.Series([1.0, 2.0, None])).iloc[2])


def test_a_run_without_queries_says_so_once(data):
    none = mmlab.open_run("none").own_queries()
    assert none.sentence.startswith("This run has no queries of your own: give 01_ingest")
    for shown in (none.by_group(), none.compare(), none.partial(), none.examples(), none.unjudged()):
        assert (shown.sentence, shown.table.empty) == ("", True)
    assert none.checks == {}


def test_an_unknown_unit_is_named(data):
    with pytest.raises(ValueError, match=r"unit: items: columns \['sku'\] are missing"):
        mmlab.open_run("own").own_queries("sku")
