"""The six notebooks over ready vectors: with the model that made them and the images, and with neither."""

import json
from pathlib import Path

import numpy as np
import pytest

import mmlab
from mmlab.cli.run_commands import check, look_at
from mmlab.index import build_index, open_store
from mmlab.items import Vectors, read_items, read_table
from mmlab.runs import find_notebooks, read_manifest, run_folder
from tests.cells import run_here
from tests.conftest import data_in
from tests.index.qdrant_server import qdrant_server
from tests.ready_pairs import clip_folder

pytestmark = pytest.mark.slow

ROWS = 300


@pytest.fixture(scope="module")
def dataset(collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of clip-retrieval: the captions of the drawn products with their images, embedded by the demo model."""
    items = collection.items
    images = items[items["modality"] == "image"].set_index("pair_id")
    texts = items[(items["modality"] == "text") & items["pair_id"].isin(images.index)].head(ROWS)
    own = images.loc[texts["pair_id"]]
    rows = [
        {"image_path": name, "caption": text, "label": label, "split": split}
        for name, text, label, split in zip(own.index, texts["text"], own["label"], own["split"], strict=True)
    ]
    vectors = [
        np.array([3 * collection.vectors.take([item]).array[0] for item in ids])  # no unit rows
        for ids in (own["item_id"], texts["item_id"])
    ]
    return clip_folder(tmp_path_factory.mktemp("ready") / "clip", *vectors, rows, shards=3)


@pytest.fixture(scope="module")
def ready_data(dataset: Path, catalogue: Path, tmp_path_factory: pytest.TempPathFactory):
    """A data folder with the runs `ready`, with model and images, and `bare`, without."""
    folder = tmp_path_factory.mktemp("data")
    with data_in(folder):
        given = {"dataset": str(dataset), "sample": 20}
        run_here("ready", {**given, "space": "demo", "images_at": str(catalogue)})
        shown = run_here("bare", given)[1]
        (folder / "shown.html").write_text(shown)
        yield folder


def test_vectors_are_taken_as_they_came(ready_data: Path, dataset: Path, collection) -> None:
    folder = run_folder("ready")
    items, found = read_items(folder / "items.parquet"), mmlab.open_run("ready").all_vectors[0]
    assert found.space == collection.vectors.space
    assert len(found) == len(items) > 2 * 100
    known = collection.items.merge(items, on=["modality", "pair_id", "text"], suffixes=("", "_ready"))
    assert len(known) == len(items)
    theirs, mine = (found.take(known["item_id_ready"]), collection.vectors.take(known["item_id"]))
    assert (theirs.array * mine.array).sum(axis=1).min() > 0.999  # float16 on the way


def test_the_model_is_compared_and_embeds_queries(ready_data: Path) -> None:
    summary = read_manifest("ready")["steps"]["02_embed"]["summary"]
    assert "demo makes the same vectors of 32 items: a median cosine of 1.000" in summary
    hits = mmlab.open_run("ready").search("a mug that nobody has described", k=3)
    assert len(hits) == 3
    assert hits.table["image"].map(Path).map(Path.is_file).all()


def test_the_figures_are_those_of_the_same_vectors_made_here(ready_data: Path) -> None:
    found = {
        name: [
            row["value"] for row in json.loads((run_folder(name) / "metrics.json").read_text())["measures"]
        ]
        for name in ("ready", "bare")
    }
    assert found["ready"] == pytest.approx(found["bare"])
    assert max(found["ready"]) > 0.9


def test_without_a_model_items_ask_items_and_new_texts_are_told_why_not(ready_data: Path) -> None:
    run = mmlab.open_run("bare")
    assert not run.all_vectors[0].space.has_model
    text, image = run.sample("text"), run.sample("image")
    assert not image.exists()
    for query, to in ((text, "image"), (image, "text"), (image, "image"), ([text, text], "image")):
        assert len(run.search(query, to=to, k=3).table) >= 3
    vectors = run.vectors("image")
    assert len(run.search(vectors.take(vectors.ids[:2]), to="text", k=2)) == 4
    hits = run.search("a mug that nobody has described")
    assert len(hits) == 0
    assert "a new text or image cannot ask" in hits.sentence
    assert "a new text or image cannot ask" in run.search_each("a mug that nobody has described").sentence
    assert "not at hand" in run.search(text).explain().sentence


def test_names_stand_for_images_that_are_not_here(ready_data: Path) -> None:
    items = read_items(run_folder("bare") / "items.parquet")
    name = items.loc[items["modality"] == "image", "image"].iloc[0]
    assert name == items.loc[items["modality"] == "image", "pair_id"].iloc[0]
    shown = (ready_data / "shown.html").read_text()
    assert "[missing file: images/" in shown
    assert (run_folder("bare") / "map.html").is_file()


def test_a_vector_that_says_nothing_is_skipped_with_its_reason(dataset: Path, tmp_path: Path) -> None:
    import shutil

    folder = shutil.copytree(dataset, tmp_path / "clip")
    shard = np.load(folder / "text_emb" / "text_emb_1.npy")
    shard[:2] = [[0.0], [np.nan]]
    np.save(folder / "text_emb" / "text_emb_1.npy", shard)
    with data_in(tmp_path / "data"):
        run_here("holes", {"dataset": str(folder)}, find_notebooks()[:2])
        skipped = read_table(run_folder("holes") / "embed_skipped.parquet")
        assert skipped["reason"].tolist() == ["vector of zeros", "no vector"]
        assert skipped["detail"].tolist() == [
            f"metadata/metadata_1.parquet, record {number}" for number in (1, 2)
        ]
        assert isinstance(mmlab.open_run("holes").all_vectors[0], Vectors)


def test_a_collection_on_a_server_becomes_a_run(collection, tmp_path: Path) -> None:
    """One that mmlab itself has sent: it holds images and texts, and says its space."""
    with qdrant_server() as cluster, data_in(tmp_path / "data"):
        build_index(open_store(cluster.url), "photos", collection.items, [collection.vectors], progress=False)
        name = next(iter(cluster.collections))
        url = f"{cluster.url}/collections/{name}"
        looked = look_at(check("look", {"dataset": url}))
        assert looked.images == (collection.items["modality"] == "image").sum()
        run_here("served", {"dataset": url}, find_notebooks()[:2])
        run = mmlab.open_run("served")
        assert run.dataset == url
        taken = run.all_vectors[0]
        assert taken.space == collection.vectors.space
        known = collection.items.merge(run.items, on=["modality", "pair_id"], suffixes=("", "_ready"))
        known = known[(known["text"] == known["text_ready"]) | (known["modality"] == "image")]
        assert len(known) == len(run.items) == len(collection.items)
        theirs, mine = taken.take(known["item_id_ready"]), collection.vectors.take(known["item_id"])
        assert (theirs.array * mine.array).sum(axis=1).min() > 0.999
