"""One bar on stderr for all notebooks of a run: which notebook and which of its cells is at work."""

import json
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class Progress:
    """Counts the cells of notebooks; `at` says where the execution is, like "02_embed cell 7/19"."""

    def __init__(self, notebooks: Sequence[Path], show: bool = True) -> None:
        from tqdm import tqdm

        self.at = "the start"
        counts = [_count_cells(notebook) for notebook in notebooks]
        names = [notebook.stem for notebook in notebooks]
        self._counts = dict(zip(names, counts, strict=True))
        self._before = dict(zip(names, accumulate(counts, initial=0), strict=False))
        layout = "{l_bar}{bar}| {elapsed}"
        self._bar = tqdm(total=sum(counts), disable=not show, bar_format=layout, dynamic_ncols=True)

    def show_start(self, name: str) -> None:
        """Show that the kernel of a notebook is starting."""
        self.at = f"{name} starting"
        self._show(self._before[name])

    def show_cell(self, name: str, cell_index: int, **_: Any) -> None:
        """Show that a notebook has come to this cell (from 0); nbclient calls it and adds the cell itself."""
        self.at = f"{name} cell {cell_index + 1}/{self._counts[name]}"
        self._show(self._before[name] + cell_index)

    def _show(self, cells: int) -> None:
        self._bar.n = cells
        self._bar.set_description(self.at)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._bar.n = self._bar.total
            self._bar.set_description("done")
        self._bar.close()


def _count_cells(notebook: Path) -> int:
    # and the one that papermill injects
    return len(json.loads(notebook.read_text(encoding="utf-8"))["cells"]) + 1
