"""Which modality failed, on a circle: positions are angles in degrees."""

import numpy as np
import pandas as pd
import pytest

from mmlab.evaluate import failed_sides, qrels_from_pairs, vectors_by_modality
from mmlab.items import Space, Vectors

SPACE = Space("model", "1", "", "", "", 2)
# Mugs stand at 0 and hats at 180 degrees; where a text or an image stands on the wrong side, it is lost.
ROWS = [
    ("fine", 0, 2, "mug"), ("m1", 4, 6, "mug"), ("m2", 8, 10, "mug"),
    ("text", 184, 3, "mug"), ("image", 5, 187, "mug"), ("both", 188, 185, "mug"),
    ("h1", 179, 182, "hat"), ("h2", 181, 183, "hat"), ("h3", 186, 189, "hat"),
    ("alone", 1, 1, None),
]  # fmt: skip


def space(rows: list[tuple] = ROWS) -> tuple[Vectors, pd.DataFrame]:
    table = pd.DataFrame(rows, columns=["pair_id", "t", "i", "label"])
    texts = table.assign(item_id="t " + table["pair_id"], modality="text", angle=table["t"])
    images = table.assign(item_id="i " + table["pair_id"], modality="image", angle=table["i"])
    items = pd.concat([texts, images], ignore_index=True)
    angles = np.radians(items["angle"].to_numpy())
    vectors = Vectors(items["item_id"], np.column_stack([np.cos(angles), np.sin(angles)]), SPACE)
    return vectors, items


def sides_of(vectors: Vectors, items: pd.DataFrame) -> dict[str, Vectors]:
    return vectors_by_modality([vectors], items)


@pytest.mark.parametrize("queries", ["text", "image"])
def test_the_side_that_stands_among_strangers_failed(queries: str) -> None:
    vectors, items = space()
    gallery = "image" if queries == "text" else "text"
    names = {"fine": "neither", "text": "text", "image": "image", "both": "both", "alone": "unknown"}
    table = failed_sides(
        sides_of(vectors, items),
        items,
        qrels_from_pairs(items, queries, gallery),
        [f"{queries[0]} {n}" for n in names],
        3,
    )
    assert dict(zip(table["query_id"].str[2:], table["failed"], strict=True)) == names
    assert table["item_id"].tolist() == [f"{gallery[0]} {name}" for name in names]


def test_the_shares_are_the_right_neighbours_of_those_possible() -> None:
    rows = [
        ("a", 0, 0, "mug"),
        ("b", 1, 9, "mug"),
        ("c", 2, 1, "hat"),
        ("d", 3, 2, "hat"),
        ("e", 90, 90, "mug"),
    ]
    vectors, items = space(rows)
    table = failed_sides(
        sides_of(vectors, items), items, qrels_from_pairs(items, "text", "image"), ["t a"], neighbours=3
    )
    # two other mugs are possible; the texts next to a are b, c, d, the images c, d, b
    assert table[["text_share", "image_share"]].to_numpy().tolist() == [[1 / 2, 1 / 2]]
    nearer = failed_sides(
        sides_of(vectors, items), items, qrels_from_pairs(items, "text", "image"), ["t a"], neighbours=1
    )
    assert nearer[["text_share", "image_share"]].to_numpy().tolist() == [[1 / 1, 0 / 1]]
    assert nearer["failed"].tolist() == ["image"]


def test_captions_of_one_image_are_judged_without_labels() -> None:
    vectors, items = space([("a", 0, 0, None), ("b", 40, 40, None)])
    more = pd.DataFrame(
        {"item_id": ["t a2", "t b2"], "modality": "text", "pair_id": ["a", "b"], "label": None}
    )
    angles = np.radians([41, 39])  # the second caption of a stands beside those of b
    array = np.concatenate([vectors.array, np.column_stack([np.cos(angles), np.sin(angles)])])
    items = pd.concat([items, more], ignore_index=True)
    vectors = Vectors(items["item_id"], array, SPACE)
    table = failed_sides(
        sides_of(vectors, items),
        items,
        qrels_from_pairs(items, "text", "image"),
        ["t a2", "t b2"],
        neighbours=1,
    )
    assert table["text_share"].tolist() == [0 / 1, 1 / 1]
    assert table["image_share"].isna().all()
    assert table["failed"].tolist() == ["text", "unknown"]


def test_without_misses_there_is_nothing_to_explain() -> None:
    vectors, items = space()
    table = failed_sides(sides_of(vectors, items), items, qrels_from_pairs(items, "text", "image"), [])
    assert list(table.columns) == ["query_id", "item_id", "text_share", "image_share", "failed"]
    assert table.empty


def test_at_least_one_neighbour_is_needed() -> None:
    vectors, items = space()
    with pytest.raises(ValueError, match="neighbours: expected 1 or more, found 0"):
        failed_sides(
            sides_of(vectors, items), items, qrels_from_pairs(items, "text", "image"), [], neighbours=0
        )


def test_texts_and_images_may_lie_in_two_spaces() -> None:
    vectors, items = space()
    qrels = qrels_from_pairs(items, "text", "image")
    names = [f"t {name}" for name in ("fine", "text", "image", "both", "alone")]
    joint = failed_sides(sides_of(vectors, items), items, qrels, names, 3)
    sides = sides_of(vectors, items)
    turned = Vectors(sides["image"].ids, sides["image"].array[:, ::-1], Space("other", "1", "", "", "", 2))
    apart = failed_sides({**sides, "image": turned}, items, qrels, names, 3)
    pd.testing.assert_frame_equal(apart, joint)
