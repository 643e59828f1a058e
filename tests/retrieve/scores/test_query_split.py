"""Which split is judged, and that what is fitted on is not evaluated on."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlab.items import Space, Vectors
from mmlab.retrieve import split_queries
from mmlab.retrieve.scores import query_split
from mmlab.retrieve.scores.query_split import choose_split

SPLITS = ["test", "val", "train", "restval", None]


def items(splits, pairs=None, images=True):
    """A text q0, q1, ... of each split, and the image i0, i1, ... of its pair in the split of the pair's first text."""
    texts = [f"q{n}" for n in range(len(splits))]
    table = pd.DataFrame(
        {"item_id": texts, "modality": "text", "pair_id": pairs or [f"p{n}" for n in range(len(splits))],
         "split": splits}
    )  # fmt: skip
    own = table.drop_duplicates("pair_id").assign(modality="image")
    own["item_id"] = own["item_id"].str.replace("q", "i")
    return pd.concat([table, own], ignore_index=True) if images else table


def texts_of(split):
    return sorted(split.items.loc[split.items["modality"] == "text", "item_id"])


def test_of_many_pairs_some_are_drawn_and_all_queries_of_these_are_compared(monkeypatch) -> None:
    judged = choose_split(items([None] * 6, pairs=["a", "a", "b", "b", "c", "d"]))
    ids = np.array(["q5", "q0", "q1", "q2", "q3", "q4"])
    assert judged.of_compared_pairs(ids, seed=0) is ids
    monkeypatch.setattr(query_split, "COMPARED_PAIRS", 2)
    pairs = sorted(np.random.default_rng(1).permutation(["a", "b", "c", "d"])[:2])
    of = {"a": ["q0", "q1"], "b": ["q2", "q3"], "c": ["q4"], "d": ["q5"]}
    expected = [query for query in ids if query in [*of[pairs[0]], *of[pairs[1]]]]
    assert judged.of_compared_pairs(ids, seed=1).tolist() == expected
    images = judged.of_compared_pairs(np.array(["i0", "i2", "i4", "i5"]), seed=1)
    assert len(images) == 2  # those of the same pairs
    assert set(judged.items.set_index("item_id")["pair_id"][images]) == set(pairs)


def test_at_most_so_many_queries_ask_by_whole_pairs_that_have_an_answer() -> None:
    table = items([None] * 6, pairs=["a", "a", "b", "b", "c", "d"])
    lone = table[table["modality"] == "image"].assign(item_id="x", pair_id="z").head(1)  # without a text
    judged = choose_split(pd.concat([table, lone], ignore_index=True))
    order = [str(pair) for pair in np.random.default_rng(3).permutation([*"abcdz"]) if pair != "z"]
    of = {"a": ["q0", "q1"], "b": ["q2", "q3"], "c": ["q4"], "d": ["q5"]}
    for most in range(1, 6):
        asked = judged.asking("text", most, seed=3)["item_id"].tolist()
        wanted, left = [], list(order)
        while left and (not wanted or len(wanted) + len(of[left[0]]) <= most):
            wanted += of[left.pop(0)]
        assert sorted(asked) == sorted(wanted)
    for most in range(1, 5):
        images = judged.asking("image", most, seed=3)
        assert images["pair_id"].tolist() == sorted(order[:most])  # in the order of the items
    assert judged.asking("image", 5)["item_id"].tolist() == ["i0", "i2", "i4", "i5", "x"]  # there are no more
    assert len(judged.asking("text")) == 6


def test_what_stands_beside_is_asked_the_first_drawn_pairs(monkeypatch) -> None:
    monkeypatch.setattr(query_split, "COMPARED_PAIRS", 2)
    judged = choose_split(items([None] * 6))
    asked = [set(judged.asking(source, 4, seed=1)["pair_id"]) for source in ("text", "image")]
    assert asked[0] == asked[1]
    ids = judged.asking("text", 4, seed=1)["item_id"].to_numpy(dtype=str)
    assert len(judged.of_compared_pairs(ids, seed=1)) == 2


