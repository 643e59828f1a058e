"""Which answers count as right: by pair, by label, judged by hand."""

import json
import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmlab.evaluate import mark_relevant, merge_qrels, qrels_from_labels, qrels_from_pairs, read_labels
from mmlab.evaluate.measures.qrels import (
    append_labels,
    exact_ranks,
    labels_between,
    retract_labels,
    right_ranks,
)
from mmlab.items import Space, SpaceMismatch, Vectors, exact_search, unit_rows

ITEMS = pd.DataFrame(
    {
        "item_id": ["i1", "t1", "t2", "i2", "t3"],
        "modality": ["image", "text", "text", "image", "text"],
        "pair_id": ["p1", "p1", "p1", "p2", "gone"],
    }
)


def test_texts_are_answered_by_the_image_of_their_pair() -> None:
    qrels = qrels_from_pairs(ITEMS, "text", "image")
    assert list(zip(qrels["query_id"], qrels["item_id"], strict=True)) == [("t1", "i1"), ("t2", "i1")]
    assert qrels["relevance"].tolist() == [1, 1]


def test_an_image_is_answered_by_all_texts_of_its_pair() -> None:
    qrels = qrels_from_pairs(ITEMS, "image", "text")
    assert list(zip(qrels["query_id"], qrels["item_id"], strict=True)) == [("i1", "t1"), ("i1", "t2")]


def test_other_directions_are_refused() -> None:
    with pytest.raises(ValueError, match="found 'text' and 'text'"):
        qrels_from_pairs(ITEMS, "text", "text")


LABELLED = ITEMS.assign(label=["mug", "mug", None, "mug", "hat"])


def test_of_many_queries_the_own_pair_comes_first_and_the_others_as_they_stand() -> None:
    numbers = range(40)
    rows = [
        (f"{modality[0]}{n}", modality, f"p{n}", "mug") for modality in ("text", "image") for n in numbers
    ]
    items = pd.DataFrame(rows, columns=["item_id", "modality", "pair_id", "label"])
    expected = [
        [f"t{n}", f"i{other}", 2 if other == n else 1]
        for n in numbers
        for other in (n, *(number for number in numbers if number != n))
    ]
    assert qrels_from_labels(items, "text", "image").to_numpy().tolist() == expected


def test_labels_grade_the_same_pair_above_the_same_label() -> None:
    qrels = qrels_from_labels(LABELLED, "text", "image")
    assert qrels.to_numpy().tolist() == [["t1", "i1", 2], ["t1", "i2", 1], ["t2", "i1", 2]]
    assert qrels_from_labels(LABELLED, "text", "image", 5, 3)["relevance"].tolist() == [5, 3, 5]


def test_a_label_is_not_worth_more_than_the_pair() -> None:
    with pytest.raises(ValueError, match="same_pair >= same_label >= 0, found 1 and 2"):
        qrels_from_labels(LABELLED, "text", "image", same_pair=1, same_label=2)
    with pytest.raises(ValueError, match="same_pair >= same_label >= 0, found 1 and -1"):
        qrels_from_labels(LABELLED, "text", "image", same_pair=1, same_label=-1)
    assert qrels_from_labels(LABELLED, "text", "image", 3, 3)["relevance"].tolist() == [3, 3, 3]


def test_a_judgement_by_hand_holds_over_the_pairs_and_a_later_one_over_an_earlier() -> None:
    def table(*rows):
        return pd.DataFrame(rows, columns=["query_id", "item_id", "relevance"])

    base = table(("t1", "i1", 1), ("t2", "i1", 1))
    labels = table(("t1", "i2", 1), ("t2", "i1", 0), ("t1", "i2", 2))
    merged = merge_qrels(base, labels).set_index(["query_id", "item_id"])["relevance"].to_dict()
    assert merged == {("t1", "i1"): 1, ("t2", "i1"): 0, ("t1", "i2"): 2}
    assert merge_qrels(base, labels.head(0)).equals(base)
    with pytest.raises(ValueError, match="labels: columns"):
        merge_qrels(base, labels.drop(columns="relevance"))


def judged(*rows):
    return pd.DataFrame(rows, columns=["query_id", "item_id", "relevance"])


