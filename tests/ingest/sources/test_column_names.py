"""Which column says what, by its name and by its cells."""

import pytest

from mmlab.ingest.sources.column_names import (
    IMAGE_NAMES,
    MAX_COLUMNS,
    NEGATIVE,
    SINGLE_NAMES,
    map_columns,
    normalized,
)

TEXT = "A red card lies on the table"


def texts_of(names, *records, columns=None):
    found = map_columns(names, columns or {}, "t", records)
    return [(names[text.place], text.origin, text.language) for text in found.texts]


@pytest.mark.parametrize("name", IMAGE_NAMES)
def test_the_usual_names_of_images(name):
    for spelling in (name, name.upper(), f" {name.replace('_', ' ')} ", name.replace("_", "-")):
        found = map_columns(["caption", spelling], {}, "t")
        assert found.images == [(1, "")] and found.user_places == []


@pytest.mark.parametrize(
    "name",
    ["caption", "Captions", "text", "TEXT", "sentence", "description", "title", "alt_text", "prompt", "comment", "raw",
     "name", "product_name", "productDisplayName", "Body (HTML)", "caption_str", "image_description", "detail_desc"],
)  # fmt: skip
def test_the_usual_names_of_texts(name):
    assert texts_of(["image", name], ["a.jpg", TEXT])[0][0] == name


@pytest.mark.parametrize(
    "name", ["caption_id", "comment_number", "title_length", "caption_url", "text_embedding", "page_title", "SEO Title",
             "caption_score", "Option1 Name", "file", "altitude", "author_name", "timed_caption"],
)  # fmt: skip
def test_names_that_only_mention_a_text(name):
    assert texts_of(["image", name, "caption"], ["a.jpg", "word", TEXT]) == [("caption", "caption", None)]


@pytest.mark.parametrize(
    ("ours", "name"), [(ours, name) for ours, names in SINGLE_NAMES.items() for name in names]
)
def test_the_usual_names_of_labels_and_splits(ours, name):
    assert getattr(map_columns(["image", name.upper()], {}, "t"), ours) == 1


@pytest.mark.parametrize(
    ("name", "written"),
    [
        (" Image Src", "image_src"),
        ("imageURL", "image_url"),
        ("caption12", "caption_12"),
        ("x.y-z", "x_y_z"),
        ("数", "数"),
    ],
)
def test_names_are_compared_in_one_form(name, written):
    assert normalized(name) == written


def test_several_columns_of_texts_are_all_used_by_their_names():
    names = ["image", "caption_0", "caption_1"]
    assert texts_of(names, ["a.jpg", TEXT, TEXT]) == [
        ("caption_0", "caption_0", None),
        ("caption_1", "caption_1", None),
    ]
    assert [text[1:] for text in texts_of(["image", "caption_en", "caption german"], ["a.jpg", TEXT, TEXT])] == [
        ("caption_en", "en"), ("caption german", "de"),
    ]  # fmt: skip
    assert [text[1:] for text in texts_of(["image", "en", "de"], ["a.jpg", TEXT, TEXT])] == [
        ("en", "en"),
        ("de", "de"),
    ]
    assert texts_of(["image", "raw_caption", "caption"], ["a.jpg", TEXT, TEXT]) == [
        ("caption", "caption", None)
    ]


def test_alternative_and_negative_texts():
    assert texts_of(["image", "Image Alt Text"], ["a.jpg", TEXT])[0][1] == "alt"
    assert [text[1] for text in texts_of(["image", "caption", "negative_caption"], ["a.jpg", TEXT, TEXT])] == [
        "caption", NEGATIVE,
    ]  # fmt: skip


def test_a_column_of_numbers_or_names_is_no_text():
    assert texts_of(["image", "text", "title"], ["a.jpg", 5, "b.jpg"], ["c.jpg", 6, "d.jpg"]) == []


def test_the_longest_texts_where_no_name_says_it():
    found = map_columns(["image", "colour", "what_is_seen"], {}, "t", [["a.jpg", "red", TEXT]])
    assert [text.place for text in found.texts] == [2] and found.user_names == ["colour"]
    assert "what_is_seen is read as the text" in found.note
    assert texts_of(["image", "colour"], ["a.jpg", "dark red"]) == []
    assert texts_of(["image", "x"], ["a.jpg", "桌上放着一张红色的卡片"]) == [("x", "caption", None)]


def test_images_are_found_by_what_their_cells_look_like():
    found = map_columns(["n", "scan", "caption"], {}, "t", [["1", "x/1.tif", TEXT]])
    assert found.images == [(1, "")] and "scan is read as the image" in found.note
    with pytest.raises(ValueError, match="expected a column with the images"):
        map_columns(["n", "scan"], {}, "t", [["1", "x/1.txt"]])


def test_ids_are_images_where_files_are_called_so():
    on_disk = {"7", "8"}.__contains__
    records = [["https://x.example/7.jpg", "7", "3", TEXT], ["https://x.example/8.jpg", "8", "4", TEXT]]
    found = map_columns(["url", "id", "price", "caption"], {}, "t", records, on_disk)
    assert found.images == [(1, "")] and found.address == 0
    assert map_columns(["url", "id", "price", "caption"], {}, "t", records).images == [(0, "")]


def test_several_columns_of_images():
    found = map_columns(["image_0", "image_1", "caption_0", "caption_1"], {}, "t")
    assert found.images == [(0, "0"), (1, "1")] and [text.number for text in found.texts] == ["0", "1"]


def test_a_map_wins():
    names = ["image", "url", "caption", "alt"]
    found = map_columns(names, {"image": ["url"], "caption": ["alt"]}, "t")
    assert (found.images, [text.origin for text in found.texts]) == ([(1, "")], ["alt"])
    assert found.user_names == ["source_image", "source_caption"]
    assert texts_of(names, columns={"caption": ["caption", "alt"]}) == [
        ("caption", "caption", None),
        ("alt", "alt", None),
    ]


def test_a_column_that_is_mapped_is_not_taken_twice():
    found = map_columns(["text", "path"], {"image": ["text"]}, "t")
    assert (found.images, found.texts, found.user_names) == ([(0, "")], [], ["path"])


@pytest.mark.parametrize(
    "name",
    [
        "item_id",
        "modality",
        "pair_id",
        "content",
        "width",
        "flags",
        "duplicate_of",
        "detail",
        "table",
        "address",
    ],
)
def test_a_column_that_ingest_fills_is_renamed(name):
    assert map_columns(["image", name], {}, "t").user_names == [f"source_{name}"]


def test_two_columns_never_get_one_name():
    names = [
        "image",
        "caption",
        "text_id",
        "source_text_id",
        "file",
        "flags",
        "problem",
        "price",
        "",
        "price",
    ]
    own = [
        "text_id",
        "source_text_id",
        "source_file",
        "source_flags",
        "source_problem",
        "price",
        "column_9",
        "price_10",
    ]
    assert map_columns(names, {}, "t").user_names == own


@pytest.mark.parametrize(
    ("names", "columns", "message"),
    [
        (["a", "b"], {}, r"t: expected a column with the images \(image, .*found \['a', 'b'\]: rename one"),
        (["image"], {"caption": ["alt"]}, r"t: columns \['alt'\] are missing; found \['image'\]"),
        ([str(n) for n in range(MAX_COLUMNS + 1)], {}, r"t: expected at most 1000 columns, found 1001"),
    ],
)
def test_columns_that_will_not_do(names, columns, message):
    with pytest.raises(ValueError, match=message):
        map_columns(names, columns, "t")