@pytest.mark.parametrize(
    ("splits", "name", "asked"),
    [
        (["train", "test", "val"], "test", ["q1"]),
        (["train", "TEST", "val"], "test", ["q1"]),
        (["train", "val", "train"], "val", ["q1"]),
        (["train", "dev"], "dev", ["q1"]),
        (["train", "restval"], "all", ["q0", "q1"]),
        ([None, None], "all", ["q0", "q1"]),
        ([None, "test"], "test", ["q1"]),
        ([None, "train"], "all", ["q0", "q1"]),
    ],
)
def test_auto_is_test_else_validation_else_all(splits, name, asked) -> None:
    judged = choose_split(items(splits))
    assert judged.name == name
    assert texts_of(judged) == asked
    assert len(judged.items) + len(judged.others) == 2 * len(splits)


def test_a_test_split_of_photos_alone_is_passed_over() -> None:
    """COCO's test photos have no captions: nothing can be judged there."""
    table = items(["train", "val", "test"])
    hidden = table[table["item_id"] != "q2"]
    assert choose_split(hidden).name == "val"
    assert choose_split(hidden, "test").items["item_id"].tolist() == ["i2"]
    assert [part.name for part in choose_split(hidden).rest] == ["train"]


def test_a_split_is_chosen_by_its_name_or_another_word_for_it() -> None:
    table = items(["train", "val", None, "Fold 1"])
    assert choose_split(table, "train").name == "train"
    assert choose_split(table, "validation").name == choose_split(table, " VAL ").name == "val"
    assert texts_of(choose_split(table, "none")) == ["q2"]
    assert texts_of(choose_split(table, "fold 1")) == ["q3"]
    assert choose_split(table, "all").others.empty
    with pytest.raises(
        ValueError, match="split: expected auto, all or one of fold 1, none, train, val; found 'tset'"
    ):
        choose_split(table, "tset")


def test_the_filter_lets_the_items_of_a_split_through() -> None:
    table = items(["Test", "test", "train", None])
    assert choose_split(table).where == {"split": ["Test", "test"]}
    assert choose_split(table, "none").where == {"split": {"not": ["Test", "test", "train"]}}
    assert choose_split(table, "all").where is None
    assert choose_split(items(["test", "test"])).where is None  # there are no others


def test_each_other_split_is_a_gallery_of_its_own() -> None:
    judged = choose_split(items(["train", "test", None, "val"]))
    assert [part.name for part in judged.rest] == ["train", "none", "val"]
    assert [texts_of(part) for part in judged.rest] == [["q0"], ["q2"], ["q3"]]
    assert [part.name for part in judged.galleries] == ["test", "val"]
    outside = judged.outside(judged.validation)["item_id"]
    assert sorted(outside) == ["i0", "i2", "q0", "q2"]  # neither of validation nor of what is judged


def test_vectors_qrels_and_rankings_are_cut_to_the_split() -> None:
    judged = choose_split(items(["train", "test"]))
    vectors = Vectors(["i1", "q0", "q1"], np.eye(3), Space("s", "1", "", "", "", 3))
    assert judged.take(vectors).ids.tolist() == ["i1", "q1"]
    both = pd.DataFrame({"query_id": ["q0", "q1", "q1"], "item_id": ["i1", "i0", "i1"]})
    assert judged.within(both).to_numpy().tolist() == [["q1", "i1"]]
    assert judged.asked(both)["query_id"].tolist() == ["q1", "q1"]
    assert judged.not_asked(both)["query_id"].tolist() == ["q0"]


def divided(table, split="auto", seed=0):
    return split_queries(choose_split(table, split), table["item_id"], seed)


def test_validation_is_fitted_on_in_its_own_gallery_and_test_evaluated_on() -> None:
    table = items(["train", "Validation", "validation", "test", "test"])
    division = split_queries(choose_split(table), ["q0", "q1", "q2", "q3", "q4"])
    assert division.fitting == {"q1", "q2"}
    assert division.evaluation == {"q3", "q4"}
    assert division.summary == "fitted on 2 queries of the validation split, evaluated on 2 of the test split"
    assert texts_of(division.gallery) == ["q1", "q2"]
    assert division.holds("image") == 2


