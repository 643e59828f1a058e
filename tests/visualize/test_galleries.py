"""Galleries and tables: what is shown, and that hostile input stays text."""

from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from mmlab.visualize import answers_gallery, gallery, hits_gallery, table

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\u202egnp.exe",
    "a" * 10_000,
    "&lt;b&gt;",
]


class Tags(HTMLParser):
    """Collects the tags, the attributes and the text of a piece of HTML."""

    def __init__(self, html: object) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.words = ""
        self.feed(str(html))

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture
def picture(tmp_path: Path) -> str:
    path = tmp_path / "red.png"
    Image.new("RGB", (400, 200), "red").save(path)
    return str(path)


@pytest.mark.parametrize("caption", HOSTILE)
def test_hostile_captions_stay_text(picture: str, caption: str) -> None:
    tags = Tags(gallery([picture], [caption]))
    assert {tag for tag, _ in tags.found} <= {"div", "figure", "img", "figcaption", "bdi"}
    assert not any(name.startswith("on") for _, attributes in tags.found for name in attributes)
    assert caption[:50] in tags.words
    assert len(tags.words) < 300


def test_an_empty_gallery_says_none() -> None:
    assert "<em>none</em>" in str(gallery([], []))


def test_pictures_are_inside_and_nothing_is_fetched(picture: str) -> None:
    (source,) = (
        attributes["src"] for tag, attributes in Tags(gallery([picture], ["a"])).found if tag == "img"
    )
    assert source.startswith("data:image/jpeg;base64,")


def test_a_picture_that_cannot_be_opened_shows_its_reason(tmp_path: Path) -> None:
    assert "[missing file]" in Tags(gallery([tmp_path / "none.png"], ["a"])).words


def test_right_and_wrong_differ_by_sign_and_line_not_by_colour_alone(picture: str) -> None:
    html = str(gallery([picture, picture], ["a", "b"], [True, False]))
    assert "&#10003;" in html and "&#10007;" in html
    assert "solid" in html and "dashed" in html


def test_captions_and_pictures_must_be_as_many() -> None:
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


def test_a_table_escapes_its_cells_and_leaves_gaps_empty() -> None:
    frame = pd.DataFrame({"<b>": ["<i>", None], "n": [1234, 5], "share": [0.12345, float("nan")]})
    tags = Tags(table(frame, caption="<u>"))
    assert {tag for tag, _ in tags.found} == {"table", "caption", "thead", "tbody", "tr", "th", "td"}
    assert "<i>" in tags.words
    assert "1,234" in tags.words
    assert "0.123" in tags.words
    assert "nan" not in tags.words.lower()


def test_answers_show_the_query_the_right_answer_and_the_marked_hits(picture: str) -> None:
    items = pd.DataFrame(
        {
            "item_id": ["t1", "i1", "i2"],
            "modality": ["text", "image", "image"],
            "pair_id": ["one.png", "one.png", "two.png"],
            "text": ["a red mug", None, None],
            "image": [None, picture, picture],
            "label": ["mug", "mug", "hat"],
        }
    )
    rankings = pd.DataFrame({"query_id": "t1", "item_id": ["i2", "i1"], "rank": [1, 2], "score": [0.9, 0.4]})
    qrels = pd.DataFrame({"query_id": ["t1"], "item_id": ["i1"], "relevance": [1]})
    tags = Tags(answers_gallery(["t1"], rankings, qrels, items))
    assert "a red mug" in tags.words
    assert "first right answer at rank 2" in tags.words
    assert [attributes["title"] for tag, attributes in tags.found if tag == "b" and attributes] == [
        "wrong",
        "right",
    ]
    assert sum(tag == "img" for tag, _ in tags.found) == 3
