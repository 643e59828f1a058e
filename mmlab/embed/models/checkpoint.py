"""A checkpoint as files: where it lies, its revision, and one error for whatever is wrong with it."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmlab.embed.models.protocol import ModelError
from mmlab.items import file_hash, resolve

DEMO = Path(__file__).parents[2] / "demo" / "checkpoint"
FILES = {".safetensors", ".json", ".txt", ".model"}  # weights, settings, vocabularies


def find_checkpoint(model: str) -> str:
    """The folder of a local model, or else the Hugging Face id as it is."""
    folder = DEMO if model == "demo" else resolve(model)
    if (folder / "config.json").is_file():
        return str(folder)
    if model == "demo":
        raise ModelError(
            f"model 'demo': expected it in {DEMO}, found none: restore that folder from the repository"
        )
    if folder.is_dir():
        raise ModelError(
            f"model {model!r}: {folder} holds no config.json: give a folder written by save_pretrained"
        )
    if model.startswith(("/", ".", "~")) or model.count("/") > 1 or "\\" in model or not model.strip():
        raise ModelError(
            f"model {model!r}: there is no folder {folder}: give 'demo', a folder or a Hugging Face id"
        )
    return model


def folder_revision(folder: Path) -> str:
    """A hash of the checkpoint's files: a model trained again, or prepared otherwise, has another one."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in FILES:
            digest.update(f"{path.name} {file_hash(path)}\n".encode())
    return digest.hexdigest()[:16]


@contextmanager
def reading(model: str, what: str, advice: str) -> Iterator[None]:
    """Turn what the libraries raise over a part of a checkpoint into one ModelError, and keep them quiet."""
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    library = (OSError, ValueError, TypeError, LookupError, AttributeError, ImportError, RuntimeError)
    try:
        with _quiet():
            yield
    except (*library, StrictDataclassError, SafetensorError) as error:
        found = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(" .:")
        raise ModelError(f"model {model!r}: its {what} cannot be read ({found}): {advice}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
