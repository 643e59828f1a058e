"""Late interaction in two stages against MaxSim with every page: latency, and the share of the same hits.

2,000 pages of 128 token rows of 128 numbers. A page has three of 200 subjects and a part that is its own: each of its
rows is one of these with noise. A query has 16 rows, those of a page with as much noise again.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from mmlab.index import Index, build_index, open_store
from mmlab.index.bench.search_benchmark import percentiles, recall, time_queries
from mmlab.items import ITEM_COLUMNS, Space, Vectors, unit_rows
from mmlab.items.ragged_vectors import TokenVectors
from mmlab.runs.record.run_files import disk_bytes
from tests.bench.figures import Figure
from tests.bench.words import words

PAGES, TOKENS, DIMENSION, SUBJECTS, OF_PAGE, QUERIES, ASKED, K = 2_000, 128, 128, 200, 3, 100, 16, 10
NOISE = 0.7  # of each number, beside subjects of standard deviation 1
LATE = Space("pages", "1", "token vectors", "", "none", DIMENSION)
DENSE = Space("pages", "1", "none", "", "none", DIMENSION)
LEAST_RECALL = 0.95


def retrievers() -> list[Figure]:
    """BM25 beside its peers, then late interaction in two stages and in one, with quantized copies and without."""
    pages, queries = draw_pages()
    return words() + [
        figure for copies in ("none", "scalar", "binary") for figure in _measured(pages, queries, copies)
    ]


def draw_pages() -> tuple[TokenVectors, TokenVectors]:
    """Pages, and queries that ask for some of them."""
    rng = np.random.default_rng(0)
    subjects = rng.standard_normal((SUBJECTS, DIMENSION), dtype=np.float32)
    own = rng.standard_normal((PAGES, 1, DIMENSION), dtype=np.float32)
    middles = np.concatenate([subjects[rng.integers(SUBJECTS, size=(PAGES, OF_PAGE))], own], axis=1)
    rows = middles[np.arange(PAGES)[:, None], rng.integers(OF_PAGE + 1, size=(PAGES, TOKENS))]
    rows += NOISE * rng.standard_normal(rows.shape, dtype=np.float32)
    asked = rows[rng.choice(PAGES, QUERIES, replace=False)][:, :ASKED]
    return _vectors(rows), _vectors(asked + NOISE * rng.standard_normal(asked.shape, dtype=np.float32))


def _vectors(rows: np.ndarray) -> TokenVectors:
    count, each = rows.shape[:2]
    ids = [f"00000000-0000-0000-0000-{number:012x}" for number in range(count)]
    array = unit_rows(rows.reshape(-1, DIMENSION))
    return TokenVectors(np.array(ids), np.arange(count + 1) * each, LATE, array=array)


def _measured(pages: TokenVectors, queries: TokenVectors, copies: str) -> list[Figure]:
    items = pd.DataFrame({"item_id": pages.ids, "modality": "image"}).reindex(columns=list(ITEM_COLUMNS))
    means = pages.pooled()
    with TemporaryDirectory() as folder:
        store = open_store(Path(folder) / "store")
        main = Vectors(means.ids, means.array, DENSE)
        index = build_index(store, "pages", items, [main, pages], quantization=copies, progress=False)
        size = Figure(f"{copies}: on disk", disk_bytes(Path(folder)) / len(pages) / 1000, "kB a page")
        return [*_latencies(index, queries, copies), size]


def _latencies(index: Index, queries: TokenVectors, copies: str) -> list[Figure]:
    exact, whole = time_queries(index, queries, "image", K, exact=True)
    found, staged = time_queries(index, queries, "image", K)
    expected = "" if copies == "binary" else f">= {LEAST_RECALL}"  # whose scores are too coarse
    beside = f"MaxSim with all {PAGES:,} pages: {percentiles(whole)['p50_ms']:.3g} ms"
    return [
        Figure(f"{copies}: two stages, median", percentiles(staged)["p50_ms"], "ms a query", beside),
        Figure(
            f"{copies}: two stages, recall@{K}",
            recall(found, exact),
            "",
            "MaxSim with all pages",
            expected,
        ),
    ]
