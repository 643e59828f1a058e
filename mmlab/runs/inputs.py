"""Datasets, models and runs as a person names them, checked before anything runs."""

import re
from collections.abc import Sequence
from pathlib import Path

from mmlab.runs.manifest import read_manifest, run_folder


def check_dataset(text: str) -> str:
    """The dataset as the notebooks take it, a path made absolute; ValueError unless something is there."""
    if text.startswith("hf://"):
        return text
    path = Path(text).expanduser().resolve()
    if path.exists():
        return str(path)
    raise ValueError(
        f"dataset {path}: expected a folder of images, a table of captions, or hf://owner/name; nothing is there"
    )


def check_model(text: str) -> str:
    """The model as the notebooks take it, a folder's path made absolute.

    ValueError for what can be neither a folder nor a Hugging Face id.
    """
    folder = Path(text).expanduser()
    if folder.is_dir() and text != "demo":
        if not (folder / "config.json").is_file():
            raise ValueError(f"model {folder} is no model folder: it holds no config.json")
        return str(folder.resolve())
    if re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", text):
        return text
    raise ValueError(
        f"model {text} does not exist; expected a folder, demo, or a Hugging Face id "
        "such as openai/clip-vit-base-patch32"
    )


def check_runs(names: Sequence[str]) -> None:
    """ValueError unless all these runs are there and at least one notebook of each came to its end."""
    for name in names:
        if not read_manifest(name)["steps"]:
            where = run_folder(name)
            raise ValueError(f"no finished notebook of a run {name!r} in {where}; mmlab list shows all runs")
