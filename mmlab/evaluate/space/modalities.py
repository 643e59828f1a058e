"""Which vectors stand for texts and which for images, where a run has several spaces."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mmlab.items import MODALITIES, Vectors, is_among, main_vectors


def vectors_by_modality(spaces: Sequence[Vectors], items: pd.DataFrame) -> dict[str, Vectors]:
    """The vectors of the texts and those of the images: "text" and "image", in the order of `items`.

    Each are taken from the main space, or from the first that holds any where the main one does not, as with a
    text encoder beside an image encoder. Raises ValueError if no space holds one of the two.
    """
    main = main_vectors(spaces, items)
    sides = {}
    for side in MODALITIES:
        ids = items.loc[items["modality"] == side, "item_id"]
        holding = [vectors for vectors in (main, *spaces) if is_among(ids, vectors.ids).any()]
        if not holding:
            raise ValueError(
                f"no vectors of modality {side!r} in {[v.space.key for v in spaces]}; run 02_embed"
            )
        sides[side] = holding[0].take(ids[is_among(ids, holding[0].ids)])
    return sides


def share_space(sides: Mapping[str, Vectors]) -> bool:
    """Whether texts and images lie in one space, so that a text and an image have a cosine."""
    return sides["text"].space == sides["image"].space


def joint_vectors(sides: Mapping[str, Vectors]) -> Vectors:
    """Texts and images as one; of two spaces none can be made, and there are no rows."""
    text, image = sides["text"], sides["image"]
    if not share_space(sides):
        return Vectors(text.ids[:0], text.array[:0], text.space)
    return Vectors(np.r_[text.ids, image.ids], np.r_[text.array, image.array], text.space)
