import hashlib
import json
import shutil
import signal
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw, ImageFont

from mmlab.ingest import REFUSED, Rules, ingest_items
from mmlab.ingest.findings_cache import FindingsCache
from mmlab.ingest.images.quality import FILES_PER_CHUNK
from mmlab.ingest.ingesting import add_texts
from mmlab.items import ITEM_COLUMNS, data, read_items, write_items
from mmlab.items.tables import item_id
from tests.conftest import find_shared

PHOTOS = find_shared("photos/flickr8k-200")
LONG = "a red square on nothing"
ALL_WORDS = Rules(min_words=0, ocr=False)
needs_tesseract = pytest.mark.skipif(not shutil.which("tesseract"), reason="Tesseract is not installed")


def ingest(folder, rules=None, **options):
    return ingest_items(folder, rules=rules or Rules(), progress=False, **options)


def test_an_image_comes_before_its_texts(dataset):
    folder = dataset(
        {"a.png": "red", "b.png": "blue"}, [("a.png", LONG), ("b.png", LONG), ("a.png", LONG + "!")]
    )
    items = ingest(folder).items
    assert items["modality"].tolist() == ["image", "text", "image", "text", "text"]
    assert items["pair_id"].tolist() == ["a.png", "a.png", "b.png", "b.png", "a.png"]
    assert items["origin"].tolist() == ["image", "caption", "image", "caption", "caption"]
    assert items["image"].dropna().tolist() == [str(folder / "a.png"), str(folder / "b.png")]
    assert items["width"].tolist() == [30, pd.NA, 30, pd.NA, pd.NA]


def test_blocks_of_few_rows_give_the_same(dataset, monkeypatch):
    """Copies, captions of several images, faults, and a user's column that is a number in some blocks only."""
    images = {"a.png": "red", "b.png": "red", "c.png": "blue", "sub/d.png": "green"}
    rows = [
        ("a.png", LONG),
        ("b.png", LONG),
        ("c.png", LONG + "s"),
        ("d.png", "<b>one</b>"),
        ("none.png", LONG),
    ]
    folder = dataset(images, [])
    (folder / "captions.csv").unlink()
    users = [{"price": price, "lot": lot} for lot, price in enumerate([1, 2.5, None, None, "low"], 1)]
    entries = [
        {"image": image, "caption": text, **user} for (image, text), user in zip(rows, users, strict=True)
    ]
    (folder / "captions.jsonl").write_text("\n".join(map(json.dumps, entries)))
    whole = ingest(folder, Rules(ocr=False, refuse=["short text"]))
    for place in ("items.vector_files", "items.tables", "ingest.sources.cells"):
        monkeypatch.setattr(f"mmlab.{place}.ROWS_PER_BLOCK", 2)
    by_blocks = ingest(folder, Rules(ocr=False, refuse=["short text"]))
    assert whole.items["lot"].tolist() == [1, 1, 3, 3, 4]
    assert whole.items["price"].fillna("").tolist() == ["1", "1", "", "", ""]
    for name in ("items", "skipped", "changes", "outcomes", "images", "places"):
        pd.testing.assert_frame_equal(getattr(by_blocks, name), getattr(whole, name))


