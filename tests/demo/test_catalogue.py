import hashlib
import json
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest
from PIL import Image

from mmlab.demo import catalogue, draw_catalogue
from mmlab.demo.catalogue import (
    ALL_FAULTS,
    CAPTION_FAULTS,
    EXACT,
    FAULT_SHARE,
    NEAR,
    PRINTED,
    SWAPPED,
    list_catalogue,
    split_of,
    spoil_caption,
)
from mmlab.demo.products import WITHHELD
from mmlab.ingest import inspect_dataset

PRODUCTS = 240


def fingerprint(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def loads(path):
    try:
        with Image.open(path) as image:
            image.load()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return draw_catalogue(tmp_path_factory.mktemp("demo") / "catalogue", PRODUCTS, progress=False)


@pytest.fixture(scope="module")
def tables(folder):
    return {
        name: pd.read_csv(folder / f"{name}.csv", keep_default_na=False)
        for name in ("captions", "truth", "faults", "queries", "qrels")
    }


@pytest.fixture
def faulty(tables):
    faults = tables["faults"]
    return lambda fault: faults[faults["fault"] == fault]


def test_tables_have_their_columns(tables):
    assert list(tables["captions"]) == ["image", "caption", "label", "split", "colour", "pattern"]
    assert list(tables["faults"]) == ["fault", "image", "row", "original", "detail"]
    assert list(tables["truth"])[:4] == ["image", "split", "category", "colour"]
    assert list(tables["queries"]) == ["query_id", "text", "kind", "language"]
    assert list(tables["qrels"]) == ["query_id", "image", "relevance"]


def test_images_are_those_that_the_truth_names(folder, tables, faulty):
    named, missing = set(tables["truth"]["image"]), set(faulty("missing file")["image"])
    assert missing
    assert {f"images/{path.name}" for path in (folder / "images").iterdir()} == named - missing
    assert set(tables["captions"]["image"]) == named
    assert len(named) == PRODUCTS + len(faulty("exact duplicate")) + len(faulty("near duplicate"))


def test_truncated_files_and_no_others_fail_to_load(folder, faulty):
    broken = {f"images/{path.name}" for path in (folder / "images").iterdir() if not loads(path)}
    assert broken
    assert broken == set(faulty("truncated file")["image"])


def test_exact_duplicates_and_no_others_have_equal_bytes(folder, faulty):
    first, equal = {}, set()
    for path in sorted((folder / "images").iterdir()):
        earlier = first.setdefault(hashlib.sha256(path.read_bytes()).hexdigest(), path)
        if earlier != path:
            equal.add((f"images/{earlier.name}", f"images/{path.name}"))
    duplicates = faulty("exact duplicate")
    assert equal
    assert equal == set(zip(duplicates["original"], duplicates["image"], strict=True))


def test_faults_name_the_row_of_their_caption(tables):
    faults, captions = tables["faults"], tables["captions"]
    placed = faults[faults["row"] != ""]
    rows = captions.iloc[placed["row"].astype(int) - 1]
    assert list(rows["image"]) == list(placed["image"])
    assert all(rows["caption"].to_numpy() != placed["original"].to_numpy())


def test_proper_captions_have_five_words_and_all_others_are_known(tables):
    captions = tables["captions"]
    short = captions.index[captions["caption"].str.split().str.len() < 5] + 1
    faults = tables["faults"]
    known = faults[faults["fault"].isin(["too short", "text in image"])]["row"].astype(int)
    assert sorted(short) == sorted(known)


def test_right_answers_are_images_that_can_be_opened_and_each_is_named_once(folder, tables, faulty):
    truth, qrels = tables["truth"], tables["qrels"]
    assert set(qrels["query_id"]) == set(tables["queries"]["query_id"])
    assert not qrels.duplicated(["query_id", "image"]).any()
    assert all(loads(folder / image) for image in qrels["image"].unique())
    assert not set(qrels["image"]) & set(faulty("exact duplicate")["image"])
    (name,) = tables["queries"].query("text == 'sock'")["query_id"]
    socks = set(truth.loc[truth["category"] == "sock", "image"])
    assert set(qrels.loc[qrels["query_id"] == name, "image"]) == {
        image
        for image in socks - set(faulty("exact duplicate")["image"])
        if (folder / image).exists() and loads(folder / image)
    }


def test_of_its_tables_the_captions_are_read_as_a_dataset(folder, tables):
    looked = inspect_dataset(folder)
    assert looked.source.tables == ("captions.csv",)
    assert set(looked.source.unread) == {
        "catalogue.json", "faults.csv", "qrels.csv", "queries.csv", "truth.csv",
    }  # fmt: skip


def test_withheld_combinations_are_marked_and_in_the_test_split_only(tables):
    truth = tables["truth"]
    combinations = list(zip(truth["category"], truth["colour"], strict=True))
    assert list(truth["withheld"]) == [combination in WITHHELD for combination in combinations]
    assert set(truth.loc[truth["withheld"], "split"]) == {"test"}


def test_a_second_call_draws_nothing(folder):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert draw_catalogue(folder, PRODUCTS, progress=False) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_two_at_once_draw_it_once(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(catalogue, "_draw_images", lambda *given: drawn.append(given) or time.sleep(0.1))
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda _: draw_catalogue(tmp_path / "demo", products=2, progress=False), range(2)))
    assert len(drawn) == 1


