"""What all adapters share: the device, preparing and embedding, prompts, unit rows, errors for other kinds of input.

A family adds a class with the parts it reads and `project`. Letters: N inputs, D dimensions.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import (
    AutoFeatureExtractor,
    AutoImageProcessor,
    AutoTokenizer,
    CLIPImageProcessorPil,
    CLIPModel,
)

from mmlab.embed.models.checkpoint import Checkpoint, unreadable_as_model_error
from mmlab.embed.models.int8 import Int8Network
from mmlab.embed.models.interface import (
    Inputs,
    ModelError,
    average_prompts,
    fill_prompts,
    format_prompts,
    unsupported_modality,
)
from mmlab.embed.models.open_clip import read_open_clip_preprocessing, read_open_clip_tensors
from mmlab.embed.models.weights import check_weights
from mmlab.items import Space, unit_rows
from mmlab.items.options import OPTIONS
from mmlab.items.vectors import DENSE

if TYPE_CHECKING:
    from PIL.Image import Image


SAVE_PARTS = "save them beside the weights with save_pretrained"
# SDPA where a family has it, else its plain attention: a config may name code on the hub instead
OUR_ATTENTION = {"attn_implementation": None}
SAVE_CLIP_TOKENIZER = (
    "open_clip keeps CLIP's tokenizer in its own package: once, save it beside the weights with "
    "transformers.AutoTokenizer.from_pretrained('openai/clip-vit-base-patch32').save_pretrained(folder)"
)


class TextTokenizer:
    """A tokenizer with the model's window and prompts; several threads may use it.

    window: the most tokens that the model reads. padding: "longest", or "max_length" for a model that was trained on
    texts padded to the whole window.
    """

    def __init__(
        self, tokenizer: Any, window: int, prompts: tuple[str, ...] = (), padding: str = "longest"
    ) -> None:
        self.tokenizer, self.window, self.prompts, self.padding = tokenizer, window, prompts, padding
        # Truncation and padding are settings of the tokenizer, and counting needs other ones.
        self.lock = Lock()

    def tokenize(self, texts: list[str], prompted: bool = True) -> Inputs:
        """Return input_ids (N x P, T), int64 on the CPU, and attention_mask where the model was trained with one.

        A text longer than the window loses its end. Without `prompted`, the texts stand alone (N, T).
        """
        filled = fill_prompts(texts, self.prompts if prompted else ())
        with self.lock:
            tokens = self.tokenizer(
                filled, padding=self.padding, truncation=True, max_length=self.window, return_tensors="pt"
            )
        return dict(tokens)

    def count_truncated(self, texts: list[str]) -> int:
        """Count the texts that have more tokens than the window within any of their prompts."""
        filled = fill_prompts(texts, self.prompts)
        # An ASCII letter is one token at most, beside start, end and a leading space: most texts surely fit.
        doubtful = [
            position
            for position, text in enumerate(filled)
            if not text.isascii() or len(text) + 3 > self.window
        ]
        if not doubtful:
            return 0
        lengths = self._count_tokens([filled[position] for position in doubtful])
        longer = [
            position for position, length in zip(doubtful, lengths, strict=True) if length > self.window
        ]
        return len(np.unique(np.array(longer, dtype=int) // max(len(self.prompts), 1)))

    def _count_tokens(self, texts: list[str]) -> list[int]:
        """Count the tokens of each whole text, with its start and end."""
        with self.lock:
            if not self.tokenizer.is_fast:
                return [len(ids) for ids in self.tokenizer(texts, verbose=False)["input_ids"]]
            backend = self.tokenizer.backend_tokenizer
            # The next `tokenize` sets both again.
            backend.no_truncation()
            backend.no_padding()
            return [len(found.ids) for found in backend.encode_batch_fast(texts)]


def read_network(kind: Any, checkpoint: Checkpoint, advice: str, optional: str = "", **options: Any) -> Any:
    """Return the network of class `kind` on the CPU, with SDPA attention where the family has it.

    Raises ModelError if a tensor is missing. Only the part called `optional` may be missing: it is None then.
    """
    with unreadable_as_model_error(checkpoint.requested, "weights", "expected weights that fit the config"):
        network, found = _read_tensors(kind, checkpoint, {"config": checkpoint.config} | options)
    missing = sorted(found["missing_keys"])
    if missing and optional and all(name.startswith(f"{optional}.") for name in missing):
        setattr(network, optional, None)
    elif missing:
        raise ModelError(
            f"model {checkpoint.requested!r}: its weights lack {len(missing)} tensors, first {missing[0]}: {advice}"
        )
    return network


def _read_tensors(kind: Any, checkpoint: Checkpoint, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the network and what from_pretrained says about it; the weights lie on this machine."""
    weights = checkpoint.weights
    check_weights(checkpoint.requested, weights)
    options |= {"dtype": checkpoint.dtype, "output_loading_info": True, **OUR_ATTENTION}
    if weights.of_open_clip:
        open_clip: Any = CLIPModel
        return open_clip.from_pretrained(None, state_dict=read_open_clip_tensors(weights), **options)
    return kind.from_pretrained(
        checkpoint.folder, use_safetensors=not weights.pickled, trust_remote_code=False, **options
    )


