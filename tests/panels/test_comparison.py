import re

import numpy as np
import pandas as pd
import pytest
from mmlab.retrieve.query.saved_rankings import Recorded

from mmlab.panels import compare_answers, comparison
from mmlab.panels.comparison import tell_difference, tell_parameters
from mmlab.retrieve.query.rank_changes import moves, why
from mmlab.retrieve.query.spec import Question
from mmlab.retrieve.query.systems import systems_of


def hits(*ids):
    """Hits in this order, with the scores 1, 1/2, 1/3, ..."""
    ranks = np.arange(1, len(ids) + 1)
    return pd.DataFrame({"item_id": list(ids), "rank": ranks, "score": 1 / ranks})


def test_moves_say_what_passed_what():
    moved = moves(hits("a", "b", "c", "d"), hits("c", "a", "b", "e")).set_index("item_id")
    assert moved["change"].dropna().to_dict() == {"c": 2, "a": -1, "b": -1}
    assert moved.loc["c", ["before", "after", "passed", "passed_by"]].tolist() == [3, 1, 2, 0]
    assert moved.loc["c", ["score_before", "score_after"]].tolist() == pytest.approx([1 / 3, 1])
    assert moved.loc["a", ["passed", "passed_by"]].tolist() == [0, 1]
    assert moved.loc[["d", "e"], "change"].isna().all()


def test_the_furthest_come_first():
    assert moves(hits("a", "b", "c"), hits("c", "a", "b"))["item_id"].tolist() == ["c", "a", "b"]


@pytest.mark.parametrize("seed", range(5))
def test_ranks_gained_are_those_passed_less_those_passed_by(seed):
    rng = np.random.default_rng(seed)
    moved = moves(hits(*rng.permutation(30)[:20]), hits(*rng.permutation(30)[:20])).dropna()
    assert (moved["change"] == moved["passed"] - moved["passed_by"]).all()


@pytest.mark.parametrize(
    ("move", "says"),
    [
        (
            {"before": 5, "after": 2, "score_before": 0.25, "score_after": 0.5, "passed": 4, "passed_by": 1},
            "score 0.250 → 0.500, passed 4, passed by 1",
        ),
        (
            {"before": 1, "after": 2, "score_before": 0.5, "score_after": 0.5, "passed": 0, "passed_by": 1},
            "score still 0.500, passed by 1",
        ),
        (
            {"before": pd.NA, "after": 2, "score_after": 0.5, "passed": 0, "passed_by": 0},
            "found on the right only, score 0.500",
        ),
        (
            {"before": 2, "after": pd.NA, "score_before": 0.5, "passed": 0, "passed_by": 0},
            "found on the left only, score 0.500",
        ),
    ],
)
def test_the_reason_of_a_move_in_words(move, says):
    assert why(move) == says


def test_what_differs_is_said():
    one = Question(text="a mug", systems=("a",))
    other = Question(text="a mug", systems=("b",), where={"colour": ["red"]}, exact=True)
    told = tell_difference(one, other)
    assert told.endswith("where: none | colour red; systems: a | b; exact: False | True")
    assert "the same settings" in tell_difference(one, one)


def test_the_parameters_of_two_runs_stand_beside_their_answers():
    differing = pd.DataFrame(
        [["02_embed", "models", "a", "b", "a"], ["04_retrieve", "exact", "True", "True", "False"]],
        columns=["notebook", "parameter", "one", "two", "three"],
    )
    html = str(tell_parameters(differing, ("one", "two")))
    assert "models" in html
    assert "exact" not in html  # differs from the third only
    assert "the same parameters" in str(tell_parameters(differing.iloc[:0], ("one", "two")))
    assert str(tell_parameters(differing, ("one", "one"))) == str(tell_parameters(None, ("one", "two"))) == ""


def test_one_query_two_settings(collection):
    systems = {"demo": collection.retriever}
    left = Question(text="a red mug", k=4)
    assert "Nothing moved" in str(compare_answers(systems_of(systems), left, left, collection.items))
    right = Question(text="a red mug", k=4, to="image", where={"colour": ["red"]})
    html = str(compare_answers(systems_of(systems), left, right, collection.items))
    assert html.count("<section") == 2
    assert re.search(
        r"\((▲|▼) \d+\)", html
    )  # a whole number, also where something was found on one side only
    assert "What moved" in html


def test_two_runs_by_what_they_wrote(collection):
    items = collection.items
    texts = items[items["modality"] == "text"].iloc[:1]
    images = items.loc[items["modality"] == "image", "item_id"].iloc[:3].tolist()

    def ranked(ids):
        return pd.DataFrame(
            {
                "query_id": texts["item_id"].iloc[0],
                "item_id": ids,
                "rank": [1, 2, 3],
                "score": [0.9, 0.5, 0.1],
            }
        )

    systems = {
        "before": Recorded({"text-to-image": ranked(images)}, items),
        "after": Recorded({"text-to-image": ranked(images[::-1])}, items),
    }
    parameters = pd.DataFrame([["04_retrieve", "fusion", "<none>", "rrf"]])
    parameters.columns = ["notebook", "parameter", "before", "after"]
    html = str(comparison(systems, items, texts["text"].iloc[0], k=3, parameters=parameters))
    assert "&lt;none&gt;" in html
    assert "score 0.900 → 0.100" in html
    assert "(▲ 2)" in html
    assert "(▼ 2)" in html
    assert "passed 2" in html
    assert "passed by 2" in html
    with pytest.raises(ValueError, match="none of the queries that were ranked"):
        systems["before"].search("never asked")
    with pytest.raises(ValueError, match="no rankings text-to-text are written"):
        systems["before"].search(texts["text"].iloc[0], to="text")
    with pytest.raises(ValueError, match="cannot be filtered"):
        systems["before"].search(texts["text"].iloc[0], where={"label": "mug"})
