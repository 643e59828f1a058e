"""What all adapters share: the two halves and their whole, prompts, unit rows, and refusals.

A family adds its own class with the parts it reads and `project`. Letters: N inputs, D dimensions.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from mmlab.embed.models.checkpoint import Checkpoint, reading
from mmlab.embed.models.model import ModelError, refusal
from mmlab.embed.models.prompts import average, describe
from mmlab.items import Space, unit_rows

if TYPE_CHECKING:
    from PIL.Image import Image

# Threads that hand one accelerator their work at once wait for the interpreter more than they compute. One lock for all
# models: what `sdpa_kernel` sets and puts back is the whole process's.
TURN = Lock()
# All but cuDNN's, which torch prefers on Hopper in bfloat16: it plans each new shape for 40 ms, in each thread anew.
ATTENTION = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


class Adapter(ABC):
    """A network behind `mmlab.embed.Model`; a subclass names its modalities and projects what was prepared."""

    modalities: tuple[str, ...] = ("text", "image")
    advice = "give a model that embeds both texts and images, such as CLIP or SigLIP"

    def __init__(
        self, checkpoint: Checkpoint, network: Any, pooling: str, reader: Any = None, processor: Any = None
    ) -> None:
        self.checkpoint, self.reader, self.processor = checkpoint, reader, processor
        self.network = network.to(checkpoint.device).eval()
        self.dtype = getattr(torch, checkpoint.precision)
        self.prompts = checkpoint.prompts if "text" in self.modalities else ()
        self.space = Space(
            model=checkpoint.name,
            revision=checkpoint.revision,
            pooling=pooling,
            prompt=describe(self.prompts),
            preprocessing=self.describe_preprocessing(),
            dimension=self._measure_dimension(),
        )

    @abstractmethod
    def project(self, modality: str, inputs: dict[str, Any]) -> torch.Tensor:
        """The vectors (N, D), of any length, of prepared inputs on the model's device."""

    def describe_preprocessing(self) -> str:
        """The preprocessing of the space: what decides over vectors beside the weights, the precision last."""
        processors = [type(self.processor).__name__] if self.processor else []
        windows = [f"{self.window} tokens"] if self.reader else []
        return ", ".join([*processors, *windows, self.checkpoint.precision])

    @property
    def device(self) -> str:
        """Where the network is, such as "cpu" or "cuda"."""
        return str(self.checkpoint.device)

    @property
    def window(self) -> int:
        """How many tokens of a text the model reads."""
        return self.reader.window

    def embed_texts(self, texts: list[str]) -> np.ndarray:
        """Unit rows, float32 (N, D); a text longer than `window` tokens loses its end."""
        return self.embed_prepared("text", self.prepare_texts(texts))

    def embed_queries(self, texts: list[str]) -> np.ndarray:
        """As `embed_texts`: this family has no prompt of its own for queries."""
        return self.embed_texts(texts)

    def embed_images(self, images: "list[Image]") -> np.ndarray:
        """Unit rows, float32 (N, D)."""
        return self.embed_prepared("image", self.prepare_images(images))

    def embed_audio(self, waveforms: list[np.ndarray]) -> np.ndarray:
        """Unit rows, float32 (N, D), of mono waveforms, float32 (samples,) in [-1, 1] at `sampling_rate` Hz."""
        return self.embed_prepared("audio", self.prepare_audio(waveforms))

    def embed_videos(self, videos: "list[list[Image]]") -> np.ndarray:
        """Unit rows, float32 (N, D), of videos as lists of RGB frames in order, any number of frames."""
        return self.embed_prepared("video", self.prepare_videos(videos))

    def prepare_texts(self, texts: list[str]) -> dict[str, Any]:
        """Token tensors on the CPU."""
        self._check("text")
        return self.reader.read(texts)

    def prepare_images(self, images: "list[Image]") -> dict[str, Any]:
        """Pixel tensors on the CPU."""
        self._check("image")
        return dict(self.processor(images, return_tensors="pt"))

    def prepare_audio(self, waveforms: list[np.ndarray]) -> dict[str, Any]:
        """Tensors on the CPU, of waveforms as `embed_audio` takes them."""
        raise refusal(self.checkpoint.name, self.modalities, "audio")

    def prepare_videos(self, videos: "list[list[Image]]") -> dict[str, Any]:
        """Tensors on the CPU, of videos as `embed_videos` takes them."""
        raise refusal(self.checkpoint.name, self.modalities, "video")

    @torch.inference_mode()
    def embed_prepared(self, modality: str, prepared: dict[str, Any]) -> np.ndarray:
        """Unit rows, float32 (N, D), of prepared inputs. ModelError if a vector is zero or not finite."""
        self._check(modality)
        with self.turn():
            rows = self.project(modality, self.on_device(prepared)).float().cpu().numpy()
        try:
            rows = unit_rows(rows)
        except ValueError as error:
            raise ModelError(
                f"model {self.checkpoint.asked!r} in {self.checkpoint.precision}: {error}; "
                "give precision float32, or see whether its weights are damaged"
            ) from error
        return average(rows, self.prompts) if modality == "text" else rows

    @contextmanager
    def turn(self) -> Iterator[None]:
        """The device for this thread alone and attention by ATTENTION only, where it is an accelerator."""
        if self.checkpoint.device.type == "cpu":
            yield
        else:
            with TURN, sdpa_kernel(ATTENTION):
                yield

    def count_cut(self, texts: list[str]) -> int:
        """How many of the texts have more tokens than the window."""
        self._check("text")
        return self.reader.count_cut(texts)

    def on_device(self, prepared: dict[str, Any]) -> dict[str, Any]:
        """The same on the model's device, numbers with a point in the model's precision."""

        def move(value: Any) -> Any:
            if not isinstance(value, torch.Tensor):
                return value
            return value.to(self.network.device, self.dtype if value.is_floating_point() else None)

        return {name: move(value) for name, value in prepared.items()}

    def _check(self, modality: str) -> None:
        if modality not in self.modalities:
            raise refusal(self.checkpoint.name, self.modalities, modality)

    def _measure_dimension(self) -> int:
        with reading(self.checkpoint.asked, "vectors", self.advice):
            shapes = {modality: self._probe(modality).shape for modality in self.modalities}
        if len(set(shapes.values())) > 1 or any(len(shape) != 2 for shape in shapes.values()):
            found = ", ".join(f"{name} becomes {shape[1:]}" for name, shape in shapes.items())
            raise ModelError(f"model {self.checkpoint.asked!r}: {found}: {self.advice}")
        return shapes[self.modalities[0]][1]

    def _probe(self, modality: str) -> np.ndarray:
        """The vector of the simplest input of this modality."""
        from PIL import Image

        grey = Image.new("RGB", (64, 64), "grey")
        embed, probe = {
            "text": (self.embed_texts, "a"),
            "image": (self.embed_images, grey),
            "audio": (self.embed_audio, np.sin(np.arange(16_000) / 20).astype(np.float32)),
            "video": (self.embed_videos, [grey]),
        }[modality]
        return embed([probe])
