import subprocess
import sys
from pathlib import Path

import pytest

from mmlab.ingest.blobs import Blobs
from mmlab.ingest.sources import read_source

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
    assert (source.kind, source.root, source.unlisted) == ("huggingface", tmp_path / "saved", [])
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
    with pytest.raises(ValueError, match=r"saved is not sound"):
        read_source(tmp_path / "saved", "huggingface", blobs=Blobs(tmp_path / "blobs"))


def test_a_saved_dataset_with_damaged_records(datasets, saved, part, tmp_path):
    saved(part())
    file = next((tmp_path / "saved").glob("*.arrow"))
    file.write_bytes(b"\xff" * file.stat().st_size)
    with pytest.raises(ValueError, match=r"saved is not sound"):
        read_source(tmp_path / "saved", blobs=Blobs(tmp_path / "blobs"))


def test_without_the_package_the_error_says_how_to_install_it(tmp_path):
    code = (
        "import sys; sys.modules['datasets'] = None\n"
        "from mmlab.ingest.sources import read_source\n"
        "read_source('hf://owner/name')"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert (
        'ModuleNotFoundError: dataset owner/name: reading it needs datasets: pip install "mmlab[datasets]"'
        in (answer.stderr)
    )
