"""The whole report of a run as one file: the first page, then the page of every notebook under its anchor."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from mmlab.items import replacing
from mmlab.runs.record.manifest import Manifest, read_manifest
from mmlab.runs.report.html_report import existing_folder, page_names, render_index

# what mail programmes and chats still take
MAX_FILE_BYTES = 15_000_000
# sections of the first page, in the order in which they are left out
LARGE_SECTIONS = ("galleries", "map")
MAIN = re.compile(r"<main>(.*)</main>", re.DOTALL)
STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)


def write_single_file(name: str) -> Path:
    """Write `<name>-report.html` into the folder of a run, which holds the first page and all pages; return its path.

    Where that is more than 15 MB, the largest pages are left out, then the galleries, then the map, and the file says
    which. Raises FileNotFoundError if there is no such run, and ValueError if the file is too large even so.
    """
    folder, manifest = existing_folder(name), read_manifest(name)
    pages = {page: (folder / f"{page}.html").read_text(encoding="utf-8") for page in page_names(folder)}
    largest_last = sorted(pages, key=lambda page: len(pages[page]))
    parts, left_out = [*reversed(LARGE_SECTIONS), *largest_last], list[str]()
    while len(content := _render(manifest, pages, left_out).encode()) > MAX_FILE_BYTES:
        if not parts:
            raise ValueError(
                f"the first page of {name} alone, without galleries and map, has {len(content) / 1e6:.1f} MB, and a "
                f"file to send has {MAX_FILE_BYTES / 1e6:.0f} MB at most: send {folder} as an archive"
            )
        left_out.append(parts.pop())
        pages.pop(left_out[-1], None)
    target = folder / f"{name}-report.html"
    with replacing(target) as temporary:
        temporary.write_bytes(content)
    return target


def _render(manifest: Manifest, pages: Mapping[str, str], left_out: Sequence[str]) -> str:
    styles = [style for page in pages.values() for style in STYLE.findall(page)]
    return render_index(
        manifest,
        {name: f"#page-{name}" for name in pages},
        without=left_out,
        parts={name: _body(page) for name, page in pages.items()},
        left_out=sorted(left_out),
        styles=_markup("\n".join(dict.fromkeys(styles))),
    )


def _body(page: str) -> Markup:
    """Return what a page holds between its <main> tags, which `write_page` wrote once."""
    found = MAIN.search(page)
    return _markup(found.group(1) if found else "")


def _markup(text: str) -> Markup:
    return Markup(text)  # noqa: S704 - our own pages, escaped when they were written
