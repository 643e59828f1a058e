from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from mmlab.demo import products as attributes
from mmlab.demo.products import (
    BACKGROUND_PHRASES,
    BACKGROUNDS,
    CATEGORIES,
    CATEGORY_PHRASES,
    COLOUR_PHRASES,
    COLOURS,
    COMPANION_PHRASES,
    COMPANIONS,
    LIGHT_PHRASES,
    PATTERN_PHRASES,
    PATTERNS,
    SIZE_PHRASES,
    STYLES,
    WITHHELD,
    Purpose,
    name_product,
    sample_product,
    with_article,
    write_caption,
    write_captions,
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


@pytest.fixture(scope="module")
def products():
    return [sample_product(0, "train", number) for number in range(400)]


def test_there_are_phrases_for_every_attribute():
    assert tuple(CATEGORY_PHRASES) == attributes.CATEGORIES
    assert tuple(COLOUR_PHRASES) == attributes.COLOURS
    assert tuple(PATTERN_PHRASES) == attributes.PATTERNS
    assert tuple(BACKGROUND_PHRASES) == attributes.BACKGROUNDS
    assert tuple(COMPANION_PHRASES) == attributes.COMPANIONS
    assert tuple(SIZE_PHRASES) == attributes.SIZES
    assert tuple(LIGHT_PHRASES) == attributes.LIGHTS


@pytest.mark.parametrize("table", [CATEGORY_PHRASES, COLOUR_PHRASES, BACKGROUND_PHRASES, COMPANION_PHRASES])
def test_no_phrase_stands_for_two_attributes(table):
    phrases = [phrase for choices in table.values() for phrase in choices]
    assert len(phrases) == len(set(phrases))


def test_no_place_is_named_by_a_colour_of_products():
    named = {word for phrases in BACKGROUND_PHRASES.values() for phrase in phrases for word in phrase.split()}
    assert not named & set(attributes.COLOURS)


def test_two_or_three_captions_of_at_least_five_words_each(products):
    captions = [write_captions(product) for product in products]
    assert {len(each) for each in captions} == {2, 3}
    assert min(len(caption.split()) for each in captions for caption in each) >= 5


def test_captions_are_the_same_again_and_others_for_another_purpose(products):
    assert write_captions(products[0]) == write_captions(products[0])
    assert write_captions(products[0]) != write_captions(products[0], Purpose.RELISTING)


@pytest.mark.parametrize("style", STYLES)
def test_every_style_names_category_colour_and_place(style, products):
    for product in products[:100]:
        caption = write_caption(product, style, np.random.default_rng(0)).lower()
        for table, value in (
            (CATEGORY_PHRASES, product.category),
            (COLOUR_PHRASES, product.colour),
            (BACKGROUND_PHRASES, product.background),
        ):
            assert any(phrase in caption for phrase in table[value]), caption


def test_some_captions_hold_letters_beyond_ascii(products):
    captions = [caption for product in products for caption in write_captions(product)]
    assert any("é" in caption for caption in captions)
    assert any("—" in caption for caption in captions)


def test_a_pattern_is_named(products):
    dotted = replace(products[0], pattern="dotted")
    for number in range(20):
        name = name_product(dotted, np.random.default_rng(number))
        assert any(word in name for word in ("dotted", "polka-dot", "spotted", "dots"))


@pytest.mark.parametrize(("phrase", "expected"), [("red mug", "a red mug"), ("orange mug", "an orange mug")])
def test_articles(phrase, expected):
    assert with_article(phrase) == expected
