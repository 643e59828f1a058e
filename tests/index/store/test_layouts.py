"""Layouts: the payload indexes of each, and the points that hold its items."""

import numpy as np
import pytest

from mmlab.index.collections import plan_index
from mmlab.index.store.layouts import describe_fields, layout_of
from mmlab.index.store.schema import Schema
from mmlab.items import Space
from tests.index.pairs import BOTH, TEXTS, Pairs, make_pairs

SPACE = Space("mmlab/toy", "1", "projected", "", "none", 3)


def test_payload_indexes_are_named_by_their_path():
    fields = {"size (cm)": "integer", "text": "text"}
    assert layout_of(Schema(SPACE, fields)).payload_indexes() == {'"size (cm)"': "integer"}
    noted = Schema(SPACE, {"width": "integer", "label": "keyword"})
    assert (list(layout_of(noted).payload_indexes()), list(noted.filterable)) == (
        ["label"],
        ["width", "label"],
    )
    named = Schema(SPACE, fields, "named", vector_spaces={"toy-image": SPACE}, modalities=("image",))
    assert layout_of(named).payload_indexes() == {
        'image."size (cm)"': "integer",
        "image.item_id": "keyword",
    }


@pytest.mark.parametrize("layout", ["unified", "named"])
def test_the_fields_are_described_with_how_they_are_filtered(layout):
    named = {"vector_spaces": {"toy-image": SPACE}} if layout == "named" else {}
    schema = Schema(
        SPACE,
        {"label": "keyword", "width": "integer", "text": "text"},
        layout,
        modalities=("image",),
        **named,
    )
    assert describe_fields(schema).values.tolist() == [
        ["label", "keyword", "indexed"],
        ["width", "integer", "scanned"],
        ["text", "text", ""],
    ]


@pytest.mark.parametrize("layout", ["unified", "named"])
def test_points_are_made_part_by_part_and_only_those_that_changed(layout):
    small: Pairs = make_pairs(4)
    schema = next(iter(plan_index("x", layout, small.items, small.vectors).values()))
    points = layout_of(schema).arrange(small.items, small.vectors)
    count = len(points.ids)
    whole = points.payloads[0:count]
    assert [payload for start in range(count) for payload in points.payloads[start : start + 1]] == whole
    stored = points.fingerprints()
    assert points.records(slice(0, count), stored) == []
    other = str(points.ids[2])
    ((item, payload, _),) = points.records(slice(1, count), {**stored, other: -1})
    assert item == other
    assert payload == {**whole[2], "_fingerprint": stored[other]}
    assert [payload for _, payload, _ in points.records(slice(0, count))] == whole


def test_pairs_share_a_point_and_further_captions_have_their_own():
    small: Pairs = make_pairs(4)  # p0: nothing, p1: image and text, p2: image and two texts, p3: image
    (schema,) = plan_index("x", "named", small.items, small.vectors).values()
    points = layout_of(schema).arrange(small.items, small.vectors)
    inside = [sorted(payload) for payload in points.payloads[0:5]]
    assert inside == [["image", "text"], ["image", "text"], ["text"], ["image"], ["text"]]
    ids = small.items["item_id"]
    assert points.ids.tolist() == ids.iloc[[0, 2, 4, 5, 6]].tolist()
    assert [sorted(row) for row in points.rows(np.array([0, 2, 3]))] == [
        [f"{BOTH.key}-image", f"{BOTH.key}-text", f"{TEXTS.key}-text"],
        [f"{BOTH.key}-text", f"{TEXTS.key}-text"],
        [f"{BOTH.key}-image"],
    ]
