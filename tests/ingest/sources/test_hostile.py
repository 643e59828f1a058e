"""Bytes of any kind give rows or one clear error, in every kind of file."""

import json
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mmlab.ingest.findings_cache import Blobs
from mmlab.ingest.sources.formats import read_source
from tests.ingest.sources.archive_files import tar_of, workbook_of

FILES = [
    "x.csv",
    "x.tsv",
    "x.jsonl",
    "x.parquet",
    "captions_x.json",
    "dataset_x.json",
    "x.token",
    "results.csv",
    "x.json",
    "x.csv.gz",
    "x.xlsx",
    "x.tar",
    "x.pdf",
]
KINDS = dict(
    zip(
        FILES,
        [
            "csv",
            "tsv",
            "jsonl",
            "parquet",
            "coco",
            "karpathy",
            "flickr",
            "flickr",
            "json",
            "csv",
            "excel",
            "webdataset",
            "pdf",
        ],
        strict=True,
    )
)
STARTS = [
    b"", b"image,caption\n", b"image\tcaption\n", b'{"image": "a", "caption": "b"}\n', b"a.jpg#0\tb\n",
    b"%PDF-1.7\n1 0 obj\n<<", b"image_name|", b"image,caption,n\n1,2,3\n", b"\xff\xfe", b"\xef\xbb\xbfimage\n", b"PAR1",
    b"PK\x03\x04", b"\x1f\x8b\x08\0\0\0\0\0\0\x03", b'[{"image": "a", "caption": ', b'caption,image\n"a,b.jpg\n',
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["images", "annotations", "id", "image_id", "file_name", "filename", "filepath", "split",
                         "sentences", "raw", "caption", "image", "bytes", "path", "coco_url", "label", "data",
                         "columns", "image_1", "handle", "negative_caption", "labels", "classes", "a.jpg", "value"]),
        inner, max_size=5,
    ),
    max_leaves=25,
)  # fmt: skip
FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def check(name, content):
    """Read a file of one kind; it gives sound rows, or a ValueError that names it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder).resolve() / name
        path.write_bytes(content)
        try:
            rows = read_source(path, KINDS[name], blobs=Blobs(Path(folder) / "blobs")).rows
        except ValueError as error:
            named = type(error) is ValueError and name in str(error)
            assert named, repr(error)  # noqa: PT017 - rows are as good an end
        else:
            assert len(rows) and not rows[["image", "caption", "origin"]].isna().any(axis=None)
            assert rows.columns.is_unique
            rows.to_parquet(Path(folder) / "rows.parquet")
            assert (rows["problem"].isna() == rows["detail"].isna()).all()


@pytest.mark.parametrize("name", FILES)
@given(start=st.sampled_from(STARTS), content=st.binary(max_size=200))
@example(start=b"", content=b'image,caption\n"')
@example(start=b"", content=b"image,caption\n\0")
@FEW
def test_any_bytes(name, start, content):
    check(name, start + content)


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.token", "results.csv"])
@given(text=st.text(alphabet='a,"\n\r\t|#;0', max_size=60))
@FEW
def test_any_text_with_the_marks_of_tables(name, text):
    check(name, ("image,caption\n" + text).encode())


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "captions_x.json", "dataset_x.json"])
@given(value=JSON)
@example(value={"images": [None, []], "annotations": {"id": None, "image_id": None}})
@FEW
def test_any_json(name, value):
    check(name, json.dumps(value).encode())


@given(images=st.lists(JSON, max_size=3), annotations=st.lists(JSON, max_size=3))
@FEW
def test_any_entries(images, annotations):
    content = json.dumps({"images": images, "annotations": annotations}).encode()
    check("captions_x.json", content)
    check("dataset_x.json", content)


@pytest.mark.parametrize("name", ["captions_x.json", "dataset_x.json", "x.jsonl", "x.json"])
@pytest.mark.parametrize("depth", [400, 800, 950, 100_000])
def test_any_depth(name, depth):
    deep = "[" * depth + "1" + "]" * depth
    entry = (
        f'{{"image": "a", "own": {deep}, "images": [{deep}], "annotations": [{deep}, {{"caption": {deep}}}]}}'
    )
    check(name, entry.encode())


@given(place=st.integers(0, 10_000), content=st.binary(min_size=1, max_size=30))
@example(place=466, content=b"\0")
@example(place=468, content=b"\0")
@FEW
def test_any_damage_to_a_parquet_file(place, content, tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "x.parquet"
    pd.DataFrame({"image": [f"{n}.jpg" for n in range(50)], "caption": [["x"]] * 50}).to_parquet(path)
    sound = path.read_bytes()
    place %= len(sound)
    check("x.parquet", sound[:place] + content + sound[place + len(content) :])


@given(
    place=st.integers(0, 100_000),
    content=st.binary(min_size=1, max_size=30),
    name=st.sampled_from(["x.tar", "x.xlsx"]),
)
@FEW
def test_any_damage_to_an_archive_and_a_workbook(place, content, name):
    rows = [("image", "caption", "n"), *((f"{number}.jpg", "A card", number) for number in range(20))]
    sound = {
        "x.tar": tar_of(
            {f"{number}.txt": "A card" for number in range(5)} | {"0.jpg": b"x", "0.json": {"n": 1}}
        ),
        "x.xlsx": workbook_of(rows),
    }[name]
    place %= len(sound)
    check(name, sound[:place] + content + sound[place + len(content) :])
