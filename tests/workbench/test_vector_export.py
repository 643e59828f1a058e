"""A run's vectors in the files of other tools: each is read back by its own reader, with the hits of the run."""

import json
import tracemalloc

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow.dataset import dataset

import mmlab
from mmlab.cli import main
from mmlab.embed.given_vectors import take_vectors
from mmlab.items import Space, Vectors, exact_search, unit_rows
from mmlab.runs import start_step
from mmlab.workbench import vector_export
from mmlab.workbench.vector_export import ITEM_FIELDS, ExportedVectors, export_vectors
from tests.conftest import data_in
from tests.made_run import make_judged_run, make_run, whole_items

K = 5


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """30 pairs of an image and a text, 8 dimensions."""
    with data_in(tmp_path_factory.mktemp("data")):
        make_judged_run("p", 1.0)
        yield mmlab.open_run("p")


@pytest.fixture(scope="module")
def several(run):
    """Three images of which the first has two texts and the last has none, a text alone, and a text without vector."""
    items = whole_items(
        ["a", "b", "c", "d"], ["of a", "of a too", "of b", "alone", "unseen"], np.array([0, 0, 1, 3, 3])
    )
    items = items[items["image"] != "/nowhere/d"].reset_index(drop=True)
    rows = unit_rows(np.random.default_rng(0).standard_normal((7, 4)))
    make_run("several", items, [Vectors(items["item_id"][:7], rows, Space("toy", "1", "", "", "", 4))])
    return mmlab.open_run("several")


@pytest.fixture
def small_parts(monkeypatch):
    """Shards and blocks of a few rows, which end at different places."""
    monkeypatch.setattr(vector_export, "SHARD_ROWS", 7)
    monkeypatch.setattr(vector_export, "BLOCK_ROWS", 3)


def own_hits(run, direction):
    """The first K hits of every query as the run has ranked them by exact search."""
    ranked = run.answer(direction)
    return ranked[ranked["rank"] <= K].groupby("query_id")["item_id"].agg(list).to_dict()


def hits_of(ids, found):
    return dict(zip(ids, found, strict=True))


def ranked_by(queries, query_ids, gallery, gallery_ids):
    """The first K of a gallery by inner product; no two scores are the same here."""
    best = np.argsort(-(np.asarray(queries, "f4") @ np.asarray(gallery, "f4").T), axis=1)[:, :K]
    return hits_of(query_ids, np.asarray(gallery_ids)[best].tolist())


def test_parquet_is_read_back_with_the_hits_of_the_run(run, tmp_path, small_parts):
    written = run.export_vectors("parquet", tmp_path / "out")
    assert written.table["rows"].tolist() == [7] * 8 + [4]
    read = dataset(tmp_path / "out", format="parquet", exclude_invalid_files=True)
    assert read.schema.names == [*ITEM_FIELDS, "vector"]
    assert read.schema.field("vector").type == pa.list_(pa.float32(), 8)
    vectors = run.vectors()
    assert Space.from_dict(json.loads(read.schema.metadata[b"space"])) == vectors.space
    table = read.to_table()
    array = table["vector"].combine_chunks().flatten().to_numpy().reshape(-1, 8)
    assert table["item_id"].to_pylist() == run.items["item_id"].tolist()
    assert (array == vectors.take(run.items["item_id"]).array).all()
    texts = np.array(table["modality"].to_pylist()) == "text"
    ids = np.array(table["item_id"].to_pylist())
    found = ranked_by(array[texts], ids[texts], array[~texts], ids[~texts])
    assert found == own_hits(run, "text-to-image")


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_clip_retrieval_is_read_back_with_the_hits_of_the_run(run, tmp_path, small_parts, dtype):
    run.export_vectors("clip-retrieval", tmp_path, dtype=dtype)
    shards = sorted((tmp_path / "img_emb").iterdir())
    assert [path.name for path in shards] == [f"img_emb_{number}.npy" for number in range(5)]
    images, texts = (
        [np.load(path, mmap_mode="r", allow_pickle=False) for path in sorted((tmp_path / kind).iterdir())]
        for kind in ("img_emb", "text_emb")
    )
    metadata = [pd.read_parquet(path) for path in sorted((tmp_path / "metadata").iterdir())]
    assert [len(own) for own in images] == [len(own) for own in texts] == [len(own) for own in metadata]
    assert [len(own) for own in metadata] == [7, 7, 7, 7, 2]
    assert {own.dtype for own in [*images, *texts]} == {np.dtype(dtype)}
    rows = pd.concat(metadata, ignore_index=True)
    found = ranked_by(
        np.concatenate(texts), rows["text_item_id"], np.concatenate(images), rows["image_item_id"]
    )
    assert found == own_hits(run, "text-to-image")
    back = ranked_by(
        np.concatenate(images), rows["image_item_id"], np.concatenate(texts), rows["text_item_id"]
    )
    assert back == own_hits(run, "image-to-text")


