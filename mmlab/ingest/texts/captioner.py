"""Write captions for images with a BLIP captioning model: checked, loaded only if needed, repeatable."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pandas as pd

from mmlab.ingest.findings_cache import FindingsCache
from mmlab.items import ImageError, open_image
from mmlab.items.files import file_hash, resolve

if TYPE_CHECKING:
    from PIL.Image import Image
    from transformers import BlipForConditionalGeneration

GENERATED = "generated"  # origin of the texts
KIND = "captioned"  # in the cache: image, model and decoding -> caption
HASHED_SUFFIXES = {".safetensors", ".json", ".txt"}  # weights, settings, vocabularies
# Always the most likely words: the same image gets the same text, alone or in a batch.
DECODING: dict[str, Any] = {"do_sample": False, "num_beams": 3, "max_new_tokens": 40}
EXPECTED = "expected a BLIP captioning model with safetensors weights, such as Salesforce/blip-image-captioning-large"


def write_captions(
    images: Mapping[str, str],
    model: str,
    cache: FindingsCache | None,
    batch_size: int = 8,
    device: str = "auto",
    progress: bool = True,
) -> pd.DataFrame:
    """Return text and reason, one row per image, indexed by content: what the model writes about it.

    images: files by content hash. model: a folder or a Hugging Face id. device: as torch names it, or "auto".
    reason: why an image could not be opened (its text is ""); missing for the others. Captions are kept in the
    cache: the model is loaded only if there is an image that it has not captioned yet.
    Raise ValueError for a model that is not a BLIP captioning model, or that cannot be read.
    """
    from tqdm.auto import tqdm

    captioner = Captioner(model, device)
    texts = _known_captions(images, captioner, cache) if cache and images else {}
    reasons: dict[str, str] = {}
    new = [content for content in images if content not in texts]
    bar = tqdm(total=len(images), initial=len(texts), desc="captions", unit="image", disable=not progress)
    with bar:
        for start in range(0, len(new), batch_size):
            batch = new[start : start + batch_size]
            opened, refused = _open_images(batch, images)
            written = captioner.describe(list(opened.values())) if opened else []
            captions = dict(zip(opened, written, strict=True))
            if cache:
                cache.put(KIND, {captioner.key(content): text for content, text in captions.items()})
            texts |= captions
            reasons |= refused
            bar.update(len(batch))
    columns = {"text": [texts.get(c, "") for c in images], "reason": [reasons.get(c) for c in images]}
    return pd.DataFrame(columns, index=pd.Index(list(images), dtype="str", name="content"), dtype="str")


def _known_captions(
    images: Mapping[str, str], captioner: "Captioner", cache: FindingsCache
) -> dict[str, str]:
    keys = {captioner.key(content): content for content in images}
    return {keys[key]: text for key, text in cache.get(KIND, keys).items()}


def _open_images(contents: list[str], images: Mapping[str, str]) -> "tuple[dict[str, Image], dict[str, str]]":
    """Return the opened images, and the reasons of those that cannot be opened."""
    opened, refused = {}, {}
    for content in contents:
        try:
            opened[content] = open_image(images[content])
        except ImageError as error:
            refused[content] = str(error)
    return opened, refused


class Captioner:
    """A BLIP captioning model that is loaded when it first describes an image."""

    def __init__(self, model: str, device: str = "auto") -> None:
        self.model, self.device = model, device

    def describe(self, images: "list[Image]") -> list[str]:
        """Return one caption per RGB image; the batch makes no difference."""
        network, tokenizer, image_processor = self._parts
        pixels = image_processor(images, return_tensors="pt")["pixel_values"]  # (N, 3, H, W)
        tokens = network.generate(pixel_values=pixels.to(network.device, network.dtype), **DECODING)
        return [" ".join(text.split()) for text in tokenizer.batch_decode(tokens, skip_special_tokens=True)]

    def key(self, content: str) -> str:
        """Return the key of an image's caption in the cache."""
        return f"{content} {self.revision} {DECODING}"

    @cached_property
    def source(self) -> str:
        """The folder of the model, or its Hugging Face id."""
        folder = resolve(self.model)
        if not folder.is_dir():
            if self.model.startswith(("/", ".", "~")) or self.model.count("/") > 1 or not self.model.strip():
                raise ValueError(f"captioner {self.model!r}: there is no folder {folder}: {EXPECTED}")
            return self.model
        if not (folder / "config.json").is_file():
            raise ValueError(f"captioner {self.model!r}: {folder} holds no config.json: {EXPECTED}")
        return str(folder)

    @cached_property
    def revision(self) -> str:
        """A hash of the folder's files, or the commit on the hub."""
        from huggingface_hub import hf_hub_download

        if not Path(self.source).is_dir():
            with self._reading("config"):  # it lies in .../snapshots/<commit>/
                return f"{self.model} {Path(hf_hub_download(self.model, 'config.json')).parent.name}"
        digest = hashlib.sha256()
        for path in sorted(Path(self.source).iterdir()):
            if path.suffix in HASHED_SUFFIXES:
                digest.update(f"{path.name} {file_hash(path)}\n".encode())
        return digest.hexdigest()

    @cached_property
    def _parts(self) -> "tuple[BlipForConditionalGeneration, Any, Any]":
        """The network on its device, its tokenizer and its image processor."""
        transformers = _transformers()
        config = self._read_config()
        with self._reading("tokenizer or image processor"):
            tokenizer = transformers.AutoTokenizer.from_pretrained(self.source, trust_remote_code=False)
            # The Pillow processor everywhere: where torchvision is installed the pixels would differ otherwise.
            image_processor = transformers.AutoImageProcessor.from_pretrained(
                self.source, backend="pil", trust_remote_code=False
            )
        network, missing = self._load_network(config)
        self._check_parts(missing, len(tokenizer), config.text_config.vocab_size)
        with self._reading("device"):
            network.to(_pick_device(self.device))
        return network.eval(), tokenizer, image_processor

    def _read_config(self) -> Any:
        with self._reading("config"):
            config = _transformers().AutoConfig.from_pretrained(self.source, trust_remote_code=False)
        if config.model_type != "blip":
            raise ValueError(f"captioner {self.model!r} is a {config.model_type} model: {EXPECTED}")
        return config

    def _load_network(self, config: Any) -> "tuple[BlipForConditionalGeneration, list[str]]":
        """Return the network and the names of the tensors that its weights lack."""
        with self._reading("weights"):
            loaded = _transformers().BlipForConditionalGeneration.from_pretrained(
                self.source,
                config=config,
                use_safetensors=True,
                output_loading_info=True,
                attn_implementation=None,  # SDPA, whatever the config says: it may name code on the hub
            )
        network, report = cast("tuple[BlipForConditionalGeneration, dict[str, Any]]", loaded)
        return network, sorted(report["missing_keys"])

    def _check_parts(self, missing: list[str], known_tokens: int, vocabulary: int) -> None:
        if missing:
            raise ValueError(
                f"captioner {self.model!r}: its weights lack {len(missing)} tensors, first {missing[0]}: {EXPECTED}"
            )
        if known_tokens < vocabulary / 2:  # a tokenizer without its vocabulary loads all the same
            raise ValueError(
                f"captioner {self.model!r}: its tokenizer knows {known_tokens} tokens, expected about {vocabulary}: "
                "save the tokenizer beside the weights with save_pretrained"
            )

    @contextmanager
    def _reading(self, part: str) -> Iterator[None]:
        """Turn whatever the libraries raise over a part of the model into one ValueError."""
        from huggingface_hub.errors import StrictDataclassError
        from safetensors import SafetensorError

        library = (OSError, ValueError, TypeError, LookupError, AttributeError, ImportError, RuntimeError)
        try:
            with _quiet():
                yield
        except (*library, AssertionError, StrictDataclassError, SafetensorError) as error:
            found = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(" .:")
            raise ValueError(
                f"captioner {self.model!r}: its {part} cannot be used ({found}): {EXPECTED}"
            ) from error


def _transformers() -> Any:
    import transformers

    return transformers


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep messages and progress bars of transformers off the screen."""
    logging = _transformers().utils.logging
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _pick_device(device: str) -> str:
    import torch

    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