def read_tokenizer(
    checkpoint: Checkpoint,
    network: Any,
    text_config: Any,
    max_window: int | None = None,
    padding: str = "longest",
) -> TextTokenizer:
    """Return the tokenizer with the window of the network, at most `max_window` tokens.

    Raises ModelError unless it knows about as many tokens as `text_config` says.
    """
    advice = SAVE_CLIP_TOKENIZER if checkpoint.weights.of_open_clip else SAVE_PARTS
    with unreadable_as_model_error(checkpoint.requested, "tokenizer or image processor", advice):
        tokenizer = AutoTokenizer.from_pretrained(checkpoint.folder, trust_remote_code=False)
    check_vocabulary(checkpoint, tokenizer, text_config.vocab_size)
    window = find_window(tokenizer, network, text_config)
    return TextTokenizer(tokenizer, min(window, max_window or window), checkpoint.prompts, padding)


def read_image_processor(checkpoint: Checkpoint) -> Any:
    """Return the image processor."""
    with unreadable_as_model_error(checkpoint.requested, "tokenizer or image processor", SAVE_PARTS):
        if checkpoint.weights.of_open_clip:
            side = checkpoint.config.vision_config.image_size
            repository = checkpoint.weights.repository
            return CLIPImageProcessorPil(
                **read_open_clip_preprocessing(checkpoint.requested, repository, side)
            )
        # The one based on Pillow everywhere: where torchvision is installed, the pixels would differ otherwise.
        return AutoImageProcessor.from_pretrained(checkpoint.folder, backend="pil", trust_remote_code=False)


def read_feature_extractor(checkpoint: Checkpoint) -> Any:
    """Return the feature extractor, which turns waveforms into tensors."""
    with unreadable_as_model_error(checkpoint.requested, "tokenizer or feature extractor", SAVE_PARTS):
        return AutoFeatureExtractor.from_pretrained(checkpoint.folder, trust_remote_code=False)


def check_vocabulary(checkpoint: Checkpoint, tokenizer: Any, expected: int) -> None:
    """Raise ModelError if the tokenizer knows less than half of the expected number of tokens.

    Without its vocabulary file a tokenizer loads all the same, and every text becomes the same vector.
    """
    if len(tokenizer) < expected / 2:
        raise ModelError(
            f"model {checkpoint.requested!r}: its tokenizer knows {len(tokenizer)} tokens, "
            f"expected about {expected}: save the tokenizer beside the weights with save_pretrained"
        )


def find_window(tokenizer: Any, network: torch.nn.Module, text_config: Any) -> int:
    """Return how many tokens the model reads: what the tokenizer says, and no more than there are positions."""
    positions = getattr(text_config, "max_position_embeddings", None)
    for name, part in network.named_modules():
        # RoBERTa and its relatives count positions from the number of the padding token on.
        if name.endswith("position_embeddings") and getattr(part, "padding_idx", None) is not None:
            positions = part.num_embeddings - part.padding_idx - 1
    return min(tokenizer.model_max_length, positions or tokenizer.model_max_length)


PRECISIONS = OPTIONS["precision"]
INT8 = "int8"

# Threads that use one accelerator at once wait for the interpreter longer than they compute. All models share one lock:
# `sdpa_kernel` sets and restores a setting of the whole process.
DEVICE_LOCK = Lock()
# All kinds of attention but cuDNN's. Torch prefers that on Hopper in bfloat16, where it plans each new shape for 40 ms,
# once per thread.
ATTENTION = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


def pick_device(device: str) -> torch.device:
    """Return the device of this name; "auto" is CUDA if there is one, else Apple's MPS, else the CPU.

    Raises ValueError if the device is not there.

    >>> pick_device("cpu")
    device(type='cpu')
    """
    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    if torch.cuda.is_available():
        available.insert(0, "cuda")
    if device == "auto":
        return torch.device(available[0])
    if device.split(":")[0] not in available:
        raise ValueError(f"device: expected auto or one of {', '.join(available)}, found {device!r}")
    return torch.device(device)


