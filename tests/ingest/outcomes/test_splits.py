import pandas as pd
import pytest

from mmlab.ingest.outcomes.splits import leading_split, settle_splits
from mmlab.ingest.rules import Rules


def strings(*values):
    return pd.Series(values, dtype="str")


@pytest.mark.parametrize(
    ("splits", "leading"),
    [
        (["train", "test"], "test"),
        (["train", "val", "train"], "val"),
        (["dev", "TEST"], "TEST"),
        (["a", "b"], "a"),
        ([None, "train"], "train"),
    ],
)
def test_the_split_that_is_evaluated_on_leads(splits, leading):
    groups = strings(*["g"] * len(splits))
    assert leading_split(strings(*splits), groups).tolist() == [leading] * len(splits)


def test_groups_do_not_mix():
    assert leading_split(strings("train", "test", "val"), strings("g", "h", "g")).tolist() == [
        *("val", "test", "val")
    ]


def settled(splits, pair_ids, groups, **rules):
    """One row per image a, b, c ... with its split."""
    names = pd.Index(list("abcde")[: len(splits)])
    rows = pd.DataFrame({"name": names, "split": splits}, dtype="str")
    images = pd.DataFrame(
        {"pair_id": pair_ids, "group": groups, "outcome": "image item", "detail": None, "flags": ""},
        names,
        dtype="str",
    )
    return settle_splits(rows, images, Rules(**rules))


def test_the_copy_outside_of_the_evaluated_split_is_the_leak():
    images = settled(["test", "train", "train"], ["a", "b", "c"], ["a", "a", "c"])
    assert images["flags"].tolist() == ["", "split leak", ""]
    assert images["outcome"].eq("image item").all()


def test_the_evaluated_copy_stays_even_where_it_comes_later():
    images = settled(["train", "test"], ["a", "b"], ["a", "a"])
    assert images["flags"].tolist() == ["split leak", ""]


def test_a_leak_is_refused_where_the_rules_say_so():
    images = settled(["test", "train"], ["a", "b"], ["a", "a"], refuse=["split leak"])
    assert images["outcome"].tolist() == ["image item", "split leak"]
    assert images.loc["b", "detail"] == "its like in split test"


def test_merged_images_take_the_leading_split():
    images = settled(["train", "test"], ["a", "a"], ["a", "a"])
    assert images["split"].tolist() == ["test", "test"]
    assert images["flags"].tolist() == ["", ""]


def test_without_splits_nothing_leaks():
    images = settled([None, None], ["a", "b"], ["a", "a"])
    assert images["split"].isna().all()
    assert images["flags"].tolist() == ["", ""]
