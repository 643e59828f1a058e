import os
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlab.ingest.texts.cleaning import (
    MAX_READ_CHARS,
    STEPS,
    Replacements,
    clean_text,
    clean_texts,
    cut_text,
    read_replacements,
)

ALIEN = re.compile(
    r"</?(b|i|p|div|br|script|style|a|img)\b[^<>]*>|<!--|&(lt|gt|amp|nbsp|#60);", re.IGNORECASE
)
DIRT = [
    *(
        "<b>",
        "</b>",
        "<script>",
        "</script>",
        "<p class='x'>",
        "<br/>",
        "<!--",
        "-->",
        "<![CDATA[",
        "<textarea>",
    ),
    *(
        "<",
        ">",
        "</",
        "<!",
        "<?",
        "&",
        "&lt;",
        "&gt;",
        "&amp;",
        "amp;",
        "#60;",
        "&#x3c;",
        "&nbsp;",
        "script",
        "b",
    ),
    *(
        "\u200b",
        "\u200c",
        "\u200d",
        "\u00ad",
        "\ufeff",
        "\u202e",
        "\0",
        "\x1f",
        "\x85",
        "\u2028",
        "\xa0",
        " ",
        "\n",
    ),
    *(
        "\ud83d",
        "\ude00",
        "Ã",
        "©",
        "Ã©",
        "â€™",
        "â\x80\x99",
        "Â",
        "ð\x9f",
        "\x98\x80",
        "é",
        "e\u0301",
        "ï»¿",
    ),
    *("\u0338", "\u037e", "\u1fef", "\u0344", "a", "dog", "7", "=", '"'),
]


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
        ("red shoe</div></body></html> and sock", "red shoe and sock", ["html", "whitespace"]),
        ("a shoe <img src='http", "a shoe", ["html"]),
        ("cafÃ© au lait", "café au lait", ["encoding"]),
        ("caf&Atilde;&copy;", "café", ["html", "encoding"]),
        ("the dogâ\x80\x99s bone", "the dog’s bone", ["encoding"]),
        ("\ud83d\ude00 a dog\ud83d", "😀 a dog", ["encoding"]),
        ("a\x00 red\u200b shoe\ufeff", "a red shoe", ["control characters"]),
        ("a red\u200d\u200d\u200d shoe\u200c", "a red shoe", ["control characters"]),
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
        "a shirt of size <XL and up",
        "AT&T; R&D",
        "search?a=1&copy=2",
        "“quoted” – and dashed…",
        "👩\u200d🚀 in space",
        "می\u200cخواهم",
        "¿Qué? ½ ﬁ",
    ],
)
def test_what_only_looks_dirty_stays(text):
    assert clean_text(text)[0] == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("<SCRIPT src=x>steal()</SCRIPT >dog", "dog"),
        ("<textarea><script>steal()</script></textarea>dog", "dog"),
        ("&amp;amp;lt;script&amp;amp;gt;steal()&amp;amp;lt;/script&amp;amp;gt;dog", "dog"),
        ("dog<\u200bscript>steal()", "dog"),
        ("dog<\u200bscript>steal()</script> cat", "dog"),  # its end was seen a round before its beginning
        ("dog &l\u200bt;script&gt;steal()", "dog"),
        ("dog &lt\u037escript>steal()", "dog"),  # a Greek question mark is a semicolon in normal form
    ],
)
def test_a_script_never_becomes_text_however_it_hides(text, cleaned):
    assert clean_text(text)[0] == cleaned


@settings(deadline=None, max_examples=400)
@given(st.one_of(st.lists(st.sampled_from(DIRT), max_size=16).map("".join), st.text(max_size=60)))
def test_any_text_becomes_clean_and_stays_as_it_is(text):
    cleaned, steps = clean_text(text)
    assert bool(steps) == (cleaned != text)
    assert clean_text(cleaned) == (cleaned, [])
    assert not ALIEN.search(cleaned)
    assert cleaned == " ".join(cleaned.split())
    assert all(c.isprintable() or c in "\u200c\u200d" or ord(c) > 0x2FF for c in cleaned)
    cleaned.encode()


@settings(deadline=None, max_examples=200)
@given(st.text(alphabet="ab .<&'~", max_size=30))
def test_the_short_cut_for_plain_texts_is_exact(text):
    stepped = text
    for _, step in STEPS * 10:
        stepped = step(stepped)
    assert clean_text(text)[0] == stepped