def pick_precision(precision: str, device: torch.device) -> str:
    """Return the precision; "auto" is bfloat16 where the hardware computes faster in it, else float32.

    Raises ValueError for an unknown precision, and for int8 on an accelerator.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision: expected one of {', '.join(PRECISIONS)}, found {precision!r}")
    if precision == INT8 and device.type != "cpu":
        raise ValueError(f"precision: int8 is computed on the CPU, found the device {device}: give bfloat16")
    if precision != "auto":
        return precision
    return "bfloat16" if _computes_in_bfloat16(device) else "float32"


@contextmanager
def device_lock(device: torch.device) -> Iterator[None]:
    """Give an accelerator to this thread alone, with attention by ATTENTION only; do nothing on the CPU."""
    if device.type == "cpu":
        yield
    else:
        with DEVICE_LOCK, sdpa_kernel(ATTENTION):
            yield


def _computes_in_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        # An older torch does not know its processor, and stays with float32.
        found: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
        return bool(found.get("amx_bf16") or found.get("avx512_bf16"))
    return False


class Adapter(ABC):
    """A network behind `mmlab.embed.Model`; a subclass names its modalities and projects prepared inputs."""

    modalities: tuple[str, ...] = ("text", "image")
    tells_queries_apart = False
    advice = "give a model that embeds both texts and images, such as CLIP or SigLIP"

    def __init__(
        self,
        checkpoint: Checkpoint,
        network: Any,
        pooling: str,
        tokenizer: TextTokenizer | None = None,
        processor: Any = None,
    ) -> None:
        self.checkpoint, self.tokenizer, self.processor = checkpoint, tokenizer, processor
        self.network = network.to(checkpoint.device).eval()
        self.dtype = checkpoint.dtype
        self.int8: dict[str, Int8Network] = {}
        self.prompts = checkpoint.prompts if tokenizer else ()
        self.kept: int | None = None
        space = Space(
            model=checkpoint.name,
            revision=checkpoint.revision,
            pooling=pooling,
            prompt=format_prompts(self.prompts),
            preprocessing=self.describe_preprocessing(),
            dimension=self._measure_dimension(),
        )
        kept = checkpoint.truncate_dim if space.kind == DENSE else 0
        self.space = space.truncate(kept or space.dimension)
        self.kept = self.space.dimension

    @abstractmethod
    def project(self, modality: str, inputs: Inputs) -> torch.Tensor:
        """Return the vectors (N, D), of any length, of prepared inputs on the model's device."""

    def describe_preprocessing(self) -> str:
        """Return the preprocessing of the space: what vectors depend on beside the weights, the precision last."""
        processors = [type(self.processor).__name__] if self.processor else []
        windows = [f"{self.tokenizer.window} tokens"] if self.tokenizer else []
        return ", ".join([*processors, *windows, self.checkpoint.precision])

    @property
    def device(self) -> str:
        """The device of the network, such as "cpu" or "cuda"."""
        return str(self.checkpoint.device)

    def embed_texts(self, texts: list[str]) -> np.ndarray:
        """Return unit rows, float32 (N, D); a text longer than the window loses its end."""
        return self.embed_prepared("text", self.prepare_texts(texts))

    def embed_queries(self, texts: list[str]) -> np.ndarray:
        """Return the same as `embed_texts`: this family has no query prompt."""
        return self.embed_texts(texts)

    def embed_images(self, images: "list[Image]") -> np.ndarray:
        """Return unit rows, float32 (N, D)."""
        return self.embed_prepared("image", self.prepare_images(images))

    def embed_both(self, texts: list[str], images: "list[Image]", as_queries: bool = False) -> np.ndarray:
        """Raise ModelError: this family takes no image and text as one input."""
        raise ModelError(
            f"{self.checkpoint.name} takes no image and text as one input: give a vision-language model such as "
            "Qwen/Qwen3-VL-Embedding-2B, or mix the vectors of both (fusion early)"
        )

    def embed_audio(self, waveforms: list[np.ndarray]) -> np.ndarray:
        """Return unit rows, float32 (N, D), of mono waveforms, float32 (samples,) in [-1, 1] at `sampling_rate` Hz."""
        return self.embed_prepared("audio", self.prepare_audio(waveforms))

    def embed_videos(self, videos: "list[list[Image]]") -> np.ndarray:
        """Return unit rows, float32 (N, D), of videos, each a list of RGB frames in order."""
        return self.embed_prepared("video", self.prepare_videos(videos))

    def prepare_texts(self, texts: list[str]) -> Inputs:
        """Return token tensors on the CPU."""
        return self._text_tokenizer().tokenize(texts)

    def prepare_images(self, images: "list[Image]") -> Inputs:
        """Return pixel tensors on the CPU."""
        self._check("image")
        return dict(self.processor(images, return_tensors="pt"))

    def prepare_audio(self, waveforms: list[np.ndarray]) -> Inputs:
        """Return tensors on the CPU, of waveforms as `embed_audio` takes them."""
        raise unsupported_modality(self.checkpoint.name, self.modalities, "audio")

    def prepare_videos(self, videos: "list[list[Image]]") -> Inputs:
        """Return tensors on the CPU, of videos as `embed_videos` takes them."""
        raise unsupported_modality(self.checkpoint.name, self.modalities, "video")

    def stack(self, prepared: list[Inputs]) -> Inputs:
        """Return one batch of what was prepared one by one."""
        return {name: self._join(name, [single[name] for single in prepared]) for name in prepared[0]}

    def _join(self, name: str, values: list[Any]) -> Any:
        if isinstance(values[0], list):
            return [one for own in values for one in own]
        return torch.cat(values) if isinstance(values[0], torch.Tensor) else values[0]

    @torch.inference_mode()
    def embed_prepared(self, modality: str, prepared: Inputs) -> np.ndarray:
        """Return unit rows, float32 (N, D), of prepared inputs; raise ModelError if one is zero or not finite."""
        self._check(modality)
        with device_lock(self.checkpoint.device):
            rows = self.as_unit_rows(self._compute(modality, prepared)[:, : self.kept])
        return average_prompts(rows, self.prompts) if modality == "text" else rows

    def as_unit_rows(self, rows: np.ndarray) -> np.ndarray:
        """Return rows (N, D) divided by their norm; raise ModelError if one is zero or not finite."""
        try:
            return unit_rows(rows)
        except ValueError as error:
            raise ModelError(
                f"model {self.checkpoint.requested!r} in {self.checkpoint.precision}: {error}; "
                "give precision float32, or check whether its weights are damaged"
            ) from error

    def _compute(self, modality: str, prepared: Inputs) -> np.ndarray:
        """Return the rows (N, D), float32, of prepared inputs."""
        if self.checkpoint.precision != INT8:
            return self.project(modality, self.to_device(prepared)).float().cpu().numpy()
        if modality not in self.int8:
            self.int8[modality] = self._convert(modality)
        return self.int8[modality].embed(prepared)

    def _convert(self, modality: str) -> Int8Network:
        """Return the tower of this modality in int8."""
        identity = [type(self).__name__, self.checkpoint.revision, modality]
        sample, other = self._prepare_sample(modality, 2), self._prepare_sample(modality, 3)
        return Int8Network(
            self.checkpoint.requested, identity, self.network, partial(self.project, modality), sample, other
        )

    def count_truncated(self, texts: list[str], as_queries: bool = False) -> int:
        """Count the texts that have more tokens than the window."""
        return self._text_tokenizer().count_truncated(texts)

    def to_device(self, prepared: Inputs) -> Inputs:
        """Return the inputs on the model's device, floating point numbers in the model's precision."""

        def move(value: Any) -> Any:
            if not isinstance(value, torch.Tensor):
                return value
            return value.to(self.network.device, self.dtype if value.is_floating_point() else None)

        return {name: move(value) for name, value in prepared.items()}

    def _text_tokenizer(self) -> TextTokenizer:
        if self.tokenizer is None:
            raise unsupported_modality(self.checkpoint.name, self.modalities, "text")
        return self.tokenizer

    def _check(self, modality: str) -> None:
        if modality not in self.modalities:
            raise unsupported_modality(self.checkpoint.name, self.modalities, modality)

    def _measure_dimension(self) -> int:
        with unreadable_as_model_error(self.checkpoint.requested, "vectors", self.advice):
            shapes = {name: self._embed_sample(name).shape for name in self.modalities}
        if len(set(shapes.values())) > 1 or any(len(shape) != 2 for shape in shapes.values()):
            found = ", ".join(f"{name} becomes {shape[1:]}" for name, shape in shapes.items())
            raise ModelError(f"model {self.checkpoint.requested!r}: {found}: {self.advice}")
        return shapes[self.modalities[0]][1]

    def _embed_sample(self, modality: str) -> np.ndarray:
        return self.embed_prepared(modality, self._prepare_sample(modality, 1))

    def _prepare_sample(self, modality: str, count: int) -> Inputs:
        """Return simple inputs of this modality, another number of other sizes."""
        from PIL import Image

        if modality == "text":
            return self.prepare_texts(["a", "a red shoe", "a shoe and a lamp"][:count])
        if modality == "audio":
            wave = np.sin(np.arange(16_000 * count) / 20).astype(np.float32)
            return self.prepare_audio([wave[16_000 * number :] for number in range(count)])
        colours = [
            Image.new("RGB", (64, 64 + 32 * count), colour) for colour in ("grey", "red", "blue")[:count]
        ]
        return (
            self.prepare_images(colours)
            if modality == "image"
            else self.prepare_videos([[one] for one in colours])
        )
