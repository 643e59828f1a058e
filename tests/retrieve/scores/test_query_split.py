"""What is fitted on is not evaluated on."""

import pandas as pd
import pytest

from mmlab.retrieve import split_queries


def items(splits, pairs=None):
    names = [f"q{i}" for i in range(len(splits))]
    return pd.DataFrame({"item_id": names, "pair_id": pairs or names, "split": splits})


def test_validation_is_fitted_on_and_test_evaluated_on() -> None:
    table = items(["train", "Validation", "val", "test", "test"])
    division = split_queries(table, table["item_id"])
    assert division.fitting == {"q1", "q2"}
    assert division.evaluation == {"q3", "q4"}
    assert division.summary == "fitted on 2 queries of the validation split, evaluated on 2 of the test split"


def test_without_a_test_split_all_others_are_evaluated_but_no_pair_is_in_both() -> None:
    table = items(["dev", "train", "train"], ["p", "p", "r"])
    assert split_queries(table, table["item_id"]).evaluation == {"q2"}


@pytest.mark.parametrize("split", [None, "train", "val"])
def test_without_a_validation_split_half_of_the_pairs_are_drawn(split) -> None:
    table = items([split] * 6, ["a", "a", "b", "b", "c", "d"])
    division = split_queries(table, table["item_id"], seed=3)
    pairs = {
        name: set(table.loc[table["item_id"].isin(ids), "pair_id"])
        for name, ids in vars(division).items()
        if name != "summary"
    }
    assert len(pairs["fitting"]) == len(pairs["evaluation"]) == 2
    assert not pairs["fitting"] & pairs["evaluation"]
    assert division.fitting | division.evaluation == set(table["item_id"])
    assert division == split_queries(table, table["item_id"], seed=3)
    assert "not divided by a validation split" in division.summary
    assert "drawn by seed 3" in division.summary


def test_a_single_pair_cannot_be_divided() -> None:
    with pytest.raises(ValueError, match="two pairs or more to divide, found 1"):
        split_queries(items([None]), ["q0"])
