"""The whole report as one file: the first page, then every notebook's page under its anchor."""

import re
from pathlib import Path

from markupsafe import Markup

from mmlab.items import replacing
from mmlab.runs.manifest import run_folder
from mmlab.runs.report.report import page_names, render_index

MOST = 15_000_000  # bytes of the file: what mail programmes and chats still take
PIECES = ("galleries", "map")  # of the first page, in the order in which they stay out
MAIN = re.compile(r"<main>(.*)</main>", re.DOTALL)
STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)


def write_single(run: str) -> Path:
    """Write `<run>-report.html` into the run's folder: all that index.html and the pages hold, in one file.

    Where that is more than 15 MB the largest pages stay out, then the galleries, then the map, and the file says
    which. FileNotFoundError if there is no such run, ValueError if it is too large even so.
    """
    folder = run_folder(run)
    if not folder.is_dir():
        raise FileNotFoundError(f"no run {run!r} in {folder.parent}")
    pages = {name: (folder / f"{name}.html").read_text(encoding="utf-8") for name in page_names(folder)}
    largest_last = sorted(pages, key=lambda name: len(pages[name]))
    parts, left_out = [*reversed(PIECES), *largest_last], []
    while len(content := _render(run, pages, left_out).encode()) > MOST:
        if not parts:
            raise ValueError(
                f"the first page of {run} alone, without galleries and map, has {len(content) / 1e6:.1f} MB, and a "
                f"file to send has {MOST / 1e6:.0f} MB at most: send {folder} as an archive"
            )
        left_out.append(parts.pop())
        pages.pop(left_out[-1], None)
    target = folder / f"{run}-report.html"
    with replacing(target) as temporary:
        temporary.write_bytes(content)
    return target


def _render(run: str, pages: dict[str, str], left_out: list[str]) -> str:
    links = {name: f"#page-{name}" for name in pages}
    parts = {name: _body(page) for name, page in pages.items()}
    styles = [style for page in pages.values() for style in STYLE.findall(page)]
    return render_index(
        run,
        links,
        without=left_out,
        parts=parts,
        left_out=sorted(left_out),
        styles=_markup("\n".join(dict.fromkeys(styles))),
    )


def _body(page: str) -> Markup:
    """What a page holds between its <main> tags, which `write_page` wrote once."""
    found = MAIN.search(page)
    return _markup(found.group(1) if found else "")


def _markup(text: str) -> Markup:
    return Markup(text)  # noqa: S704 - our own pages, escaped when they were written
