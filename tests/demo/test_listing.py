from collections import Counter, defaultdict

import pytest

from mmlab.demo.faults import (
    ALL_FAULTS,
    CAPTION_FAULTS,
    EXACT,
    FAULT_SHARE,
    NEAR,
    PRINTED,
    SWAPPED,
    spoil_caption,
)
from mmlab.demo.listing import list_catalogue, split_of

CAPTION = "Home & décor: red mug — shown on a wooden table."


@pytest.fixture(scope="module")
def listings():
    return list_catalogue(1500, seed=0)


def test_fewer_products_are_the_beginning_of_more(listings):
    few = list_catalogue(100, seed=0)
    assert few == listings[: len(few)]


def test_names_are_unique(listings):
    assert len({listing.image for listing in listings}) == len(listings)


def test_every_fault_is_planted_about_as_often_as_said(listings):
    products = defaultdict(set)
    for listing in listings:
        products[listing.fault].add(listing.product.number)
    spread = 4 * (1500 * FAULT_SHARE) ** 0.5
    for fault in ALL_FAULTS:
        assert abs(len(products[fault]) - 1500 * FAULT_SHARE) < spread, fault


def test_a_product_has_one_fault_at_most(listings):
    faulty = Counter(listing.product.number for listing in listings if listing.fault)
    assert set(faulty.values()) == {1}
    assert all(len({flaw.fault for flaw in listing.flaws}) <= 1 for listing in listings)


def test_all_captions_are_proper_but_the_faulty_ones(listings):
    for listing in listings:
        faulty = {flaw.caption for flaw in listing.flaws}
        for place, caption in enumerate(listing.captions):
            if place not in faulty or listing.fault == SWAPPED:
                assert len(caption.split()) >= 5
                assert not set("<>\n&;") & set(caption.replace("Home & décor", "").replace("; setting", ""))


def test_swapped_captions_are_those_of_the_other_product(listings):
    by_image = {listing.image: listing for listing in listings}
    swapped = [listing for listing in listings if listing.fault == SWAPPED]
    for listing in swapped:
        (other,) = {flaw.original for flaw in listing.flaws}
        assert {flaw.original for flaw in by_image[other].flaws} == {listing.image}
        assert by_image[other].product.split == listing.product.split
        assert by_image[other].product.category != listing.product.category


def test_duplicates_name_what_they_repeat(listings):
    by_image = {listing.image: listing for listing in listings}
    for listing in listings:
        if listing.fault in (EXACT, NEAR):
            assert by_image[listing.flaws[0].original].product == listing.product
            assert by_image[listing.flaws[0].original].fault is None


def test_an_image_with_printed_text_has_no_other(listings):
    for listing in listings:
        if listing.fault == PRINTED:
            assert listing.captions == ("",)
            assert listing.product.colour in listing.flaws[0].original


def test_splits_have_their_shares():
    assert Counter(split_of(number) for number in range(20)) == {"train": 12, "validation": 2, "test": 6}


@pytest.mark.parametrize(
    ("fault", "spoilt"),
    [
        (
            "html tags",
            '<p class="description">Home <b>&</b> décor: red mug — shown on a wooden table.<br/></p>',
        ),
        ("html entities", "Home&nbsp;&amp; d&eacute;cor: red mug &mdash; shown on a wooden table."),
        ("newlines", "\nHome &\r\n\n   décor: red mug — shown on a wooden table.\n"),
        ("broken encoding", "Home & dÃ©cor: red mug â€” shown on a wooden table."),
        ("too short", "Home & décor:"),
    ],
)
def test_what_a_fault_does_to_a_caption(fault, spoilt):
    assert spoil_caption(CAPTION, fault) == (CAPTION, spoilt)


def test_every_caption_fault_shows_even_on_plain_letters():
    for fault in CAPTION_FAULTS:
        original, spoilt = spoil_caption("A red mug on a wooden table", fault)
        assert original != spoilt
