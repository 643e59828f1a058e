"""What the steps of a run made to be looked at: figures, galleries, the interactive map."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

from markupsafe import Markup

from mmlab.visualize.markup import render_markdown

MAP = "map.html"  # a document of its own, with a script inside
SCRIPT = re.compile(r"<script(?P<attributes>[^>]*)>(?P<text>.*?)</script>", re.DOTALL | re.IGNORECASE)

Records = dict[str, dict[str, Any]]


def read_figures(folder: Path, records: Records) -> list[dict[str, str]]:
    """The steps' PNGs, as they were written: data URI, title from the file's name, sentence that reads it."""
    return [
        {
            "source": f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}",
            "title": title_of(path.stem),
            "says": Markup(render_markdown(_description(path))),  # noqa: S704 - render_markdown escapes
        }
        for path in written(folder, records, ".png")
    ]


def read_galleries(folder: Path, records: Records) -> list[dict[str, str]]:
    """The steps' pieces of HTML: title from the file's name, and the piece as `mmlab.visualize` escaped it."""
    return [
        {
            "id": f"gallery-{number}",
            "title": title_of(path.stem),
            "html": Markup(path.read_text(encoding="utf-8")),  # noqa: S704 - see above
        }
        for number, path in enumerate(written(folder, records, ".html"))
        if path.name != MAP
    ]


def read_map(folder: Path, records: Records) -> str:
    """The interactive map's document, "" where no step wrote one."""
    found = [path for path in written(folder, records, ".html") if path.name == MAP]
    return found[-1].read_text(encoding="utf-8").replace("\r\n", "\n") if found else ""


def allow_scripts(document: str) -> str:
    """The hashes by which a content policy allows the scripts of a document and no other, e.g. 'sha256-...'.

    A script of JSON is data and needs none.
    """
    texts = [found["text"] for found in SCRIPT.finditer(document) if "json" not in found["attributes"]]
    digests = [hashlib.sha256(text.encode()).digest() for text in dict.fromkeys(texts)]
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


def written(folder: Path, records: Records, ending: str) -> list[Path]:
    """The files with this ending that the steps wrote and that are still there, in the order they were written."""
    files = [folder / file for record in records.values() for file in record["writes"]]
    return [path for path in dict.fromkeys(files) if path.suffix == ending and path.is_file()]


def title_of(stem: str) -> str:
    """A file's stem as words: "05_similarity_histogram" becomes "Similarity histogram"."""
    words = stem.lstrip("0123456789_-").replace("_", " ").replace("-", " ").strip() or stem
    return words[0].upper() + words[1:]


def _description(path: Path) -> str:
    """What `mmlab.visualize.show` wrote into the file, empty for an image from elsewhere."""
    from PIL import Image

    with Image.open(path) as image:
        return str(image.info.get("Description", ""))
