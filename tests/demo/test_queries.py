from collections import Counter

import numpy as np
import pytest

from mmlab.demo.catalogue import list_catalogue
from mmlab.demo.products import BACKGROUNDS, CATEGORIES, COLOURS, PATTERNS, Product
from mmlab.demo.queries import (
    GERMAN,
    QUERIES_OF_KIND,
    SPANISH,
    SYNONYMS,
    WRITERS,
    Query,
    attributes_of,
    compose_queries,
    grade,
    misspell,
    tabulate_qrels,
    tabulate_queries,
)


def product(category, colour, pattern="plain", background="meadow", companion=None, split=2):
    return Product(
        category, colour, pattern, background, companion, "small", "warm", 0.0, 1, key=(0, split, 1)
    )


@pytest.fixture(scope="module")
def listings():
    return list_catalogue(1500, seed=0)


@pytest.fixture(scope="module")
def shown(listings):
    return {listing.image: listing.product for listing in listings}


@pytest.fixture(scope="module")
def queries(shown):
    return compose_queries(shown)


@pytest.fixture(scope="module")
def found(queries, shown):
    """The images of each query and relevance: (query_id, relevance) -> set of images."""
    return tabulate_qrels(queries, shown).groupby(["query_id", "relevance"])["image"].agg(set)


@pytest.fixture(scope="module")
def table(queries):
    return tabulate_queries(queries)


@pytest.fixture(scope="module")
def words(listings):
    """All words of captions, without marks around them."""
    captions = (caption for listing in listings for caption in listing.captions)
    return {word.strip(".,:;!?-()") for caption in captions for word in caption.lower().split()}


def test_each_kind_has_its_queries_and_all_differ(table):
    assert list(table) == ["query_id", "text", "kind", "language"]
    assert Counter(table["kind"]) == dict.fromkeys(WRITERS, QUERIES_OF_KIND)
    assert len(table) == 300
    assert list(table["query_id"].iloc[[0, 299]]) == ["q001", "q300"]
    assert table["text"].str.lower().is_unique
    assert set(zip(table["kind"], table["language"], strict=True)) == {
        (kind, {"German": "de", "Spanish": "es"}.get(kind, "en")) for kind in WRITERS
    }


def test_each_query_has_a_right_answer_in_the_test_split(table, found, shown):
    for query_id in table["query_id"]:
        assert any(shown[image].split == "test" for image in found[query_id, 2]), query_id


def test_the_same_products_give_the_same_queries(queries, shown):
    assert compose_queries(shown) == queries
    shown = shown | {"images/more.jpg": product("mug", "red", split=0)}
    assert compose_queries(shown) == queries  # one more of the train split


def test_no_product_of_the_test_split_no_queries():
    shown = {"a.jpg": product("mug", "red", split=0)}
    assert compose_queries(shown) == []
    assert list(tabulate_queries([])) == ["query_id", "text", "kind", "language"]
    assert list(tabulate_qrels([], shown)) == ["query_id", "image", "relevance"]


FEW = [
    product("mug", "red", "striped", "meadow", "apple"),
    product("mug", "red"),
    product("mug", "blue", "striped"),
    product("sock", "red", "striped", "meadow", "apple"),
    product("sock", "green", "dotted", "night sky"),
]


@pytest.mark.parametrize(
    ("asked", "unwanted", "relevance"),
    [
        ({"category": "mug"}, {}, [2, 2, 2, 0, 0]),
        ({"category": "mug", "colour": "red"}, {}, [2, 2, 1, 0, 0]),
        ({"category": "mug", "colour": "red", "pattern": "striped"}, {}, [2, 1, 1, 0, 0]),
        ({"colour": "red", "pattern": "striped"}, {}, [2, 1, 0, 2, 0]),
        ({"companion": "apple"}, {}, [2, 0, 0, 2, 0]),
        ({"category": "sock", "background": "meadow"}, {}, [0, 0, 0, 2, 1]),
        ({"category": "mug"}, {"colour": "red"}, [0, 0, 2, 0, 0]),
        ({"category": "mug"}, {"pattern": "striped"}, [0, 2, 0, 0, 0]),
    ],
)
def test_relevance_is_that_of_the_attributes(asked, unwanted, relevance):
    assert list(grade(Query("", asked, unwanted), attributes_of(FEW))) == relevance


def test_qrels_hold_the_relevant_images_of_all_splits():
    shown = {"a.jpg": FEW[0], "b.jpg": FEW[2], "c.jpg": FEW[3], "d.jpg": product("mug", "red", split=0)}
    qrels = tabulate_qrels([Query("red mug", {"category": "mug", "colour": "red"})], shown)
    assert qrels.to_numpy().tolist() == [["q001", "a.jpg", 2], ["q001", "b.jpg", 1], ["q001", "d.jpg", 2]]


def test_a_named_colour_and_product_have_the_images_that_show_them(table, found, shown):
    for query_id, text in table.loc[table["kind"] == "colour and name", ["query_id", "text"]].to_numpy():
        colour, category = text.split(" ", 1)
        named = {image for image, one in shown.items() if one.category == category}
        right = {image for image in named if shown[image].colour == colour}
        assert found[query_id, 2] == right
        assert found.get((query_id, 1), set()) == named - right


