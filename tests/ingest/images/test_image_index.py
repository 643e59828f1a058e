import pytest

from mmlab.ingest.images.image_index import ImageIndex, folded, number, stem


@pytest.mark.parametrize(
    ("last", "is_folded", "is_stem", "is_number"),
    [
        ("Red%20Shoe.PNG", "red shoe.png", "red shoe", "red shoe"),
        ("cafe\u0301.jpg", "caf\u00e9.jpg", "caf\u00e9", "caf\u00e9"),
        ("00012.jpg", "00012.jpg", "00012", "12"),
        ("15970.0", "15970.0", "15970", "15970"),
        ("v1.2", "v1.2", "v1.2", "v1.2"),
        ("000", "000", "000", "0"),
    ],
)
def test_each_spelling_is_coarser_than_the_one_before(last, is_folded, is_stem, is_number):
    assert (folded(last), stem(last), number(last)) == (is_folded, is_stem, is_number)


@pytest.fixture
def root(make):
    names = (
        "dataset/images/a.jpg",
        "dataset/data.csv",
        "dataset/.h/b.jpg",
        "other/images/c.jpg",
        "images/d.jpg",
    )
    return make(dict.fromkeys(names, ""), "") / "dataset"


def test_another_folder_gets_names_of_its_own(root):
    index = ImageIndex(root)
    assert index.add_folder(root.parent / "other") == "other"
    assert index.add_folder(root.parent / "images") == str(root.parent / "images")  # images/ is taken
    assert index.add_folder(root / "images") == "images"  # inside: there already
    assert sorted(index.images) == sorted(
        ["images/a.jpg", "other/images/c.jpg", f"{root.parent}/images/d.jpg"]
    )
    assert index.relative(str(root.parent / "other" / "x.jpg")) == "other/x.jpg"
    assert index.relative(str(root.parent / "nowhere")) is None


def test_only_images_of_the_dataset_are_unlisted(root):
    index = ImageIndex(root)
    index.add_folder(root.parent / "other")
    assert list(index.unlisted([])) == ["images/a.jpg"]
    assert index.unlisted(["images/a.jpg"]) == {}


def test_hidden_files_and_links_inside_are_looked_up(root):
    (root / "pics").symlink_to("images")
    index = ImageIndex(root)
    assert index.look_up(".h/b.jpg") == ".h/b.jpg"
    assert index.look_up("pics/a.jpg") == "images/a.jpg"
    assert index.look_up("images/none.jpg") is None


def test_a_folder_that_the_user_names_needs_no_link(root):
    (root / "photos").symlink_to(root.parent / "other")
    index = ImageIndex(root)
    assert index.linked == {"photos/images/c.jpg": "photos"}
    index.add_folder(root.parent / "other")
    assert index.linked == {}
    assert "other/images/c.jpg" in index.paths


def test_names_that_are_no_text_are_left_out(root):
    with open(f"{root}/\udcff.jpg", "w"):
        pass
    index = ImageIndex(root)
    assert index.images == ["images/a.jpg"]
    assert list(index.unlisted(["images/a.jpg"])) == ["\ufffd.jpg"]
