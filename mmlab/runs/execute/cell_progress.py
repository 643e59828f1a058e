"""How far the work inside a cell is, read from the messages of its kernel: what the cell's own progress bar shows.

tqdm writes its bar as a widget where there are widgets, else as text; both hold the same words.
"""

import re
from collections.abc import Callable, Mapping
from html import unescape
from typing import Any, NamedTuple

BAR = re.compile(
    r"(?P<done>[\d.]+[kMG]?)/(?P<total>[\d.]+[kMG]?) \[[\d:]+<(?P<left>[\d:]+), +(?P<rate>[^\],]+/[^\],]+)"
)
FACTORS = {"k": 1e3, "M": 1e6, "G": 1e9}


class CellProgress(NamedTuple):
    """The share of the work that is done, in [0, 1], and the same in words."""

    share: float
    words: str


def read_progress(message: Mapping[str, Any]) -> CellProgress | None:
    """Return what a message of a kernel tells of a progress bar, None where it tells nothing or no rate is known yet.

    >>> bar = "image:  25%|##5       | 10/40 [00:05<00:15,  2.00 image/s]"
    >>> read_progress({"msg_type": "stream", "content": {"name": "stderr", "text": bar}})
    CellProgress(share=0.25, words='10/40, 2.00 image/s, 00:15 left')
    """
    bars = list(BAR.finditer(_text_of(message)))
    if not bars:
        return None
    done, total, left, rate = bars[-1].group("done", "total", "left", "rate")
    if not _number(total):
        return None
    return CellProgress(min(_number(done) / _number(total), 1), f"{done}/{total}, {rate}, {left} left")


def reporting_client() -> Any:
    """Return papermill's client with one more argument, `on_progress`: it is called with each progress inside a cell.

    Its arguments are the number of the cell, from 0, and a `CellProgress`.
    """
    from papermill.clientwrap import PapermillNotebookClient

    class ReportingClient(PapermillNotebookClient):
        def __init__(
            self, *given: Any, on_progress: Callable[[int, CellProgress], None], **settings: Any
        ) -> None:
            super().__init__(*given, **settings)
            self._on_progress = on_progress

        def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
            if inside := read_progress(msg):
                self._on_progress(cell_index, inside)
            return super().process_message(msg, cell, cell_index)

    return ReportingClient


def _text_of(message: Mapping[str, Any]) -> str:
    """Return the text that a message writes to a stream or into a widget, with plain spaces."""
    content = message["content"]
    if message["msg_type"] == "stream":
        return str(content.get("text", ""))
    if message["msg_type"] != "comm_msg":
        return ""
    data = content.get("data", {})
    value = data.get("state", {}).get("value", "") if isinstance(data, Mapping) else ""
    return unescape(value).replace("\u2007", " ") if isinstance(value, str) else ""


def _number(text: str) -> float:
    return float(text.rstrip("kMG")) * FACTORS.get(text[-1], 1)
