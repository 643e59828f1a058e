"""A BLIP captioning model: loaded when it is first asked, checked, and the same words for the same image."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmlab.items import file_hash, resolve

if TYPE_CHECKING:
    from PIL.Image import Image

FILES = {".safetensors", ".json", ".txt"}  # weights, settings, vocabularies
# Always the most likely words: the same image gets the same text, alone or in a batch.
DECODING = {"do_sample": False, "num_beams": 3, "max_new_tokens": 40}
EXPECTED = "expected a BLIP captioning model with safetensors weights, such as Salesforce/blip-image-captioning-large"


class Captioner:
    """A BLIP captioning model that is loaded when it is first asked."""

    def __init__(self, model: str, device: str = "auto") -> None:
        self.model, self.device = model, device

    def describe(self, images: "list[Image]") -> list[str]:
        """One caption per RGB image, whatever the batch."""
        import torch

        network, tokenizer, image_processor = self._parts
        with torch.inference_mode():
            pixels = image_processor(images, return_tensors="pt")["pixel_values"]  # (N, 3, H, W)
            tokens = network.generate(pixel_values=pixels.to(network.device, network.dtype), **DECODING)
        return [" ".join(text.split()) for text in tokenizer.batch_decode(tokens, skip_special_tokens=True)]

    def key(self, content: str) -> str:
        """What the memo keeps the caption of an image under."""
        return f"{content} {self.revision} {DECODING}"

    @cached_property
    def source(self) -> str:
        """The folder, or else the Hugging Face id as it is."""
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
            if path.suffix in FILES:
                digest.update(f"{path.name} {file_hash(path)}\n".encode())
        return digest.hexdigest()

    @cached_property
    def _config(self) -> Any:
        from transformers import AutoConfig

        with self._reading("config"):
            config = AutoConfig.from_pretrained(self.source, trust_remote_code=False)
        if config.model_type != "blip":
            raise ValueError(f"captioner {self.model!r} is a {config.model_type} model: {EXPECTED}")
        return config

    @cached_property
    def _parts(self) -> tuple[Any, Any, Any]:
        """The network on its device, its tokenizer and its image processor."""
        from transformers import AutoImageProcessor, AutoTokenizer, BlipForConditionalGeneration

        config = self._config
        with self._reading("tokenizer or image processor"):
            tokenizer = AutoTokenizer.from_pretrained(self.source, trust_remote_code=False)
            # The Pillow processor everywhere: where torchvision is installed the pixels would differ else.
            image_processor = AutoImageProcessor.from_pretrained(
                self.source, backend="pil", trust_remote_code=False
            )
        with self._reading("weights"):
            network, found = BlipForConditionalGeneration.from_pretrained(
                self.source, config=config, use_safetensors=True, output_loading_info=True
            )
        self._check_parts(sorted(found["missing_keys"]), len(tokenizer), config.text_config.vocab_size)
        with self._reading("device"):
            return network.to(_pick_device(self.device)).eval(), tokenizer, image_processor

    def _check_parts(self, lacking: list[str], known: int, expected: int) -> None:
        if lacking:
            raise ValueError(
                f"captioner {self.model!r}: its weights lack {len(lacking)} tensors, first {lacking[0]}: {EXPECTED}"
            )
        if known < expected / 2:  # without its vocabulary a tokenizer loads all the same and knows nothing
            raise ValueError(
                f"captioner {self.model!r}: its tokenizer knows {known} tokens, expected about {expected}: "
                "save the tokenizer beside the weights with save_pretrained"
            )

    @contextmanager
    def _reading(self, part: str) -> Iterator[None]:
        """Turn what the libraries raise over a part of the model into one ValueError."""
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


def _pick_device(device: str) -> str:
    import torch

    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
