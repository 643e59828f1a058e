"""A checkpoint as files: its folder or id, its revision, and one error for all that can be wrong with it."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from mmlab.embed.models.interface import ModelError
from mmlab.embed.models.weights import CONFIG, CONFIGS, MODULES, Repository, Weights
from mmlab.items.files import file_hash, resolve, shorten

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig

ROUTER = "router_config.json"  # of sentence-transformers: a module that chooses by whether a text asks
DEMO_FOLDER = Path(__file__).parents[2] / "demo" / "checkpoint"
# The files that a revision depends on beside a pickle that is taken: weights, settings, vocabularies.
HASHED_SUFFIXES = {".safetensors", ".json", ".txt", ".model", ".metadata"}
# What libraries raise over a checkpoint that they cannot read.
LIBRARY_ERRORS = (OSError, ValueError, TypeError, LookupError, AttributeError, ImportError, RuntimeError)
# What people call a model, in lower case with - between all parts -> the Hugging Face id to give. Without an owner, the
# last part of an id is known as well.
KNOWN_IDS = {
    "vit-b-32": "openai/clip-vit-base-patch32",
    "vit-b-16": "openai/clip-vit-base-patch16",
    "vit-l-14": "openai/clip-vit-large-patch14",
    "vit-l-14-336": "openai/clip-vit-large-patch14-336",
    "vit-h-14": "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
    "vit-g-14": "laion/CLIP-ViT-g-14-laion2B-s34B-b88K",
    "vit-bigg-14": "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k",
    "vit-b-32-multilingual-v1": "sentence-transformers/clip-ViT-B-32-multilingual-v1",
    "clip": "openai/clip-vit-base-patch32",
    "openclip": "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
    "siglip": "google/siglip-base-patch16-224",
    "vit-b-16-siglip": "google/siglip-base-patch16-224",
    "vit-so400m-14-siglip-384": "google/siglip-so400m-patch14-384",
    "siglip2": "google/siglip2-base-patch16-224",
    "vit-b-16-siglip2": "google/siglip2-base-patch16-224",
    "qwen3-vl-embedding": "Qwen/Qwen3-VL-Embedding-2B",
    "metaclip": "facebook/metaclip-b32-400m",
    "metaclip2": "facebook/metaclip-2-worldwide-huge-quickgelu",
    "altclip": "BAAI/AltCLIP",
    "chinese-clip": "OFA-Sys/chinese-clip-vit-base-patch16",
    "align": "kakaobrain/align-base",
    "blip": "Salesforce/blip-itm-base-coco",
    "blip2": "Salesforce/blip2-itm-vit-g",
    "mpnet": "sentence-transformers/all-mpnet-base-v2",
    "all-mpnet-base-v2": "sentence-transformers/all-mpnet-base-v2",
    "minilm": "sentence-transformers/all-MiniLM-L6-v2",
    "all-minilm-l6-v2": "sentence-transformers/all-MiniLM-L6-v2",
    "bge": "BAAI/bge-base-en-v1.5",
    "dino": "facebook/dinov2-base",
    "dinov2": "facebook/dinov2-base",
    "vit": "google/vit-base-patch16-224",
    "clap": "laion/clap-htsat-unfused",
    "pe-av": "facebook/pe-av-large",
    "xclip": "microsoft/xclip-base-patch32",
    "splade": "naver/splade-cocondenser-ensembledistil",
    "colbert": "lightonai/GTE-ModernColBERT-v1",
    "colpali": "vidore/colpali-v1.2-hf",
    "colqwen2": "vidore/colqwen2-v1.0-hf",
}
# Words around such a name that say nothing more: owners, libraries, the word CLIP, pixels, trainings.
AROUND_NAMES = re.compile(
    r"^(openai|open-clip|clip|sentence-transformers|laion|google|facebook|baai|salesforce|microsoft)-"
    r"|-(openai|quickgelu|224|base)$|px$"
)
# The size and the patch of a ViT, written together as well: ViT-B32, vitb32.
VIT_SIZE = re.compile(r"\bvit-?(b|l|h|g|bigg)-?(\d\d)\b")
# An id behind what other libraries, or a browser, put before it.
BEFORE_ID = re.compile(
    r"(hf-hub:|hf://|(https?://)?(www\.)?(huggingface\.co|hf\.co)/)(?P<id>[\w.-]+/[\w.-]+)"
)


@dataclass(frozen=True)
class Checkpoint:
    """What an adapter is made from, and how it is to run."""

    requested: str  # the model as the user called it, for messages
    source: str  # a folder, or a Hugging Face id
    revision: str
    config: "PreTrainedConfig"
    weights: Weights
    device: "torch.device"
    precision: str  # "float32", "bfloat16" or "int8"
    prompts: tuple[str, ...] = ()
    pool_tokens: int = 1  # token rows of an item that become one, about, in late interaction
    truncate_dim: int = 0  # how many dimensions of a vector are kept, 0 for all

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
    def dtype(self) -> "torch.dtype":
        """The type of the weights that torch holds: those of int8 are converted from float32."""
        import torch

        return torch.bfloat16 if self.precision == "bfloat16" else torch.float32

    @property
    def folder(self) -> Path:
        """The folder on this machine with all that transformers reads."""
        return self.weights.path.parent


def find_checkpoint(model: str) -> str:
    """Return the folder of a local model, or else the Hugging Face id as it is.

    Raises ModelError for a folder that is no checkpoint, for a path to nothing, and for a name that is no id but is
    known: the message has the id.
    """
    folder = DEMO_FOLDER if model == "demo" else resolve(model)
    if any((folder / name).is_file() for name in CONFIGS):
        return str(folder)
    if model == "demo":
        raise ModelError(
            f"model 'demo': expected it in {folder}, found none: restore that folder from the repository"
        )
    if folder.is_dir():
        raise _no_checkpoint(model, folder)
    if folder.is_file():
        raise ModelError(f"model {model!r} is a file: give the folder with its config and its tokenizer")
    known = find_id(model)
    if known:
        raise ModelError(f"model {model!r} is no Hugging Face id and there is no such folder: give {known}")
    if model.startswith(("/", ".", "~")) or model.count("/") > 1 or "\\" in model or not model.strip():
        raise ModelError(
            f"model {model!r}: there is no folder {folder}: give 'demo', a folder or a Hugging Face id"
        )
    return model


def find_id(model: str) -> str:
    """Return the Hugging Face id for a name that people use for a model, "" if it is an id itself or not known.

    >>> find_id("ViT-B/32"), find_id("openai/ViT-L/14@336px"), find_id("openai/clip-vit-base-patch32")
    ('openai/clip-vit-base-patch32', 'openai/clip-vit-large-patch14-336', '')
    """
    behind = BEFORE_ID.match(model.strip())
    if behind:
        return behind["id"]
    ids = set(KNOWN_IDS.values())
    if model in ids or model.startswith("sentence-transformers/clip-"):
        return ""
    known = {_plain_name(id.rpartition("/")[2]): id for id in sorted(ids)} | KNOWN_IDS
    return known.get(_plain_name(model), "")


def _plain_name(name: str) -> str:
    """Return a name as the keys of KNOWN_IDS are written."""
    plain = re.sub(r"[/_@: ]+", "-", name.strip().lower())
    while AROUND_NAMES.search(plain):
        plain = AROUND_NAMES.sub("", plain)
    return VIT_SIZE.sub(r"vit-\1-\2", plain)


def suggest_id(model: str) -> str:
    """Return ", or did you mean ..." with the known id that is spelt most like this one, "" if none is."""
    found = get_close_matches(model, set(KNOWN_IDS.values()), 1, cutoff=0.8)
    return f"; did you mean {found[0]}?" if found and found[0] != model else ""


def hash_folder(folder: Path, weights: Weights) -> str:
    """Return a hash, 16 hex digits, of the checkpoint's weights, settings and vocabularies.

    A pickle counts where it is taken, or lies in a module without safetensors. Raises ModelError for a file that
    cannot be read, as a pipe.
    """
    digest = hashlib.sha256()
    for part in module_folders(Repository(str(folder))):
        inside = sorted((folder / part).iterdir())
        safe = any(path.suffix == ".safetensors" for path in inside)
        for path in inside:
            pickled = path.suffix == ".bin" and not safe and bool(part)
            if path.suffix in HASHED_SUFFIXES or pickled or (weights.pickled and path in weights.files):
                digest.update(f"{path.relative_to(folder).as_posix()} {_hash(path)}\n".encode())
    return digest.hexdigest()[:16]


def _hash(path: Path) -> str:
    try:
        return file_hash(path)
    except OSError as error:
        raise ModelError(
            f"model {str(path.parent)!r}: its {path.name} cannot be read ({error.strerror})"
        ) from error


def module_folders(repository: Repository) -> list[str]:
    """Return "" and the folders inside a checkpoint that the modules.json of sentence-transformers names.

    Also those of the modules that a Router in the uppermost folder chooses from.
    """
    modules = repository.read_json(MODULES) or []
    try:
        routed = repository.read_json(ROUTER)["types"] if modules and repository.find(ROUTER) else ()  # type: ignore[call-overload]
        paths = {str(PurePosixPath(path)) for path in (*(module["path"] for module in modules), *routed)} - {
            "."
        }
    except (TypeError, LookupError) as error:
        raise ModelError(
            f"model {repository.source!r}: its modules.json cannot be read ({error!r})"
        ) from error
    within = {path for path in paths if not PurePosixPath(path).is_absolute() and ".." not in path.split("/")}
    if not repository.commit:
        within = {path for path in within if Path(repository.source, path).is_dir()}
    return ["", *sorted(within)]


def _no_checkpoint(model: str, folder: Path) -> ModelError:
    """Return the error for a folder without a config, naming a checkpoint below it."""
    found = [path.parent for depth in ("*", "*/*") for path in folder.glob(f"{depth}/{CONFIG}")]
    # Of checkpoint-500 and checkpoint-1000 the later.
    below = sorted(found, key=lambda path: (len(path.name), path.name))
    advice = f"give {below[-1]}, which does" if below else "give a folder written by save_pretrained"
    return ModelError(f"model {model!r}: {folder} holds no {CONFIG}: {advice}")


@contextmanager
def unreadable_as_model_error(model: str, part: str, advice: str) -> Iterator[None]:
    """Turn any library error over this part of a checkpoint into a ModelError; print no messages of libraries."""
    from pickle import UnpicklingError

    from huggingface_hub.errors import GatedRepoError, HTTPError, StrictDataclassError
    from safetensors import SafetensorError

    try:
        with _quiet_libraries():
            yield
    except ModelError:
        # It has its message already.
        raise
    except GatedRepoError as error:
        raise ModelError(
            f"model {model!r} is gated: accept its terms at https://huggingface.co/{model}, then give your token, "
            "by hf auth login or in the environment as HF_TOKEN"
        ) from error
    except UnpicklingError as error:
        # Torch's own message advises to trust the file.
        raise ModelError(
            f"model {model!r}: its {part} cannot be read: they are a pickle of more than tensors, which may be code; "
            "none of it was run. Give a checkpoint with safetensors, or save this one anew where it was made"
        ) from error
    except (*LIBRARY_ERRORS, HTTPError, StrictDataclassError, SafetensorError) as error:
        raise _unreadable(model, part, advice, error) from error


def _unreadable(model: str, part: str, advice: str, error: Exception) -> ModelError:
    if isinstance(error, ImportError) and "torchvision" in str(error).lower():
        return ModelError(
            f"model {model!r}: its {part} need torchvision: pip install torchvision, in the version that fits torch"
        )
    found = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(" .:")
    return ModelError(f"model {model!r}: its {part} cannot be read ({found}): {advice}")


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
