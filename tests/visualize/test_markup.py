"""Tables, headings and Markdown: what is shown, and that hostile input stays text."""

import pandas as pd
import pytest

from mmlab.visualize import Html, table, under_headings
from mmlab.visualize.markup import render_markdown
from tests.visualize.tags import Tags


def test_a_table_escapes_its_cells_and_leaves_gaps_empty() -> None:
    frame = pd.DataFrame({"<b>": ["<i>", None], "n": [1234, 5], "share": [0.12345, float("nan")]})
    tags = Tags(table(frame, caption="<u>"))
    assert {tag for tag, _ in tags.found} == {"table", "caption", "thead", "tbody", "tr", "th", "td"}
    assert "<i>" in tags.words
    assert "1,234" in tags.words
    assert "0.123" in tags.words
    assert "nan" not in tags.words.lower()


def test_a_long_caption_stands_above_and_no_rows_are_no_table() -> None:
    frame = pd.DataFrame({"n": [1]})
    assert str(table(frame, "<i>" * 40)).startswith('<p style="margin:4px 0">&lt;i&gt;')
    assert "<caption" in str(table(frame, "short"))
    assert str(table(frame.head(0), "none of them")) == '<p style="margin:4px 0">none of them</p>'


def test_pieces_stand_under_escaped_headings() -> None:
    tags = Tags(under_headings({"<b>": Html("<p>one</p>"), "two": Html("")}))
    assert [tag for tag, _ in tags.found] == ["h3", "p", "h3"]
    assert tags.words == "<b>onetwo"


def test_markdown_is_rendered():
    assert render_markdown("**3** items, `x`") == "<p><strong>3</strong> items, <code>x</code></p>\n"


@pytest.mark.parametrize(
    ("text", "forbidden"),
    [
        ("<script>alert(1)</script>", "<script"),
        ("a <img src=x onerror=alert(1)> b", "<img"),
        ("![a cat](https://example.org/cat.png)", "<img"),
        ("[x](javascript:alert(1))", "javascript:"),
        ('[x](https://example.org "\\"><script>")', "<script"),
        ("<!-- --><b>x</b>", "<b>"),
    ],
)
def test_nothing_in_it_is_run_or_loaded(text, forbidden):
    assert forbidden not in render_markdown(text)


def test_what_is_escaped_already_is_not_escaped_twice():
    assert render_markdown("*a&lt;b&gt;* &amp;lt; x & y") == "<p><em>a&lt;b&gt;</em> &amp;lt; x &amp; y</p>\n"
    assert (
        render_markdown("&lt;script&gt;alert(1)&lt;/script&gt;")
        == "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n"
    )


def test_a_label_does_not_turn_its_sentence_round():
    assert render_markdown("worst *\u202elabel*, best \u05d0") == "<p>worst <em>label</em>, best \u05d0</p>\n"


def test_an_image_becomes_its_words():
    assert render_markdown("![a <cat>](https://example.org/cat.png)") == "<p>a &lt;cat&gt;</p>\n"
