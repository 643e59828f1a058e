from dataclasses import replace

import numpy as np
import pytest

from mmlab.demo import attributes, words
from mmlab.demo.attributes import RELISTING, sample_product
from mmlab.demo.captions import SHORTEST, STYLES, name_product, with_article, write_caption, write_captions


@pytest.fixture(scope="module")
def products():
    return [sample_product(0, "train", number) for number in range(400)]


def test_there_are_words_for_every_attribute():
    assert tuple(words.CATEGORIES) == attributes.CATEGORIES
    assert tuple(words.COLOURS) == attributes.COLOURS
    assert tuple(words.PATTERNS) == attributes.PATTERNS
    assert tuple(words.BACKGROUNDS) == attributes.BACKGROUNDS
    assert tuple(words.COMPANIONS) == attributes.COMPANIONS
    assert tuple(words.SIZES) == attributes.SIZES
    assert tuple(words.LIGHTS) == attributes.LIGHTS


@pytest.mark.parametrize("table", [words.CATEGORIES, words.COLOURS, words.BACKGROUNDS, words.COMPANIONS])
def test_no_phrase_stands_for_two_attributes(table):
    phrases = [phrase for choices in table.values() for phrase in choices]
    assert len(phrases) == len(set(phrases))


def test_no_place_is_named_by_a_colour_of_products():
    said = {word for phrases in words.BACKGROUNDS.values() for phrase in phrases for word in phrase.split()}
    assert not said & set(attributes.COLOURS)


def test_two_or_three_captions_of_at_least_five_words_each(products):
    captions = [write_captions(product) for product in products]
    assert {len(several) for several in captions} == {2, 3}
    assert min(len(caption.split()) for several in captions for caption in several) >= SHORTEST


def test_captions_are_the_same_again_and_others_for_another_purpose(products):
    assert write_captions(products[0]) == write_captions(products[0])
    assert write_captions(products[0]) != write_captions(products[0], RELISTING)


@pytest.mark.parametrize("style", STYLES)
def test_every_style_tells_category_colour_and_place(style, products):
    for product in products[:100]:
        caption = write_caption(product, style, np.random.default_rng(0)).lower()
        for table, value in (
            (words.CATEGORIES, product.category),
            (words.COLOURS, product.colour),
            (words.BACKGROUNDS, product.background),
        ):
            assert any(phrase in caption for phrase in table[value]), caption


def test_some_captions_hold_letters_beyond_ascii(products):
    captions = [caption for product in products for caption in write_captions(product)]
    assert any("é" in caption for caption in captions)
    assert any("—" in caption for caption in captions)


def test_a_pattern_is_told(products):
    dotted = replace(products[0], pattern="dotted")
    for number in range(20):
        name = name_product(dotted, np.random.default_rng(number))
        assert any(word in name for word in ("dotted", "polka-dot", "spotted", "dots"))


@pytest.mark.parametrize(("phrase", "expected"), [("red mug", "a red mug"), ("orange mug", "an orange mug")])
def test_articles(phrase, expected):
    assert with_article(phrase) == expected
