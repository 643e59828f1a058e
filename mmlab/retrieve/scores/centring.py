"""The modality gap: texts and images of one space lie in two clouds. Removed by centring each."""

import hashlib
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from mmlab.evaluate.space.geometry import mean_row
from mmlab.items import Space, Vectors, unit_rows


@dataclass(frozen=True)
class Centring:
    """The mean of each modality (D,) in one space; what is centred by it is in a space of its own."""

    text: tuple[float, ...]
    image: tuple[float, ...]
    space: Space

    def __post_init__(self) -> None:
        for name in ("text", "image"):
            mean = tuple(float(value) for value in getattr(self, name))
            if len(mean) != self.space.dimension or not np.isfinite(mean).all():
                raise ValueError(
                    f"centring: expected {self.space.dimension} finite numbers as the mean {name}, found {len(mean)}"
                )
            object.__setattr__(self, name, mean)

    @classmethod
    def fit(cls, texts: Vectors, images: Vectors) -> Self:
        """Learn the means from the collection. SpaceMismatch for two spaces, ValueError where one side is empty."""
        texts.space.check_same(images.space)
        return cls(tuple(mean_row(texts).tolist()), tuple(mean_row(images).tolist()), texts.space)

    def apply(self, vectors: Vectors, modality: str) -> Vectors:
        """The rows less their modality's mean, "text" or "image", as unit rows of the centred space.

        Raises SpaceMismatch for vectors of another space than the means', and ValueError for a row that is the mean.
        """
        if modality not in ("text", "image"):
            raise ValueError(f"modality is 'text' or 'image', found {modality!r}")
        self.space.check_same(vectors.space)
        moved = vectors.array - np.asarray(getattr(self, modality), dtype=np.float32)
        return Vectors(vectors.ids, unit_rows(moved), self.centred_space)

    @property
    def centred_space(self) -> Space:
        """The space with the centring in its preprocessing, told from other means' by 8 digits of a hash."""
        means = np.array([self.text, self.image], dtype="<f8").tobytes()
        digest = hashlib.sha256(means).hexdigest()[:8]
        return replace(self.space, preprocessing=f"{self.space.preprocessing}; centred {digest}")
