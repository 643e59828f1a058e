"""A sweep builds what it compares, or refuses; and leaves nothing behind."""

import pandas as pd
import pytest
from qdrant_client import QdrantClient

from mmlab.index import build_index, open_store, sweep_index
from mmlab.index.bench.index_sweep import NotTunable, sweep_faiss
from mmlab.index.engines.edge_engine import EdgeEngine
from mmlab.index.store.store import Store
from mmlab.items.tables import TooFew
from tests.index.pairs import random_vectors

VECTORS, QUERIES = random_vectors(1500, 0), random_vectors(40, 1)
IMAGES, TEXTS = VECTORS.take(VECTORS.ids[:1000]), VECTORS.take(VECTORS.ids[1000:])
ASKED = {"image": QUERIES, "text": QUERIES}
SEARCHED = {"image": (IMAGES, QUERIES), "text": (TEXTS, QUERIES)}


def items_of(vectors):
    """Every third item is a text; labels have a payload index."""
    rows = {"item_id": vectors.ids, "modality": "image", "pair_id": None, "label": "cup"}
    items = pd.DataFrame(rows)
    items.loc[items["item_id"].isin(TEXTS.ids), ["modality", "label"]] = ["text", "shoe"]
    return items


@pytest.fixture(scope="module")
def swept() -> pd.DataFrame:
    return sweep_index(
        items_of(VECTORS),
        VECTORS,
        ASKED,
        10,
        m=(4, 16),
        ef_construct=(16,),
        ef=(10, 200),
        quantizations=("none", "binary"),
        oversampling=(1.0, 4.0),
        on_disk=(False, True),
    )


def test_a_row_for_exact_search_and_for_every_setting(swept):
    graphs = swept.groupby(["m", "quantization", "on_disk"], sort=False).size()
    assert graphs.to_dict() == {
        (4, "none", False): 3,  # exact search, and two ef
        (16, "none", False): 2,
        (16, "binary", False): 6,  # alone and rescored from 1 and 4 k, with two ef
        (16, "none", True): 2,
        (16, "binary", True): 6,
    }
    assert swept["engine"].tolist() == ["exact"] + ["Qdrant HNSW"] * 18
    assert swept["recall"].iloc[0] == 1
    assert (swept["recall"] == swept[["recall_image", "recall_text"]].min(axis=1)).all()
    assert (swept["oversampling"].notna() == swept["rescored"]).all()
    costs = ["p50_ms", "p95_ms", "p99_ms", "upsert_s", "build_s", "memory_mb", "disk_mb"]
    assert (swept[costs] > 0).all(axis=None)


def recall(swept: pd.DataFrame, m: int, ef: int, kind: str = "none", times: float = 0) -> float:
    of = (swept["m"] == m) & (swept["ef"] == ef) & (swept["quantization"] == kind) & ~swept["on_disk"]
    (found,) = swept.loc[of & (swept["oversampling"].fillna(0) == times), "recall"]
    return found


def test_the_settings_have_their_effect(swept):
    """More candidates and rescoring of more find more; one bit of 32 random numbers says little."""
    assert recall(swept, 4, 10) < recall(swept, 4, 200)
    assert recall(swept, 16, 10) < recall(swept, 16, 200)
    alone, some, more = (recall(swept, 16, 200, "binary", times) for times in (0, 1, 4))
    assert max(alone, some) < more < recall(swept, 16, 200)


def test_an_engine_that_ignores_the_settings_is_not_swept():
    store = open_store(QdrantClient(":memory:"))
    with pytest.raises(
        NotTunable, match="scans all vectors and ignores the settings of graph and quantization"
    ):
        sweep_index(items_of(VECTORS), VECTORS, ASKED, 10, store=store)


def test_without_a_graph_there_is_nothing_to_tune_and_nothing_is_left(tmp_path):
    store = open_store(tmp_path)
    few = random_vectors(50, 0)
    with pytest.raises(TooFew, match="no graph was built: 50 points with 0 in the graph"):
        sweep_index(items_of(few), few, {"image": QUERIES}, 10, store=store)
    assert store.collections() == []


def test_a_given_store_is_left_as_it_was(tmp_path):
    store = open_store(tmp_path)
    few = random_vectors(5, 2)
    items = pd.DataFrame({"item_id": few.ids, "modality": "image"})
    build_index(store, "mmlab-sweep", items, [few], "separate", quantization="none", progress=False)
    before = store.collections()
    sweep_index(
        items_of(VECTORS),
        VECTORS,
        ASKED,
        10,
        m=(4,),
        ef_construct=(16,),
        ef=(10,),
        quantizations=(),
        store=store,
    )
    assert store.collections() == before == ["mmlab-sweep-separate-image"]
    assert store.count(before[0]) == 5


class Silent(EdgeEngine):
    """Tells as little of its sizes as a server does."""

    def info(self, name):
        return super().info(name) | {"disk_bytes": None}

    def resident_bytes(self, name, rows, search):
        return None


def test_sizes_that_the_engine_does_not_tell_are_missing_and_not_zero(tmp_path):
    store = Store(Silent(tmp_path, 1.0))
    table = sweep_index(
        items_of(VECTORS), VECTORS, ASKED, 10, "separate", (4,), (16,), (10,), quantizations=(), store=store
    )
    assert table[["disk_mb", "memory_mb"]].dtypes.tolist() == [float, float]
    assert table[["disk_mb", "memory_mb"]].isna().all(axis=None)


def test_faiss_is_measured_in_the_same_columns(swept):
    faiss = pytest.importorskip("faiss")
    threads = faiss.omp_get_max_threads()
    table = sweep_faiss(SEARCHED, 10, (4, 16), 16, (10, 200))
    assert table["engine"].tolist() == ["FAISS flat"] + ["FAISS HNSW"] * 4
    assert set(table.columns) == set(swept.columns)
    assert table["recall"].iloc[0] == 1
    assert table["recall"].iloc[1] < table["recall"].iloc[4]
    assert faiss.omp_get_max_threads() == threads


def test_an_index_of_faiss_takes_its_bytes():
    """Flat: 1,500 rows of 32 float32 and two heads of less than 100 bytes; links come on top."""
    pytest.importorskip("faiss")
    flat, few, many = sweep_faiss(SEARCHED, 10, (4, 16), 16, (10,))["disk_mb"] * 1e6
    assert 0 <= flat - 1500 * 32 * 4 < 200
    assert few > flat + 1500 * 4 * 4  # each point has m links of 4 bytes at least
    assert many > few + 1500 * (16 - 4) * 4


def test_faiss_gets_its_threads_back_where_a_search_fails():
    faiss = pytest.importorskip("faiss")
    threads = faiss.omp_get_max_threads()
    with pytest.raises(AssertionError):  # FAISS itself refuses to look for 0 neighbours
        sweep_faiss(SEARCHED, 0, (4,), 16, (10,))
    assert faiss.omp_get_max_threads() == threads
