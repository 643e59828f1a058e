import datetime
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmlab.ingest.findings_cache import Blobs
from mmlab.ingest.sources import packed_tables
from mmlab.ingest.sources.formats import read_source
from mmlab.ingest.sources.packed_tables import RECORDS_PER_BATCH
from mmlab.items import files as limits
from tests.ingest.sources.archive_files import tar_of


@pytest.fixture
def rows_of(tmp_path):
    """Write columns to a Parquet file and read it."""

    def rows_of(columns, **settings):
        (tmp_path / "dataset").mkdir()
        pq.write_table(pa.table(columns), tmp_path / "dataset/own.parquet", **settings)
        return read_source(tmp_path / "dataset", blobs=Blobs(tmp_path / "blobs")).rows

    return rows_of


def test_images_inside_become_files(rows_of, image):
    red, blue = image("red"), image("blue")
    cells = [
        {"bytes": red, "path": "a.png"},
        {"bytes": blue, "path": None},
        {"bytes": None, "path": "c.png"},
        {"bytes": red, "path": "a.png"},
        {"bytes": blue, "path": "a.png"},
        None,
    ]
    rows = rows_of({"image": cells})
    assert rows["image"].tolist() == ["a.png", "own.parquet#2", "c.png", "a.png", "own.parquet#5", ""]
    assert rows["file"].isna().tolist() == [False, False, True, False, False, True]
    contents = [Path(file).read_bytes() for file in rows["file"].dropna()]
    assert contents == [red, blue, red, blue]


def test_raw_bytes_become_files(rows_of, image):
    rows = rows_of({"image": [image()], "caption": [["a", "b"]]})
    assert rows["image"].tolist() == ["own.parquet#1"] * 2 and rows["caption"].tolist() == ["a", "b"]
    assert Path(rows.loc[2, "file"]).read_bytes() == image()


def test_the_users_values_keep_their_type(rows_of):
    day = datetime.datetime(2024, 5, 1, 12)
    rows = rows_of(
        {
            "image": ["a", "b"],
            "n": pa.array([1, None], pa.int16()),
            "f": [0.5, float("nan")],
            "b": [True, None],
            "when": pa.array([day, None], pa.timestamp("us")),
            "nested": [{"k": [1]}, None],
            "raw": [b"123", None],
            "kind": pa.array(["x", "y"]).dictionary_encode(),
            "label": [7, None],
        }
    )
    assert [str(dtype) for dtype in rows.dtypes[11:]] == [
        "Int64",
        "float64",
        "boolean",
        "str",
        "str",
        "str",
        "str",
    ]
    assert rows.loc[1].tolist()[11:] == [1, 0.5, True, "2024-05-01T12:00:00", '{"k":[1]}', "3 bytes", "x"]
    assert rows.isna().loc[2].tolist()[11:] == [True] * 6 + [False]
    assert rows.loc[1, "label"] == "7"


def test_batches_join_in_order(rows_of):
    names = [f"{number}.jpg" for number in range(2 * RECORDS_PER_BATCH + 3)]
    rows = rows_of({"image": names}, row_group_size=50)
    assert rows["image"].tolist() == names


def test_a_table_without_rows(rows_of):
    with pytest.raises(ValueError, match=r"own.parquet has no rows"):
        rows_of({"image": pa.array([], pa.string())})


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.98])
def test_a_file_that_was_cut_off(write, tmp_path, kept):
    path = tmp_path / "whole.parquet"
    pq.write_table(pa.table({"image": [f"{number}.jpg" for number in range(1000)]}), path)
    content = path.read_bytes()
    folder = write({"captions.parquet": content[: int(kept * len(content))]})
    with pytest.raises(ValueError, match=r"captions.parquet is not a valid Parquet file"):
        read_source(folder)


def test_a_file_with_damaged_pages(write, tmp_path):
    path = tmp_path / "whole.parquet"
    pq.write_table(pa.table({"image": [f"{number}.jpg" for number in range(1000)]}), path)
    content = bytearray(path.read_bytes())
    content[10:3000] = b"\xff" * 2990
    with pytest.raises(ValueError, match=r"captions.parquet is not a valid Parquet file"):
        read_source(write({"captions.parquet": bytes(content)}))


CAPTIONS = [["A dog", "Asleep"], []]


@pytest.fixture(scope="module")
def datasets():
    return pytest.importorskip("datasets", reason='needs pip install "mmlab[datasets]"')


