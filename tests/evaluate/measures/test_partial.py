"""Measures for partial judgements, against values worked out by hand and those of trec_eval."""

import time

import numpy as np
import pandas as pd
import pytest

from mmlab.evaluate import score_queries
from mmlab.evaluate.measures.partial import score_partial, unjudged_hits
from mmlab.items.rankings import rankings_from_scores

E = 0.00001  # of infAP


def ranked(items: str, query: str = "q") -> pd.DataFrame:
    places = range(1, len(items) + 1)
    return pd.DataFrame(
        {"query_id": query, "item_id": list(items), "rank": places, "score": [1 / n for n in places]}
    )


def judged(query: str = "q", **grades: int) -> pd.DataFrame:
    rows = [(query, item, grade) for item, grade in grades.items()]
    return pd.DataFrame(rows, columns=["query_id", "item_id", "relevance"])


# Of the hits a to e, b and d are right, a is wrong, c was pooled but not judged, e was not pooled; x, right, is no hit.
GRADES = judged(a=0, b=1, c=-1, d=2, x=1, y=0)


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        ("Judged@10", 3 / 5),
        ("bpref", (1 - 1 / 2 + 1 - 1 / 2) / 3),  # two wrong are judged: a is above b and d
        ("infAP", (1 / 2 + 1 / 2 * E / (1 + 2 * E) + 1 / 4 + 3 / 4 * (1 + E) / (2 + 2 * E)) / 3),
        ("RBP", 0.2 * (0.8 + 0.8**3)),
        ("RBP residual", 0.2 * (0.8**2 + 0.8**4) + 0.8**5),
        ("condensed AP", (1 / 2 + 2 / 3) / 3),  # a b d
        ("condensed RR", 1 / 2),
        ("condensed nDCG@10", (1 / np.log2(3) + 2 / 2) / (2 + 1 / np.log2(3) + 1 / 2)),
    ],
)
def test_each_measure_has_the_value_that_its_formula_gives(measure, expected) -> None:
    assert score_partial(ranked("abcde"), GRADES)[measure].tolist() == pytest.approx([expected])


def test_pooled_hits_are_counted_in_infap_and_others_are_wrong() -> None:
    found = (
        score_partial(ranked("cd"), GRADES)["infAP"].item(),
        score_partial(ranked("ed"), GRADES)["infAP"].item(),
    )
    # nothing above d was judged: half of the pooled hits above it are taken as right
    assert found == pytest.approx(((1 / 2 + 1 / 2 * 1 / 2) / 3, 1 / 2 / 3))


def test_where_all_is_judged_they_are_the_usual_measures() -> None:
    all_judged = judged(a=0, b=1, c=0, d=2, e=0, x=1)
    found = score_partial(ranked("abcde"), all_judged).iloc[0]
    usual = score_queries(ranked("abcde"), all_judged, ["nDCG@10", "AP", "RR"]).iloc[0]
    for name in ("nDCG@10", "AP", "RR"):
        assert found[f"condensed {name}"] == pytest.approx(usual[name])
    assert found["infAP"] == pytest.approx(usual["AP"], abs=E)
    assert (found["Judged@10"], found["RBP residual"]) == pytest.approx((1, 0.8**5))


def test_only_the_first_ten_hits_count_as_judged_or_not() -> None:
    grades = judged(**dict.fromkeys("abkl", 1))
    assert score_partial(ranked("abcdefghijkl"), grades)["Judged@10"].item() == 2 / 10


def test_queries_without_hits_or_without_wrong_answers() -> None:
    grades = pd.concat([judged("unanswered", a=1, b=0), judged("q", b=1), judged("wrong only", a=0)])
    found = score_partial(ranked("ab"), grades).set_index("query_id")
    assert found.index.tolist() == ["unanswered", "q"]
    assert found.loc["unanswered"].to_dict() == {
        "Judged@10": 1, "bpref": 0, "infAP": 0, "RBP": 0, "RBP residual": 1,
        "condensed nDCG@10": 0, "condensed AP": 0, "condensed RR": 0,
    }  # fmt: skip
    assert found.loc["q", ["bpref", "infAP", "condensed RR"]].tolist() == [1, 1 / 2, 1]
    assert score_partial(ranked("ab"), judged(a=0)).empty
    assert score_partial(ranked(""), judged(a=1))["RBP residual"].tolist() == [1]


