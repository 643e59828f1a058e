"""Galleries: what is shown, and that hostile input stays text."""

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from mmlab.items import ITEM_COLUMNS
from mmlab.visualize import gallery, hits_gallery, query_gallery
from mmlab.visualize.galleries import changes_gallery, false_negatives_gallery, wrong_pairs_gallery
from tests.visualize.tags import Tags

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\u202egnp.exe",
    "a" * 10_000,
    "&lt;b&gt;",
]


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / "red.png"
    Image.new("RGB", (400, 200), "red").save(path)
    return str(path)


@pytest.mark.parametrize("caption", HOSTILE)
def test_hostile_captions_stay_text(image: str, caption: str) -> None:
    tags = Tags(gallery([image], [caption]))
    assert {tag for tag, _ in tags.found} <= {"div", "figure", "img", "figcaption", "bdi"}
    assert not any(name.startswith("on") for _, attributes in tags.found for name in attributes)
    assert caption[:50] in tags.words
    assert len(tags.words) < 300


def test_an_empty_gallery_says_none() -> None:
    assert "<em>none</em>" in str(gallery([], []))


def test_images_are_inside_and_nothing_is_fetched(image: str) -> None:
    (source,) = (attributes["src"] for tag, attributes in Tags(gallery([image], ["a"])).found if tag == "img")
    assert source.startswith("data:image/jpeg;base64,")


def test_an_image_that_cannot_be_opened_shows_its_reason(tmp_path: Path) -> None:
    assert "none.png]" in Tags(gallery([tmp_path / "none.png"], ["a"])).words.partition("[missing file: ")[2]


def test_right_and_wrong_differ_by_sign_and_line_not_by_colour_alone(image: str) -> None:
    html = str(gallery([image, image], ["a", "b"], [True, False]))
    assert "&#10003;" in html and "&#10007;" in html
    assert "solid" in html and "dashed" in html


def test_captions_and_images_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="zip"):
        gallery([None, None], ["only one"])


def hits() -> pd.DataFrame:
    rows = [(1, 0.9, "a", "text", "a red mug", None), (2, 0.5, "b", "image", None, "mug")]
    columns = ["rank", "score", "item_id", "modality", "text", "label"]
    return pd.DataFrame(rows, columns=columns).assign(image=None, pair_id="images/1.jpg")


def test_hits_show_rank_score_and_text_or_label() -> None:
    words = Tags(hits_gallery(hits())).words
    assert "1. 0.900  a red mug" in words
    assert "2. 0.500  mug" in words


def test_hits_that_answer_the_query_are_marked() -> None:
    titles = [
        attributes.get("title") for tag, attributes in Tags(hits_gallery(hits(), ["b"])).found if tag == "b"
    ]
    assert titles == ["wrong", "right"]


def test_answers_show_the_query_the_right_answer_and_the_marked_hits(image: str) -> None:
    items = pd.DataFrame(
        {
            "item_id": ["t1", "i1", "i2"],
            "modality": ["text", "image", "image"],
            "pair_id": ["one.png", "one.png", "two.png"],
            "text": ["a red mug", None, None],
            "image": [None, image, image],
            "label": ["mug", "mug", "hat"],
        }
    )
    rankings = pd.DataFrame({"query_id": "t1", "item_id": ["i2", "i1"], "rank": [1, 2], "score": [0.9, 0.4]})
    qrels = pd.DataFrame({"query_id": ["t1"], "item_id": ["i1"], "relevance": [1]})
    tags = Tags(query_gallery(["t1"], rankings, qrels, items))
    assert "a red mug" in tags.words
    assert "first right answer at rank 2" in tags.words
    assert [attributes["title"] for tag, attributes in tags.found if tag == "b" and attributes] == [
        "wrong",
        "right",
    ]
    assert sum(tag == "img" for tag, _ in tags.found) == 3


SUSPECTED = pd.DataFrame(
    {
        "item_id": ["t1", "t2", "i1", "i2"],
        "modality": ["text", "text", "image", "image"],
        "pair_id": ["a", "b", "a", "b"],
        "text": [HOSTILE[0], HOSTILE[1], None, None],
    }
)


def test_a_query_without_judgements_shows_its_hits_unmarked(image: str) -> None:
    items = SUSPECTED.assign(image=[None, None, image, image], label=None)
    rankings = pd.DataFrame({"query_id": ["t1"], "item_id": ["i2"], "rank": [1], "score": [0.9]})
    tags = Tags(query_gallery(["t1"], rankings, rankings.head(0), items))
    assert "no right answer is known" in tags.words
    assert [tag for tag, attributes in tags.found if tag == "img" or attributes.get("title") == "wrong"] == [
        "img"
    ]
    assert "right: " not in tags.words


