"""Ready vectors: every form is recognised and read as it was written; what is wrong with one is said by name."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from mmlab.ingest import ingest_items, inspect_dataset
from mmlab.ingest.sources.ready_vectors import ReadyVectors, find_vectors
from mmlab.items import Space
from tests.ready_pairs import CAPTIONS, IMAGES, NAMES, TEXTS, clip_folder, columns_table, lists, saved_json


def read(vectors: ReadyVectors, of: str) -> np.ndarray:
    return np.concatenate([rows for _, _, rows in vectors.blocks(of)])


def found_in(path: Path, **columns: str) -> ReadyVectors:
    found = find_vectors(path, "auto", {ours: [theirs] for ours, theirs in columns.items()})
    assert found is not None
    return found.vectors


def holds_the_pairs(path: Path, **columns: str) -> None:
    """Both kinds of vectors are read back, and the rows name the images and captions that they are of."""
    vectors = found_in(path, **columns)
    assert np.array_equal(read(vectors, "image"), IMAGES)
    assert np.array_equal(read(vectors, "text"), TEXTS)
    items = ingest_items(path, columns=columns, cache=path.parent / "cache", progress=False).items
    assert items["image"].dropna().tolist() == NAMES
    assert items["text"].dropna().tolist() == CAPTIONS
    assert items["pair_id"].tolist() == [name for name in NAMES for _ in range(2)]


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_folder_of_clip_retrieval(tmp_path: Path, dtype: str) -> None:
    folder = clip_folder(tmp_path / "clip", dtype=dtype)
    holds_the_pairs(folder)
    vectors = found_in(folder)
    assert [(block[0], block[1]) for block in vectors.blocks("text")] == [
        ("metadata/metadata_0.parquet", 1),
        ("metadata/metadata_1.parquet", 1),
    ]
    assert vectors.sentence == (
        f"Ready vectors, a folder of clip-retrieval: 4 of images, 4 of texts, 8 dimensions, {dtype}, in 4 shards; "
        "their files name no space."
    )
    assert ReadyVectors.from_dict(json.loads(json.dumps(vectors.to_dict()))) == vectors


def test_shards_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    rows = [{"image_path": f"{i}.jpg"} for i in range(12)]
    folder = clip_folder(tmp_path / "clip", np.eye(12, dtype=np.float32), None, rows, shards=12)
    assert read(found_in(folder), "image").argmax(axis=1).tolist() == list(range(12))
    images = ingest_items(folder, cache=tmp_path / "cache", progress=False).items["image"]
    assert images.tolist() == [f"{i}.jpg" for i in range(12)]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "jsonl"])
@pytest.mark.parametrize("packed", [False, True])
def test_arrays_beside_a_table(tmp_path: Path, suffix: str, packed: bool) -> None:
    folder = tmp_path / "arrays"
    folder.mkdir()
    table = pa.table({"image": NAMES, "caption": CAPTIONS})
    if suffix == "parquet":
        parquet.write_table(table, folder / "pairs.parquet")
    elif suffix == "jsonl":
        saved_json(folder / "pairs.jsonl", table.to_pylist())
    else:
        csv.write_csv(
            table, folder / f"pairs.{suffix}", csv.WriteOptions(delimiter="\t" if suffix == "tsv" else ",")
        )
    if packed:
        np.savez_compressed(folder / "vectors.npz", images=IMAGES, texts=TEXTS, ids=np.arange(4))
    else:
        np.save(folder / "image_vectors.npy", IMAGES)
        np.save(folder / "text_vectors.npy", TEXTS)
    holds_the_pairs(folder)


@pytest.mark.parametrize("fixed", [True, False])
def test_columns_of_parquet(tmp_path: Path, fixed: bool) -> None:
    folder = tmp_path / "columns"
    folder.mkdir()
    parquet.write_table(columns_table(fixed), folder / "train.parquet", row_group_size=3)
    holds_the_pairs(folder)
    holds_the_pairs(folder / "train.parquet")


def test_a_saved_dataset_of_hugging_face(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    folder = tmp_path / "saved"
    datasets.Dataset.from_dict({
        "image": NAMES, "caption": CAPTIONS, "img_emb": IMAGES.tolist(), "txt_emb": TEXTS.tolist(),
    }).save_to_disk(folder)  # fmt: skip
    holds_the_pairs(folder)


def test_whose_vectors_are_meant_can_be_said(tmp_path: Path) -> None:
    path = tmp_path / "one.parquet"
    table = pa.table({"image": NAMES, "caption": CAPTIONS, "vector": lists(TEXTS), "feature": lists(IMAGES)})
    parquet.write_table(table, path)
    with pytest.raises(ValueError, match="whose vectors are .*columns=image_vector=vector"):
        find_vectors(path, "auto", {})
    holds_the_pairs(path, image_vector="feature", text_vector="vector")
    with pytest.raises(ValueError, match=r"vectors called \['emb'\], found \['vector', 'feature'\]"):
        find_vectors(path, "auto", {"image_vector": ["emb"]})


@pytest.mark.parametrize(("table", "of"), [({"url": NAMES}, "image"), ({"caption": CAPTIONS}, "text")])
def test_a_lone_vector_is_of_what_the_rows_are(tmp_path: Path, table: dict, of: str) -> None:
    parquet.write_table(pa.table({**table, "embedding": lists(IMAGES)}), tmp_path / "one.parquet")
    assert found_in(tmp_path).shards.keys() == {of}
    items = ingest_items(tmp_path, cache=tmp_path / "cache", progress=False).items
    assert items["modality"].tolist() == [of] * 4


def test_a_record_is_an_image_or_a_text_as_its_modality_says(tmp_path: Path) -> None:
    table = {
        "modality": ["text", "image", "text"], "pair_id": ["a.jpg", "a.jpg", "gone.jpg"],
        "image": [None, "/photos/a.jpg", None], "text": ["The mug of this pair", None, "A text without an image"],
        "vector": lists(IMAGES[:3]),
    }  # fmt: skip
    parquet.write_table(pa.table(table), tmp_path / "points.parquet")
    found = ingest_items(tmp_path, cache=tmp_path / "cache", progress=False)
    placed = found.places.merge(found.items, on="item_id")[["modality", "pair_id", "record", "image"]]
    assert placed[["modality", "record"]].values.tolist() == [["image", 2], ["text", 1], ["text", 3]]
    assert placed["pair_id"].tolist()[:2] == ["a.jpg", "a.jpg"]
    assert placed["image"][0] == "file:///photos/a.jpg"  # outside: known by its name, and never opened


def test_a_table_of_boxes_and_colours_is_embedded(tmp_path: Path) -> None:
    table = pa.table({"image": NAMES, "caption": CAPTIONS, "bbox": lists(np.ones((4, 4), np.float32))})
    parquet.write_table(table, tmp_path / "boxes.parquet")
    assert find_vectors(tmp_path, "auto", {}) is None
    with pytest.raises(ValueError, match="expected ready vectors, found none"):
        find_vectors(tmp_path, "vectors", {})
    assert find_vectors(tmp_path, "parquet", {}) is None


def test_a_space_that_files_name_is_known(tmp_path: Path) -> None:
    space = Space("openai/clip", "1", "projected", "", "none, float32", 8)
    named = {"space": json.dumps(space.to_dict())}
    parquet.write_table(columns_table().replace_schema_metadata(named), tmp_path / "a.parquet")
    assert found_in(tmp_path).space == space
    parquet.write_table(columns_table(), tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=r"b\.parquet .*expected the space of .*a\.parquet .*found none"):
        find_vectors(tmp_path, "auto", {})


# What is wrong


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    folder = clip_folder(tmp_path / "clip")
    shard = folder / "img_emb" / "img_emb_1.npy"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=r"img_emb_1\.npy: .*it ends early"):
        find_vectors(folder, "auto", {})
    shard.write_bytes(b"no array" + whole)
    with pytest.raises(ValueError, match=r"img_emb_1\.npy: it cannot be read as vectors"):
        find_vectors(folder, "auto", {})


def test_an_array_of_objects_is_never_unpickled(tmp_path: Path) -> None:
    folder = clip_folder(tmp_path / "clip", shards=1)
    np.save(folder / "img_emb" / "img_emb_0.npy", np.array([{}, {}, {}, {}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="an array of objects is never read"):
        find_vectors(folder, "auto", {})


def test_a_damaged_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    parquet.write_table(columns_table(), path, compression="none")
    content = bytearray(path.read_bytes())
    path.write_bytes(content[:-100])
    with pytest.raises(ValueError, match=r"train\.parquet: it cannot be read as vectors"):
        find_vectors(tmp_path, "vectors", {})


def test_shards_of_two_dimensions_or_dtypes_are_refused(tmp_path: Path) -> None:
    folder = clip_folder(tmp_path / "clip")
    np.save(folder / "text_emb" / "text_emb_1.npy", np.ones((2, 9), np.float16))
    with pytest.raises(ValueError, match=r"text_emb_1\.npy: expected the dimension of .*, 8; found 9"):
        find_vectors(folder, "auto", {})
    np.save(folder / "text_emb" / "text_emb_1.npy", np.ones((2, 8), np.float32))
    with pytest.raises(
        ValueError, match=r"text_emb_1\.npy: expected the dtype of .*, float16; found float32"
    ):
        find_vectors(folder, "auto", {})


def test_more_vectors_than_rows_are_refused(tmp_path: Path) -> None:
    folder = clip_folder(tmp_path / "clip")
    np.save(folder / "img_emb" / "img_emb_0.npy", np.ones((3, 8), np.float16))
    with pytest.raises(
        ValueError, match=r"img_emb_0\.npy: .*metadata_0\.parquet has rows, 2; found 3 vectors"
    ):
        find_vectors(folder, "auto", {})
    (folder / "img_emb" / "img_emb_0.npy").unlink()
    with pytest.raises(ValueError, match="found 1 and 2; the first without the other has the number 0"):
        find_vectors(folder, "auto", {})


def test_a_shard_that_changed_since_is_refused(tmp_path: Path) -> None:
    folder = clip_folder(tmp_path / "clip")
    vectors = found_in(folder)
    np.save(folder / "text_emb" / "text_emb_1.npy", np.ones((2, 8), np.float16))
    with pytest.raises(ValueError, match=r"text_emb_1\.npy: .*it has changed since 01_ingest"):
        read(vectors, "text")


def test_a_list_of_another_length_is_refused_and_a_missing_one_is_no_number(tmp_path: Path) -> None:
    path = tmp_path / "one.parquet"
    rows = [[1.0] * 8, None, [2.0] * 8]
    parquet.write_table(pa.table({"url": NAMES[:3], "emb": rows}), path)
    found = read(found_in(path), "image")
    assert np.isnan(found).all(axis=1).tolist() == [False, True, False]
    late = [[1.0] * 8] * 100 + [[1.0] * 7]
    parquet.write_table(pa.table({"url": [str(i) for i in range(101)], "emb": late}), path)
    with pytest.raises(ValueError, match="expected lists of 8 floats, found one of 7"):
        read(found_in(path), "image")


# What becomes of the rows


def test_no_image_is_opened_and_names_stand_for_those_that_are_not_here(tmp_path: Path) -> None:
    folder = clip_folder(tmp_path / "clip")
    (folder / "photos").mkdir()
    (folder / "photos" / "1.jpg").write_bytes(b"never opened")
    looked = inspect_dataset(folder, looks_only=True)
    assert (looked.kind, looked.images, looked.texts, looked.advice) == ("vectors", 4, 4, "")
    assert "3 of 4 images are not at hand, such as photos/0.jpg" in " ".join(looked.notes)
    items = ingest_items(folder, cache=tmp_path / "cache", progress=False).items
    images = items[items["modality"] == "image"]
    assert images["image"].tolist() == [NAMES[0], str(folder / NAMES[1]), *NAMES[2:]]


def test_rows_have_the_outcomes_that_they_have_elsewhere(tmp_path: Path) -> None:
    rows = [
        {"key": "1", "caption": "The same mug of this pair", "url": "https://example.org/1.jpg"},
        {"key": "2", "caption": "The same mug of this pair", "url": "https://example.org/1.jpg"},
        {"key": "3", "caption": "", "url": ""},
        {"key": "4", "caption": "<b>A mug</b> that is marked up", "url": "https://example.org/4.jpg"},
    ]
    found = ingest_items(clip_folder(tmp_path / "clip", rows=rows), cache=tmp_path / "cache", progress=False)
    assert found.outcomes["outcome"].tolist() == ["text item", "repeated caption", "no caption", "text item"]
    assert found.skipped[["row", "detail"]].values.tolist() == [[2, "same caption as row 1"]]
    assert found.items["image"].dropna().tolist() == [
        "https://example.org/1.jpg",
        "3",
        "https://example.org/4.jpg",
    ]
    assert found.changes["after"].tolist() == ["A mug that is marked up"]
