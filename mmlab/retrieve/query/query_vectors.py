"""What is asked, one text or image or many, -> names and unit rows; files that are no images are skipped."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmlab.embed import Model
from mmlab.items import ImageError, Vectors, open_image

if TYPE_CHECKING:
    from PIL import Image

BATCH = 32  # images in memory at a time


@dataclass(frozen=True)
class Asked:
    """Queries as vectors, and what could not be asked: [{"source": file, "reason": why}]."""

    vectors: Vectors
    skipped: list[dict[str, str]] = field(default_factory=list)


def embed_questions(
    model: Model, queries: "Sequence[str | Path | Image.Image]", strict: bool = False
) -> Asked:
    """One unit row per query, called by its text or its file's name (with " (2)" where that comes twice).

    A file that is no image is skipped with its reason, or raises ImageError where `strict`. Raises ValueError
    for an empty text and where nothing is asked, TypeError for what is neither text nor image.
    """
    strange = [query for query in queries if not (isinstance(query, str | Path) or hasattr(query, "convert"))]
    if strange:
        raise TypeError(
            f"{len(strange)} of {len(queries)} queries are no texts, paths or PIL images, first "
            f"{type(strange[0]).__name__} {str(strange[0])[:40]}: drop them, or give what they stand for"
        )
    if not len(queries):
        raise ValueError("nothing is asked: give a text, an image, several of them, or a folder of images")
    names: list[str | None] = [query if isinstance(query, str) else None for query in queries]
    array = np.zeros((len(queries), model.space.dimension), dtype=np.float32)
    texts = [place for place, query in enumerate(queries) if isinstance(query, str)]
    if texts:
        array[texts] = model.embed_queries([_words(queries[place]) for place in texts])
    others, skipped = [place for place, name in enumerate(names) if name is None], []
    for start in range(0, len(others), BATCH):
        images = {place: _open(queries[place], skipped, strict) for place in others[start : start + BATCH]}
        opened = {place: image for place, image in images.items() if image is not None}
        if opened:
            array[list(opened)] = model.embed_images(list(opened.values()))
        for place in opened:
            names[place] = _name(queries[place])
    kept = [place for place, name in enumerate(names) if name is not None]
    ids = _different([str(names[place]) for place in kept])
    return Asked(Vectors(ids, array[kept], model.space), skipped)


def images_in(folder: Path) -> list[Path]:
    """The files of a folder and of its folders, by name, hidden ones left out."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
    if not files:
        raise ValueError(f"no files in {folder}: give a folder with images to ask by")
    return files


def _words(text: str) -> str:
    if not text.strip():
        raise ValueError("the query is empty: type a text, or give the path of an image")
    return text


def _open(query: Any, skipped: list[dict[str, str]], strict: bool) -> "Image.Image | None":
    """The image in RGB; None, with a skipped row, for a file that is none."""
    if not isinstance(query, Path):
        return query.convert("RGB")
    try:
        return open_image(query)
    except ImageError as error:
        if strict:
            raise
        skipped.append({"source": str(query), "reason": str(error)})
        return None


def _name(query: Any) -> str:
    return query.name if isinstance(query, Path) else Path(getattr(query, "filename", "") or "image").name


def _different(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    for place, name in enumerate(names):
        seen[name] = seen.get(name, 0) + 1
        names[place] = name if seen[name] == 1 else f"{name} ({seen[name]})"
    return names
