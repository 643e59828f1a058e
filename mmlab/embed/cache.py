"""Vectors that were computed once, kept in one SQLite file: content x space -> float32 bytes.

Several processes may use one file at a time. What `put` returned from survives a kill.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmlab.items import Space, SqliteFile

ASKED = 1000  # contents per question

TABLE = """CREATE TABLE IF NOT EXISTS vectors
(space TEXT NOT NULL, content TEXT NOT NULL, vector BLOB NOT NULL, PRIMARY KEY (space, content))"""
KNOWN = """SELECT content, vector FROM vectors
WHERE space = ? AND content IN (SELECT value FROM json_each(?))"""
KEEP = """INSERT INTO vectors VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET vector = excluded.vector
WHERE length(vector) != length(excluded.vector)"""


class VectorCache(SqliteFile):
    """A vector per content and space; `with VectorCache(path) as cache` closes it."""

    def __init__(self, path: str | Path) -> None:
        """Open the file, or make it; ValueError if it is something else than a cache."""
        super().__init__(
            path, TABLE, "a vector cache ({error}): delete it, its vectors can be computed again"
        )

    def get(self, contents: Sequence[str], space: Space) -> tuple[np.ndarray, np.ndarray]:
        """Which contents are here, bool (N,), and their vectors, float32 (N, D), zero where they are not."""
        found = np.zeros(len(contents), dtype=bool)
        vectors = np.zeros((len(contents), space.dimension), dtype=np.float32)
        for start in range(0, len(contents), ASKED):
            known = self._ask(contents[start : start + ASKED], space)
            for place, content in enumerate(contents[start : start + ASKED], start):
                if len(known.get(content, b"")) == 4 * space.dimension:
                    found[place], vectors[place] = True, np.frombuffer(known[content], dtype="<f4")
        return found, vectors

    def put(self, contents: Sequence[str], vectors: np.ndarray, space: Space) -> None:
        """Keep the vectors (N, D) of the contents, all or none of them; a content that is here keeps its first one.

        So processes that work on the same contents at once end with the same vectors, if they `get` them then.
        """
        rows = np.ascontiguousarray(vectors, dtype="<f4")
        values = [(space.key, content, row.tobytes()) for content, row in zip(contents, rows, strict=True)]
        self._connection.execute("BEGIN IMMEDIATE")
        with self._connection:
            self._connection.executemany(KEEP, values)

    def _ask(self, contents: Sequence[str], space: Space) -> dict[str, bytes]:
        return dict(self._connection.execute(KNOWN, (space.key, json.dumps(list(contents)))))
