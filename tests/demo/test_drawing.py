from dataclasses import replace

import numpy as np
import pytest

from mmlab.demo import drawing, pen
from mmlab.demo.drawing import BACKDROPS, IMAGE_SIDE, draw_product, map_processes
from mmlab.demo.products import (
    BACKGROUNDS,
    CATEGORIES,
    COLOURS,
    COMPANIONS,
    LIGHTS,
    PATTERNS,
    SIZES,
    sample_product,
)


@pytest.fixture
def plain():
    product = sample_product(0, "train", 0)
    attributes = {
        "category": "mug",
        "colour": "red",
        "pattern": "plain",
        "size": "large",
        "light": "daylight",
    }
    return replace(product, **attributes, background="photo studio", companion=None, angle=0.0)


def middle(product):
    return np.asarray(draw_product(product), dtype=float)[110:190, 80:140].mean(axis=(0, 1))


def test_everything_named_can_be_drawn():
    assert set(drawing.SHAPES) == set(CATEGORIES)
    assert set(BACKDROPS) == set(BACKGROUNDS)
    assert set(drawing.COMPANIONS) == set(COMPANIONS)
    assert set(pen.COLOURS) == set(COLOURS)
    assert {"plain", *drawing.PATTERNS} == set(PATTERNS)
    assert set(drawing.HALF_SIZES) == set(SIZES)
    assert set(drawing.LIGHTS) == set(LIGHTS)


def test_an_image_is_rgb_and_always_the_same(plain):
    image = draw_product(plain)
    assert (image.mode, image.size) == ("RGB", (IMAGE_SIDE, IMAGE_SIDE))
    assert image.tobytes() == draw_product(plain).tobytes()


def test_a_red_mug_is_red(plain):
    red, green, blue = middle(plain)
    assert red > 2 * green
    assert red > 2 * blue


@pytest.mark.parametrize("colour", COLOURS)
def test_the_drawn_colour_is_the_nearest_one(plain, colour):
    seen = middle(replace(plain, colour=colour))
    distances = {name: np.abs(seen - value).sum() for name, value in pen.COLOURS.items()}
    assert min(distances, key=distances.get) == colour


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_category_looks_different_from_the_mug_and_keeps_to_its_place(plain, category):
    drawn = np.asarray(draw_product(replace(plain, category=category)), dtype=float)
    empty = np.asarray(draw_product(replace(plain, colour="white")), dtype=float)
    assert category == "mug" or np.abs(drawn - empty).mean() > 5
    assert np.abs(drawn[:8] - empty[:8]).max() < 40


@pytest.mark.parametrize(
    "changed", [{"pattern": "striped"}, {"background": "meadow"}, {"companion": "apple"}]
)
def test_every_attribute_shows(plain, changed):
    before, after = (
        np.asarray(draw_product(product), dtype=float) for product in (plain, replace(plain, **changed))
    )
    assert np.abs(before - after).mean() > 2


def test_larger_is_larger_and_dim_is_darker(plain):
    def red_share(product):
        pixels = np.asarray(draw_product(product), dtype=float)
        return (pixels[..., 0] > 2 * pixels[..., 1]).mean()

    assert red_share(plain) > 1.8 * red_share(replace(plain, size="small"))
    assert middle(replace(plain, light="dim")).sum() < 0.85 * middle(plain).sum()


def test_results_come_in_order_from_several_processes():
    assert list(map_processes(abs, [-3, 1, -2], "test", progress=False)) == [3, 1, 2]


def test_a_single_task_and_none():
    assert list(map_processes(abs, [-3], "test", progress=False)) == [3]
    assert list(map_processes(abs, [], "test", progress=False)) == []