def test_ids_come_from_pair_and_content(dataset):
    folder = dataset({"a.png": "red"}, [("a.png", LONG)])
    first, again = (ingest(folder).items for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    content = hashlib.sha256(LONG.encode()).hexdigest()
    assert first.loc[1, ["content", "item_id"]].tolist() == [content, item_id("text", "a.png", content)]


def test_captions_of_a_duplicate_go_to_the_first(dataset):
    folder = dataset(
        {"a.png": "red", "b.png": "red"}, [("a.png", LONG), ("b.png", "another text for the same")]
    )
    result = ingest(folder)
    assert result.items["pair_id"].tolist() == ["a.png"] * 3
    assert result.skipped[["source", "reason", "detail"]].to_numpy().tolist() == [
        ["b.png", "duplicate image", "same bytes as a.png"]
    ]
    assert result.skipped["row"].isna().all()


def test_a_duplicate_may_stay_and_is_marked(dataset):
    folder = dataset(
        {"a.png": "red", "b.png": "red"}, [("a.png", LONG), ("b.png", "another text for the same")]
    )
    items = ingest(folder, Rules(keep=REFUSED)).items
    images = items[items["modality"] == "image"]
    assert images["pair_id"].tolist() == ["a.png", "b.png"]
    assert images["duplicate_of"].fillna("").tolist() == ["", "a.png"]
    assert images["flags"].str.contains("duplicate image").tolist() == [False, True]


def test_repeated_captions_that_stay_have_ids_of_their_own(dataset):
    folder = dataset({"a.png": "red"}, [("a.png", LONG)] * 3)
    items = ingest(folder, Rules(keep=REFUSED)).items
    assert items["item_id"].is_unique
    assert items["text"].tolist()[1:] == [LONG] * 3


def test_an_image_whose_captions_are_refused_stays(dataset):
    result = ingest(
        dataset({"a.png": "red"}, [("a.png", "red"), ("a.png", "blue")]),
        Rules(refuse=["short text"], ocr=False),
    )
    assert result.items["modality"].tolist() == ["image"]
    assert result.skipped["row"].tolist() == [1, 2]
    assert result.skipped["text"].tolist() == ["red", "blue"]


def test_label_split_and_own_columns_follow_their_row(dataset):
    header = ("image", "caption", "split", "label", "reason", "path", "width")
    rows = [
        ("a.png", LONG, "test", "square", "why", "there", "9"),
        ("a.png", LONG + "!", "train", "", "", "", ""),
    ]
    items = ingest(dataset({"a.png": "red"}, rows, header)).items
    assert items.columns.tolist() == [*ITEM_COLUMNS, "reason", "path", "source_width"]
    assert items["split"].tolist() == ["test", "test", "train"]
    assert items["flags"].fillna("").tolist()[1:] == ["", "split leak"]
    assert items["source_width"].tolist() == [9, 9, pd.NA]
    assert items.loc[0, ["label", "reason", "path", "width"]].tolist() == ["square", "why", "there", 30]
    assert items.loc[2, ["label", "reason", "path"]].isna().all()


def test_no_column_of_the_users_is_lost(dataset):
    names = ("name", "listed", "outcome", "row", "pair", "file", "text", "flags")
    folder = dataset(
        {"a.png": "red", "b.png": "blue"}, [("a.png", LONG, *"12345678")], ("image", "caption", *names)
    )
    items = ingest(folder, Rules(keep=["unlisted image"])).items
    own = [name for name in items.columns if name not in ITEM_COLUMNS]
    assert own == ["name", "listed", "outcome", "row", "pair", "source_file", "source_text", "source_flags"]
    assert items[own].iloc[1].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert items[own].iloc[-1].isna().all()


def test_changes_show_before_and_after(dataset):
    folder = dataset({"a.png": "red"}, [("a.png", LONG), ("a.png", f"<p>{LONG} \n &amp;")])
    changes = ingest(folder, ALL_WORDS).changes
    assert changes.to_numpy().tolist() == [[2, f"<p>{LONG} \n &amp;", f"{LONG} &", "html, whitespace"]]


def test_replacements_and_the_cap_are_changes_too(dataset, tmp_path):
    table = tmp_path / "terms.csv"
    table.write_text("find,replace\ntee,t-shirt\n", encoding="utf-8")
    folder = dataset({"a.png": "red"}, [("a.png", "a red tee on a table")])
    changes = ingest(folder, Rules(replacements=table, max_chars=14)).changes
    assert changes[["after", "steps"]].to_numpy().tolist() == [["a red t-shirt", "replacements, length"]]


def test_items_come_back_from_disk_as_they_were(dataset, tmp_path):
    header = ("image", "caption", "price")
    folder = dataset({"a.png": "red", "b.png": "blue"}, [("a.png", LONG, "5"), ("b.png", "", "")], header)
    items = ingest(folder).items
    pd.testing.assert_frame_equal(read_items(write_items(items, tmp_path / "items.parquet")), items)


def test_nothing_usable_gives_an_empty_result_with_reasons(dataset):
    result = ingest(dataset({}, [("none.png", LONG), ("", LONG)]))
    assert result.items.empty
    assert result.items.columns.tolist() == list(ITEM_COLUMNS)
    assert result.skipped["reason"].tolist() == ["missing file", "no image named"]


def test_a_caption_without_image_may_stay(dataset):
    items = ingest(dataset({"a.png": "red"}, [("a.png", LONG), ("", LONG)]), Rules(keep=REFUSED)).items
    assert items["modality"].tolist() == ["image", "text", "text"]
    assert items["pair_id"].nunique() == 2
    assert items["flags"].tolist()[-1] == "no image named"


def test_images_without_any_table_are_items(tmp_path):
    folder = tmp_path / "only"
    folder.mkdir()
    Image.new("RGB", (40, 40), "red").save(folder / "a.png")
    result = ingest(folder, Rules(ocr=False))
    assert result.kind == "images"
    assert result.items[["modality", "pair_id"]].to_numpy().tolist() == [["image", "a.png"]]
    assert result.outcomes["outcome"].tolist() == ["no caption"]


def test_files_that_no_row_names_are_listed_and_not_opened(dataset):
    folder = dataset({"a.png": "red", "more/b.png": "blue"}, [("a.png", LONG)])
    result = ingest(folder)
    assert result.skipped[["source", "reason"]].to_numpy().tolist() == [["more/b.png", "unlisted image"]]
    assert result.counts["images decoded"] == 1
    assert result.rows == 2


def test_odd_images_are_marked_or_refused_with_their_rows(dataset):
    folder = dataset({"a.png": "red"}, [("a.png", LONG)])
    Image.new("RGB", (3, 3), "blue").save(folder / "dot.png")
    Image.new("RGB", (400, 20), "green").save(folder / "wide.png")
    rows = [("dot.png", LONG), ("wide.png", LONG)]
    with open(folder / "captions.csv", "a", encoding="utf-8") as file:
        file.writelines(f"{name},{caption}\n" for name, caption in rows)
    result = ingest(folder)
    assert result.skipped[["row", "reason"]].to_numpy().tolist() == [[2, "tiny"]]
    wide = result.items.set_index("pair_id").loc["wide.png", "flags"].iloc[0]
    assert "extreme aspect" in wide


def drawn(seed):
    """An image of coloured boxes, another one for another seed."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (200, 150), "white")
    for left, top, wide, high, *colour in rng.integers(20, 120, (14, 7)).tolist():
        ImageDraw.Draw(image).rectangle((left, top, left + wide, top + high // 2), tuple(colour))
    return image


@pytest.fixture
def near(tmp_path):
    """Three images in two splits: b is a again, recompressed; c is another."""
    folder = tmp_path / "near"
    folder.mkdir()
    drawn(1).save(folder / "a.jpg", quality=92)
    drawn(1).save(folder / "b.jpg", quality=40)
    drawn(2).save(folder / "c.jpg", quality=92)
    lines = ["image,caption,split", f"a.jpg,{LONG} a,train", f"b.jpg,{LONG} b,test", f"c.jpg,{LONG} c,train"]
    (folder / "captions.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder


def test_near_duplicates_and_leaks_are_marked(near):
    images = ingest(near).items.query("modality == 'image'").set_index("pair_id")
    assert images["flags"].fillna("").to_dict() == {
        "a.jpg": "split leak",
        "b.jpg": "near duplicate",
        "c.jpg": "",
    }
    assert images["duplicate_of"].dropna().to_dict() == {"b.jpg": "a.jpg"}


def test_near_duplicates_are_merged_where_the_rules_say_so(near):
    result = ingest(near, Rules(refuse=["near duplicate"]))
    items = result.items
    assert items.loc[items["modality"] == "image", "pair_id"].tolist() == ["a.jpg", "c.jpg"]
    assert items.loc[items["pair_id"] == "a.jpg", "split"].tolist() == ["test", "train", "test"]
    assert result.skipped[["source", "reason", "detail"]].to_numpy().tolist() == [
        ["b.jpg", "near duplicate", "looks like a.jpg"]
    ]


def test_leaks_are_refused_where_the_rules_say_so(near):
    result = ingest(near, Rules(refuse=["split leak"]))
    assert set(result.items["pair_id"]) == {"b.jpg", "c.jpg"}
    assert result.skipped[["row", "reason", "detail"]].to_numpy().tolist() == [
        [1, "split leak", "a near duplicate is in split test"]
    ]


def test_again_nothing_is_decoded_and_new_rows_only_are_worked(dataset):
    images, rows = {"a.png": "red", "b.png": "blue"}, [("a.png", LONG), ("b.png", LONG)]
    folder = dataset(images, rows)
    first, again = ingest(folder), ingest(folder)
    assert (first.counts["images decoded"], first.counts["images known from the cache"]) == (2, 0)
    assert (again.counts["images decoded"], again.counts["images known from the cache"]) == (0, 2)
    pd.testing.assert_frame_equal(first.items, again.items)
    Image.new("RGB", (30, 20), "green").save(folder / "c.png")
    with open(folder / "captions.csv", "a", encoding="utf-8") as file:
        file.write(f"c.png,{LONG}\n")
    more = ingest(folder)
    assert more.counts["images decoded"] == 1
    assert set(first.items["item_id"]) < set(more.items["item_id"])


@pytest.fixture
def website(tmp_path):
    """Two images served on loopback; yields the address and the paths requested for."""
    folder, requested = tmp_path / "served", []
    folder.mkdir()
    for name, colour in (("a.png", "red"), ("b.png", "blue")):
        Image.new("RGB", (30, 20), colour).save(folder / name)

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            requested.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", requested
    server.shutdown()
    server.server_close()


def test_one_dead_address_costs_one_row(website, dataset):
    address, requested = website
    folder = dataset(
        {}, [(f"{address}/a.png", LONG), (f"{address}/gone.png", LONG), (f"{address}/b.png", LONG)]
    )
    rules = Rules(private_addresses=True)
    result = ingest(folder, rules)
    assert result.skipped[["row", "reason", "detail"]].to_numpy().tolist() == [
        [2, "refused by the server", "404 Not Found"]
    ]
    images = result.items.query("modality == 'image'")
    assert images["pair_id"].tolist() == [f"{address}/a.png", f"{address}/b.png"]
    assert all(Path(path).is_relative_to(data() / "cache") for path in images["image"])
    requested.clear()
    pd.testing.assert_frame_equal(ingest(folder, rules).items, result.items)
    assert [path for path in requested if path != "/gone.png"] == []


def test_addresses_of_this_machine_are_refused(website, dataset):
    address, requested = website
    result = ingest(dataset({}, [(f"{address}/a.png", LONG)]))
    assert result.skipped["reason"].tolist() == ["address not allowed"]
    assert requested == []


def printed(path, text):
    image = Image.new("RGB", (400, 120), "white")
    ImageDraw.Draw(image).text((20, 40), text, fill="black", font=ImageFont.load_default(size=32))
    image.save(path)


@needs_tesseract
def test_printed_text_is_read_where_there_is_no_other(dataset):
    folder = dataset({"a.png": "red"}, [("a.png", LONG), ("print.png", ""), ("captioned.png", LONG)])
    printed(folder / "print.png", "Fresh green apples")
    printed(folder / "captioned.png", "Fresh red apples")
    result = ingest(folder)
    read = result.items[result.items["origin"] == "ocr"]
    assert read[["pair_id", "text"]].to_numpy().tolist() == [["print.png", "Fresh green apples"]]
    assert result.balance()["rows"].iloc[-1] == 3
    assert result.counts["texts found in images"] == 1


def test_without_tesseract_the_rest_goes_on(dataset, monkeypatch):
    folder = dataset({"a.png": "red", "b.png": "blue"}, [("a.png", LONG), ("b.png", "")])
    monkeypatch.setenv("PATH", "")
    result = ingest(folder)
    assert result.items["modality"].tolist() == ["image", "text", "image"]
    assert len(result.notes) == 1
    assert "1 images without text were not searched for printed text" in result.notes[0]
    assert "tesseract" in result.notes[0]


@pytest.fixture
def findings(tmp_path):
    with FindingsCache(tmp_path / "cache.sqlite") as findings:
        yield findings


@pytest.fixture
def without_text(tmp_path):
    Image.new("RGB", (30, 20), "red").save(tmp_path / "a.png")
    return pd.Series({"content of a": str(tmp_path / "a.png")}, dtype="str").rename_axis("content")


def test_where_nothing_is_requested_for_nothing_is_done(without_text, findings):
    found, notes = add_texts(without_text, Rules(ocr=False), findings, progress=False)
    assert found.empty
    assert found.columns.tolist() == ["text", "origin"]
    assert notes == []


def test_where_every_image_has_a_text_no_reader_is_needed(without_text, findings, monkeypatch):
    monkeypatch.setenv("PATH", "")
    found, notes = add_texts(without_text[:0], Rules(captioner="no/such-model"), findings, progress=False)
    assert (len(found), notes) == (0, [])


def test_without_tesseract_a_note_says_how_many_and_what_to_install(without_text, findings, monkeypatch):
    monkeypatch.setenv("PATH", "")
    found, (note,) = add_texts(without_text, Rules(), findings, progress=False)
    assert found.empty
    assert note.startswith("1 images without text were not searched for printed text: ")
    assert "apt install tesseract-ocr" in note


@needs_tesseract
def test_an_image_that_is_gone_is_noted(without_text, findings, tmp_path):
    (tmp_path / "a.png").unlink()
    found, notes = add_texts(without_text, Rules(), findings, progress=False)
    assert found.empty
    assert notes == ["1 images could not be searched for printed text: missing file"]


def test_what_is_requested_for_is_checked_first(dataset):
    folder = dataset({"a.png": "red"}, [("a.png", LONG)])
    with pytest.raises(ValueError, match="auto, csv, tsv.*found 'cvs'"):
        ingest(folder, source="cvs")
    with pytest.raises(FileNotFoundError, match=r"no-such-dataset"):
        ingest_items("no-such-dataset")
    with pytest.raises(ValueError, match="columns: expected texts like 'image=url', found 'image'"):
        ingest(folder, columns=["image"])


def test_columns_are_named_as_on_the_command_line(dataset):
    folder = dataset({"a.png": "red"}, [("a.png", LONG)], ("photo", "wording"))
    named = ingest(folder, columns=["image=photo", "caption=wording"])
    assert named.items["text"].tolist()[1:] == [LONG]
    pd.testing.assert_frame_equal(
        named.items, ingest(folder, columns={"image": "photo", "caption": "wording"}).items
    )


INGEST_AND_HANG = """
import sys, time
from mmlab.ingest import findings_cache, ingest_items

class Cache(findings_cache.FindingsCache):
    def put(self, kind, values):
        if values and getattr(self, "committed", False):
            print("the first chunk is committed", flush=True)
            time.sleep(600)
        super().put(kind, values)
        self.committed = bool(values)

import mmlab.ingest.ingesting
mmlab.ingest.ingesting.FindingsCache = Cache
ingest_items(sys.argv[1], progress=False)
"""


def test_a_text_made_to_be_wrong_is_kept_and_belongs_to_no_image(dataset):
    header = ("image", "caption", "negative_caption")
    folder = dataset({"a.png": "red"}, [("a.png", LONG, f"not {LONG}")], header)
    result = ingest(folder, ALL_WORDS)
    texts = result.items[result.items["modality"] == "text"]
    assert texts["origin"].tolist() == ["caption", "negative"]
    assert texts["pair_id"].tolist()[0] == "a.png" and texts["pair_id"].tolist()[1].startswith("text/")
    assert result.skipped.empty and texts["flags"].isna().all()


def test_a_killed_ingest_goes_on_where_it_stopped(tmp_path):
    """The process is killed when the facts of the first chunk of images are committed and those of the second not."""
    folder = tmp_path / "many"
    folder.mkdir()
    rng, lines, number = np.random.default_rng(0), ["image,caption"], FILES_PER_CHUNK + 100
    for n in range(number):
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(folder / f"{n}.png")
        lines.append(f"{n}.png,{LONG} {n}")
    (folder / "captions.csv").write_text("\n".join(lines), encoding="utf-8")
    command = [sys.executable, "-c", INGEST_AND_HANG, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "the first chunk is committed\n"
        process.send_signal(signal.SIGKILL)
    resumed = ingest(folder, ALL_WORDS)
    assert resumed.counts["images decoded"] == 100
    assert resumed.counts["images known from the cache"] == FILES_PER_CHUNK
    assert len(resumed.items) == 2 * number
    assert ingest(folder, ALL_WORDS, cache=tmp_path / "other").items.equals(resumed.items)


@pytest.mark.skipif(not PHOTOS.is_dir(), reason="the 200 photos are not here")
def test_the_200_photos_give_200_images_and_1000_texts():
    result = ingest(PHOTOS, Rules(min_words=0))
    assert result.items["modality"].value_counts().to_dict() == {"text": 1000, "image": 200}
    assert result.skipped.empty