@pytest.mark.parametrize(
    "flood",
    [
        "<div>",
        "<br>",
        "&amp;",
        "&" + "amp;" * 1000,
        "<a ",
        "<b x='",
        "<!--",
        "<scr<script>ipt>",
        "\u200b",
        "\u200d\u200c",
        "\ud83d",
        "\0",
        "<b>\0",
        "Ã",
        "Ã©",
        "&#" + "1" * 9999,
        "\u0301",
        "\U0001d160",  # three characters in normal form
        " ",
        "x",
    ],
)
def test_ten_megabytes_of_anything_end_soon(flood):
    text = flood * (10_000_000 // len(flood))
    start = time.perf_counter()
    cleaned, steps = clean_text(text)
    assert time.perf_counter() - start < 5
    assert len(cleaned) <= MAX_READ_CHARS and "length" in steps
    assert clean_text(cleaned) == (cleaned, [])


def test_only_the_first_20_000_characters_are_read():
    assert clean_text("x" * 20_000) == ("x" * 20_000, [])
    assert clean_text("x" * 20_001) == ("x" * 20_000, ["length"])


def test_what_never_settles_is_no_text():
    assert clean_text("&" + "amp;" * 50 + "lt;b") == ("", ["html"])


def test_deep_markup_loses_no_text():
    assert clean_text("<b>" * 3000 + "dog")[0] == "dog"


def test_texts_are_cleaned_then_replaced_then_cut():
    texts = ["<b>A dog</b> on grass", "A cat", "<b>A dog</b> on grass", "a very long text", ""]
    table = clean_texts(texts, Replacements({"dog": "puppy"}), max_chars=10)
    assert table["text"].tolist() == ["A puppy on", "A cat", "A puppy on", "a very", ""]
    assert table["steps"].tolist() == [
        "html, replacements, length",
        "",
        "html, replacements, length",
        "length",
        "",
    ]
    assert (table.dtypes == "str").all()


def test_no_texts_are_an_empty_table():
    assert clean_texts([]).shape == (0, 2)


@pytest.mark.parametrize(
    ("text", "most", "cut"),
    [
        ("one two three", 13, "one two three"),
        ("one two three", 12, "one two"),
        ("one two three", 7, "one two"),
        ("one two three", 6, "one"),
        ("extraordinary", 5, "extra"),
        ("ab👩\u200d🚀c", 3, "ab"),
        ("ab👩\u200d🚀c", 4, "ab"),
        ("ab👩\u200d🚀c", 5, "ab👩\u200d🚀"),
        ("n\u0308\u0301x", 2, "n"),
    ],
)
def test_a_cut_falls_between_words_or_else_between_letters(text, most, cut):
    assert cut_text(text, most) == cut


@pytest.fixture
def table(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "words.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


def test_whole_words_are_replaced_whatever_their_capitals(table):
    words = read_replacements(table("find,replace\ntv,television\nC++,C plus plus\n"))
    assert words("A TV, a tv-set and a tvset in c++!") == (
        "A television, a television-set and a tvset in C plus plus!"
    )


def test_the_longest_entry_wins_and_what_was_put_in_stays():
    words = Replacements({"polo": "shirt", "polo shirt": "polo", "shirt": "top"})
    assert words("polo shirt, polo, shirt") == "polo, shirt, top"


def test_an_entry_without_a_replacement_is_left_out():
    assert Replacements({"stock photo": ""})("A dog stock photo on grass") == "A dog on grass"


def test_a_text_without_any_entry_stays_as_it_is():
    assert Replacements({"dog": "puppy"})("two  spaces") == "two  spaces"
    assert Replacements({})("two  spaces") == "two  spaces"


def test_signs_in_an_entry_mean_themselves():
    assert Replacements({"a.c": "x", "(b)": r"\1"})("abc a.c (b)") == r"abc x \1"


def test_a_thousand_entries_do_their_work():
    words = Replacements({f"word{n}": f"w{n}" for n in range(1000)})
    assert words("word7 word77 word777 word7777") == "w7 w77 w777 word7777"


def test_both_columns_are_cleaned_as_captions_are_and_others_do_not_matter(table):
    words = read_replacements(table("note,find,replace\nwhy, cafe\u0301 ,<b>bar</b>\n", "utf-8-sig"))
    assert words("a café") == "a bar"
    assert repr(words) == "Replacements(1 entries)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected the columns find and replace, found nothing"),
        ("find,with\na,b\n", r"line 1: expected the columns find and replace, found \['find', 'with'\]"),
        ("find,replace\na,b\n ,c\n", "line 3: find is empty"),
        ("find,replace\na,b\nA,c\n", "line 3: 'A' is already in line 2"),
        ("find,replace\na\n", "line 2: expected two cells, found 'a' alone"),
        ('find,replace\na,"' + "x" * 200_000, "expected a csv in UTF-8"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused_with_its_line(table, text, message):
    with pytest.raises(ValueError, match=message):
        read_replacements(table(text))


def test_a_table_in_another_encoding_is_refused(table):
    with pytest.raises(ValueError, match="expected a csv in UTF-8"):
        read_replacements(table("find,replace\ncafé,bar\n", "latin-1"))


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(ValueError, match="none.csv: expected a csv with .* found no file"):
        read_replacements(tmp_path / "none.csv")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with a name are POSIX")
def test_replacements_that_need_not_end_are_refused(tmp_path):
    """A pipe that nobody writes into, a link to a device without end, a link to itself, a huge file."""
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zeros.csv").symlink_to("/dev/zero")
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    with open(tmp_path / "huge.csv", "wb") as file:
        file.truncate(1 << 40)
    for name, found in (
        ("pipe", "expected a file, found a folder, a pipe or a device"),
        ("zeros", "expected a file, found a folder, a pipe or a device"),
        ("loop", "symbolic links"),
        ("huge", "expected at most 50,000,000 bytes, found 1,099,511,627,776"),
    ):
        with pytest.raises(ValueError, match=rf"replacements .*{name}.csv: expected a csv.*{found}"):
            read_replacements(tmp_path / f"{name}.csv")
