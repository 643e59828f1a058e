from dataclasses import replace

import numpy as np
import pytest

from mmlab.demo import products as attributes
from mmlab.demo.captions import (
    BACKGROUND_PHRASES,
    CATEGORY_PHRASES,
    COLOUR_PHRASES,
    COMPANION_PHRASES,
    LIGHT_PHRASES,
    PATTERN_PHRASES,
    SIZE_PHRASES,
    STYLES,
    name_product,
    with_article,
    write_caption,
    write_captions,
)
from mmlab.demo.products import Purpose, sample_product


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
