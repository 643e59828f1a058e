"""07 and 03 on the drawn catalogue, with the real engine, the real model and FAISS."""

import os
import re

import numpy as np
import pandas as pd
import pytest

import mmlab
from mmlab.embed import embed_with_models
from mmlab.index import Hnsw, Quantization, open_index, open_store
from mmlab.index.bench.index_sweep import has_faiss
from mmlab.items import Space, Vectors, unit_rows
from mmlab.items.tables import item_id
from mmlab.runs import find_notebook, read_manifest, run_notebooks, write_report
from mmlab.runs.record.parameters import check_parameters
from mmlab.workbench.tuning_report import IndexGrid
from tests.cells import run_here
from tests.conftest import data_in
from tests.made_run import make_run, whole_items

pytestmark = pytest.mark.slow

SMALL = {"tune_m": [8], "tune_ef": [100], "tune_quantization": ["scalar"], "tune_oversampling": [2.0]}
SMALL |= {"tune_batch_sizes": [4], "tune_precisions": ["float32"], "tune_items": 8}


@pytest.fixture(scope="module")
def made(collection, tmp_path_factory):
    """A run's items and vectors, as 01 and 02 would have written them."""
    with data_in(tmp_path_factory.mktemp("data")):
        models = {"models": [collection.vectors.space.model]}
        yield make_run("tuned", collection.items, [collection.vectors]), models


@pytest.fixture(scope="module")
def tuned(made):
    """The run's folder after 07, in the report of the run."""
    folder, models = made
    given = check_parameters(SMALL | models, [find_notebook("07_tune")])
    run_notebooks("tuned", given, [find_notebook("07_tune")], progress=False)
    write_report("tuned")
    return folder


def test_qdrant_is_swept_beside_faiss_and_the_settings_for_03_are_told(tuned):
    folder = tuned
    settings = pd.read_parquet(folder / "tune" / "index.parquet")
    ours = settings[settings["engine"] == "Qdrant HNSW"]
    kinds = ours[["quantization", "on_disk", "rescored"]].apply(tuple, axis="columns").tolist()
    scalar = [("scalar", place, rescored) for place in (False, True) for rescored in (False, True)]
    assert sorted(kinds) == [("none", False, False), ("none", True, False), *scalar]
    engines = ["exact", "Qdrant HNSW"] + (["FAISS flat", "FAISS HNSW"] if has_faiss() else [])
    assert settings["engine"].unique().tolist() == engines
    assert (settings[["p50_ms", "p95_ms", "p99_ms", "disk_mb", "memory_mb"]] > 0).all(axis=None)
    assert [name for name in ("pareto.png", "costs.png") if not (folder / "tune" / name).is_file()] == []
    told = read_manifest("tuned")["steps"]["07_tune"]["summary"]
    assert "mmlab run --name tuned --from 03 -p hnsw_m=8 -p hnsw_ef_construct=128 -p ef=100" in told
    assert "What a graph takes" in (folder / "07_tune.html").read_text(encoding="utf-8")
    speeds = pd.read_parquet(folder / "tune" / "model.parquet")
    assert speeds[["modality", "precision", "batch_size"]].drop_duplicates().to_numpy().tolist() == [
        ["image", "float32", 4], ["text", "float32", 4],
    ]  # fmt: skip


def test_precisions_are_compared_on_the_same_queries(made):
    """Success@1 by hand: the share of texts whose nearest image is of their pair, in each precision."""
    items = mmlab.open_run("tuned").embedded_items
    speed = mmlab.open_run("tuned").tune_model(batch_sizes=[4], precisions=["bfloat16"], items=8)
    pair = items.set_index("item_id")["pair_id"]
    nearest = {}
    for precision in ("float32", "bfloat16"):
        (found,) = embed_with_models(items, ["demo"], precision=precision, progress=False)
        texts, images = (
            found.vectors.take(items.loc[items["modality"] == kind, "item_id"]) for kind in ("text", "image")
        )
        best = images.ids[(texts.array @ images.array.T).argmax(axis=1)]
        nearest[precision] = (pair.loc[best].to_numpy() == pair.loc[texts.ids].to_numpy()).mean()
    differences = speed.comparison.differences.set_index("direction").loc["text-to-image"]
    assert differences[["system", "baseline"]].tolist() == ["bfloat16", "float32"]
    assert differences["value"] == pytest.approx(nearest["bfloat16"])
    assert differences["difference"] == pytest.approx(nearest["bfloat16"] - nearest["float32"])
    asked = speed.losses(margin=5)
    assert re.search(
        r"\*\*Success@1, text-to-image\*\*: that \*bfloat16\* loses at most 5 points to \*float32\*",
        asked.sentence,
    )
    assert asked.table["largest_loss"].min() >= 0


