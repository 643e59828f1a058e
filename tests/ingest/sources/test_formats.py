"""Every kind of source gives the same rows for the same images and captions."""

import pandas as pd
import pytest

from mmlab.ingest.findings_cache import Blobs
from mmlab.ingest.sources.formats import KINDS, read_source, recognise

COLUMNS = ["image", "caption", "origin", "label", "split", "file", "problem", "detail", "table", "address"]
CAPTIONS = {"a.png": ("A red dog, asleep", 'A "dog"'), "b.png": ("Ein Käfer",), "c.png": ("",)}
PAIRS = [(name, caption) for name, captions in CAPTIONS.items() for caption in captions]
SPLIT = "train"
RECORDS = [{"image": name, "caption": caption, "label": "x", "split": SPLIT} for name, caption in PAIRS]
TABLE = [tuple(RECORDS[0]), *(tuple(record.values()) for record in RECORDS)]


def coco():
    images = [{"id": number, "file_name": name} for number, name in enumerate(CAPTIONS)]
    numbers = {image["file_name"]: image["id"] for image in images}
    captions = [{"image_id": numbers[name], "caption": text} for name, text in PAIRS if text]
    return {"captions_train.json": {"images": images, "annotations": captions}}


def karpathy():
    images = [
        {"filename": name, "split": SPLIT, "sentences": [{"raw": text} for text in captions if text]}
        for name, captions in CAPTIONS.items()
    ]
    return {"dataset_own.json": {"images": images}}


def flickr():
    lines = [f"{name}#0\t{text}\n" for name, text in PAIRS]
    return {"own.token.txt": "".join(lines), "Flickr_8k.trainImages.txt": "\n".join(CAPTIONS) + "\n"}


def parquet():
    import io

    buffer = io.BytesIO()
    pd.DataFrame(RECORDS).to_parquet(buffer)
    return {"captions.parquet": buffer.getvalue()}


FILES = {
    "csv": lambda: {"captions.csv": TABLE},
    "tsv": lambda: {"captions.tsv": TABLE},
    "jsonl": lambda: {"captions.jsonl": RECORDS},
    "parquet": parquet,
    "coco": coco,
    "karpathy": karpathy,
    "flickr": flickr,
    "sidecar": lambda: {
        name.replace(".png", ".txt"): "\n".join(captions) for name, captions in CAPTIONS.items()
    },
    "images": dict,
}
WITHOUT = {  # the columns that a kind cannot fill
    "coco": {"label"}, "karpathy": {"label"}, "flickr": {"label"},
    "sidecar": {"label", "split"}, "images": {"label", "split"},
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("forced", [False, True])
def test_every_kind_gives_the_same_rows(read, image, kind, forced):
    source = read(FILES[kind]() | {name: image() for name in CAPTIONS}, kind if forced else "auto")
    pairs = [(name, "") for name in CAPTIONS] if kind == "images" else PAIRS
    assert source.kind == kind
    assert source.rows.columns.tolist() == COLUMNS
    assert source.rows.index.name == "row" and source.rows.index.tolist() == list(range(1, len(pairs) + 1))
    assert list(zip(source.rows["image"], source.rows["caption"], strict=True)) == pairs
    assert (source.rows["origin"] == "caption").all()
    for column, value in (("label", "x"), ("split", SPLIT)):
        has_it = column not in WITHOUT.get(kind, ())
        assert source.rows[column].dropna().tolist() == ([value] * len(pairs) if has_it else [])
    assert source.rows[["file", "problem", "detail"]].isna().all(axis=None)
    assert set(source.rows.dtypes.astype(str)) == {"str"}
    assert source.rows["address"].isna().all()
    assert set(source.rows["table"].dropna()) == set(source.tables)
    assert len(source.tables) == (kind not in ("sidecar", "images"))
    assert all((source.root / name).is_file() for name in source.rows["image"])


def test_every_kind_is_tested():
    assert set(FILES) | {"huggingface"} == set(KINDS)


def test_a_kind_that_is_none(tmp_path):
    with pytest.raises(ValueError, match=r"source: expected auto, csv, tsv.*found 'excel'"):
        read_source(tmp_path, "excel")


def test_columns_are_a_tables(read):
    with pytest.raises(ValueError, match="kind coco has fixed fields; leave columns out, found {'image'"):
        read(coco(), columns={"image": "x"})


def test_reading_again_gives_the_same(read):
    files = {f"{folder}/{name}.jpg": b"" for folder in "dbca" for name in "3142"}
    first, second = read(files), read(files)
    assert first.rows["image"].tolist() == [f"{folder}/{name}.jpg" for folder in "abcd" for name in "1234"]
    pd.testing.assert_frame_equal(first.rows, second.rows)


def test_blobs_lie_in_the_cache_by_default(write, image, tmp_path, monkeypatch):
    monkeypatch.setenv("MMLAB_DATA", str(tmp_path / "data"))
    folder = write({})
    pd.DataFrame({"image": [image()]}).to_parquet(folder / "captions.parquet")
    file = read_source(folder).rows.loc[1, "file"]
    assert file == str(Blobs(tmp_path / "data/cache/images").put(image()))


IMAGE_CSV = "image\na.jpg\n"
TOKENS = "a.jpg#0\tA dog\n"
COCO = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": []}
KARPATHY = {"images": [{"filename": "a.jpg", "sentences": []}]}
IN_ORDER = [  # each comes before all that follow
    ("huggingface", "dataset_dict.json", "{}"),
    ("csv", "captions.csv", IMAGE_CSV),
    ("jsonl", "metadata.jsonl", "{}"),
    ("flickr", "Flickr8k.token.txt", TOKENS),
    ("karpathy", "dataset_own.json", KARPATHY),
    ("coco", "annotations/captions_val.json", COCO),
    ("tsv", "other.tsv", IMAGE_CSV),
    ("sidecar", "a.txt", "A dog"),
    ("images", "a.jpg", b""),
]


@pytest.mark.parametrize("place", range(len(IN_ORDER)))
def test_the_order_in_which_a_folder_is_looked_at(write, place):
    folder = write({name: content for _, name, content in IN_ORDER[place:]})
    kind, name, _ = IN_ORDER[place]
    found = recognise(folder)
    assert (found.kind, found.root) == (kind, folder)
    assert found.path == (folder if kind in ("huggingface", "sidecar", "images") else folder / name)


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, name, _ in IN_ORDER])
def test_a_kind_that_is_named_is_looked_for_alone(write, kind, name):
    folder = write({name: content for _, name, content in IN_ORDER})
    assert recognise(folder, kind).kind == kind


