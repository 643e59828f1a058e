"""Markdown from a notebook as HTML that is safe to show: raw HTML is escaped, pictures become their words."""

from typing import Any


def render_markdown(text: str) -> str:
    """HTML of the Markdown; tags in the text appear as text, and nothing in it is loaded from anywhere."""
    import mistune

    class Safe(mistune.HTMLRenderer):
        def image(self, text: str, url: str, title: Any = None) -> str:
            return text  # rendered and escaped already

    return mistune.create_markdown(renderer=Safe(escape=True), plugins=["table"])(text)
