"""BM25 over 100,000 texts in an index, beside bm25s over the same tokens and beside dense vectors of 384 numbers.

Texts are drawn: 8 to 16 of 30,000 words, a word as often as Zipf's law has it; each query has 4 words of a text.
"""

import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from mmlab.index import Hnsw, build_index, open_store
from mmlab.index.bench.search_benchmark import percentiles, time_queries
from mmlab.index.engines.bm25 import WordModel, WordSettings, word_vectors
from mmlab.items import ITEM_COLUMNS, Space, Vectors, unit_rows
from mmlab.items.ragged_vectors import SparseVectors
from tests.bench.figures import Figure

TEXTS, WORDS, QUERIES, K = 100_000, 30_000, 300, 10
DENSE = Space("drawn", "1", "none", "", "none", 384)
TINY = Space("drawn", "1", "none", "", "none", 2)  # an index has a dense space
PLAIN = WordSettings(language="none")


def words() -> list[Figure]:
    """Seconds to make and index the words, bytes a text, and the median of a query, beside bm25s and dense vectors."""
    texts, asked = draw_texts()
    ids = [f"00000000-0000-0000-0000-{number:012x}" for number in range(TEXTS)]
    items = pd.DataFrame({"item_id": ids, "modality": "text", "text": texts}).reindex(
        columns=list(ITEM_COLUMNS)
    )
    rng = np.random.default_rng(1)
    dense, tiny = (
        Vectors(ids, unit_rows(rng.standard_normal((TEXTS, one.dimension), dtype=np.float32)), one)
        for one in (DENSE, TINY)
    )
    started = time.perf_counter()
    found = word_vectors(items, PLAIN)
    made = time.perf_counter() - started
    queries = WordModel.of(found.space).ask([f"q{i}" for i in range(QUERIES)], asked)
    vectors = dense.take(ids[:QUERIES])
    with TemporaryDirectory() as folder:
        dense_s, dense_ms = _indexed(Path(folder) / "dense", items, [dense], vectors, Hnsw(m=16))
        without_graph = Hnsw(scan_kb=1_000_000)
        words_s, words_ms = _indexed(Path(folder) / "words", items, [tiny, found], queries, without_graph)
    other_s, other_ms = _bm25s(texts, asked)
    named = f"{TEXTS:,} texts"
    return [
        Figure(f"bm25, {named}: words of texts", made, "s", f"bm25s: {other_s:.1f} s, tokens split already"),
        Figure(f"bm25, {named}: into an index", words_s, "s", f"dense vectors with a graph: {dense_s:.1f} s"),
        Figure(f"bm25, {named}: size", _bytes(found), "bytes a text", f"dense vectors: {4 * 384:,}"),
        Figure(
            f"bm25, {named}: a query, median", words_ms, "ms", f"bm25s {other_ms:.2f}, dense {dense_ms:.2f}"
        ),
    ]


def draw_texts() -> tuple[list[str], list[str]]:
    """Texts, and queries of four words each of which one text has."""
    rng = np.random.default_rng(0)
    chances = 1 / np.arange(1, WORDS + 1)
    drawn = rng.choice(WORDS, size=(TEXTS, 16), p=chances / chances.sum())
    lengths = rng.integers(8, 17, TEXTS)
    texts = [
        " ".join(f"w{word}" for word in row[:length]) for row, length in zip(drawn, lengths, strict=True)
    ]
    return texts, [" ".join(text.split()[:4]) for text in rng.choice(texts, QUERIES)]


def _indexed(
    folder: Path, items: pd.DataFrame, vectors: list, queries: Vectors | SparseVectors, hnsw: Hnsw
) -> tuple[float, float]:
    """Seconds of the build, and the median milliseconds of a query."""
    started = time.perf_counter()
    index = build_index(open_store(folder), "words", items, vectors, hnsw=hnsw, progress=False)
    built = time.perf_counter() - started
    _, spent = time_queries(index, queries, "text", K)
    return built, percentiles(spent)["p50_ms"]


def _bm25s(texts: list[str], asked: list[str]) -> tuple[float, float]:
    import bm25s

    tokens = [text.split() for text in texts]
    other = bm25s.BM25(k1=1.2, b=0.75, method="lucene")
    started = time.perf_counter()
    other.index(tokens, show_progress=False)
    built = time.perf_counter() - started
    retrieve = partial(other.retrieve, k=K, show_progress=False, n_threads=0)
    spent = []
    for query in asked:
        started = time.perf_counter()
        retrieve([query.split()])
        spent.append(1000 * (time.perf_counter() - started))
    return built, float(np.median(spent[20:]))


def _bytes(vectors: SparseVectors) -> float:
    return (vectors.indices.nbytes + vectors.weights.nbytes) / len(vectors)
