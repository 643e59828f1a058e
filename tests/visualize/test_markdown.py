import pytest

from mmlab.visualize.markdown import render_markdown


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