def test_each_vector_stands_once_beside_what_it_belongs_to(several, tmp_path):
    table = several.export_vectors("clip-retrieval", tmp_path).table
    assert table["file"].tolist() == [
        "img_emb/img_emb_0.npy", "text_emb/text_emb_0.npy", "metadata/metadata_0.parquet",
    ]  # fmt: skip
    rows = pd.read_parquet(tmp_path / "metadata" / "metadata_0.parquet").astype(object)
    rows = rows.where(rows.notna(), None)
    assert rows[["image_path", "caption", "image_item_id", "text_item_id"]].values.tolist() == [
        ["/nowhere/a", "of a", "image0", "text4"],
        ["/nowhere/a", "of a too", None, "text5"],
        ["/nowhere/b", "of b", "image1", "text6"],
        ["/nowhere/c", None, "image2", None],
        [None, "alone", None, "text7"],
    ]  # fmt: skip
    images, texts = (np.load(tmp_path / kind / f"{kind}_0.npy") for kind in ("img_emb", "text_emb"))
    vectors = several.vectors()
    for array, ids in ((images, rows["image_item_id"]), (texts, rows["text_item_id"])):
        expected = [vectors.take([one]).array[0] if one else np.zeros(4) for one in ids]
        assert (array == np.array(expected)).all()


def test_faiss_is_read_back_with_the_hits_of_the_run(run, tmp_path, small_parts):
    import faiss

    table = run.export_vectors("faiss", tmp_path).table
    assert table[["file", "rows"]].values.tolist() == [
        ["text.faiss", 30],
        ["image.faiss", 30],
        ["ids.parquet", 60],
    ]
    items = pd.read_parquet(tmp_path / "ids.parquet").sort_values(["modality", "row"])
    vectors = run.vectors()
    for asks, to in (("text", "image"), ("image", "text")):
        index = faiss.read_index(str(tmp_path / f"{to}.faiss"))
        queries, gallery = (items.loc[items["modality"] == one, "item_id"].to_numpy() for one in (asks, to))
        _, found = index.search(vectors.take(queries).array, K)
        assert hits_of(queries, gallery[found].tolist()) == own_hits(run, f"{asks}-to-{to}")


def test_a_graph_of_faiss_finds_what_the_exact_index_finds(run, tmp_path):
    """30 vectors with 32 edges each: the graph is walked as a whole."""
    import faiss

    run.export_vectors("faiss", tmp_path, hnsw_m=32)
    index = faiss.read_index(str(tmp_path / "image.faiss"))
    assert type(index).__name__ == "IndexHNSWFlat"
    images, texts = run.vectors("image"), run.vectors("text")
    _, found = index.search(texts.array, K)
    ranked = exact_search(texts, images, K)
    assert images.ids[found].ravel().tolist() == ranked["item_id"].tolist()


