"""A run is judged by one split, queries and gallery; what it answers elsewhere stands beside."""

import json

import numpy as np
import pandas as pd
import pytest

from mmlab.evaluate.measures.qrels import append_labels
from mmlab.items import DIRECTIONS, ITEM_COLUMNS, write_items, write_table
from mmlab.runs import start_step
from mmlab.workbench.run_comparison import RunComparison
from mmlab.workbench.run_data import RunData, RunReader


def success_at_1(run, split, direction):
    """By numpy: the share of a split's queries whose pair has the highest cosine among the split's items."""
    items = run.items[run.items["split"] == split]
    source, target = DIRECTIONS[direction]
    ids = [items.loc[items["modality"] == side, "item_id"] for side in (source, target)]
    asked, found = (run.vectors().take(own).array for own in ids)
    pair = items.set_index("item_id")["pair_id"]
    scores = asked @ found.T
    right = pair[ids[0]].to_numpy()[:, None] == pair[ids[1]].to_numpy()
    best_wrong = np.where(right, -np.inf, scores).max(axis=1)
    best_right = np.where(right, scores, -np.inf).max(axis=1)
    return float((best_right > best_wrong + 1e-6)[right.any(axis=1)].mean())


def test_the_figures_are_those_of_the_test_split_in_its_own_gallery(demo_run):
    judged = demo_run.judged()
    assert judged.name == "test"
    evaluation = demo_run.evaluate()
    table = evaluation.measures.set_index(["direction", "measure"])["value"]
    for direction in DIRECTIONS:
        expected = success_at_1(demo_run, "test", direction)
        assert table[direction, "Success@1"] == pytest.approx(expected)
    assert all(evaluation.checks.values())
    metrics = json.loads((demo_run.folder / "metrics.json").read_text())
    held = judged.items["modality"].value_counts()
    assert [(row["split"], row["gallery"]) for row in metrics["protocol"]] == [
        ("test", held["image"]), ("test", held["text"]),
    ]  # fmt: skip
    assert [row["fitted on"] for row in metrics["protocol"]] == ["nothing"] * 2
    lost = pd.DataFrame(metrics["losses"]).groupby("direction")["queries"].sum()
    assert lost.to_dict() == {row["direction"]: row["queries"] for row in metrics["protocol"]}


def test_a_drawn_sample_of_queries_asks_the_whole_gallery(demo_run):
    every, drawn = demo_run.rankings, demo_run.rank(max_queries=20)
    assert drawn.drawn_sentence.endswith("the intervals hold for all of them.")
    assert every.drawn_sentence == ""
    assert all(drawn.checks.values())
    evaluation = demo_run.evaluate(drawn)
    for direction, answer in drawn.answers.items():
        asked = drawn.asked(direction)["item_id"]
        assert 10 < len(asked) <= 20
        whole = every.answers[direction]
        same = whole[whole["query_id"].isin(asked)].reset_index(drop=True)
        # the rounding of a cosine depends on the number of rows that are multiplied at a time
        pd.testing.assert_frame_equal(answer, same, atol=1e-6)
        assert set(evaluation.per_query[direction]["query_id"]) == set(asked)
    held = demo_run.judged().items["modality"].value_counts()
    protocol = evaluation.protocol_table.set_index("direction")
    assert protocol["gallery"].tolist() == [held["image"], held["text"]]
    texts = len(drawn.asked("text-to-image"))
    assert protocol.at["text-to-image", "queries drawn"] == f"{texts} of {held['text']}, by pair"
    assert f"{texts} of {held['text']}, by pair (text-to-image)" in evaluation.sentence
    splits = evaluation.by_split().table
    assert (splits["queries"] <= 20).all()


def test_every_split_is_shown_with_its_own_gallery(demo_run):
    table = demo_run.evaluate().by_split().table
    assert table["split"].unique().tolist() == ["test", "train", "validation"]
    assert table["served"].tolist() == ["judged", "", ""] * 2
    for row in table.to_dict("records"):
        items = demo_run.items[demo_run.items["split"] == row["split"]]
        assert row["gallery"] == (items["modality"] == DIRECTIONS[row["direction"]][1]).sum()
        assert row["value"] == pytest.approx(success_at_1(demo_run, row["split"], row["direction"]))
        assert row["low"] <= row["value"] <= row["high"]
        assert row["same_size"] >= row["value"] - 1e-9  # of no more items, more is found
    smallest = table[table["gallery"] == table["size"]]
    assert smallest["same_size"].tolist() == pytest.approx(smallest["value"].tolist())
    assert "each against its own items: text-to-image test" in demo_run.evaluate().by_split().sentence


