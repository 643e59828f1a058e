"""One contract for all kinds of vectors, in every layout, on every engine: the index finds what a scan finds."""

from uuid import UUID

import numpy as np
import pandas as pd
import pytest

from mmlab.index import build_index, open_index, open_store, push
from mmlab.index.engines.bm25 import word_vectors
from mmlab.index.store.layouts import LAYOUTS
from mmlab.items import Space, SpaceMismatch, Vectors, exact_search, unit_rows
from mmlab.items.ragged_vectors import TokenVectors
from mmlab.retrieve.scores.fuse import fuse
from tests.index.conftest import opened

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact"),
]
WORDS = [
    "red",
    "blue",
    "green",
    "mug",
    "cup",
    "shoe",
    "chair",
    "table",
    "lamp",
    "night",
    "apple",
    "cactus",
    "striped",
    "dotted",
    "beach",
    "library",
]
NAME = "mmlab-test-kinds"


def make_items(pairs: int = 60) -> pd.DataFrame:
    """Each pair has an image and two texts of words; no two texts of equal length say the same."""
    rng = np.random.default_rng(0)
    rows = []
    for p in range(pairs):
        said = [" ".join(rng.choice(WORDS, 3 + (p + i) % 7)) for i in (0, 1)]
        rows += [{"modality": "image"}, *({"modality": "text", "text": text} for text in said)]
        for row in rows[-3:]:
            row |= {"pair_id": f"p{p}", "label": WORDS[p % len(WORDS)]}
    ids = [str(UUID(int=int(i))) for i in rng.permutation(len(rows)) + 1]
    return pd.DataFrame(rows).assign(item_id=ids)


ITEMS = make_items()
IMAGES, TEXTS = (
    ITEMS.loc[ITEMS["modality"] == one, "item_id"].to_numpy(dtype=str) for one in ("image", "text")
)


def make_vectors() -> dict:
    rng, ids = np.random.default_rng(1), ITEMS["item_id"].to_numpy(dtype=str)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(1, 6, len(ids)))])
    dense = Vectors(ids, unit_rows(rng.normal(size=(len(ids), 16))), Space("clip", "1", "", "", "", 16))
    rows = unit_rows(rng.normal(size=(offsets[-1], 8)))
    late = TokenVectors(ids, offsets, Space("colbert", "1", "token vectors", "", "", 8), array=rows)
    return {"dense": dense, "bm25": word_vectors(ITEMS), "late": late}


VECTORS = make_vectors()


@pytest.fixture(scope="module", params=LAYOUTS)
def index(engine, request, tmp_path_factory):
    with opened(engine, tmp_path_factory.mktemp("kinds")) as store:
        build_index(store, NAME, ITEMS, list(VECTORS.values()), request.param, progress=False)
        with store.session():
            yield open_index(store, NAME, request.param)


@pytest.mark.parametrize("kind", VECTORS)
@pytest.mark.parametrize(("target", "ids"), [("image", IMAGES), ("text", TEXTS)])
def test_the_index_finds_what_a_scan_finds(index, kind, target, ids):
    asked = VECTORS[kind].asking().take(TEXTS[:12])
    found = index.search(asked, target, 20, exact=True).table
    scanned = exact_search(asked, VECTORS[kind].take(ids), 21)  # which leaves the query itself out
    own = found[found["query_id"] != found["item_id"]]
    both = own.merge(scanned, on=["query_id", "item_id"], suffixes=("", "_scan"))
    assert both["score"].to_numpy() == pytest.approx(both["score_scan"].to_numpy(), abs=1e-4)
    worst = own.groupby("query_id")["score"].min()
    better = scanned[scanned["score"] > scanned["query_id"].map(worst) + 1e-4]
    assert len(better.merge(own, on=["query_id", "item_id"])) == len(better)


def test_a_filter_holds_for_words_too(index):
    asked = VECTORS["bm25"].asking().take(TEXTS[:5])
    found = index.search(asked, "image", 5, where={"label": "mug"}).table
    assert set(index.fetch(found["item_id"].unique())["label"]) == {"mug"}


def test_words_that_no_item_has_find_nothing(index):
    from mmlab.index.engines.bm25 import WordModel

    asked = WordModel.of(VECTORS["bm25"].space).ask(["q"], ["zebra"])
    assert index.search(asked, "image", 5).table.empty


@pytest.mark.parametrize("fusion", ["rrf", "dbsf"])
@pytest.mark.parametrize("kinds", [("dense", "late"), ("dense", "bm25", "late")])
def test_the_engine_fuses_as_mmlab_does(index, fusion, kinds):
    same = 0
    for query in TEXTS[:12]:
        asked = [VECTORS[kind].asking().take([query]) for kind in kinds]
        each = [index.search(one, "image", 30, exact=True).table for one in asked]
        tied = any(one["score"].round(5).duplicated().any() for one in each)
        found = index.search_fused(asked, "image", 10, 30, fusion, 60, exact=True).table
        wanted = fuse(fusion, each, [1 / len(kinds)] * len(kinds), 60).head(10)
        if not tied:  # ranks of equal scores are the engine's own
            same += 1
            assert found["item_id"].tolist() == wanted["item_id"].tolist()
    assert same or "bm25" in kinds


def test_candidates_of_pooled_vectors_are_ranked_by_maxsim(index):
    asked = VECTORS["late"].take(TEXTS[:8])
    exact = index.search(asked, "image", 10, exact=True).table
    staged = index.search(
        asked, "image", 10
    ).table  # the first stage finds 100 of 60 images, so nothing is lost
    assert staged["item_id"].tolist() == exact["item_id"].tolist()


def test_another_kind_of_words_is_refused(index):
    other = word_vectors(ITEMS.head(30))
    with pytest.raises(SpaceMismatch, match="preprocessing"):
        index.search(other.asking().take(other.queries.ids[:1]), "image", 3)


def test_what_is_there_is_not_sent_again(engine, tmp_path):
    with opened(engine, tmp_path / "again") as store:
        build_index(store, NAME, ITEMS, list(VECTORS.values()), progress=False)
        again = build_index(store, NAME, ITEMS, list(VECTORS.values()), progress=False)
        assert again.report["sent"].sum() == 0


@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_kinds_are_pushed(layout, tmp_path):
    source, target = open_store(tmp_path / "source"), open_store(tmp_path / "target")
    build_index(source, NAME, ITEMS, list(VECTORS.values()), layout, progress=False)
    pushed = push(source, NAME, target, layout, progress=False)
    for kind, own in VECTORS.items():
        asked = own.asking().take(TEXTS[:5])
        first, second = (
            one.search(asked, "image", 5, exact=True).table
            for one in (open_index(source, NAME, layout), pushed)
        )
        assert first["score"].tolist() == pytest.approx(second["score"].tolist()), kind


def test_an_index_has_a_dense_space(tmp_path):
    with pytest.raises(ValueError, match="an index needs dense vectors"):
        build_index(open_store(tmp_path), NAME, ITEMS, [VECTORS["bm25"]], progress=False)
