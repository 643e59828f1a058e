"""Hits as a table that a spreadsheet opens safely, and a link that saves it."""

import base64
import json
from collections.abc import Mapping
from html import escape
from typing import Any

import pandas as pd

from mmlab.visualize import Html

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what makes a spreadsheet take a text for a formula


def to_csv(table: pd.DataFrame) -> str:
    """The table as CSV; a text that begins like a formula gets a quotation mark before it, numbers stay numbers.

    Source: OWASP, CSV Injection.
    """
    safe = table.rename(columns=_quoted)
    for name in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[name]):
            safe[name] = safe[name].map(_quoted)
    return safe.to_csv(index=False)


def with_question(hits: pd.DataFrame, asked: Mapping[str, Any]) -> pd.DataFrame:
    """The hits with what was asked for them in further columns `asked_text`, `asked_k`, ..., the same in every row.

    Lists and filters are JSON; so tables of several questions can be put together and each row still says its own.
    """
    plain = {
        f"asked_{name}": json.dumps(value, default=str) if isinstance(value, list | dict) else value
        for name, value in asked.items()
    }
    return hits.assign(**plain)


def download_link(table: pd.DataFrame, file_name: str) -> Html:
    """A link that saves the table as CSV; the table is inside, so nothing is asked of a server."""
    content = base64.b64encode(to_csv(table).encode("utf-8-sig")).decode()
    name, style = escape(file_name), "font:13px sans-serif;text-decoration:underline"
    link = f'<a download="{name}" href="data:text/csv;base64,{content}" style="{style}">'
    return Html(f"{link}Save these {len(table)} rows as {name}</a>")


def _quoted(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
