"""Texts for images without one: captions by a BLIP captioning model, and what is printed in them, by Tesseract."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import pandas as pd

from mmlab.ingest.findings_cache import FindingsCache
from mmlab.items import ImageError, open_image
from mmlab.items.files import file_hash, resolve
from mmlab.items.workers import count_cores

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


OCR = "ocr"  # origin of the texts; in the cache: image, language, version and method -> words and confidences
IMAGES_PER_CHUNK = 100  # read between two writes to the cache
TIMEOUT_SECONDS = 60  # for one image
# pixels of the longer side: smaller images are doubled, larger ones shrunk
DOUBLE_BELOW, MAX_SIDE = 1000, 3000
# Finds blocks of text where there are some; the modes that expect text (6, 11) see words in any photograph.
PAGE_MODE = "--psm 3"
METHOD = (
    f"{PAGE_MODE} x2<{DOUBLE_BELOW} <{MAX_SIDE}"  # part of the cache's key: other methods read other words
)
INSTALL = "apt install tesseract-ocr, conda install -c conda-forge tesseract, or brew install tesseract"


class OcrMissing(RuntimeError):
    """Tesseract or its data for a language is not installed; the message says how to install it."""


class Reading(NamedTuple):
    """The words of one image with Tesseract's confidence in them (0 to 100), or why it was not read."""

    words: list[tuple[str, int]]
    reason: str | None = None


def read_printed(
    images: Mapping[str, str],
    cache: FindingsCache | None,
    language: str = "eng",
    confidence: int = 60,
    progress: bool = True,
) -> pd.DataFrame:
    """Return text and reason, one row per image, indexed by content: what is printed in it, or why it is unknown.

    images: files by content hash. text: see `printed_text`. reason: missing where the image was read.
    All words are kept in the cache with their confidences, so another threshold reads no image again; failures are
    tried again. Raise OcrMissing where Tesseract or the language is not installed.
    """
    version = _find_tesseract(language) if images else ""
    keys = {content: f"{content} {language} {version} {METHOD}" for content in images}
    readings = _read_all(images, keys, cache, language, progress)
    return pd.DataFrame(
        {
            "text": [printed_text(readings[content].words, confidence) for content in images],
            "reason": [readings[content].reason for content in images],
        },
        index=pd.Index(list(images), dtype="str", name="content"),
        dtype="str",
    )


def printed_text(words: list[tuple[str, int]], confidence: int) -> str:
    """Join the words of at least this confidence (0 to 100); return "" where they look like chance.

    Fewer than two words, or none of three letters, look like chance.

    >>> printed_text([("red", 90), ("mug", 60), ("|", 95)], confidence=60)
    'red mug'
    """
    sure = [word for word, found in words if found >= confidence and any(map(str.isalnum, word))]
    most_letters = max((sum(map(str.isalpha, word)) for word in sure), default=0)
    return " ".join(sure) if len(sure) >= 2 and most_letters >= 3 else ""


def read_image(path: str, language: str = "eng") -> Reading:
    """Return the words of one image in reading order; a failure gives no words and the reason."""
    try:
        return Reading(_recognise_words(_resize_for_ocr(open_image(path)), language))
    except ImageError as error:
        return Reading([], str(error))
    except (RuntimeError, OSError, ValueError) as error:
        slow = "timeout" in str(error)  # pytesseract has no class for it
        return Reading([], f"Tesseract took over {TIMEOUT_SECONDS} seconds" if slow else "Tesseract failed")


def _read_all(
    images: Mapping[str, str],
    keys: Mapping[str, str],
    cache: FindingsCache | None,
    language: str,
    progress: bool,
) -> dict[str, Reading]:
    from tqdm.auto import tqdm

    contents = list(images)
    known = cache.get(OCR, keys.values()) if cache else {}
    readings = {content: Reading(known[keys[content]]) for content in contents if keys[content] in known}
    new = [content for content in contents if content not in readings]
    read = partial(read_image, language=language)
    bar = tqdm(
        total=len(contents), initial=len(readings), desc="print in images", unit="image", disable=not progress
    )
    with bar, _one_thread_each(), ThreadPoolExecutor(count_cores()) as threads:
        for start in range(0, len(new), IMAGES_PER_CHUNK):
            chunk = new[start : start + IMAGES_PER_CHUNK]
            fresh = dict(zip(chunk, threads.map(read, [images[content] for content in chunk]), strict=True))
            if cache:
                done = {keys[content]: one.words for content, one in fresh.items() if one.reason is None}
                cache.put(OCR, done)
            readings |= fresh
            bar.update(len(chunk))
    return readings


def _find_tesseract(language: str) -> str:
    """Return Tesseract's version, once it has read an empty image in this language."""
    engine = _tesseract()
    try:
        version = str(engine.get_tesseract_version())
    except (engine.TesseractNotFoundError, SystemExit) as error:  # it exits over an unreadable version
        raise OcrMissing(f"Tesseract was not found on the PATH: install it ({INSTALL})") from error
    try:
        _recognise_words(np.full((32, 32), 255, np.uint8), language)
    except (RuntimeError, OSError) as error:
        raise OcrMissing(
            f"Tesseract {version} cannot read {language!r} ({str(error)[:200]}): install the language, such as "
            "apt install tesseract-ocr-deu for deu, or name another; languages are joined as in eng+deu"
        ) from error
    return version


def _resize_for_ocr(image: "Image") -> "Image":
    """Return the image in grey and of a size that Tesseract reads well: it misses the low letters of small images."""
    from PIL import Image

    grey = image.convert("L")
    if max(grey.size) < DOUBLE_BELOW:
        return grey.resize((grey.width * 2, grey.height * 2), Image.Resampling.BICUBIC)
    grey.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    return grey


def _recognise_words(image: "Image | np.ndarray", language: str) -> list[tuple[str, int]]:
    engine = _tesseract()
    table = engine.image_to_data(
        image, lang=language, config=PAGE_MODE, output_type=engine.Output.DICT, timeout=TIMEOUT_SECONDS
    )
    pairs = zip(table.get("text", []), table.get("conf", []), strict=False)
    return [(word.strip(), int(found)) for word, found in pairs if word.strip()]  # layout rows have no words


def _tesseract() -> Any:
    """Return the module that runs Tesseract, with its settings."""
    from pytesseract import pytesseract

    return pytesseract


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Limit Tesseract to one thread per image, since there is one image per core; set its environment, not ours."""
    engine = _tesseract()
    before = engine.environ
    engine.environ = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    try:
        yield
    finally:
        engine.environ = before