def test_judgements_are_appended_with_time_and_name(tmp_path):
    path = tmp_path / "a run" / "without a folder" / "labels.jsonl"
    before = datetime.now(UTC)
    assert append_labels(path, judged(("t1", "i1", 2), ("t1", "i2", 0)), by="Zoë") == 2
    assert append_labels(path, judged(("t1", "i1", 1))) == 3
    labels = read_labels(path)
    assert labels[["query_id", "item_id", "relevance", "by"]].to_numpy().tolist() == [
        ["t1", "i1", 2, "Zoë"],
        ["t1", "i2", 0, "Zoë"],
        ["t1", "i1", 1, ""],
    ]
    times = [datetime.fromisoformat(time) for time in labels["judged"]]
    assert all(abs((time - before).total_seconds()) < 60 for time in times)
    assert times == sorted(times)


def test_without_a_file_nothing_is_judged(tmp_path):
    labels = read_labels(tmp_path / "labels.jsonl")
    assert labels.empty
    assert list(labels.columns) == ["query_id", "item_id", "relevance", "judged", "by"]


def test_an_earlier_version_can_be_read_again(tmp_path):
    path = tmp_path / "labels.jsonl"
    append_labels(path, judged(("t1", "i1", 2), ("t1", "i2", 0), ("t2", "i2", 1)))
    assert read_labels(path, version=2)["item_id"].tolist() == ["i1", "i2"]
    assert read_labels(path, version=0).empty
    with pytest.raises(ValueError, match="expected a version from 0 to 3, .* found 4"):
        read_labels(path, version=4)


def test_a_later_judgement_of_the_same_pair_wins(tmp_path):
    path = tmp_path / "labels.jsonl"
    append_labels(path, judged(("t1", "i1", 0)))
    append_labels(path, judged(("t1", "i1", 3)))
    merged = merge_qrels(judged(("t1", "i1", 1), ("t1", "i2", 1)), read_labels(path))
    assert set(merged.itertuples(index=False, name=None)) == {("t1", "i2", 1), ("t1", "i1", 3)}


def test_what_a_kill_left_of_a_line_is_passed_over_and_closed(tmp_path):
    path = tmp_path / "labels.jsonl"
    append_labels(path, judged(("t1", "i1", 1)))
    for torn in (b'{"query_id": "t9", "ite', b'{"query_id": 4}', b"\x00\xff"):
        with open(path, "ab") as file:
            file.write(torn)
        kept = len(read_labels(path))
        assert append_labels(path, judged(("t2", "i2", 1))) == kept + 1
    assert read_labels(path)["query_id"].tolist() == ["t1", "t2", "t2", "t2"]


def test_a_killed_writer_loses_nothing_that_was_acknowledged(tmp_path):
    path = tmp_path / "labels.jsonl"
    code = (
        "import sys, pandas as pd\nfrom mmlab.evaluate.measures.qrels import append_labels\n"
        "for n in range(10_000):\n"
        "    row = pd.DataFrame({'query_id': [f't{n}'], 'item_id': ['i'], 'relevance': [1]})\n"
        "    print(append_labels(sys.argv[1], row), flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        versions = [int(writer.stdout.readline()) for _ in range(5)]
        writer.kill()
        versions += [int(line) for line in writer.stdout.read().split()]
    labels = read_labels(path)
    assert len(labels) >= versions[-1]
    assert labels["query_id"].tolist() == [f"t{n}" for n in range(len(labels))]
    assert append_labels(path, judged(("t", "i", 1))) == len(labels) + 1


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("t1", "i1", -1), "whole number in 0 to 100, found -1"),
        (("t1", "i1", 0.5), "found 0.5"),
        (("t1", "i1", "good"), "found good"),
        (("t1", "", 1), "1 to 200 characters, found ''"),
        (("t" * 201, "i1", 1), "1 to 200 characters"),
    ],
)
def test_a_wrong_judgement_is_refused_whole(tmp_path, row, reason):
    path = tmp_path / "labels.jsonl"
    with pytest.raises(ValueError, match=reason):
        append_labels(path, judged(("t1", "i1", 1), row))
    assert read_labels(path).empty


