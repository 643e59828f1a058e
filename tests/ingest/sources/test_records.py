import pytest

from mmlab.ingest.sources.records_columns import MOST, USUAL, find_columns


@pytest.mark.parametrize(("ours", "name"), [(ours, name) for ours in USUAL for name in USUAL[ours]])
def test_the_usual_names(ours, name):
    others = ["image"] if ours != "image" else []
    for spelling in (name, name.upper(), f" {name.replace('_', ' ')} "):
        found = find_columns([*others, spelling], {}, "t")
        assert getattr(found, ours) == len(others) and found.own == []


def test_the_first_of_the_usual_names_wins_and_the_others_stay():
    found = find_columns(["url", "filename", "text", "caption"], {}, "t")
    assert (found.image, found.caption, found.own_names) == (1, 3, ["url", "source_text"])


def test_a_map_wins():
    found = find_columns(["image", "url", "caption", "alt"], {"image": "url", "caption": "alt"}, "t")
    assert (found.image, found.caption, found.origin) == (1, 3, "alt")
    assert found.own_names == ["source_image", "source_caption"]


def test_a_column_that_is_mapped_is_not_taken_twice():
    found = find_columns(["text", "path"], {"image": "text"}, "t")
    assert (found.image, found.caption, found.own_names) == (0, None, ["path"])


@pytest.mark.parametrize(
    ("name", "origin"),
    [("alt", "alt"), ("alt_text", "alt"), ("Image Alt", "alt"), ("alttext", "alt"), ("salt", "caption"),
     ("altitude", "caption"), ("caption", "caption")],
)  # fmt: skip
def test_alternative_texts_are_told(name, origin):
    assert find_columns(["image", name], {"caption": name}, "t").origin == origin


def test_two_columns_never_get_one_name():
    names = ["image", "caption", "text", "source_text", "file", "flags", "problem", "price", ""]
    own = ["source_source_text", "source_text", "source_file", "source_flags", "source_problem", "price"]
    assert find_columns(names, {}, "t").own_names == [*own, "column_9"]


@pytest.mark.parametrize(
    ("names", "columns", "message"),
    [
        (["a", "b"], {}, r"t: expected a column with the images \(image, .*found \['a', 'b'\]: rename one"),
        (["image"], {"photo": "image"}, r"columns: \['photo'\] are not among \['image', 'caption'"),
        (["image"], {"caption": "alt"}, r"t: columns \['alt'\] are missing; found \['image'\]"),
        (["image", "x", " x"], {}, r"t: the columns \['x'\] occur twice"),
        ([str(n) for n in range(MOST + 1)], {}, r"t: expected at most 1000 columns, found 1001"),
    ],
)
def test_columns_that_will_not_do(names, columns, message):
    with pytest.raises(ValueError, match=message):
        find_columns(names, columns, "t")
