"""One bar on stderr for a whole run: which notebook and which of its cells is at work."""

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class Progress:
    """Counts cells over all notebooks; `at` says where the run is, as "02_embed cell 7/19"."""

    def __init__(self, notebooks: Sequence[Path], show: bool = True) -> None:
        from tqdm import tqdm

        self.at = "the start"
        counts = [_count_cells(notebook) for notebook in notebooks]
        names = [notebook.stem for notebook in notebooks]
        self._counts = dict(zip(names, counts, strict=True))
        self._before = dict(zip(names, accumulate(counts, initial=0), strict=False))
        form = "{l_bar}{bar}| {elapsed}"
        self._bar = tqdm(total=sum(counts), disable=not show, bar_format=form, dynamic_ncols=True)

    def show_start(self, name: str) -> None:
        """The notebook's kernel is starting."""
        self.at = f"{name} starting"
        self._show(self._before[name])

    def show_cell(self, name: str, cell_index: int, **_: Any) -> None:
        """The notebook has come to this cell (from 0); called by nbclient, which adds the cell."""
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


class Place:
    """Where one notebook is, without a bar: `at` as "02_embed cell 7/19"."""

    def __init__(self, notebook: Path) -> None:
        self.at = f"{notebook.stem} starting"
        self._count = _count_cells(notebook)

    def show_start(self, name: str) -> None:
        """The notebook's kernel is starting."""

    def show_cell(self, name: str, cell_index: int, **_: Any) -> None:
        """The notebook has come to this cell (from 0)."""
        self.at = f"{name} cell {cell_index + 1}/{self._count}"


def _count_cells(notebook: Path) -> int:
    import nbformat

    return len(nbformat.read(notebook, as_version=4).cells) + 1  # and the one that papermill injects
