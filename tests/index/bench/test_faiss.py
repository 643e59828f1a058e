"""FAISS beside an engine: its bytes by hand, and its threads given back. The columns: see test_index_sweep."""

import pytest

from mmlab.index.bench.faiss import sweep_faiss
from mmlab.items import Space, Vectors, unit_rows
from tests.index.pairs import random_vectors

VECTORS, QUERIES = random_vectors(1500, 0), random_vectors(40, 1)


def test_an_index_of_faiss_takes_its_bytes():
    """Flat: 1,500 rows of 32 float32 and a head of less than 100 bytes; links come on top."""
    pytest.importorskip("faiss")
    flat, few, many = sweep_faiss(VECTORS, QUERIES, 10, (4, 16), 16, (10,))["disk_mb"] * 1e6
    assert 0 <= flat - 1500 * 32 * 4 < 100
    assert few > flat + 1500 * 4 * 4  # each point has m links of 4 bytes at least
    assert many > few + 1500 * (16 - 4) * 4


def test_faiss_gets_its_threads_back_where_a_search_fails():
    faiss = pytest.importorskip("faiss")
    threads = faiss.omp_get_max_threads()
    narrow = Vectors(QUERIES.ids, unit_rows(QUERIES.array[:, :8]), Space("mmlab/toy", "1", "", "", "", 8))
    with pytest.raises(ValueError, match="mismatch in its core dimension"):
        sweep_faiss(VECTORS, narrow, 10, (4,), 16, (10,))
    assert faiss.omp_get_max_threads() == threads
