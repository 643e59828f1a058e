"""What every model looks like from the outside, whatever family it comes from."""

from typing import TYPE_CHECKING, Protocol

import numpy as np

from mmlab.items import Space

if TYPE_CHECKING:
    from PIL.Image import Image


class ModelError(ValueError):
    """A model that cannot be used; the message says what was expected, what was found and what to do."""


class Model(Protocol):
    """Puts texts and images into one space. A call is one batch, however long."""

    space: Space
    modalities: tuple[str, ...]

    def embed_texts(self, texts: list[str]) -> np.ndarray:
        """Unit rows, float32 (N, D)."""
        ...

    def embed_images(self, pictures: "list[Image]") -> np.ndarray:
        """Unit rows, float32 (N, D), of RGB pictures of any sizes."""
        ...

    def count_cut(self, texts: list[str]) -> int:
        """How many of the texts are longer than the model's window and lose their end."""
        ...
