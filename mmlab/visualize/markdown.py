"""Markdown from a notebook as HTML that is safe to show: raw HTML is escaped, images become their words."""

import re
from typing import Any

TURNS = re.compile(
    "[\u202a-\u202e\u2066-\u2069]"
)  # in a label these would turn the rest of its sentence round


def render_markdown(text: str) -> str:
    """HTML of the Markdown; tags in the text appear as text, and nothing in it is loaded from anywhere.

    Marks that set the direction of writing are left out: each language's own direction stays.
    """
    import mistune
    from mistune.util import safe_entity

    class Safe(mistune.HTMLRenderer):
        def text(self, text: str) -> str:
            return safe_entity(text)  # a < that was written as &lt; is one character, not four

        def image(self, text: str, url: str, title: Any = None) -> str:
            return text  # rendered and escaped already

    return mistune.create_markdown(renderer=Safe(escape=True), plugins=["table"])(TURNS.sub("", text))
