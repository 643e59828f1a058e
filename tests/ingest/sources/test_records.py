import pytest

from mmlab.ingest.sources.records import MAX_COLUMNS, USUAL_NAMES, map_columns, parse_columns


@pytest.mark.parametrize(
    ("ours", "name"), [(ours, name) for ours in USUAL_NAMES for name in USUAL_NAMES[ours]]
)
def test_the_usual_names(ours, name):
    others = ["image"] if ours != "image" else []
    for spelling in (name, name.upper(), f" {name.replace('_', ' ')} "):
        found = map_columns([*others, spelling], {}, "t")
        assert getattr(found, ours) == len(others) and found.user_places == []


def test_the_first_of_the_usual_names_wins_and_the_others_stay():
    found = map_columns(["url", "filename", "text", "caption"], {}, "t")
    assert (found.image, found.caption, found.user_names) == (1, 3, ["url", "source_text"])


def test_a_map_wins():
    found = map_columns(["image", "url", "caption", "alt"], {"image": "url", "caption": "alt"}, "t")
    assert (found.image, found.caption, found.origin) == (1, 3, "alt")
    assert found.user_names == ["source_image", "source_caption"]


def test_a_column_that_is_mapped_is_not_taken_twice():
    found = map_columns(["text", "path"], {"image": "text"}, "t")
    assert (found.image, found.caption, found.user_names) == (0, None, ["path"])


@pytest.mark.parametrize(
    ("name", "origin"),
    [("alt", "alt"), ("alt_text", "alt"), ("Image Alt", "alt"), ("alttext", "alt"), ("salt", "caption"),
     ("altitude", "caption"), ("caption", "caption")],
)  # fmt: skip
def test_alternative_texts_are_recognised(name, origin):
    assert map_columns(["image", name], {"caption": name}, "t").origin == origin


@pytest.mark.parametrize(
    "name", ["item_id", "modality", "pair_id", "content", "width", "flags", "duplicate_of", "detail"]
)
def test_a_column_that_ingest_fills_is_renamed(name):
    assert map_columns(["image", name], {}, "t").user_names == [f"source_{name}"]


def test_columns_are_parsed_from_texts_or_taken_as_they_are():
    assert parse_columns({"image": "url"}) == parse_columns(["image=url"]) == {"image": "url"}
    assert parse_columns(["caption=a=b"]) == {"caption": "a=b"}
    for text in ("image", "image=", "=url"):
        with pytest.raises(ValueError, match=f"columns: expected texts like 'image=url', found '{text}'"):
            parse_columns([text])


def test_two_columns_never_get_one_name():
    names = ["image", "caption", "text", "source_text", "file", "flags", "problem", "price", ""]
    own = ["source_source_text", "source_text", "source_file", "source_flags", "source_problem", "price"]
    assert map_columns(names, {}, "t").user_names == [*own, "column_9"]


@pytest.mark.parametrize(
    ("names", "columns", "message"),
    [
        (["a", "b"], {}, r"t: expected a column with the images \(image, .*found \['a', 'b'\]: rename one"),
        (
            ["image"],
            {"photo": "image"},
            r"columns: \['photo'\] cannot be mapped; expected some of \['image', 'caption'",
        ),
        (["image"], {"caption": "alt"}, r"t: columns \['alt'\] are missing; found \['image'\]"),
        (["image", "x", " x"], {}, r"t: the columns \['x'\] occur twice"),
        ([str(n) for n in range(MAX_COLUMNS + 1)], {}, r"t: expected at most 1000 columns, found 1001"),
    ],
)
def test_columns_that_will_not_do(names, columns, message):
    with pytest.raises(ValueError, match=message):
        map_columns(names, columns, "t")