def test_the_largest_relevance_and_the_longest_name_are_kept(tmp_path):
    path, longest = tmp_path / "labels.jsonl", "t" * 200
    assert append_labels(path, judged((longest, "i", 100), ("t", "i", 0)), by="b" * 200) == 2
    assert read_labels(path)["relevance"].tolist() == [100, 0]
    assert read_labels(path)["by"].str.len().tolist() == [200, 200]
    with pytest.raises(ValueError, match="whole number in 0 to 100, found 101"):
        append_labels(path, judged(("t", "i", 101)))
    with pytest.raises(ValueError, match="200 characters"):
        append_labels(path, judged(("t", "i", 1)), by="b" * 201)


def test_judgements_are_told_apart_by_direction():
    items = pd.DataFrame({"item_id": ["t", "i"], "modality": ["text", "image"]})
    labels = judged(("t", "i", 0), ("i", "t", 1), ("typed", "i", 1))
    assert labels_between(labels, items, "text", "image")["query_id"].tolist() == ["t"]
    assert labels_between(labels, items, "image", "text")["query_id"].tolist() == ["i"]


def test_what_is_taken_back_counts_no_more_and_stays_in_the_file(tmp_path) -> None:
    path = tmp_path / "labels.jsonl"
    append_labels(path, judged(("t1", "i1", 1), ("t1", "i1", 0), ("t1", "i2", 1)), by="a")
    assert retract_labels(path, pd.DataFrame({"query_id": ["t1"], "item_id": ["i1"]}), by="a") == 4
    assert read_labels(path)["item_id"].tolist() == ["i2"]
    assert append_labels(path, judged(("t1", "i1", 2))) == 5
    assert read_labels(path)[["item_id", "relevance"]].to_numpy().tolist() == [["i2", 1], ["i1", 2]]
    assert read_labels(path, version=3)["relevance"].tolist() == [1, 0, 1]
    last = json.loads(path.read_text().splitlines()[3])
    assert (last["query_id"], last["item_id"], last["relevance"], last["by"]) == ("t1", "i1", None, "a")


def test_nobody_takes_back_what_another_person_judged(tmp_path) -> None:
    path = tmp_path / "labels.jsonl"
    append_labels(path, judged(("t1", "i1", 1)), by="a")
    retract_labels(path, pd.DataFrame({"query_id": ["t1"], "item_id": ["i1"]}), by="b")
    assert read_labels(path)[["relevance", "by"]].to_numpy().tolist() == [[1, "a"]]


def test_a_retraction_that_was_cut_off_takes_nothing_back(tmp_path) -> None:
    path = tmp_path / "labels.jsonl"
    append_labels(path, judged(("t1", "i1", 1)))
    retract_labels(path, pd.DataFrame({"query_id": ["t1"], "item_id": ["i1"]}))
    path.write_bytes(path.read_bytes()[:-5])
    assert read_labels(path)["relevance"].tolist() == [1]


QRELS = pd.DataFrame({"query_id": ["q", "q", "p"], "item_id": ["a", "b", "a"], "relevance": [1, 2, 1]})


