"""The sections of the first page of a report: findings, figures, galleries, the interactive map."""

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from mmlab.runs.record.manifest import Manifest
from mmlab.runs.record.run_files import COMPARISON, MAP, NOTEBOOKS, run_folder
from mmlab.runs.report.summary import Metrics
from mmlab.visualize.markup import render_markdown

# recall against exact search under which an index deserves a look
LOW_RECALL = 0.99
SCRIPT = re.compile(r"<script(?P<attributes>[^>]*)>(?P<text>.*?)</script>", re.DOTALL | re.IGNORECASE)


class Figure(NamedTuple):
    """An image with its title and the sentence that reads it; `source` is a data URI."""

    source: str
    title: str
    caption: Markup


class Gallery(NamedTuple):
    """A piece of HTML with its title; `id` is its anchor."""

    id: str
    title: str
    html: Markup


class Finding(NamedTuple):
    """A sentence that says what to look at, and what to link it to ("" for nothing)."""

    text: str
    link: str


def find_findings(
    manifest: Manifest,
    metrics: Metrics,
    latency: Sequence[Mapping[str, str]],
    galleries: Sequence[Gallery],
    links: Mapping[str, str],
) -> list[Finding]:
    """Return what to look at first in a report, the most urgent first; `links`: notebook -> its page."""
    return [
        *_missing_notebook(manifest, links),
        *_weaker_direction(metrics, links),
        *_index_loss(latency, links),
        *(Finding(f"Gallery: {gallery.title.lower()}.", f"#{gallery.id}") for gallery in galleries),
    ]


def read_figures(manifest: Manifest) -> list[Figure]:
    """Return the PNG files that the steps wrote, with the titles that their names make."""
    return [
        Figure(
            f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}",
            title_of(path.stem),
            Markup(render_markdown(_description(path))),  # noqa: S704 - render_markdown escapes
        )
        for path in written_paths(manifest, ".png")
    ]


def read_galleries(manifest: Manifest) -> list[Gallery]:
    """Return the pieces of HTML that the steps wrote, as `mmlab.visualize` escaped them; the map is none of them."""
    return [
        Gallery(
            f"gallery-{number}",
            title_of(path.stem),
            Markup(path.read_text(encoding="utf-8")),  # noqa: S704 - mmlab.visualize escaped it
        )
        for number, path in enumerate(written_paths(manifest, ".html"))
        if path.name != MAP
    ]


def read_map(manifest: Manifest) -> str:
    """Return the document of the interactive map, which has a script inside; "" if no step wrote one."""
    found = [path for path in written_paths(manifest, ".html") if path.name == MAP]
    return found[-1].read_text(encoding="utf-8").replace("\r\n", "\n") if found else ""


def allow_scripts(document: str) -> str:
    """Return the hashes by which a content policy allows the scripts of a document and no other: "'sha256-...' ...".

    A script of JSON is data and needs none.
    """
    texts = [found["text"] for found in SCRIPT.finditer(document) if "json" not in found["attributes"]]
    digests = [hashlib.sha256(text.encode()).digest() for text in dict.fromkeys(texts)]
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


def written_paths(manifest: Manifest, suffix: str) -> list[Path]:
    """Return the files with this suffix that the steps wrote and that still exist, in the order of the steps."""
    folder = run_folder(manifest["run"])
    paths = [folder / file for record in manifest["steps"].values() for file in record["writes"]]
    return [path for path in dict.fromkeys(paths) if path.suffix == suffix and path.is_file()]


def title_of(stem: str) -> str:
    """Return the stem of a file's name as words.

    >>> title_of("05_similarity_histogram")
    'Similarity histogram'
    """
    words = stem.lstrip("0123456789_-").replace("_", " ").replace("-", " ").strip() or stem
    return words[0].upper() + words[1:]


def _description(path: Path) -> str:
    """Return the sentence that `render_png` of mmlab.visualize wrote into the file, "" for an image from elsewhere."""
    from PIL import Image

    with Image.open(path) as image:
        return str(image.info.get("Description", ""))


def _missing_notebook(manifest: Manifest, links: Mapping[str, str]) -> Iterator[Finding]:
    steps = manifest["steps"]
    missing = [name for name in NOTEBOOKS if name not in steps]
    if missing and COMPARISON not in steps:
        yield Finding(f"The run is not finished: {missing[0]} is missing.", links.get(missing[0], ""))


def _weaker_direction(metrics: Metrics, links: Mapping[str, str]) -> Iterator[Finding]:
    """Say which direction is worse, by the first Success@k that both have."""
    found: dict[str, dict[str, float]] = {}
    for entry in metrics.get("measures", []):
        if entry["measure"].startswith("Success@") and entry["value"] is not None:
            found.setdefault(entry["measure"], {})[entry["direction"]] = entry["value"]
    both = [(measure, values) for measure, values in found.items() if len(values) == 2]
    if both and "05_evaluate" in links:
        measure, values = both[0]
        worst, best = sorted(values, key=values.__getitem__)
        yield Finding(
            f"The weaker direction is {worst}: {measure} {values[worst]:.3f} against {values[best]:.3f}.",
            links["05_evaluate"],
        )


def _index_loss(latency: Sequence[Mapping[str, str]], links: Mapping[str, str]) -> Iterator[Finding]:
    """Say whether the index misses much in the run's own way to search; its row follows that of exact search."""
    for row in latency[1:2]:
        if row.get("recall") and float(row["recall"]) < LOW_RECALL:
            yield Finding(
                f"The index loses answers: recall {row['recall']} against exact search with {row['search']}.",
                links.get("03_index", ""),
            )
