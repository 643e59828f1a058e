"""Vectors that were computed once, kept in one SQLite file: content x space -> float32 bytes."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmlab.items import Space
from mmlab.items.files import SqliteFile

CONTENTS_PER_QUERY = 1000

TABLE = """CREATE TABLE IF NOT EXISTS vectors
(space TEXT NOT NULL, content TEXT NOT NULL, vector BLOB NOT NULL, PRIMARY KEY (space, content))"""
SELECT = """SELECT content, vector FROM vectors
WHERE space = ? AND content IN (SELECT value FROM json_each(?))"""
INSERT = """INSERT INTO vectors VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET vector = excluded.vector
WHERE length(vector) != length(excluded.vector)"""


class VectorCache(SqliteFile):
    """A vector per content and space, in a file that several processes may use at a time.

    What `put` has returned from survives a kill. `with VectorCache(path) as cache` closes the file at the end.

    >>> from tempfile import TemporaryDirectory
    >>> space = Space("demo", "1", "mean", "", "float32", 2)
    >>> with TemporaryDirectory() as folder, VectorCache(Path(folder) / "vectors.sqlite") as cache:
    ...     cache.put(["a"], np.array([[0.6, 0.8]]), space)
    ...     found, vectors = cache.get(["a", "b"], space)
    >>> found.tolist(), vectors[found].round(1).tolist()
    ([True, False], [[0.6000000238418579, 0.800000011920929]])
    """

    def __init__(self, path: str | Path) -> None:
        """Open the file, or create it; raise ValueError if it is not a vector cache."""
        super().__init__(
            path, TABLE, "a vector cache ({error}): delete it, its vectors can be computed again"
        )

    def get(self, contents: Sequence[str] | np.ndarray, space: Space) -> tuple[np.ndarray, np.ndarray]:
        """Return which contents are known, bool (N,), and their vectors, float32 (N, D), zero for unknown ones."""
        found = np.zeros(len(contents), dtype=bool)
        vectors = np.zeros((len(contents), space.dimension), dtype=np.float32)
        for start in range(0, len(contents), CONTENTS_PER_QUERY):
            part = contents[start : start + CONTENTS_PER_QUERY]
            known = self._select(part, space)
            for position, content in enumerate(part, start):
                if len(known.get(content, b"")) == 4 * space.dimension:
                    found[position], vectors[position] = True, np.frombuffer(known[content], dtype="<f4")
        return found, vectors

    def put(self, contents: Sequence[str] | np.ndarray, vectors: np.ndarray, space: Space) -> None:
        """Keep the vectors (N, D) of the contents, all or none of them; a known content keeps its first vector.

        So processes that embed the same contents at once end with the same vectors, if they `get` them afterwards.
        """
        rows = np.ascontiguousarray(vectors, dtype="<f4")
        values = [(space.key, content, row.tobytes()) for content, row in zip(contents, rows, strict=True)]
        self._connection.execute("BEGIN IMMEDIATE")
        with self._connection:
            self._connection.executemany(INSERT, values)

    def _select(self, contents: Sequence[str] | np.ndarray, space: Space) -> dict[str, bytes]:
        return dict(self._connection.execute(SELECT, (space.key, json.dumps(list(contents)))))
