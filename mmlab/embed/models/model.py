"""What every model looks like from the outside, whatever family it comes from. Letters: N inputs, D dimensions."""

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mmlab.items import Space

if TYPE_CHECKING:
    from PIL.Image import Image

INSTEAD = {
    "text": "a text encoder such as sentence-transformers/all-mpnet-base-v2",
    "image": "a model of texts and images such as openai/clip-vit-base-patch32",
    "audio": "a model of texts and audio such as laion/clap-htsat-unfused",
    "video": "a model of texts and videos such as microsoft/xclip-base-patch32",
}


class ModelError(ValueError):
    """A model that cannot be used; the message says what was expected, what was found and what to do."""


class Model(Protocol):
    """Puts inputs of the kinds in `modalities` into one space. A call is one batch, however long.

    A method for another kind of input raises ModelError. What `prepare_texts` and `prepare_images` return is
    on the CPU and can be pickled; they touch no weights and may run in several threads beside the model.
    """

    space: Space
    device: str  # such as "cpu" or "cuda"
    modalities: tuple[str, ...]  # of "text", "image", "audio", "video"

    def embed_texts(self, texts: list[str]) -> np.ndarray:
        """Unit rows, float32 (N, D)."""
        ...

    def embed_queries(self, texts: list[str]) -> np.ndarray:
        """As `embed_texts`, behind the model's own prompt for queries where it has one. The same space."""
        ...

    def embed_images(self, images: "list[Image]") -> np.ndarray:
        """Unit rows, float32 (N, D), of RGB images of any sizes."""
        ...

    def prepare_texts(self, texts: list[str]) -> dict[str, Any]:
        """The tensors that the model reads, a row per text and prompt."""
        ...

    def prepare_images(self, images: "list[Image]") -> dict[str, Any]:
        """The tensors that the model reads, a row per image."""
        ...

    def embed_prepared(self, modality: str, prepared: dict[str, Any]) -> np.ndarray:
        """Unit rows, float32 (N, D), of what the method that prepares this modality returned."""
        ...

    def count_cut(self, texts: list[str]) -> int:
        """How many of the texts, within their prompt, are longer than the model's window and lose their end."""
        ...


class Matcher(Protocol):
    """A model that reads a text and an image together: slower than two vectors, and more exact."""

    def match(self, texts: list[str], images: "list[Image]") -> np.ndarray:
        """Probabilities in [0, 1], float32 (N,), that text i belongs to image i."""
        ...


def refusal(model: str, modalities: tuple[str, ...], wanted: str) -> ModelError:
    """The error for an input of a kind that this model does not embed."""
    known = " and ".join(modalities)
    return ModelError(f"{model} embeds {known} only, found {wanted}: give {INSTEAD[wanted]}")