@pytest.fixture
def part(datasets, image):
    """A part of two records: an image with bytes, captions in a list, a class and the user's own."""

    def part(**columns):
        features = {
            "image": datasets.Image(),
            "captions": datasets.List(datasets.Value("string")),
            "label": datasets.ClassLabel(names=["cat", "dog"]),
            "price": datasets.Value("int64"),
        }
        images = [{"bytes": image("red"), "path": "a.png"}, {"bytes": image("blue"), "path": None}]
        cells = {"image": images, "captions": CAPTIONS, "label": [1, 0], "price": [5, None]}
        features |= dict.fromkeys(columns, datasets.Value("string"))
        return datasets.Dataset.from_dict(cells | columns, features=datasets.Features(features))

    return part


@pytest.fixture
def saved(tmp_path):
    def saved(dataset):
        dataset.save_to_disk(tmp_path / "saved")
        return read_source(tmp_path / "saved", blobs=Blobs(tmp_path / "blobs"))

    return saved


def test_a_dataset_that_was_saved(saved, part, image, tmp_path):
    source = saved(part())
    rows = source.rows
    assert (source.kind, source.root, source.tables) == ("huggingface", tmp_path / "saved", ())
    assert rows["image"].tolist() == ["a.png", "a.png", "saved#2"]
    assert rows["caption"].tolist() == ["A dog", "Asleep", ""]
    assert rows["label"].tolist() == ["dog", "dog", "cat"] and rows["split"].isna().all()
    assert rows["price"].dtype == "Int64" and rows["price"].tolist()[:2] == [5, 5]
    assert [Path(file).read_bytes() for file in rows["file"][1:]] == [image("red"), image("blue")]


def test_the_parts_of_a_dataset_are_its_splits(datasets, saved, part):
    rows = saved(datasets.DatasetDict(train=part(), test=part().select([1]))).rows
    assert rows["split"].tolist() == ["train"] * 3 + ["test"]
    assert rows["image"].tolist() == ["a.png", "a.png", "saved#2", "saved#3"]


def test_a_column_of_splits_comes_before_the_parts(datasets, saved, part):
    rows = saved(datasets.DatasetDict(test=part(split=["train", "val"]))).rows
    assert rows["split"].tolist() == ["train", "train", "val"]


def test_images_are_not_decoded(datasets, saved):
    broken = {"image": [{"bytes": b"no image", "path": None}]}
    features = datasets.Features({"image": datasets.Image()})
    rows = saved(datasets.Dataset.from_dict(broken, features=features)).rows
    assert Path(rows.loc[1, "file"]).read_bytes() == b"no image"


def test_a_folder_as_the_hub_has_it(datasets, part, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "hub/data").mkdir(parents=True)
    part().to_parquet(tmp_path / "hub/data/train-00000-of-00001.parquet")
    rows = read_source(tmp_path / "hub", "huggingface", blobs=Blobs(tmp_path / "blobs")).rows
    assert rows["caption"].tolist() == ["A dog", "Asleep", ""] and rows["split"].tolist() == ["train"] * 3


@pytest.mark.parametrize("name", ["dataset_info.json", "state.json"])
def test_a_saved_dataset_that_is_broken(datasets, saved, part, tmp_path, name):
    saved(part())
    (tmp_path / "saved" / name).write_bytes(b"\xff{")
    with pytest.raises(ValueError, match=r"saved cannot be read"):
        read_source(tmp_path / "saved", "huggingface", blobs=Blobs(tmp_path / "blobs"))


def test_a_saved_dataset_with_damaged_records(datasets, saved, part, tmp_path):
    saved(part())
    file = next((tmp_path / "saved").glob("*.arrow"))
    file.write_bytes(b"\xff" * file.stat().st_size)
    with pytest.raises(ValueError, match=r"saved cannot be read"):
        read_source(tmp_path / "saved", blobs=Blobs(tmp_path / "blobs"))


