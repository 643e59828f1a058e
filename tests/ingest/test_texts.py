import pytest

from mmlab.ingest import clean_text


@pytest.mark.parametrize(
    ("text", "cleaned", "steps"),
    [
        ("A red shoe on a table.", "A red shoe on a table.", []),
        ("<b>Red</b> shoe", "Red shoe", ["html"]),
        ("<p>One</p><p>two<br>three</p>", "One two three", ["html", "whitespace"]),
        ("a <b>red</b>dish shoe", "a reddish shoe", ["html"]),
        ("salt &amp; pepper", "salt & pepper", ["html"]),
        ("&lt;i&gt;red&lt;/i&gt; shoe", "red shoe", ["html"]),
        ("<script>alert(1)</script>dog<style>p {}</style><!-- no -->", "dog", ["html"]),
        ("cafÃ© au lait", "café au lait", ["encoding"]),
        ("caf&Atilde;&copy;", "café", ["html", "encoding"]),
        ("the dogâ\x80\x99s bone", "the dog’s bone", ["encoding"]),
        ("a\x00 red\u200b shoe\ufeff", "a red shoe", ["control characters"]),
        ("cafe\u0301", "café", ["unicode"]),
        ("  a\n red\t\tshoe\u00a0", "a red shoe", ["whitespace"]),
        ("<br>\n", "", ["html"]),
        ("", "", []),
    ],
)
def test_each_kind_of_dirt(text, cleaned, steps):
    assert clean_text(text) == (cleaned, steps)


@pytest.mark.parametrize(
    "text",
    [
        "I <3 cats & dogs",
        "5 < 6 > 4",
        "AT&T; R&D",
        "“quoted” – and dashed…",
        "👩\u200d🚀 in space",
        "¿Qué? ½ ﬁ",
    ],
)
def test_what_only_looks_dirty_stays(text):
    assert clean_text(text)[0] == text


def test_cleaning_a_clean_text_changes_nothing():
    once, _ = clean_text("<p>cafÃ© &amp;amp; bar</p>\r\n")
    assert clean_text(once) == (once, [])
    assert once == "café & bar"


def test_deep_markup_ends():
    assert clean_text("<b>" * 3000 + "dog")[0] in ("dog", "")
