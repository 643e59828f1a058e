"""Hard negatives, against values worked out by hand, and through the sources that ingest reads."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mmlab.evaluate.hard_negatives import (
    crossed_captions,
    measure_hard_negatives,
    score_crossed_captions,
    score_wrong_captions,
    summarize_hard_negatives,
    texts_of_records,
    wrong_captions,
)
from mmlab.evaluate.resampling import mean_intervals
from mmlab.ingest import ingest_items
from mmlab.items import Space, Vectors, unit_rows
from mmlab.items.tables import TooFew

IMAGES = pd.DataFrame({"item_id": list("ijkl"), "pair_id": list("pqrs")})


def texts(*rows) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["record", "item_id", "pair_id", "text", "origin"]).assign(
        file="f.csv"
    )
    return table.astype({"record": "Int64"})


ONE = texts(
    (1, "a", "p", "a red mug on a blue table", "caption"),
    (1, "b", "text/1", "a blue mug on a red table", "negative"),
    (2, "c", "q", "a cup", "caption"),
    (2, "d", "text/2", "a hat", "negative"),
    (2, "e", "text/3", "a cap", "negative"),
)
TWO = texts(
    (3, "g", "r", "grass in the mug", "caption_0"),
    (3, "h", "s", "a mug in the grass", "caption_1"),
)


def vectors(space: str = "clip", queries: dict | None = None, **cosines) -> Vectors:
    """Vectors in three dimensions: cosine x with image i or k, y with j or l."""
    rows = [(x, y, np.sqrt(max(1 - x * x - y * y, 0))) for x, y in cosines.values()]
    asking = vectors(**queries) if queries else None
    return Vectors(list(cosines), unit_rows(rows), Space(space, "1", "", "", "", 3), asking)


HELD = {
    "image": vectors(i=(1, 0), j=(0, 1), k=(1, 0), l=(0, 1)),
    "text": vectors(
        a=(0.9, 0), b=(0.8, 0), c=(0, 0.5), d=(0, 0.7), e=(0, 0.5), g=(0.6, 0.5), h=(0.4, 0.7),
    ),
}  # fmt: skip


def test_a_wrong_caption_stands_beside_each_right_one_of_its_record() -> None:
    found = wrong_captions(IMAGES, pd.concat([ONE.head(2), ONE]))  # a record that stands twice counts once
    assert found.index.tolist() == [0, 1, 2]
    assert found.drop(columns="file").to_numpy().tolist() == [
        ["i", "a", "b"],
        ["j", "c", "d"],
        ["j", "c", "e"],
    ]
    # 0.9 > 0.8; 0.5 < 0.7; equal cosines are no win
    assert score_wrong_captions(found, HELD)["right caption wins"].tolist() == [1, 0, 0]


def test_two_images_and_two_captions_are_crossed() -> None:
    found = crossed_captions(IMAGES, pd.concat([ONE, TWO]))
    assert found.to_numpy().tolist() == [["f.csv", "k", "g", "l", "h"]]
    assert score_crossed_captions(found, HELD).to_numpy().tolist() == [[1, 1, 1, 1]]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [  # cosines of each caption with both images; text, image and group score, right caption wins
        (
            (0.6, 0.5),
            (0.4, 0.45),
            [0, 1, 0, 1 / 2],
        ),  # g is nearest for both images, each image for its own caption
        ((0.5, 0.6), (0.4, 0.7), [1, 0, 0, 1]),  # l is nearest for both captions
        ((0.4, 0.7), (0.6, 0.5), [0, 0, 0, 0]),
        ((0.5, 0.6), (0.5, 0.6), [0, 0, 0, 0]),
    ],
)
def test_text_image_and_group_score_are_those_of_winoground(first, second, expected) -> None:
    held = HELD | {"text": vectors(g=first, h=second)}
    assert score_crossed_captions(crossed_captions(IMAGES, TWO), held).iloc[0].tolist() == expected


def test_a_text_that_selects_an_image_does_so_as_a_query() -> None:
    asking = {"g": (0.5, 0.6), "h": (0.4, 0.7)}
    held = HELD | {"text": vectors(g=(0.6, 0.5), h=(0.4, 0.7), queries=asking)}
    assert score_crossed_captions(crossed_captions(IMAGES, TWO), held).iloc[0].tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize(
    "other",
    [
        TWO.assign(text="the same"),
        TWO.assign(pair_id="r"),  # of one image
        TWO.assign(pair_id=["r", "gone"]),
        TWO.assign(origin=["caption", "negative"]),
        pd.concat([TWO, TWO.head(1).assign(item_id="z", text="a third")]),
    ],
)
def test_other_records_are_not_crossed(other) -> None:
    assert crossed_captions(IMAGES, other).empty


def test_means_have_intervals_by_image_and_rows_for_each_file() -> None:
    more = ONE.head(2).assign(file="g.csv")
    table = measure_hard_negatives(IMAGES, pd.concat([ONE, TWO, more]), HELD)
    wrong = table[table["form"] == "a wrong caption"].set_index("file")
    assert wrong["value"].to_dict() == {"all": 2 / 4, "f.csv": 1 / 3, "g.csv": 1}
    assert wrong["tests"].to_dict() == {"all": 4, "f.csv": 3, "g.csv": 1}
    assert wrong["pairs"].to_dict() == {"all": 2, "f.csv": 2, "g.csv": 1}
    low, high = mean_intervals(np.array([[1.0], [0], [0], [1]]), np.array([0, 1, 1, 0]))[0]
    assert wrong.loc["all", ["low", "high"]].tolist() == pytest.approx([low, high])
    two = table[table["form"] != "a wrong caption"]
    assert two["measure"].tolist() == ["text score", "image score", "group score", "right caption wins"]
    assert two["chance"].tolist() == [1 / 4, 1 / 4, 1 / 6, 1 / 2]
    share = "100 of 100 (25 to 100), where chance gives"
    assert summarize_hard_negatives(table.assign(low=0.25, high=1.0)) == (
        "Of 4 pairs of right and wrong caption the right one scores higher in 50 of 100 (25 to 100), where chance "
        "gives 50. Of 1 record of two images and two captions: "
        f"text score {share} 25; image score {share} 25; group score {share} 17."
    )


def test_what_is_lacking_is_said() -> None:
    with pytest.raises(TooFew, match="no text is known to be wrong for an image"):
        measure_hard_negatives(IMAGES, ONE[ONE["origin"] != "negative"], HELD)
    with pytest.raises(TooFew, match="no text is known to be wrong"):  # of no item with a vector
        measure_hard_negatives(IMAGES, ONE, HELD | {"text": vectors(a=(1, 0))})
    with pytest.raises(TooFew, match="they lie in two spaces"):
        measure_hard_negatives(IMAGES, ONE, HELD | {"text": vectors("minilm", a=(1, 0), b=(0, 1))})


def ingested(folder):
    result = ingest_items(folder, cache=folder.parent / "cache", progress=False)
    images = result.items.loc[result.items["modality"] == "image", ["item_id", "pair_id"]]
    return images, texts_of_records(result.items, result.places, result.skipped), result.items


@pytest.fixture
def folder(tmp_path):
    """Four images of noise."""
    rng, folder = np.random.default_rng(0), tmp_path / "set"
    folder.mkdir()
    for name in "abcd":
        Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(folder / f"{name}.png")
    return folder


def test_sugarcrepe_is_read_with_captions_that_stand_in_several_records(folder) -> None:
    for name, word in (("swap_obj", "blue"), ("replace_obj", "green")):
        entries = {
            str(n): {
                "filename": f"{image}.png",
                "caption": f"a red {image} on a large table",
                "negative_caption": f"a {word} {image} on a large table",
            }
            for n, image in enumerate("abc")
        }
        (folder / f"{name}.json").write_text(json.dumps(entries))
    images, texts, items = ingested(folder)
    found = wrong_captions(images, texts)
    words = items.set_index("item_id")["text"]
    assert len(found) == 6  # a right caption is an item once, and stands in both files
    for row in found.itertuples():
        word = "blue" if row.file == "swap_obj.json" else "green"
        assert words[row.wrong] == words[row.right].replace("red", word)
    assert crossed_captions(images, texts).empty


def test_winoground_is_read_as_records_of_two_and_two(folder) -> None:
    rows = [
        "id,image_0,image_1,caption_0,caption_1",
        "1,a.png,b.png,an old person kisses a young one,a young person kisses an old one",
        "2,c.png,d.png,there are more dogs than cats,there are more cats than dogs",
    ]
    (folder / "winoground.csv").write_text("\n".join(rows))
    images, texts, items = ingested(folder)
    found = crossed_captions(images, texts)
    names = items.set_index("item_id")
    for place, row in enumerate(found.itertuples(index=False)):
        pairs = names.loc[[row.image_0, row.text_0, row.image_1, row.text_1], "pair_id"].tolist()
        assert pairs == [["a.png"] * 2 + ["b.png"] * 2, ["c.png"] * 2 + ["d.png"] * 2][place]
    assert len(found) == 2 and wrong_captions(images, texts).empty


def test_without_places_there_is_nothing(folder) -> None:
    items = ONE.assign(modality="text")
    assert texts_of_records(items, pd.DataFrame(), pd.DataFrame()).empty