def test_a_search_finds_items_of_all_splits(demo_run):
    images = (demo_run.items["modality"] == "image").sum()
    hits = demo_run.search(demo_run.sample("text"), k=images).table
    assert len(hits) == images
    assert set(hits["split"]) == {"test", "train", "validation"}


def test_another_split_is_judged_where_that_is_asked_for(demo_run):
    train = demo_run.evaluate(demo_run.rank(split="train"))
    assert set(train.protocol_table["split"]) == {"train"}
    assert train.by_split().table["split"].unique().tolist() == ["train", "test", "validation"]
    everything = demo_run.evaluate(demo_run.rank(to="image", split="all"))
    assert everything.protocol_table["gallery"].tolist() == [len(demo_run.vectors("image"))]
    assert "All splits are judged: there is no other to show beside" in str(everything.by_split().sentence)
    with pytest.raises(ValueError, match="expected rankings of one split to compare, found all and test"):
        everything.compare(demo_run.evaluate())
    with pytest.raises(
        ValueError, match="split: expected auto, all or one of test, train, validation; found 'tst'"
    ):
        demo_run.rank(split="tst")


def test_what_is_fitted_on_is_not_judged(demo_run):
    """The validation split is judged here, so that half of its own pairs serve to fit."""
    ranked = demo_run.rank(split="validation", calibration="logistic")
    fitted = ranked.ranked["text-to-image"]
    assert not fitted.calibration.fitted_on & set(ranked.qrels["text-to-image"]["query_id"])
    card = demo_run.evaluate(ranked).protocol_table.iloc[0]
    texts = ranked.items[ranked.items["modality"] == "text"]
    assert card["queries"] + card["not judged"] == len(texts)
    assert card["not judged"] == len(fitted.split.fitting)
    assert "calibration: not divided by a validation split" in card["fitted on"]
    plain = demo_run.evaluate(demo_run.rank(split="validation"))
    compared = demo_run.evaluate(ranked).compare(plain).table
    assert set(compared["queries"][compared["direction"] == "text-to-image"]) == {card["queries"]}


def test_judgements_on_queries_of_other_splits_are_not_counted(demo_copy):
    run = RunData(RunReader("demo"))
    split = run.items.set_index("item_id")["split"]
    right = run.qrels("image", "all")
    labels = pd.concat(
        [right[right["query_id"].map(split) == name].head(n) for name, n in (("test", 2), ("train", 3))]
    )
    append_labels(demo_copy / "labels.jsonl", labels)
    import mmlab

    assert "2 judgements by hand" in mmlab.open_run("demo").evaluate().by_hand().caption
    (demo_copy / "labels.jsonl").unlink()


ITEMS = pd.DataFrame(
    {
        "item_id": ["i1", "t1", "i2", "t2"],
        "modality": ["image", "text"] * 2,
        "pair_id": ["1.jpg", "1.jpg", "2.jpg", "2.jpg"],
        "text": [None, "a red mug", None, "a cup"],
        "image": ["/1.jpg", None, "/2.jpg", None],
        "split": ["test", "test", "train", "train"],
    }
).reindex(columns=ITEM_COLUMNS)


def write_run(name, split, queries):
    step = start_step("01_ingest", name, dataset="d")
    write_items(ITEMS, step.write("items.parquet"))
    step.finish("")
    step = start_step("05_evaluate", name, split=split)
    for direction in DIRECTIONS:
        scores = pd.DataFrame({"query_id": queries, "Success@1": 1.0})
        write_table(scores, step.write(f"per_query/{direction}.parquet"))
    rows = [{"direction": direction, "split": split} for direction in DIRECTIONS]
    step.write("metrics.json").write_text(json.dumps({"measures": [], "protocol": rows}))
    step.finish("")


def test_runs_are_compared_on_the_split_that_all_judge(tmp_path, monkeypatch):
    monkeypatch.setenv("MMLAB_DATA", str(tmp_path))
    for name, split, queries in (
        ("a", "test", ["t1", "t2"]), ("b", "test", ["t1"]), ("c", "all: test, train", ["t1", "t2"]),
    ):  # fmt: skip
        write_run(name, split, queries)

    def compare(*names):
        runs = [RunData(RunReader(name)) for name in names]
        return RunComparison(runs, ["Success@1"])

    both = compare("a", "b")
    assert both.judged.items["item_id"].tolist() == ["i1", "t1"]
    assert [len(one) for one in both.scores["text-to-image"].values()] == [1, 1]  # b judges no more of them
    assert both.protocol().table["run"].tolist() == ["a", "a", "b", "b"]
    assert "All runs judge the test split" in both.protocol().sentence
    with pytest.raises(
        ValueError, match="a judges test and c judges all, .* run 04_retrieve and 05_evaluate of c"
    ):
        compare("a", "c")