def test_what_a_negation_excludes_is_not_relevant_and_can_be_found(queries, found, shown):
    negations = [(f"q{number:03}", one) for number, one in enumerate(queries, 1) if one.kind == "negation"]
    for query_id, query in negations:
        ((name, value),) = query.unwanted.items()
        named = {image for image, one in shown.items() if one.category == query.asked["category"]}
        excluded = {image for image in named if getattr(shown[image], name) == value}
        assert found[query_id, 2] == named - excluded
        assert (query_id, 1) not in found
        assert any(shown[image].split == "test" for image in excluded)


def texts(kind, one, count=200):
    """The queries of a kind that are written for a product, by their text."""
    written = (WRITERS[kind](one, np.random.default_rng(number)) for number in range(count))
    return {query.text: query for query in written if query}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("name", {"mug"}),
        ("colour and name", {"red mug"}),
        ("attribute", {"red", "striped", "red and striped", "next to an apple"}),
        (
            "background",
            {"in a meadow", "on the grass of a meadow", "mug in a meadow", "mug on the grass of a meadow"},
        ),
        (
            "negation",
            {
                "mug, not red",
                "mug, anything but red",
                "mug but not in red",
                "mug in any colour except red",
                "mug without stripes",
            },
        ),
        ("synonym", {"cup"}),
        ("German", {"Tasse", "rote Tasse", "rote Tasse auf einer Wiese", "rote Tasse mit Streifen"}),
        ("Spanish", {"taza", "taza roja", "taza roja en un prado", "taza roja a rayas"}),
    ],
)
def test_what_is_asked_of_each_kind(kind, expected):
    assert set(texts(kind, FEW[0])) == expected


def test_what_a_text_names_is_what_it_asks_for():
    assert texts("attribute", FEW[0])["red and striped"].asked == {"colour": "red", "pattern": "striped"}
    assert texts("background", FEW[0])["mug in a meadow"].asked == {"category": "mug", "background": "meadow"}
    assert texts("negation", FEW[0])["mug without stripes"].unwanted == {"pattern": "striped"}
    assert texts("German", FEW[0])["rote Tasse mit Streifen"].asked == {
        "category": "mug", "colour": "red", "pattern": "striped",
    }  # fmt: skip
    assert all(
        query.asked == {"category": "mug", "colour": "red"} for query in texts("typo", FEW[0]).values()
    )


def test_a_sentence_asks_for_all_that_it_names():
    names = ("category", "colour", "pattern", "background", "companion")
    for text, query in texts("long sentence", FEW[0]).items():
        assert "red striped mug" in text
        assert "in a meadow next to an apple" in text
        assert query.asked == {name: getattr(FEW[0], name) for name in names}
    for text, query in texts("long sentence", product("trousers", "orange")).items():
        assert "orange pair of trousers" in text
        assert query.asked == {"category": "trousers", "colour": "orange", "background": "meadow"}


@pytest.mark.parametrize(
    ("language", "one", "expected"),
    [
        ("German", product("suitcase", "red"), "roter Koffer"),
        ("German", product("tent", "white", "checked"), "weißes Zelt mit Karomuster"),
        ("German", product("camera", "purple"), "violette Kamera auf einer Wiese"),
        ("Spanish", product("handbag", "black"), "bolso negro"),
        ("Spanish", product("tent", "black", "dotted"), "tienda de campaña negra de lunares"),
        ("Spanish", product("chair", "blue"), "silla azul en un prado"),
    ],
)
def test_adjectives_agree_with_their_nouns(language, one, expected):
    assert expected in texts(language, one)


@pytest.mark.parametrize("language", [GERMAN, SPANISH])
def test_a_language_has_a_word_for_everything(language):
    assert set(language.nouns) == set(CATEGORIES)
    assert set(language.colours) == set(COLOURS)
    assert set(language.patterns) == set(PATTERNS) - {"plain"}
    assert set(language.places) == set(BACKGROUNDS)
    assert len({noun for noun, _ in language.nouns.values()}) == len(CATEGORIES)
    genders = {gender for _, gender in language.nouns.values()}
    assert all(genders <= set(forms) for forms in language.colours.values())


def test_no_caption_has_a_synonym(words):
    assert {"mug", "pail", "rucksack"} <= words
    assert set(SYNONYMS) < set(CATEGORIES)
    assert len(set(SYNONYMS.values())) == len(SYNONYMS) == QUERIES_OF_KIND
    assert not {word for synonym in SYNONYMS.values() for word in synonym.split()} & words


def test_no_word_of_a_typo_is_one_of_captions(table, words):
    typos = [word for text in table.loc[table["kind"] == "typo", "text"] for word in text.split()]
    assert len(typos) >= 2 * QUERIES_OF_KIND
    assert not set(typos) & words


@pytest.mark.parametrize(
    ("word", "slips"),
    [
        ("red", {"erd", "rde"}),
        ("boot", {"obot", "boto"}),
        ("hot-air", {
            "oht-air", "hto-air", "hot-iar", "hot-ari", "ht-air", "ho-air", "hot-ar", "hot-ai", "hoot-air",
            "hott-air", "hot-aiir", "hot-airr",
        }),
    ],
)  # fmt: skip
def test_what_a_slip_does_to_a_word(word, slips):
    assert {misspell(word, np.random.default_rng(number)) for number in range(300)} == slips
