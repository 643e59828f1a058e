"""A small set of pairs with two spaces, made of numbers that can be checked by a matrix product."""

from dataclasses import dataclass
from uuid import UUID

import numpy as np
import pandas as pd

from mmlab.items import ITEM_COLUMNS, Space, Vectors, unit_rows

BOTH = Space("mmlab/both", "1", "projected", "", "none", 8)
TEXTS = Space("mmlab/texts", "1", "mean", "", "none", 4)


@dataclass(frozen=True)
class Pairs:
    """Items, vectors of the joint space for all of them, vectors of the text space for the texts, two queries each."""

    items: pd.DataFrame
    both: Vectors
    texts: Vectors
    ask_both: Vectors
    ask_texts: Vectors

    @property
    def vectors(self) -> list[Vectors]:
        """The text space first: the joint one must lead all the same."""
        return [self.texts, self.both]


def make_pairs(pairs: int = 40) -> Pairs:
    """Pair p has an image and p % 3 captions; every fifth image is missing; one text has no pair."""
    rows: list[dict] = []
    for p in range(pairs):
        rows += [_row(p, "image", p)] if p % 5 else []
        rows += [_row(p, "text", 100 * c + p) for c in range(p % 3)]
    rows.append(_row(None, "text", 7))
    items = pd.DataFrame(rows, columns=["item_id", *ITEM_COLUMNS[1:], "price"])
    items["item_id"] = [str(UUID(int=int(i))) for i in np.random.default_rng(1).permutation(len(rows)) + 1]
    texts = items.loc[items["modality"] == "text", "item_id"]
    asked = ["a", "b"]
    return Pairs(
        items,
        _vectors(items["item_id"], BOTH, 0),
        _vectors(texts, TEXTS, 1),
        _vectors(asked, BOTH, 2),
        _vectors(asked, TEXTS, 3),
    )


def _row(pair: int | None, modality: str, price: float) -> dict:
    known = {
        "modality": modality,
        "price": float(price),
        "width": int(price),
        "origin": "image" if modality == "image" else "caption",
    }
    known |= {modality: f"{modality} {price}"}
    return (
        known if pair is None else known | {"pair_id": f"p{pair}", "label": ["cup", "shoe", None][pair % 3]}
    )


def _vectors(ids, space: Space, seed: int) -> Vectors:
    rows = np.random.default_rng(seed).standard_normal((len(ids), space.dimension))
    return Vectors(np.asarray(ids, dtype=str), unit_rows(rows), space)


def random_vectors(count: int, seed: int) -> Vectors:
    """Unit rows of 32 random numbers, with ids that count up."""
    rows = unit_rows(np.random.default_rng(seed).standard_normal((count, 32)))
    ids = [f"00000000-0000-0000-0000-{i:012x}" for i in range(count)]
    return Vectors(ids, rows, Space("mmlab/toy", "1", "projected", "", "none", 32))


def holds_the_same(there, here) -> bool:
    """Whether an index on a server has all items of one in a folder, but for the paths of images."""
    found, expected = there.items(), here.items()
    assert list(found) == list(expected)
    assert found["image"].isna().all()
    return found.drop(columns="image").equals(expected.drop(columns="image"))
