"""Whatever the bytes of a source, every row and image has one outcome."""

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mmlab.ingest import FINDINGS, Rules, ingest_items
from mmlab.items.tables import SKIPPED_COLUMNS

LONG = "a red square on nothing"
ALL_WORDS = Rules(min_words=0, ocr=False)


def ingest(folder, rules):
    return ingest_items(folder, rules=rules, progress=False)


NAMES = st.sampled_from([
    "a.png", "b.png", "same.png", "bad.png", "./a.png", "..", "", "/etc", "none.png", "A.PNG", "a", "b.jpg", "x/a.png",
    "y/a.png", "/mnt/sub/c.png", "c.png", "../sub/c.png", "file:c%2Epng", "d.png", "one/d.png", "link.png",
    "linked/e.png",
    "e.png", "http://127.0.0.1:9/sub/c.png",
])  # fmt: skip
CAPTIONS = st.text(max_size=12) | st.sampled_from(["", LONG, f"<b>{LONG}", "<br>", "NA"])
SPLITS = st.sampled_from(["", "train", "test", "val"])
WILD = settings(
    max_examples=15, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def check_balance(result):
    """Balance is checked when the result is made; here only that it adds up for a reader, too."""
    assert result.skipped.columns.tolist() == list(SKIPPED_COLUMNS)
    assert result.balance()["rows"].iloc[:-1].sum() == result.rows
    assert result.balance()["images"].iloc[:-1].sum() == len(result.images)


@given(
    rows=st.lists(st.tuples(NAMES, CAPTIONS, SPLITS), min_size=1, max_size=12),
    min_words=st.integers(0, 3),
    listed=st.lists(st.sampled_from(FINDINGS), unique=True),
    split=st.integers(0, len(FINDINGS)),
    follow=st.booleans(),
)
@WILD
def test_the_counts_add_up_whatever_the_rows(dataset, rows, min_words, listed, split, follow):
    folder = dataset(
        {
            "a.png": "red",
            "b.png": "blue",
            "same.png": "red",
            "sub/c.png": "green",
            "p/d.png": "gray",
            "q/d.png": "white",
        },
        rows,
        ("image", "caption", "split"),
    )
    (folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    add_links(folder)
    check_balance(
        ingest(
            folder,
            Rules(min_words, refuse=listed[:split], keep=listed[split:], ocr=False, follow_links=follow),
        )
    )


def add_links(folder):
    """Beside the dataset a folder with an image; in it a link to each of the two."""
    store = folder.parent / "store"
    store.mkdir(exist_ok=True)
    Image.new("RGB", (30, 20), "yellow").save(store / "e.png")
    for name, target in (("linked", store), ("link.png", store / "e.png")):
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(target)


@given(table=st.binary(max_size=300), header=st.sampled_from([b"", b"image,caption\n", b"image\tcaption\n"]))
@WILD
def test_the_counts_add_up_whatever_the_bytes_of_the_table(dataset, table, header):
    folder = dataset({"a.png": "red"}, [])
    (folder / "captions.csv").write_bytes(header + table)
    try:
        result = ingest(folder, ALL_WORDS)
    except ValueError as error:
        named = "captions.csv" in str(error)
        assert named
        return
    check_balance(result)


@given(
    start=st.sampled_from(
        [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"RIFF", b"BM", b"II*\0"]
    ),
    body=st.binary(max_size=200),
)
@WILD
def test_the_counts_add_up_whatever_the_bytes_of_an_image(dataset, start, body):
    folder = dataset({"a.png": "red"}, [("wild.png", LONG), ("a.png", LONG)])
    (folder / "wild.png").write_bytes(start + body)
    result = ingest(folder, ALL_WORDS)
    check_balance(result)
    assert result.outcomes["outcome"].tolist()[1] == "text item"


@given(at=st.floats(0, 1), bits=st.integers(1, 255))
@WILD
def test_the_counts_add_up_whatever_bytes_of_an_image_are_spoilt(dataset, at, bits):
    folder = dataset({"a.jpg": "red"}, [("a.jpg", LONG)])
    spoilt = bytearray((folder / "a.jpg").read_bytes())
    spoilt[int(at * (len(spoilt) - 1))] ^= bits
    (folder / "a.jpg").write_bytes(spoilt)
    check_balance(ingest(folder, ALL_WORDS))


ONES = NAMES | st.lists(NAMES, max_size=3) | st.none() | st.integers(0, 3)
ENTRIES = st.dictionaries(
    st.sampled_from(["image", "caption", "caption_de", "negative_caption", "split", "url", "handle"]),
    ONES | CAPTIONS | st.lists(CAPTIONS, max_size=3),
    max_size=7,
)


@given(
    entries=st.lists(ENTRIES, min_size=1, max_size=6),
    form=st.sampled_from(["list", "lines", "by name", "columns"]),
)
@settings(WILD, max_examples=10)
def test_the_counts_add_up_whatever_the_entries_of_json(dataset, entries, form):
    folder = dataset({"a.png": "red", "b.png": "blue"}, [])
    (folder / "captions.csv").unlink()
    contents = {
        "list": lambda: json.dumps(entries),
        "lines": lambda: "\n".join(map(json.dumps, entries)),
        "by name": lambda: json.dumps(
            dict(zip(("a.png", "b", "none.png", "..", "", "5"), entries, strict=False))
        ),
        "columns": lambda: json.dumps(
            {name: [entry.get(name) for entry in entries] for name in ("image", "caption")}
        ),
    }
    (folder / "captions.json").write_text(contents[form]())
    try:
        result = ingest(folder, ALL_WORDS)
    except ValueError as error:
        named = "captions.json" in str(error) or "max_downloads" in str(error)
        assert named
        return
    check_balance(result)