def test_first_dimensions_are_compared_with_all_on_the_same_queries(made):
    """Success@1 by hand: the share of texts whose nearest image is of their pair, by the first dimensions."""
    run = mmlab.open_run("tuned")
    items, (vectors, *_) = run.embedded_items, run.all_vectors
    pair = items.set_index("item_id")["pair_id"]
    ids = {kind: items.loc[items["modality"] == kind, "item_id"] for kind in ("text", "image")}
    found = run.tune().dimensions([2, 16, vectors.space.dimension], margin=50)
    table = found.table.set_index(["direction", "dimensions"]).loc["text-to-image"]
    assert table.index.tolist() == [vectors.space.dimension, 16, 2]
    for number in table.index:
        texts, images = (unit_rows(vectors.take(ids[kind]).array[:, :number]) for kind in ("text", "image"))
        best = ids["image"].to_numpy()[(texts @ images.T).argmax(axis=1)]
        right = pair.loc[best].to_numpy() == pair.loc[ids["text"]].to_numpy()
        assert table.loc[number, "Success@1"] == pytest.approx(right.mean())
    assert not table.loc[vectors.space.dimension, "loses_little"]  # it is what the others are held against
    assert table["Success@1"].iloc[0] > table["Success@1"].iloc[-1]
    assert re.match(
        r"The first \*\*16\*\* of 128 dimensions lose at most 50 points of Success@1", found.sentence
    )
    assert "`-p truncate_dim=16`" in found.sentence


def test_no_fewer_dimensions_are_said(made):
    found = mmlab.open_run("tuned").tune().dimensions([512])
    assert found.sentence == "The vectors have 128 dimensions, and no fewer were tried."


def test_one_precision_has_nothing_to_be_compared_with(made):
    speed = mmlab.open_run("tuned").tune_model(batch_sizes=[4], precisions=["float32"], items=8)
    assert speed.losses().sentence.startswith("There is no other precision to set beside float32")


def test_layouts_and_placements_are_measured_beside_them(tuned):
    layouts = pd.read_parquet(tuned / "tune" / "layouts.parquet")
    assert layouts["layout"].tolist() == ["unified", "separate", "named"]
    assert (layouts[["disk_mb", "p50_ms", "build_s"]] > 0).all(axis=None)
    page = (tuned / "07_tune.html").read_text(encoding="utf-8")
    parts = (
        "opening, ms",
        "search, ms",
        "payload, ms",
        "whole, ms",
        "just opened",
        "warm",
        "in memory",
        "on disk",
    )
    assert [part for part in parts if part not in page] == []


def test_too_few_vectors_for_a_graph_say_so_and_nothing_is_left(made, tmp_path):
    _, models = made
    store = tmp_path / "store"
    given = SMALL | models | {"tune_points": 10, "store": str(store)}
    _, shown = run_here("tuned", given, [find_notebook("07_tune")])
    assert "No graph was built: 10 points with 0 in the graph" in shown
    assert [name for name in os.listdir(store) if (store / name).is_dir()] == []


def test_what_07_promises_is_what_03_finds_when_its_command_is_run(tmp_path):
    """A graph over 1,200 points, of which a search for images may find the half: to 0.5 points of recall."""
    rng = np.random.default_rng(0)
    pairs = [f"{number}.jpg" for number in range(600)]
    items = whole_items(pairs, [f"text {pair}" for pair in pairs], np.arange(600))
    keys = zip(items["modality"], items["pair_id"], items["content"], strict=True)
    items["item_id"] = [item_id(*key) for key in keys]
    images = rng.standard_normal((600, 128))
    rows = unit_rows(np.vstack([images, images + 2 * rng.standard_normal((600, 128))]))
    with data_in(tmp_path):
        make_run(
            "graph", items, [Vectors(items["item_id"], rows, Space("toy", "1", "projected", "", "", 128))]
        )
        grid = IndexGrid(m=[16], ef=[400], quantizations=["none"], on_disk=[False])
        told = mmlab.open_run("graph").tune(grid).recommendation().sentence
        promised = float(re.search(r"it finds ([\d.]+)% for images and [\d.]+% for texts", told)[1]) / 100
        command = dict(re.findall(r"-p (\w+)=([\w.]+)", told))
        given = check_parameters(command, [find_notebook("03_index")])
        folder, _ = run_here("graph", given, [find_notebook("03_index")])
        own = pd.read_parquet(folder / "index.parquet").iloc[1]
        assert mmlab.open_run("graph").index.has_graph(mmlab.open_run("graph").index.spaces[0], "image")
    assert f"ef={command['ef']}" in own["search"]
    assert own["recall"] == pytest.approx(promised, abs=0.005)
    assert promised >= 0.99


def test_03_builds_and_searches_as_it_is_told(made):
    """What 07 names is what the collection's schema holds, and what a query does."""
    folder, _ = made
    how = {"hnsw_m": 8, "ef": 30, "on_disk": True, "quantization": "product-32", "rescore": False}
    more = {"oversampling": 3.0, "always_ram": False, "neighbours": 5}
    run_here("tuned", how | more, [find_notebook("03_index")])
    (schema,) = open_index(open_store(folder / "store"), "tuned").schemas.values()
    assert (schema.hnsw, schema.on_disk) == (Hnsw(m=8, ef=30), True)
    assert schema.quantization == Quantization("product", 32, False, False, 3.0)
    judged = pd.read_parquet(folder / "index.parquet")
    assert judged["search"].tolist()[:3] == ["exact", "product ef=30, alone", "product ef=30, rescored"]
