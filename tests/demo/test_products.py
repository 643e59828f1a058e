from collections import Counter
from itertools import pairwise

import pytest

from mmlab.demo.products import (
    BACKGROUNDS,
    CATEGORIES,
    COLOURS,
    COMPANIONS,
    PATTERNS,
    WITHHELD,
    Purpose,
    sample_product,
)


@pytest.fixture(scope="module")
def streams():
    return {
        split: [sample_product(0, split, n) for n in range(1500)] for split in ("train", "validation", "test")
    }


def test_the_vocabulary_is_rich():
    assert len(set(CATEGORIES)) >= 24
    assert len(set(COLOURS)) == 10
    assert len(set(PATTERNS)) >= 4
    assert len(set(BACKGROUNDS)) >= 10
    assert len(set(COMPANIONS)) >= 5


def test_each_category_is_withheld_in_one_colour():
    assert sorted(category for category, _ in WITHHELD) == sorted(CATEGORIES)
    assert {colour for _, colour in WITHHELD} == set(COLOURS)


def test_withheld_combinations_occur_in_the_test_split_only(streams):
    assert not any(product.withheld for split in ("train", "validation") for product in streams[split])
    share = sum(product.withheld for product in streams["test"]) / 1500
    assert abs(share - 0.2) < 4 * (0.2 * 0.8 / 1500) ** 0.5


def test_every_attribute_occurs(streams):
    for name, values in (
        ("category", CATEGORIES),
        ("colour", COLOURS),
        ("pattern", PATTERNS),
        ("background", BACKGROUNDS),
        ("companion", (None, *COMPANIONS)),
    ):
        assert set(Counter(getattr(product, name) for product in streams["train"])) == set(values)


def test_a_product_is_a_function_of_seed_split_and_number(streams):
    assert sample_product(0, "train", 7) == streams["train"][7]
    keys = [
        sample_product(seed, split, n).rng(Purpose.IMAGE).random()
        for seed in (0, 1)
        for split in streams
        for n in (0, 1)
    ]
    assert len(set(keys)) == len(keys)
    assert all(one != other for one, other in pairwise(streams["train"]))


def test_each_purpose_has_its_own_random_numbers():
    product = sample_product(0, "test", 3)
    assert product.rng(Purpose.IMAGE).random() == product.rng(Purpose.IMAGE).random()
    assert len({product.rng(purpose).random() for purpose in Purpose}) == len(Purpose)


def test_a_product_knows_its_split_and_number():
    product = sample_product(5, "validation", 12)
    assert (product.split, product.number) == ("validation", 12)
