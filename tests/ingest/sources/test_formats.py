"""Every kind of source gives the same rows for the same images and captions."""

import pandas as pd
import pytest

from mmlab.ingest.findings_cache import Blobs
from mmlab.ingest.sources.formats import read_source, recognise
from mmlab.ingest.sources.kinds import KINDS, TABLES
from mmlab.items import files as limits
from tests.ingest.sources.archive_files import workbook_of, zip_of

COLUMNS = [
    "image",
    "caption",
    "origin",
    "label",
    "split",
    "file",
    "problem",
    "detail",
    "table",
    "address",
    "record",
]
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


def json_by_list():
    return {"captions.json": [{**record, "caption": [record["caption"]]} for record in RECORDS]}


FILES = {
    "json": json_by_list,
    "excel": lambda: {"captions.xlsx": workbook_of(TABLE)},
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
    assert set(source.rows.drop(columns="record").dtypes.astype(str)) == {"str"}
    assert source.rows["record"].notna().all() == (kind in TABLES)
    assert source.rows["address"].isna().all()
    assert set(source.rows["table"].dropna()) == set(source.tables)
    assert len(source.tables) == (kind not in ("sidecar", "images"))
    assert all((source.root / name).is_file() for name in source.rows["image"])


def test_every_kind_is_tested():
    assert set(FILES) | {"huggingface", "webdataset", "lists", "pdf", "vectors"} == set(KINDS)


def test_a_kind_that_is_none(tmp_path):
    with pytest.raises(ValueError, match=r"parameter source: expected one of auto, csv, tsv.*found 'word'"):
        read_source(tmp_path, "word")


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


@pytest.mark.parametrize("dataset", ["hf://owner/name", "hf:/owner/name", "owner/name", "hf://squad"])
def test_an_id_of_the_hub(dataset):
    found = recognise(dataset, "huggingface")
    assert (found.kind, str(found.files[0].path)) == ("huggingface", dataset.removeprefix("hf:").lstrip("/"))


def test_an_id_that_is_none():
    with pytest.raises(ValueError, match=r"expected the id .* as hf://owner/name"):
        recognise("hf://a/b/c")
    with pytest.raises(ValueError, match=r"hf://a/b is of the kind huggingface, found source='csv'"):
        recognise("hf://a/b", "csv")


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected a folder or a file, found nothing there"):
        recognise(tmp_path / "nowhere")


def test_parts_with_other_columns_are_one_table(read):
    source = read({"train.csv": "image,caption,n\na.jpg,A,1\n", "test.csv": "image,caption,m\nb.jpg,B,x\n"})
    assert source.rows["split"].tolist() == ["test", "train"]
    assert source.rows["table"].tolist() == ["test.csv", "train.csv"] == list(source.tables)
    assert source.rows["n"].isna().tolist() == [True, False] and source.rows["n"].dtype == "Int64"
    assert source.rows["m"].tolist()[0] == "x"


def test_images_of_one_name_in_two_parts_stay_two(write, image, tmp_path):
    folder = write({})
    for split, colour in (("train", "red"), ("test", "blue")):
        cell = {"path": "a.png", "bytes": image(colour)}
        pd.DataFrame({"image": [cell], "text": [f"A {colour} card"]}).to_parquet(folder / f"{split}.parquet")
    rows = read_source(folder, blobs=Blobs(tmp_path / "blobs")).rows
    assert rows["image"].tolist() == ["a.png", "train.parquet#1"]
    assert rows["file"].nunique() == 2


def test_one_part_that_cannot_be_read_is_told(read):
    lines = "image,caption\na.jpg,A\n"
    source = read({"0.csv": lines, "1.csv": lines.replace("a.jpg,A", "b.jpg,B"), "2.csv": b"\xff\xfex"})
    assert source.rows["image"].tolist() == ["a.jpg", "b.jpg"]
    assert "2.csv is not UTF-16" in source.unread["2.csv"]


@pytest.mark.parametrize(
    ("cells", "spans"),
    [
        (
            '<row r="1"><c r="A1"/></row><row r="1048576"><c r="BZ1048576"/></row>',
            "1,048,576 rows and 78 columns",
        ),
        (
            '<row r="1"><c r="A1"/></row><row r=\'9999999\'><c r="b9999999"/></row>',
            "9,999,999 rows and 2 columns",
        ),
    ],
)
def test_a_workbook_whose_cells_span_far_more_than_there_are_is_refused(write, cells, spans):
    """All between the first and the last cell is in memory: 2 kB took 3 GB, or ended the process."""
    sheet = workbook_of([("image", "caption"), ("a.jpg", "A red card")], cells)
    with pytest.raises(
        ValueError, match=rf"x.xlsx is not a workbook .*cells span {spans}: save its sheet as csv"
    ):
        read_source(write({"x.xlsx": sheet}) / "x.xlsx")


ODS = """<?xml version="1.0"?>
<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0">
<office:body><office:spreadsheet><table:table table:name="one">%s</table:table></office:spreadsheet></office:body>
</office:document-content>"""


MEDIA_TYPE = "application/vnd.oasis.opendocument.spreadsheet"
MANIFEST = """<?xml version="1.0"?>
<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>"""


def ods_row(*cells, repeated=1):
    return f'<table:table-row table:number-rows-repeated="{repeated}">{"".join(cells)}</table:table-row>'


def ods_cell(text, repeated=1):
    filled = f' office:value-type="string"><text:p>{text}</text:p>' if text else ">"
    return f'<table:table-cell table:number-columns-repeated="{repeated}"{filled}</table:table-cell>'


def ods(*rows):
    return zip_of(
        [("mimetype", MEDIA_TYPE), ("META-INF/manifest.xml", MANIFEST), ("content.xml", ODS % "".join(rows))]
    )


def xlsb(*records):
    """Return a workbook of binary records (type, number): of rows and of cells, which begin with their place."""
    parts = (bytes([kind & 127 | 128, kind >> 7]) if kind > 127 else bytes([kind]) for kind, _ in records)
    written = (
        part + bytes([8]) + number.to_bytes(8, "little")
        for part, (_, number) in zip(parts, records, strict=True)
    )
    return zip_of([("xl/workbook.bin", b""), ("xl/worksheets/sheet1.bin", b"".join(written))])


@pytest.mark.parametrize(
    ("name", "workbook", "spans"),
    [
        (
            "x.ods",
            ods(
                ods_row(ods_cell("image"), ods_cell("caption")),
                ods_row(ods_cell("x", 16_384), repeated=1_000_000),
            ),
            "3 cells span 1,000,001 rows and 16,384 columns",
        ),
        (
            "x.ods",
            ods(
                ods_row(ods_cell("", 16_383), ods_cell("x")),
                ods_row(ods_cell("")),
                ods_row(ods_cell("y"), repeated=99_998),
            ),
            "2 cells span 100,000 rows and 16,384 columns",
        ),
        (
            "x.xlsb",
            xlsb((0, 5), (145, 0), (0, 0), (6, 0), (0, 1_048_575), (7, 16_383)),
            "2 cells span 1,048,576 rows and 16,384 columns",
        ),
    ],
)
def test_cells_that_repeat_or_lie_far_apart_are_refused(write, name, workbook, spans):
    with pytest.raises(ValueError, match=rf"{name} is not a workbook .*{spans}: save its sheet as csv"):
        read_source(write({name: workbook}) / name)


def test_blank_cells_to_the_end_of_a_sheet_span_nothing(write):
    """LibreOffice writes a sheet of 1,048,576 rows and 16,384 columns, most of them blank."""
    blank = ods_row(ods_cell("", 16_384), repeated=1_048_573)
    rows = [
        ods_row(ods_cell(image), ods_cell(text), ods_cell("", 16_382))
        for image, text in [("image", "caption"), ("a.jpg", "A red card")]
    ]
    folder = write({"x.ods": ods(*rows, blank)})
    assert read_source(folder / "x.ods").rows["caption"].tolist() == ["A red card"]


def test_a_workbook_that_unpacks_to_far_more_than_it_holds_is_refused(write, monkeypatch):
    monkeypatch.setattr(limits, "ALWAYS_READ_BYTES", 1000)
    sheet = workbook_of([("image", "caption")], " " * 10_000_000)
    with pytest.raises(ValueError, match=r"more than [\d,]+ bytes come out of it: save its sheet as csv"):
        read_source(write({"x.xlsx": sheet}) / "x.xlsx")
