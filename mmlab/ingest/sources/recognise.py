"""What kind of source a folder or a file is, by looking; or where a folder has the kind that was named."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mmlab.ingest.sources.dataset_files import files_below
from mmlab.ingest.sources.flickr import head_of
from mmlab.ingest.sources.folders import has_sidecars
from mmlab.items import resolve

TABLES = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".parquet": "parquet"}
ADDRESS = re.compile("hf:/+")  # a Path joins the two strokes into one
EXPECTED = (
    "a table of captions (captions.csv, .tsv, .jsonl or .parquet), a caption file of COCO, Karpathy or "
    "Flickr, a saved Hugging Face dataset, or images"
)


class Found(NamedTuple):
    """The kind of a source, its file or folder (the id of a Hugging Face dataset), and its root."""

    kind: str
    path: Path | str
    root: Path


def recognise(dataset: str | Path, kind: str = "auto") -> Found:
    """What the dataset is, looked for in a fixed order in a folder; of the kind that is named, if one is.

    Raises FileNotFoundError where nothing usable lies there, ValueError where several sources do.
    """
    name = str(dataset)
    path = resolve(name)
    if ADDRESS.match(name) or (kind == "huggingface" and not path.exists()):
        return _on_the_hub(ADDRESS.sub("", name, count=1), kind, path)
    if path.is_file():
        return Found(_kind_of_file(path, kind), path, path.parent)
    if not path.is_dir():
        raise FileNotFoundError(f"dataset {path}: expected a folder or a file, found nothing there")
    for rank in _ranks(path):
        usable = [found for found in rank if kind in ("auto", found.kind)]
        if len(usable) > 1:
            raise ValueError(
                f"dataset {path}: several sources lie there, {[one.path.name for one in usable]}: name one, "
                "as dataset=<path of the file> or source=<its kind>"
            )
        if usable:
            return usable[0]
    if kind == "huggingface":
        return Found(kind, path, path)
    raise _nothing(path, kind)


def _on_the_hub(name: str, kind: str, path: Path) -> Found:
    if kind not in ("auto", "huggingface"):
        raise ValueError(f"dataset hf://{name} is of the kind huggingface, found source={kind!r}")
    if not all(name.split("/")) or name.count("/") > 1:
        raise ValueError(f"dataset {name}: expected the id of a Hugging Face dataset, as hf://owner/name")
    return Found("huggingface", name, path)  # nothing lies at this root: its images come as bytes


def _ranks(folder: Path) -> Iterator[list[Found]]:
    """The sources in the folder; those of the first rank that has any come first."""
    files = sorted(entry for entry in folder.iterdir() if entry.is_file() and entry.name[0] != ".")
    names = {path.name for path in files}
    saved = "dataset_dict.json" in names or {"dataset_info.json", "state.json"} <= names
    yield [Found("huggingface", folder, folder)] if saved else []
    for kinds in (_captions, _metadata, _flickr, _karpathy, _coco):
        inner = _annotations(folder) if kinds is _coco else []
        yield [Found(found, path, folder) for path in files + inner if (found := kinds(path))]
    yield [
        Found(TABLES[path.suffix.lower()], path, folder) for path in files if path.suffix.lower() in TABLES
    ]
    yield [Found("sidecar", folder, folder)] if has_sidecars(folder) else []
    yield [Found("images", folder, folder)] if files_below(folder) else []


def _annotations(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "annotations").glob("*.json") if path.is_file())


def _captions(path: Path) -> str | None:
    return TABLES.get(path.suffix.lower()) if path.stem.lower() == "captions" else None


def _metadata(path: Path) -> str | None:
    return TABLES.get(path.suffix.lower()) if path.stem.lower() == "metadata" else None


def _flickr(path: Path) -> str | None:
    name = path.name.lower()
    token = name.endswith((".token", ".token.txt")) and ".lemma." not in name  # lemmas are no captions
    kaggle = (name == "captions.txt" and head_of(path).startswith("image,caption")) or (
        name.endswith(".csv") and head_of(path).startswith("image_name|")
    )
    return "flickr" if token or kaggle else None


def _karpathy(path: Path) -> str | None:
    return "karpathy" if path.match("dataset_*.json") and _holds(path, "images", "sentences") else None


def _coco(path: Path) -> str | None:
    return "coco" if path.match("captions_*.json") else None


def _kind_of_file(path: Path, kind: str) -> str:
    if kind in ("sidecar", "images", "huggingface"):
        raise ValueError(f"dataset {path}: expected a folder for the kind {kind}, found a file")
    if kind != "auto":
        return kind
    table = _flickr(path) or _karpathy(path) or _coco(path) or TABLES.get(path.suffix.lower())
    if table is None and path.suffix.lower() == ".json":
        table = "karpathy" if _holds(path, "sentences") else "coco" if _holds(path, "annotations") else None
    if table is None:
        raise ValueError(f"dataset {path}: expected {EXPECTED}; found {path.name}: name its kind by source=")
    return table


def _holds(path: Path, *names: str) -> bool:
    """Whether a JSON file speaks of all these names; what it says of them is for its reader."""
    content = path.read_bytes()
    return all(f'"{name}"'.encode() in content for name in names)


def _nothing(folder: Path, kind: str) -> FileNotFoundError:
    found = sorted(entry.name for entry in folder.iterdir())[:10] or "an empty folder"
    expected = EXPECTED if kind == "auto" else f"a source of the kind {kind}"
    advice = "give the path of the file if it lies elsewhere or has another name"
    return FileNotFoundError(f"dataset {folder}: expected {expected}; found {found}: {advice}")