def test_without_faiss_it_says_what_to_install(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(vector_export, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'mmlab\[tune\]'"):
        run.export_vectors("faiss", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert main(["export", "p", "--to", "faiss", "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.startswith("mmlab: error: FAISS is not installed")


def test_an_earlier_export_is_replaced_and_nothing_else(run, several, tmp_path, small_parts):
    run.export_vectors("clip-retrieval", tmp_path)
    several.export_vectors("parquet", tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "export.json", "vectors_00000.parquet",
    ]  # fmt: skip
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds what no export has written, first notes.txt; give a folder"):
        several.export_vectors("parquet", tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    other = tmp_path / "mine" / "export.json"
    other.parent.mkdir()
    other.write_text("[1]")
    with pytest.raises(ValueError, match="first export.json"):
        several.export_vectors("parquet", other.parent)


def test_what_fails_in_the_middle_leaves_the_earlier_export(run, several, tmp_path, small_parts, monkeypatch):
    run.export_vectors("parquet", tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*")}
    monkeypatch.setattr(vector_export, "_write_metadata", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        several.export_vectors("clip-retrieval", tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*")} == before


def test_what_a_kill_has_left_is_no_part_of_the_next_export(several, tmp_path):
    (tmp_path / ".export-1").mkdir()
    (tmp_path / ".export-1" / "vectors_00000.parquet").write_bytes(b"half")
    several.export_vectors("parquet", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export.json", "vectors_00000.parquet"]


@pytest.mark.parametrize("to", ["parquet", "clip-retrieval"])
def test_memory_does_not_grow_with_the_vectors(tmp_path, monkeypatch, to):
    monkeypatch.setattr(vector_export, "BLOCK_ROWS", 128)
    count, dimension = 4_000, 512
    ids = [f"{number}" for number in range(count)]
    columns = dict.fromkeys(ITEM_FIELDS, ids) | {"modality": ["image"] * count}
    items = pa.table({name: pa.array(column, pa.large_string()) for name, column in columns.items()})
    rows = unit_rows(np.random.default_rng(0).standard_normal((count, dimension)))
    vectors = Vectors(ids, rows, Space("toy", "1", "", "", "", dimension))
    tracemalloc.start()
    export_vectors(ExportedVectors(vectors, items, np.arange(count)), to, tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < rows.nbytes / 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "numpy"], "'numpy' is not one of 'trec', 'beir', 'mteb', 'clip-retrieval', 'parquet', 'faiss'"),
        (["--dtype", "float16"], "--model, --dtype and --hnsw-m belong to vectors"),
        (["--to", "parquet", "--dtype", "float16"], "parquet holds float32; only clip-retrieval takes float16"),
        (["--to", "parquet", "--hnsw-m", "8"], "expected a whole number from 2, and to='faiss'; found 8 and 'parquet'"),
        (["--to", "faiss", "--hnsw-m", "1"], "1 is not in the range x>=2"),
        (["--to", "parquet", "--fixes"], "expected --fixes or --to parquet, not both"),
        (["--to", "parquet", "--model", "other"], "model: expected one of p,"),
    ],
)  # fmt: skip
def test_options_that_do_not_go_together_are_refused(run, tmp_path, capsys, arguments, message):
    assert main(["export", "p", "--out", str(tmp_path / "out"), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_command_writes_into_the_folder_of_the_run(run, capsys):
    assert main(["export", "p", "--to", "clip-retrieval", "--dtype", "float16"]) == 0
    shown = capsys.readouterr().out
    assert "img_emb/img_emb_0.npy" in shown
    folder = run.folder / "export" / "clip-retrieval"
    assert str(folder) in shown
    description = json.loads((folder / "export.json").read_text())
    assert description["format"] == "clip-retrieval"
    assert Space.from_dict(description["space"]) == run.vectors().space


def captioned(items, vectors, asks, to) -> dict[str, list[str]]:
    """The first K hits of exact search: texts by their words, images by the name of the file."""
    words = items["text"].where(items["modality"] == "text", items["image"].str.rpartition("/")[2])
    named = dict(zip(items["item_id"], words, strict=True))
    queries, gallery = (vectors.take(items.loc[items["modality"] == one, "item_id"]) for one in (asks, to))
    found = exact_search(queries, gallery, K).groupby("query_id")["item_id"].agg(list)
    return {named[query]: [named[item] for item in hits] for query, hits in found.items()}


@pytest.mark.parametrize("to", ["clip-retrieval", "parquet"])
def test_what_is_exported_can_be_a_dataset_again(run, tmp_path, small_parts, to):
    """20 images with two captions each, in shards that begin in the middle of a pair."""
    names = [f"{number:02}.jpg" for number in range(20)]
    captions = [
        f"the {kind} caption of image {number}" for number in range(20) for kind in ("first", "second")
    ]
    items = whole_items(names, captions, np.repeat(np.arange(20), 2))
    rows = unit_rows(np.random.default_rng(1).standard_normal((60, 16)))
    space = Space("toy", "1", "projected", "", "none, float32", 16)
    make_run("first", items, [Vectors(items["item_id"], rows, space)])
    first = mmlab.open_run("first")
    first.export_vectors(to, tmp_path / "out")
    step = start_step("01_ingest", f"again-{to}", dataset=str(tmp_path / "out"))
    mmlab.open_run(step).ingest(tmp_path / "out").write(step)
    step.finish("")
    again = mmlab.open_run(f"again-{to}")
    assert again.ready.space == (space if to == "parquet" else None)  # which arrays cannot say
    blocks = {of: again.ready.blocks(of) for of in again.ready.shards}
    taken = take_vectors(again.placed_items, blocks, space, tmp_path / "again.arrow").dense
    assert len(taken) == 60
    for asks, gallery in (("text", "image"), ("image", "text")):
        found = captioned(again.items, taken, asks, gallery)
        assert found == captioned(first.items, first.vectors(), asks, gallery)
