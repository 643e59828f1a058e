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


@pytest.mark.parametrize("name", ["val", "valid", "validation", "dev", "VAL"])
def test_validation_has_several_names(name) -> None:
    table = items([name, "test", "train", None])
    division = split_queries(table, table["item_id"])
    assert (division.fitting, division.evaluation) == ({"q0"}, {"q1"})
    assert split_queries(items([name, "train", None]), ["q0", "q2"]).evaluation == {"q2"}


def test_of_an_odd_number_of_pairs_the_larger_half_is_evaluated() -> None:
    table = items(["train"] * 11, [*"aaabbccdde", "e"])
    division = split_queries(table, table["item_id"])
    assert division == split_queries(table, table["item_id"], seed=0)
    assert division != split_queries(table, table["item_id"], seed=1)
    pair = table.set_index("item_id")["pair_id"]
    assert [len(set(pair[list(ids)])) for ids in (division.fitting, division.evaluation)] == [2, 3]
    assert division.summary == (
        f"not divided by a validation split: fitted on the {len(division.fitting)} queries of half of the pairs, "
        f"drawn by seed 0, evaluated on the {len(division.evaluation)} of the other half"
    )


def test_tables_are_divided_as_their_queries_are() -> None:
    table = items(["val", "test", "train"])
    division = split_queries(table, table["item_id"])
    rows = pd.DataFrame({"query_id": ["q1", "q0", "q2", "q0"], "score": range(4)})
    assert division.fitting_rows(rows)["score"].tolist() == [1, 3]
    assert division.evaluation_rows(rows)["score"].tolist() == [0]


def test_a_single_pair_cannot_be_divided() -> None:
    with pytest.raises(ValueError, match="two pairs or more to divide, found 1"):
        split_queries(items([None]), ["q0"])