def test_drawn_again_it_is_the_same_and_fewer_are_its_beginning(folder, tmp_path):
    again = fingerprint(draw_catalogue(tmp_path / "few", 60, progress=False))
    whole = fingerprint(folder)
    images = {name for name in again if name.endswith(".jpg")}
    assert len(images) >= 60 * 0.9
    assert all(whole[name] == again[name] for name in images)
    assert (
        (folder / "captions.csv")
        .read_text("utf-8")
        .startswith((tmp_path / "few/captions.csv").read_text("utf-8"))
    )


def test_other_parameters_replace_it_and_leave_other_files(tmp_path):
    draw_catalogue(tmp_path / "catalogue", 4, progress=False)
    (tmp_path / "catalogue" / "notes.txt").write_text("mine")
    draw_catalogue(tmp_path / "catalogue", 2, seed=3, progress=False)
    assert len(list((tmp_path / "catalogue" / "images").iterdir())) == 2
    assert (tmp_path / "catalogue" / "notes.txt").read_text() == "mine"


def test_a_killed_drawing_is_drawn_anew(tmp_path):
    folder = draw_catalogue(tmp_path / "catalogue", 4, progress=False)
    whole = fingerprint(folder)
    parameters = json.loads((folder / "catalogue.json").read_text())
    (folder / "catalogue.json").write_text(json.dumps(parameters | {"finished": False}))
    (folder / "images" / "00002.jpg").write_bytes(b"half")
    (folder / "faults.csv").unlink()
    draw_catalogue(folder, 4, progress=False)
    assert fingerprint(folder) == whole


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("do not lose")
    with pytest.raises(FileExistsError, match="expected an empty folder or an earlier catalogue"):
        draw_catalogue(tmp_path, 2, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("wrong", [{"products": 0}, {"seed": -1}])
def test_impossible_parameters_are_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match="products must be at least 1 and seed at least 0"):
        draw_catalogue(tmp_path / "catalogue", **wrong)
    assert not (tmp_path / "catalogue").exists()


@pytest.fixture(scope="module")
def listings():
    return list_catalogue(1500, seed=0)


def test_a_smaller_catalogue_is_the_beginning_of_a_larger_one(listings):
    few = list_catalogue(100, seed=0)
    assert few == listings[: len(few)]


def test_names_are_unique(listings):
    assert len({listing.image for listing in listings}) == len(listings)


def test_every_fault_occurs_about_as_often_as_stated(listings):
    products = defaultdict(set)
    for listing in listings:
        products[listing.fault].add(listing.product.number)
    spread = 4 * (1500 * FAULT_SHARE) ** 0.5
    for fault in ALL_FAULTS:
        assert abs(len(products[fault]) - 1500 * FAULT_SHARE) < spread, fault