@pytest.mark.parametrize(
    ("kind", "name", "content"),
    [
        ("csv", "x.csv", IMAGE_CSV),
        ("parquet", "X.PARQUET", b"PAR1"),
        ("flickr", "x.token", TOKENS),
        ("flickr", "results.csv", "image_name| comment_number| comment\n"),
        ("flickr", "captions.txt", "image,caption\n"),
        ("coco", "mine.json", COCO),
        ("karpathy", "mine.json", KARPATHY),
        ("coco", "captions_val.json", COCO),
    ],
)
def test_a_files_kind_is_seen(write, kind, name, content):
    folder = write({name: content})
    assert recognise(folder / name) == (kind, folder / name, folder)


def test_two_sources_of_one_rank(write):
    folder = write({"captions.csv": IMAGE_CSV, "captions.tsv": IMAGE_CSV})
    with pytest.raises(ValueError, match=r"several.*\['captions.csv', 'captions.tsv'\]: name one.*source="):
        recognise(folder)
    assert recognise(folder, "tsv").path.name == "captions.tsv"
    assert recognise(folder / "captions.csv").kind == "csv"


def test_flickrs_lemmas_are_no_captions(write):
    folder = write({"Flickr8k.token.txt": TOKENS, "Flickr8k.lemma.token.txt": TOKENS})
    assert recognise(folder).path.name == "Flickr8k.token.txt"


def test_other_json_files_named_dataset_are_not_karpathys(write):
    assert recognise(write({"dataset_infos.json": {}, "other.csv": IMAGE_CSV})).kind == "csv"


@pytest.mark.parametrize("dataset", ["hf://owner/name", "hf:/owner/name", "owner/name", "hf://squad"])
def test_an_id_of_the_hub(dataset):
    found = recognise(dataset, "huggingface")
    assert (found.kind, found.path) == ("huggingface", dataset.removeprefix("hf:").lstrip("/"))


def test_an_id_that_is_none():
    with pytest.raises(ValueError, match=r"expected the id .* as hf://owner/name"):
        recognise("hf://a/b/c")
    with pytest.raises(ValueError, match=r"hf://a/b is of the kind huggingface, found source='csv'"):
        recognise("hf://a/b", "csv")


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected a folder or a file, found nothing there"):
        recognise(tmp_path / "nowhere")


def test_nothing_usable(write):
    with pytest.raises(FileNotFoundError, match=r"expected a table of captions .*; found \['notes.doc'\]"):
        recognise(write({"notes.doc": ""}))
    with pytest.raises(
        FileNotFoundError, match=r"a source of the kind coco; found \['notes.doc'\]: give the"
    ):
        recognise(write({}), "coco")


def test_an_empty_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"found an empty folder"):
        recognise(tmp_path)


def test_a_file_that_is_none_of_them(write):
    folder = write({"notes.doc": "", "mine.json": "{}"})
    for name in ("notes.doc", "mine.json"):
        with pytest.raises(ValueError, match=rf"found {name}: name its kind"):
            recognise(folder / name)
    with pytest.raises(ValueError, match=r"expected a folder for the kind images, found a file"):
        recognise(folder / "notes.doc", "images")