def test_equal_scores_count_against_the_system_and_unjudged_hits_as_wrong() -> None:
    alike = ranked("abc").assign(score=0.5)
    found = score_partial(alike, judged(a=1, c=0)).iloc[0]
    assert found[["condensed RR", "RBP"]].tolist() == pytest.approx([1 / 2, 0.2 * 0.8**2])
    assert found["RBP residual"] == pytest.approx(0.2 * 1 + 0.8**3)  # b stands first, before c


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(ValueError, match="one judgement of each answer, found 1 more, first a of q"):
        score_partial(ranked("ab"), pd.concat([judged(a=0), judged(a=1)]))
    with pytest.raises(ValueError, match="qrels: columns .*relevance"):
        score_partial(ranked("ab"), judged(a=1).drop(columns="relevance"))
    with pytest.raises(ValueError, match="rankings: 1 scores are not finite"):
        score_partial(ranked("ab").assign(score=[np.nan, 1]), judged(a=1))
    with pytest.raises(ValueError, match="a is ranked 2 times for q"):
        score_partial(ranked("aba"), judged(a=1))


def drawn(queries: int, gallery: int, depth: int, per_query: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rankings without equal scores, and judgements of -1 to 2, some of hits and some of other items."""
    rng = np.random.default_rng(0)
    scores = np.argsort(rng.random((queries, gallery)), axis=1) / gallery
    names = ([f"q{n:04}" for n in range(queries)], [f"i{n:05}" for n in range(gallery)])
    found = rankings_from_scores(scores, *names, k=depth)
    items = np.argsort(rng.random((queries, gallery)), axis=1)[:, :per_query]
    rows = {"query_id": np.repeat(names[0], per_query), "item_id": np.array(names[1])[items.ravel()]}
    return found, pd.DataFrame(rows).assign(relevance=rng.integers(-1, 3, items.size))


THEIRS = {
    "Judged@10": "Judged@10",
    "bpref": "Bpref",
    "infAP": "infAP",
    "condensed nDCG@10": "nDCG(judged_only=True)@10",
    "condensed AP": "AP(judged_only=True)",
    "condensed RR": "RR(judged_only=True)",
}


def test_they_are_those_of_trec_eval() -> None:
    ir_measures = pytest.importorskip("ir_measures")
    rankings, qrels = drawn(queries=60, gallery=80, depth=50, per_query=30)
    found = score_partial(rankings, qrels).set_index("query_id")
    run = rankings.rename(columns={"item_id": "doc_id"})[["query_id", "doc_id", "score"]]
    known = qrels.rename(columns={"item_id": "doc_id"})
    # a judgement of -1 is one of the pool for trec_eval, and one like others for the share of judged hits
    drawn_only = {True: known[known["relevance"] >= 0], False: known}
    for ours, name in THEIRS.items():
        measure = ir_measures.parse_measure(name)
        scores = ir_measures.iter_calc([measure], drawn_only[name != "infAP"], run)
        theirs = pd.Series({one.query_id: one.value for one in scores}).reindex(found.index)
        np.testing.assert_allclose(found[ours], theirs, atol=1e-9, err_msg=ours)


def test_200_000_judgements_of_2_000_queries_take_less_than_a_second() -> None:
    rankings, qrels = drawn(queries=2000, gallery=400, depth=100, per_query=100)
    seconds = []
    for _ in range(3):
        start = time.process_time()
        assert len(score_partial(rankings, qrels)) == 2000
        seconds.append(time.process_time() - start)
    assert min(seconds) < 1


def test_the_unjudged_hits_are_pooled_over_systems_and_say_nothing_of_them() -> None:
    one = pd.concat([ranked("dcab", "q2"), ranked("zyx", "q1"), ranked("abc", "q3")])
    other = pd.concat([ranked("ea", "q2"), ranked("w", "q1")])
    known = pd.concat([judged("q2", c=0, e=-1), judged("q1", z=1)])
    found = unjudged_hits({"one": one, "other": other}, known, ["q2", "q1"], k=2)
    assert found.to_numpy().tolist() == [["q2", "a"], ["q2", "d"], ["q2", "e"], ["q1", "w"], ["q1", "y"]]
    assert list(found.columns) == ["query_id", "item_id"]
    assert unjudged_hits({"one": one}, known, [], k=2).empty
    with pytest.raises(ValueError, match="rankings: columns .*rank"):
        unjudged_hits({"one": one.drop(columns="rank")}, known, ["q1"])