def ranked(*rows: tuple[str, str, int, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["query_id", "item_id", "rank", "score"])


def test_each_right_answer_has_its_rank_or_none() -> None:
    ranks = right_ranks(ranked(("q", "x", 1, 0.9), ("q", "b", 2, 0.8), ("other", "a", 1, 1.0)), QRELS)
    assert ranks[["query_id", "item_id", "relevance"]].equals(QRELS)
    assert ranks["rank"].tolist() == pytest.approx([np.nan, 2, np.nan], nan_ok=True)


def test_among_equal_scores_the_less_relevant_come_first_or_the_given_rank_holds() -> None:
    tied = ranked(("q", "b", 1, 0.5), ("q", "a", 2, 0.5), ("q", "x", 3, 0.5))
    assert right_ranks(tied, QRELS)["rank"].tolist()[:2] == [2, 3]  # x, a, b
    assert right_ranks(tied, QRELS, ties="as ranked")["rank"].tolist()[:2] == [2, 1]


@pytest.mark.parametrize(
    ("rows", "ties", "message"),
    [
        ([("q", "a", 1, 0.5)], "for us", "unknown ties 'for us'; known: 'against', 'as ranked'"),
        ([("q", "a", 1, np.nan)], "against", "1 scores are NaN"),
        ([("q", "a", 1, 0.5), ("q", "a", 2, 0.4)], "against", "a is ranked 2 times for q"),
    ],
)
def test_what_cannot_be_ranked_is_named(rows: list, ties: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        right_ranks(ranked(*rows), QRELS, ties)


def test_an_answer_judged_twice_is_named() -> None:
    with pytest.raises(ValueError, match="1 right answers are given twice, first a of q"):
        right_ranks(ranked(("q", "a", 1, 0.5)), pd.concat([QRELS, QRELS.head(1)]))


def test_the_hits_of_judged_queries_are_marked() -> None:
    hits = ranked(("q", "x", 1, 3), ("q", "b", 2, 2), ("other", "a", 1, 3), ("r", "a", 1, 1))
    judged = pd.concat([QRELS, pd.DataFrame({"query_id": ["r"], "item_id": ["a"], "relevance": [0]})])
    marked = mark_relevant(hits, judged)
    assert list(zip(marked["query_id"], marked["item_id"], marked["relevant"], strict=True)) == [
        ("q", "x", False), ("q", "b", True), ("r", "a", False),
    ]  # fmt: skip
    assert marked["score"].tolist() == [3.0, 2.0, 1.0]
    assert marked["score"].dtype == "float64"
    assert list(hits.columns) == ["query_id", "item_id", "rank", "score"]


def test_scores_that_are_not_finite_and_items_ranked_twice_are_not_marked() -> None:
    with pytest.raises(ValueError, match="1 scores are not finite numbers, first item a of query q"):
        mark_relevant(ranked(("q", "a", 1, np.inf)), QRELS)
    with pytest.raises(ValueError, match="a is ranked 2 times for q, expected once"):
        mark_relevant(ranked(("q", "a", 1, 0.5), ("q", "a", 2, 0.4)), QRELS)


HITS = st.lists(
    st.tuples(st.sampled_from("pqrs"), st.sampled_from("abcd"), st.sampled_from([0.1, 0.5, 0.9])),
    unique_by=lambda hit: hit[:2],
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(HITS, st.permutations(range(16)), st.sampled_from(["against", "as ranked"]))
def test_the_order_of_the_rows_changes_no_rank(hits: list, order: list, ties: str) -> None:
    rows = [(query, item, rank, score) for rank, (query, item, score) in enumerate(hits, start=1)]
    shuffled = [rows[place] for place in order if place < len(rows)]
    ranks = right_ranks(ranked(*rows), QRELS, ties)["rank"]
    assert right_ranks(ranked(*shuffled), QRELS, ties)["rank"].equals(ranks)
    relevance = QRELS.set_index(["query_id", "item_id"])["relevance"]
    for (query, item), rank in zip(relevance.index, ranks, strict=True):
        own = [row for row in rows if row[0] == query]
        if ties == "against":
            own.sort(key=lambda row: (-row[3], relevance.get((row[0], row[1]), 0)))
        places = {row[1]: place for place, row in enumerate(own, start=1)}
        assert rank == places[item] if item in places else np.isnan(rank)


SPACE = Space("model", "1", "", "", "", 2)
ASKED = Vectors(["q1", "q2"], np.array([[1, 0], [0, 1]]), SPACE)
GALLERY = Vectors(["a", "b", "c"], np.array([[1, 0], [0.6, 0.8], [0.8, 0.6]]), SPACE)


def qrels(*rows: tuple[str, str, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["query_id", "item_id", "relevance"])


def test_ranks_are_those_in_the_whole_gallery() -> None:
    ranks = exact_ranks(ASKED, GALLERY, qrels(("q2", "a", 1), ("q1", "c", 1), ("q2", "b", 1)))
    assert ranks["rank"].tolist() == [3, 2, 1]


def test_what_has_no_vector_has_no_rank() -> None:
    ranks = exact_ranks(ASKED, GALLERY, qrels(("q1", "gone", 1), ("gone", "a", 1), ("q1", "a", 1)))
    assert ranks["rank"].tolist() == pytest.approx([np.nan, np.nan, 1], nan_ok=True)


def test_equal_items_count_against_the_right_one_and_right_ones_not_against_each_other() -> None:
    same = Vectors(["a", "b", "c", "d"], np.tile([1.0, 0.0], (4, 1)), SPACE)
    assert exact_ranks(ASKED, same, qrels(("q1", "b", 1)))["rank"].tolist() == [4]
    both = exact_ranks(ASKED, same, qrels(("q1", "b", 2), ("q1", "c", 1)))
    assert both["rank"].tolist() == [4, 3]  # a and d are wrong, then the lower grade


def test_right_answers_that_are_nearly_equal_do_not_count_against_each_other() -> None:
    near = np.array([[1, 0], [np.cos(7e-4), np.sin(7e-4)], [0, 1]])  # cosines 1, 1 - 2.5e-7, 0
    ranks = exact_ranks(ASKED, Vectors(["a", "b", "c"], near, SPACE), qrels(("q1", "b", 1), ("q1", "a", 1)))
    assert ranks["rank"].tolist() == [2, 1]
    wrong = exact_ranks(ASKED, Vectors(["x", "b", "c"], near, SPACE), qrels(("q1", "b", 1)))
    assert wrong["rank"].tolist() == [2]  # a wrong one as near counts against it
    alone = exact_ranks(ASKED, Vectors(["a", "x", "c"], near, SPACE), qrels(("q1", "a", 1)))
    assert alone["rank"].tolist() == [2]  # also where it is a little farther


@pytest.mark.parametrize("block", [1, 100, 10**7])
def test_ranks_are_those_of_whole_rankings_whatever_the_block(
    monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr("mmlab.items.vectors.SCORES_PER_BLOCK", block)
    rng = np.random.default_rng(0)
    space = Space("model", "1", "", "", "", 8)
    queries = Vectors([f"q{n}" for n in range(20)], unit_rows(rng.standard_normal((20, 8))), space)
    gallery = Vectors([f"i{n}" for n in range(30)], unit_rows(rng.standard_normal((30, 8))), space)
    right = [
        (f"q{q}", f"i{i}", int(rng.integers(0, 3)))
        for q in range(20)
        for i in rng.choice(30, 7, replace=False)
    ]
    judged = qrels(*right).sample(frac=1, random_state=0)
    expected = right_ranks(exact_search(queries, gallery, k=30), judged)
    pd.testing.assert_frame_equal(exact_ranks(queries, gallery, judged), expected)


def test_two_spaces_do_not_meet() -> None:
    other = Vectors(["x"], np.array([[1, 0]]), Space("other", "1", "", "", "", 2))
    with pytest.raises(SpaceMismatch, match="model"):
        exact_ranks(ASKED, other, qrels(("q1", "x", 1)))


ODD = [
    {}, [], None, "t1", 7, [["t1", "i1"]], {"query_id": "t1"},
    *({"query_id": "t1", "item_id": "i1", "relevance": 1, "judged": "", "by": ""} | odd for odd in (
        {"query_id": None}, {"query_id": 7}, {"query_id": ["t1"]}, {"query_id": ""}, {"query_id": "x" * 201},
        {"query_id": "\ud800"}, {"item_id": {}}, {"item_id": True}, {"relevance": "1"}, {"relevance": True},
        {"relevance": 0.5}, {"relevance": 1e308}, {"relevance": float("nan")}, {"relevance": [1]},
        {"relevance": -1}, {"relevance": 10**30}, {"judged": 5}, {"judged": None}, {"by": ["me"]}, {"by": None},
    )),
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_a_line_that_is_no_judgement_is_passed_over(tmp_path, odd: object) -> None:
    path = tmp_path / "labels.jsonl"
    append_labels(path, judged(("t1", "i1", 2)))
    with path.open("a") as file:
        file.write(json.dumps(odd) + "\n" + "[" * 100_000 + "\n" + '{"query_id": \n')
    append_labels(path, judged(("t1", "i2", 1)))
    labels = read_labels(path)
    assert labels[["query_id", "item_id", "relevance"]].values.tolist() == [["t1", "i1", 2], ["t1", "i2", 1]]
    labels.to_parquet(tmp_path / "labels.parquet")
