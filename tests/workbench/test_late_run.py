"""A run that ranks by dense vectors, weighted terms and late interaction, in one collection of the real engine."""

import numpy as np
import pytest
import torch
from PIL import Image

import mmlab
from mmlab.embed import load_for
from mmlab.items import exact_search
from tests.cells import run_cells
from tests.conftest import data_in
from tests.embed.checkpoints import FAMILIES
from tests.workbench.test_small_sets import table

pytestmark = pytest.mark.slow

PAIRS, K = 24, 10
QUERIES = ("a red shoe", "a lamp on the table")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """24 noisy images with a caption each, through the cells of 01 to 03."""
    folder = tmp_path_factory.mktemp("late")
    torch.manual_seed(7)
    models = [str(FAMILIES[one](folder / one)) for one in ("splade", "colbert", "colqwen2")]
    (folder / "dataset").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (PAIRS, 48, 40, 3), dtype=np.uint8)
    rows = [(f"{n}.png", f"{chr(97 + n)} item with number {n}") for n in range(PAIRS)]
    for pixels, (name, _) in zip(noise, rows, strict=True):
        Image.fromarray(pixels).save(folder / "dataset" / name)
    table(folder / "dataset", rows)
    given = {"name": "r", "dataset": str(folder / "dataset"), "models": ["demo", *models]}
    given |= {
        "retrievers": ["dense", "sparse", "late"],
        "keep": ["blurred", "dark", "near duplicate", "tiny"],
    }
    with data_in(folder / "data"):
        for notebook in ("01_ingest", "02_embed", "03_index"):
            run_cells(notebook, given)
        yield mmlab.open_run("r")


def pages(run):
    """The vectors of the model of pages and texts."""
    return next(own for own in run.vectors_of(["late"]) if "colqwen2" in own.space.model)


def test_one_collection_holds_all_spaces(run):
    held = run.index.collections()
    assert len(held) == 1
    kinds = [space.kind for space in run.index.spaces]
    assert sorted(kinds) == ["dense", "late", "late", "pooled", "pooled", "sparse"]
    assert run.build_index(progress=False).sent == 0  # a second time everything is in its place


def test_a_text_finds_images_by_maxsim_as_an_exact_scan_does(run):
    vectors = pages(run)
    images = run.items.loc[run.items["modality"] == "image", "item_id"]
    asked = load_for(vectors.space, device="cpu").ask(QUERIES, QUERIES)
    expected = exact_search(asked, vectors.take(images), K)
    for text in QUERIES:
        found = run.search(text, to="image", k=K, models=vectors.space.key)
        own = expected[expected["query_id"] == text]
        np.testing.assert_allclose(found.table["score"], own["score"], rtol=1e-4)
        assert found.table["item_id"].tolist() == own["item_id"].tolist()


def test_maxsim_is_the_sum_of_the_nearest_parts(run):
    vectors = pages(run)
    images = run.items.loc[run.items["modality"] == "image", "item_id"].tolist()
    asked = load_for(vectors.space, device="cpu").ask(["q"], ["a red shoe"])
    found = run.search("a red shoe", to="image", k=1, models=vectors.space.key).table.iloc[0]
    rows = {item: np.array(vectors.take([item]).rows(np.array([0]))[0]) for item in images}
    query = np.array(asked.rows(np.array([0]))[0])
    scores = {item: (query @ own.T).max(axis=1).sum() for item, own in rows.items()}
    assert found["item_id"] == max(scores, key=scores.get)
    assert found["score"] == pytest.approx(scores[found["item_id"]], rel=1e-4)


def test_the_answers_of_all_kinds_are_fused(run):
    names = [own.space.key for own in run.vectors_of(["dense", "sparse", "late"])]
    fused = run.search("a red shoe", to="image", k=K, models=names, fusion="rrf").table
    assert len(fused) == K
    assert fused["score"].is_monotonic_decreasing
    shown = run.search_each("a red shoe", k=3).table
    assert shown["retriever"].nunique() == len(names) + 1


def test_the_queries_of_a_run_are_ranked_by_late_interaction(run):
    dense, late = (run.rank(to="image", retrievers=[one]) for one in ("dense", "late"))
    vectors = pages(run)
    images = run.items.loc[run.items["modality"] == "image", "item_id"]
    expected = exact_search(vectors.queries, vectors.take(images), PAIRS)
    found = late.table.merge(expected, on=["query_id", "item_id"], suffixes=("", "_exact"))
    assert len(found) == len(late.table) == PAIRS * PAIRS
    np.testing.assert_allclose(found["score"], found["score_exact"], rtol=1e-4)
    assert dense.table["score"].max() <= 1 < late.table["score"].max()
