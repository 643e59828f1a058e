import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmlab.ingest.blobs import Blobs
from mmlab.ingest.sources import read_source
from mmlab.ingest.sources.arrow_tables import BATCH


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
    assert [str(dtype) for dtype in rows.dtypes[8:]] == [
        "Int64",
        "float64",
        "boolean",
        "str",
        "str",
        "str",
        "str",
    ]
    assert rows.loc[1].tolist()[8:] == [1, 0.5, True, "2024-05-01T12:00:00", '{"k":[1]}', "3 bytes", "x"]
    assert rows.isna().loc[2].tolist()[8:] == [True] * 6 + [False]
    assert rows.loc[1, "label"] == "7"


def test_batches_join_in_order(rows_of):
    names = [f"{number}.jpg" for number in range(2 * BATCH + 3)]
    rows = rows_of({"image": names}, row_group_size=50)
    assert rows["image"].tolist() == names


def test_a_table_without_rows(rows_of):
    with pytest.raises(ValueError, match=r"own.parquet has columns but no rows"):
        rows_of({"image": pa.array([], pa.string())})


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.98])
def test_a_file_that_was_cut_off(write, tmp_path, kept):
    path = tmp_path / "whole.parquet"
    pq.write_table(pa.table({"image": [f"{number}.jpg" for number in range(1000)]}), path)
    content = path.read_bytes()
    folder = write({"captions.parquet": content[: int(kept * len(content))]})
    with pytest.raises(ValueError, match=r"captions.parquet is not a sound Parquet file"):
        read_source(folder)


def test_a_file_with_damaged_pages(write, tmp_path):
    path = tmp_path / "whole.parquet"
    pq.write_table(pa.table({"image": [f"{number}.jpg" for number in range(1000)]}), path)
    content = bytearray(path.read_bytes())
    content[10:3000] = b"\xff" * 2990
    with pytest.raises(ValueError, match=r"captions.parquet is not a sound Parquet file"):
        read_source(write({"captions.parquet": bytes(content)}))