def test_a_suspected_pair_shows_its_image_and_the_one_that_fits(image: str) -> None:
    row = {
        "text_id": "t1",
        "image_id": "i1",
        "other_id": "i2",
        "cosine": 0.1,
        "other_cosine": 0.8,
        "score": -5.0,
    }
    items = SUSPECTED.assign(image=[None, None, image, "/nowhere"])
    tags = Tags(wrong_pairs_gallery(pd.DataFrame([{**row, "reason": HOSTILE[1]}] * 2), items, 1))
    assert "script" not in [tag for tag, _ in tags.found]
    assert sum(tag == "img" for tag, _ in tags.found) == 1
    for words in (
        HOSTILE[0],
        HOSTILE[1],
        "z = -5.0",
        "t1 · i1",
        "fits this, cosine 0.80",
        "[missing file: /nowhere]",
    ):
        assert words in tags.words
    assert "2. " not in tags.words


def test_a_suspected_false_negative_shows_both_pairs(image: str) -> None:
    row = {
        "query_id": "t1",
        "item_id": "i2",
        "rank": 1,
        "query_text": HOSTILE[0],
        "item_text": "the same mug",
    }
    items = SUSPECTED.assign(image=[None, None, image, image])
    tags = Tags(false_negatives_gallery(pd.DataFrame([{**row, "reason": "alike"}]), items, 3))
    assert sum(tag == "img" for tag, _ in tags.found) == 2
    assert "rank 1: the same mug" in tags.words
    assert "none" in Tags(false_negatives_gallery(pd.DataFrame(), items, 3)).words


def test_an_image_without_label_goes_by_a_caption_of_its_pair(image: str) -> None:
    items = SUSPECTED.assign(image=[None, None, image, image], label=None)
    rankings = pd.DataFrame({"query_id": ["t1"], "item_id": ["i2"], "rank": [1], "score": [0.9]})
    qrels = pd.DataFrame({"query_id": ["t1"], "item_id": ["i1"], "relevance": [1]})
    assert f"0.900  {HOSTILE[1]}" in Tags(query_gallery(["t1"], rankings, qrels, items)).words


COMPARED = pd.DataFrame(
    {
        "item_id": ["i1", "i2", "t1"],
        "modality": ["image", "image", "text"],
        "pair_id": ["1", "2", "1"],
        "text": [None, None, "<script>a mug"],
        "image": ["/none/1.jpg", "/none/2.jpg", None],
        "label": ["mug", "cup", "mug"],
    }
).reindex(columns=ITEM_COLUMNS)
RIGHT = pd.DataFrame({"query_id": ["t1"], "item_id": ["i1"], "relevance": [1]})
CHANGED = pd.DataFrame({"query_id": ["t1"], "before": [1.0], "after": [0.5]})


def ranked_for_a_mug(*items):
    return pd.DataFrame(
        {
            "query_id": "t1",
            "item_id": items,
            "rank": range(1, len(items) + 1),
            "score": [0.9, 0.8][: len(items)],
        }
    )


def test_both_answers_are_shown_one_under_the_other():
    html = str(
        changes_gallery(
            CHANGED,
            {"a<b>": ranked_for_a_mug("i1"), "c": ranked_for_a_mug("i2", "i1")},
            RIGHT,
            COMPARED,
            "RR",
        )
    )
    assert html.index("a&lt;b&gt;, RR 1.000") < html.index("c, RR 0.500")
    assert html.index("first right answer at rank 1") < html.index("first right answer at rank 2")
    assert "<script>" not in html


def test_nothing_changed_is_said():
    assert str(changes_gallery(CHANGED.head(0), {}, RIGHT, COMPARED, "RR")) == "<em>none</em>"


def test_an_image_that_asks_is_named_and_texts_are_lines(image: str) -> None:
    items = SUSPECTED.assign(image=[None, None, image, image], label=None)
    rankings = pd.DataFrame({"query_id": "i1", "item_id": ["t2", "t1"], "rank": [1, 2], "score": [0.9, 0.4]})
    right = pd.DataFrame({"query_id": ["i1"], "item_id": ["t1"]})
    tags = Tags(query_gallery(["i1"], rankings, right, items))
    assert "the query" in tags.words
    assert sum(tag == "img" for tag, _ in tags.found) == 1
    assert [
        attributes["title"] for tag, attributes in tags.found if tag == "b" and "title" in attributes
    ] == [
        "wrong",
        "right",
    ]
    assert [attributes.get("value") for tag, attributes in tags.found if tag == "li"] == [None, "1", "2"]
    assert "script" not in [tag for tag, _ in tags.found]
    assert HOSTILE[1] in tags.words
