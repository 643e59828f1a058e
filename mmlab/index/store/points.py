"""Points as they are stored: ids, payloads and vectors, with a fingerprint that says whether one has changed."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmlab.index.schema.fields import FINGERPRINT
from mmlab.index.store.engine import Payload, Row
from mmlab.items import Vectors

ITEM_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Points:
    """N points: ids (N,), payloads, and for each name of a vector ("" for the only one) vectors and row numbers.

    The row numbers (N,) say which row of the vectors is the point's, -1 if it has none of that name.
    """

    ids: np.ndarray
    payloads: list[Payload]
    vectors: Mapping[str, tuple[Vectors, np.ndarray]]

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, positions: slice | np.ndarray) -> list[Row]:
        """Return the vectors of the points at these positions, as an engine takes them."""
        if "" in self.vectors:
            vectors, numbers = self.vectors[""]
            return vectors.array[numbers[positions]].tolist()
        rows: list[dict[str, list[float]]] = [{} for _ in self.ids[positions]]
        for name, (vectors, numbers) in self.vectors.items():
            present = np.flatnonzero(numbers[positions] >= 0)
            found = vectors.array[numbers[positions][present]].tolist()
            for i, row in zip(present, found, strict=True):
                rows[i][name] = row
        return [*rows]

    def with_fingerprints(self, positions: Sequence[int], fingerprints: Sequence[int]) -> "Points":
        """Return the points at these positions; `fingerprints` of all points (N,) go into their payloads."""
        payloads = [{**self.payloads[i], FINGERPRINT: fingerprints[i]} for i in positions]
        chosen = np.asarray(positions, dtype=int)
        vectors = {name: (rows, numbers[chosen]) for name, (rows, numbers) in self.vectors.items()}
        return Points(self.ids[chosen], payloads, vectors)

    def fingerprints(self) -> list[int]:
        """Return a whole number of 60 bits per point, which changes with its payload or one of its vectors."""
        hashes = [hashlib.sha256(repr(payload).encode()) for payload in self.payloads]
        for name, (vectors, numbers) in self.vectors.items():
            rows, size = vectors.array.data.cast("B"), 4 * vectors.space.dimension
            for i in np.flatnonzero(numbers >= 0).tolist():
                start = size * int(numbers[i])
                hashes[i].update(name.encode())
                hashes[i].update(rows[start : start + size])
        return [int(one.hexdigest()[:15], 16) for one in hashes]


def check_item_ids(ids: Sequence[str] | np.ndarray) -> list[str]:
    """Return the ids if all are item ids; raise ValueError otherwise: engines would change another spelling."""
    ids = [str(item) for item in ids]
    wrong = [item for item in ids if not ITEM_ID.fullmatch(item)]
    if wrong:
        raise ValueError(
            f"an item_id is a lower-case uuid as mmlab.items.item_id makes it; found {wrong[0]!r}"
        )
    return ids


def unique_item_ids(ids: Sequence[str]) -> list[str]:
    """Return the different ids that are item ids: an engine cannot be asked for others."""
    return [item for item in dict.fromkeys(map(str, ids)) if ITEM_ID.fullmatch(item)]
