"""A checkpoint as files: its folder or id, its revision, and one error for all that can be wrong with it."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmlab.embed.models.interface import ModelError
from mmlab.items.files import file_hash, resolve, shorten

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig

DEMO_FOLDER = Path(__file__).parents[2] / "demo" / "checkpoint"
# The files that a revision depends on: weights, settings, vocabularies.
HASHED_SUFFIXES = {".safetensors", ".json", ".txt", ".model"}


@dataclass(frozen=True)
class Checkpoint:
    """What an adapter is made from, and how it is to run."""

    requested: str  # the model as the user called it, for messages
    source: str  # a folder, or a Hugging Face id
    revision: str
    config: "PreTrainedConfig"
    device: "torch.device"
    precision: str  # "float32" or "bfloat16"
    prompts: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The model's name in its space, by which it can be loaded again: "demo", the id, or the folder.

        A folder inside the project is named relative to the project, so that the project can be moved.
        """
        folder = Path(self.source)
        if self.requested == "demo" or not folder.is_dir():
            return self.requested
        return shorten(folder).as_posix()

    @property
    def pinned(self) -> dict[str, str]:
        """The keyword argument that makes libraries read all parts of an id at one revision; {} for a folder."""
        return {} if Path(self.source).is_dir() else {"revision": self.revision}


def find_checkpoint(model: str) -> str:
    """Return the folder of a local model, or else the Hugging Face id as it is.

    Raises ModelError for a folder that is no checkpoint, and for a path to nothing.
    """
    folder = DEMO_FOLDER if model == "demo" else resolve(model)
    if (folder / "config.json").is_file():
        return str(folder)
    if model == "demo":
        raise ModelError(
            f"model 'demo': expected it in {folder}, found none: restore that folder from the repository"
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


def find_revision(source: str) -> str:
    """Return the commit of a Hugging Face id, or a hash of a folder's files.

    A model that was trained or prepared differently has another revision.
    """
    from huggingface_hub import hf_hub_download

    if Path(source).is_dir():
        return hash_folder(Path(source))
    # The file lies in .../snapshots/<commit>/config.json.
    return Path(hf_hub_download(source, "config.json")).parent.name


def hash_folder(folder: Path) -> str:
    """Return a hash, 16 hex digits, of the checkpoint's weights, settings and vocabularies."""
    digest = hashlib.sha256()
    for part in _module_folders(folder):
        for path in sorted(part.iterdir()):
            if path.suffix in HASHED_SUFFIXES:
                digest.update(f"{path.relative_to(folder).as_posix()} {file_hash(path)}\n".encode())
    return digest.hexdigest()[:16]


def check_no_pickles(model: str, folder: Path) -> None:
    """Raise ModelError if a module of a sentence-transformers folder has its weights in a pickle only."""
    for part in _module_folders(folder):
        pickles = sorted([*part.glob("*.bin"), *part.glob("*.pt"), *part.glob("*.pkl")])
        if pickles and not list(part.glob("*.safetensors")):
            raise ModelError(
                f"model {model!r}: its weights cannot be read ({pickles[0].name} is a pickle, which can run code): "
                "expected a model.safetensors that fits the config"
            )


def _module_folders(folder: Path) -> list[Path]:
    """Return the folder, and the folders inside it that a sentence-transformers modules.json names."""
    listed = folder / "modules.json"
    try:
        modules = json.loads(listed.read_text("utf-8")) if listed.is_file() else []
        paths = [folder / module["path"] for module in modules]
    except (ValueError, TypeError, LookupError) as error:
        raise ModelError(f"model {folder.name!r}: its modules.json cannot be read ({error})") from error
    inside = {path for path in paths if path.is_dir() and folder.resolve() in path.resolve().parents}
    return [folder, *sorted(inside)]


@contextmanager
def unreadable_as_model_error(model: str, part: str, advice: str) -> Iterator[None]:
    """Turn any library error over this part of a checkpoint into a ModelError; print no messages of libraries."""
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    library = (OSError, ValueError, TypeError, LookupError, AttributeError, ImportError, RuntimeError)
    try:
        with _quiet_libraries():
            yield
    except ModelError:
        # It has its message already.
        raise
    except (*library, StrictDataclassError, SafetensorError) as error:
        found = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(" .:")
        raise ModelError(f"model {model!r}: its {part} cannot be read ({found}): {advice}") from error


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    from logging import ERROR, getLogger

    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    sentences = getLogger("sentence_transformers")
    level = sentences.level
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    sentences.setLevel(ERROR)
    try:
        yield
    finally:
        sentences.setLevel(level)
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