def test_a_product_has_one_fault_at_most(listings):
    faulty = Counter(listing.product.number for listing in listings if listing.fault)
    assert set(faulty.values()) == {1}
    assert all(len({flaw.fault for flaw in listing.flaws}) <= 1 for listing in listings)


def test_all_captions_are_proper_but_the_faulty_ones(listings):
    for listing in listings:
        faulty = {flaw.caption for flaw in listing.flaws}
        for position, caption in enumerate(listing.captions):
            if position not in faulty or listing.fault == SWAPPED:
                assert len(caption.split()) >= 5
                assert not set("<>\n&;") & set(caption.replace("Home & décor", "").replace("; setting", ""))


def test_swapped_captions_are_those_of_the_other_product(listings):
    by_image = {listing.image: listing for listing in listings}
    swapped = [listing for listing in listings if listing.fault == SWAPPED]
    for listing in swapped:
        (other,) = {flaw.original for flaw in listing.flaws}
        assert {flaw.original for flaw in by_image[other].flaws} == {listing.image}
        assert by_image[other].product.split == listing.product.split
        assert by_image[other].product.category != listing.product.category


def test_duplicates_name_what_they_repeat(listings):
    by_image = {listing.image: listing for listing in listings}
    for listing in listings:
        if listing.fault in (EXACT, NEAR):
            assert by_image[listing.flaws[0].original].product == listing.product
            assert by_image[listing.flaws[0].original].fault is None


def test_an_image_with_printed_text_has_no_other(listings):
    for listing in listings:
        if listing.fault == PRINTED:
            assert listing.captions == ("",)
            assert listing.product.colour in listing.flaws[0].original


def test_splits_have_their_shares():
    assert Counter(split_of(number) for number in range(20)) == {"train": 12, "validation": 2, "test": 6}


def test_files_of_somebody_stay_when_it_is_drawn_anew(tmp_path):
    folder = draw_catalogue(tmp_path / "catalogue", 2, progress=False)
    for name in ("images/mine.jpg", "images/.hidden", "notes.txt", "images/old/00001.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("mine")
    draw_catalogue(folder, 1, progress=False)
    assert len(list((folder / "images").glob("0*.jpg"))) == 1
    for name in ("images/mine.jpg", "images/.hidden", "notes.txt", "images/old/00001.jpg"):
        assert (folder / name).read_text() == "mine"


@pytest.mark.parametrize("name", ["captions.csv", "images/00000.jpg", "images/00007.jpg"])
def test_a_drawn_file_that_somebody_changed_or_added_is_not_replaced(tmp_path, name):
    folder = draw_catalogue(tmp_path / "catalogue", 2, progress=False)
    (folder / name).write_text("mine")
    with pytest.raises(
        FileExistsError, match=rf"{name} is not as it was drawn, .* move it away \(1 such files\)"
    ):
        draw_catalogue(folder, 1, progress=False)
    assert (folder / name).read_text() == "mine"
    assert (folder / "images" / "00001.jpg").exists()


CAPTION = "Home & décor: red mug — shown on a wooden table."


@pytest.mark.parametrize(
    ("fault", "spoilt"),
    [
        (
            "html tags",
            '<p class="description">Home <b>&</b> décor: red mug — shown on a wooden table.<br/></p>',
        ),
        ("html entities", "Home&nbsp;&amp; d&eacute;cor: red mug &mdash; shown on a wooden table."),
        ("newlines", "\nHome &\r\n\n   décor: red mug — shown on a wooden table.\n"),
        ("broken encoding", "Home & dÃ©cor: red mug â€” shown on a wooden table."),
        ("too short", "Home & décor:"),
    ],
)
def test_what_a_fault_does_to_a_caption(fault, spoilt):
    assert spoil_caption(CAPTION, fault) == (CAPTION, spoilt)


def test_every_caption_fault_shows_even_on_plain_letters():
    for fault in CAPTION_FAULTS:
        original, spoilt = spoil_caption("A red mug on a wooden table", fault)
        assert original != spoilt