def test_a_pair_of_both_splits_is_evaluated_and_not_fitted_on() -> None:
    table = items(["test", "val", "val", "test"], ["p", "p", "r", "s"])
    division = split_queries(choose_split(table), ["q0", "q1", "q2", "q3"])
    assert division.fitting == {"q2"}
    assert division.evaluation == {"q0", "q3"}


def test_in_one_gallery_all_but_validation_is_evaluated() -> None:
    table = items(["dev", "train", "test"])
    division = split_queries(choose_split(table, "all"), ["q0", "q1", "q2"])
    assert (division.fitting, division.evaluation) == ({"q0"}, {"q1", "q2"})
    assert division.gallery.name == "all"


@pytest.mark.parametrize("split", [None, "train", "val", "test"])
def test_without_another_validation_split_half_of_the_pairs_are_drawn(split) -> None:
    table = items([split] * 6, ["a", "a", "b", "b", "c", "d"], images=False)
    division = divided(table, "all", seed=3)
    pairs = [
        set(table.loc[table["item_id"].isin(ids), "pair_id"])
        for ids in (division.fitting, division.evaluation)
    ]
    assert len(pairs[0]) == len(pairs[1]) == 2
    assert not pairs[0] & pairs[1]
    assert division.fitting | division.evaluation == set(table["item_id"])
    assert division == divided(table, "all", seed=3)
    assert "not divided by a validation split" in division.summary
    assert "drawn by seed 3" in division.summary


def test_a_training_split_beside_is_not_fitted_on() -> None:
    """Half of the test pairs serve to fit, and are not judged: a model may have learned the training split."""
    table = items(["train"] * 4 + ["test"] * 4)
    division = divided(table)
    assert division.gallery.name == "test"
    both = division.fitting | division.evaluation
    assert {name[1] for name in both} == set("4567")


def test_of_an_odd_number_of_pairs_the_larger_half_is_evaluated() -> None:
    table = items(["train"] * 11, [*"aaabbccdde", "e"])
    division, same, other = (divided(table, **given) for given in ({}, {"seed": 0}, {"seed": 1}))
    assert division == same != other
    pair = table.set_index("item_id")["pair_id"]
    assert [len(set(pair[list(ids)])) for ids in (division.fitting, division.evaluation)] == [2, 3]
    assert division.summary == (
        f"not divided by a validation split: fitted on the {len(division.fitting)} queries of half of the pairs, "
        f"drawn by seed 0, evaluated on the {len(division.evaluation)} of the other half"
    )


def test_tables_are_divided_as_their_queries_are() -> None:
    division = divided(items(["val", "test", "train"]))
    rows = pd.DataFrame({"query_id": ["q1", "q0", "q2", "q0"], "score": range(4)})
    assert division.fitting_rows(rows)["score"].tolist() == [1, 3]
    assert division.evaluation_rows(rows)["score"].tolist() == [0]


def test_a_single_pair_cannot_be_divided() -> None:
    with pytest.raises(ValueError, match="two pairs or more to divide, found 1"):
        divided(items([None]))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(SPLITS), st.integers(0, 5)), min_size=4, max_size=14),
    st.sampled_from(["auto", "all", "test", "val", "train", "none"]),
)
def test_no_pair_is_both_fitted_on_and_judged(drawn, wanted) -> None:
    table = items([split for split, _ in drawn], [f"p{pair}" for _, pair in drawn])
    try:
        judged = choose_split(table, wanted)
        division = split_queries(judged, table.loc[table["modality"] == "text", "item_id"])
    except ValueError:  # no such split, or one pair alone
        return
    pair = table.set_index("item_id")["pair_id"]
    assert not set(pair[list(division.fitting)]) & set(pair[list(division.evaluation)])
    assert division.evaluation <= set(judged.items["item_id"])
    assert division.fitting <= set(division.gallery.items["item_id"])
    assert division.evaluation
    parts = [judged, *judged.rest]
    names = [name for part in parts for name in part.items["item_id"]]
    assert len(names) == len(set(names))