def test_without_the_package_the_error_says_how_to_install_it(tmp_path):
    code = (
        "import sys; sys.modules['datasets'] = None\n"
        "from mmlab.ingest.sources.formats import read_source\n"
        "read_source('hf://owner/name')"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert (
        'ModuleNotFoundError: dataset owner/name: reading it needs datasets: pip install "mmlab[datasets]"'
        in (answer.stderr)
    )


ENTRIES = {
    "0.jpg": b"x", "0.txt": "A red card.\nA card.", "0.json": {"caption": "no", "n": 1, "url": "http://x.example/0"},
    "sub/1.png": b"y", "sub/1.caption": "A blue card", "sub/1.cls": "7", "sub/1.npy": b"z",
    "2.json": {"caption": "without an image", "m": True},
}  # fmt: skip


@pytest.mark.parametrize("packing", ["", "gz", "bz2"])
def test_an_archive_is_read_in_place(read, packing):
    name = f"train-000000.tar.{packing}".rstrip(".")
    source = read({name: tar_of(ENTRIES, packing)})
    rows = source.rows
    assert (source.kind, source.tables) == ("webdataset", (name,))
    assert rows["image"].tolist() == ["0.jpg", "0.jpg", "sub/1.png", ""]
    assert rows["caption"].tolist() == ["A red card.", "A card.", "A blue card", "without an image"]
    assert [Path(file).read_bytes() for file in rows["file"][:3]] == [b"x", b"x", b"y"]
    assert rows["split"].tolist() == ["train"] * 4 and rows["label"].tolist()[2] == "7"
    assert rows["n"].tolist()[:2] == [1, 1] and rows["m"].dtype == "boolean"


def test_an_archive_that_ends_early_gives_what_came_before(read):
    content = tar_of({f"{number}.txt": "x" * 5000 for number in range(4)} | {"9.jpg": b"x" * 90_000})
    rows = read({"x.tar": content[:20_000]}, "webdataset", name="x.tar").rows
    assert rows["caption"].tolist()[:3] == ["x" * 5000] * 3
    assert "x.tar cannot be read to its end as tar" in rows["detail"].tolist()[-1]


def test_names_and_links_in_an_archive_lead_nowhere(read, tmp_path):
    import io
    import tarfile

    (tmp_path / "secret.txt").write_text("secret")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        link = tarfile.TarInfo("0.txt")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret.txt")
        archive.addfile(link)
        for name in ("0.jpg", "../../1.jpg", str(tmp_path / "2.jpg")):
            member = tarfile.TarInfo(name)
            member.size = 1
            archive.addfile(member, io.BytesIO(name[-5:-4].encode()))
    rows = read({"x.tar": buffer.getvalue()}).rows
    assert rows["caption"].tolist() == ["", "", ""]
    assert {Path(file).parent.parent.name for file in rows["file"]} == {"blobs"}
    assert not (tmp_path / "2.jpg").exists()


@pytest.fixture
def small_limits(monkeypatch):
    """What is always read is a hundredth of what it is, so that a bomb is made in no time."""
    monkeypatch.setattr(limits, "ALWAYS_READ_BYTES", 1_000_000)
    monkeypatch.setattr(packed_tables, "ALWAYS_READ_ROWS", 1000)


def bombs():
    """Small Parquet files that fill memory: rows without end, a list without end, a long text, a long text often."""
    long = "A red card. " * 10_000
    return {
        "rows": {"image": pa.array(["a.jpg"] * 100_000)},
        "list": {"image": pa.array(["a.jpg"]), "caption": pa.array([[1] * 100_000])},
        "text": {"image": pa.array(["a.jpg"]), "caption": pa.array([long * 20])},
        "often": {"image": pa.array(["a.jpg"] * 500), "caption": pa.array([long] * 500)},
        "classes": {
            "image": pa.array(["a.jpg"] * 500),
            "caption": pa.array([long] * 500).dictionary_encode(),
        },
    }


@pytest.mark.parametrize(
    ("bomb", "found"),
    [
        ("rows", "bytes claim to hold 100,000 values"),
        ("list", "bytes claim to hold 100,000 values"),
        ("text", "bytes unpack to"),
        ("often", "far more comes out of it"),
        ("classes", "far more comes out of it"),
    ],
)
@pytest.mark.usefixtures("small_limits")
def test_a_parquet_file_of_which_far_more_comes_than_it_holds_is_refused(tmp_path, bomb, found):
    path = tmp_path / "captions.parquet"
    pq.write_table(pa.table(bombs()[bomb]), path, compression="zstd")
    assert path.stat().st_size < 4000
    with pytest.raises(ValueError, match=rf"captions.parquet is not a valid Parquet file \(.*{found}"):
        read_source(path, blobs=Blobs(tmp_path / "blobs"))


@pytest.mark.usefixtures("small_limits")
def test_a_parquet_file_that_says_one_thing_often_is_read(tmp_path):
    """Captions that differ little and a label that never does are no bomb."""
    columns = {"image": [f"{number}.jpg" for number in range(3000)], "caption": ["A red card"] * 3000}
    pq.write_table(pa.table(columns | {"label": ["card"] * 3000}), tmp_path / "x.parquet", compression="zstd")
    assert len(read_source(tmp_path / "x.parquet", blobs=Blobs(tmp_path / "blobs")).rows) == 3000
