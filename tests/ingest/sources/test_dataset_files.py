import pytest

from mmlab.ingest.sources.dataset_files import files_below, place_images, unlisted_images


@pytest.fixture
def folder(tmp_path):
    """A dataset with images beside annotations/, in images/ and in annotations/val/, all empty files."""
    folder = tmp_path / "dataset"
    for name in ("a.jpg", "images/b.JPG", "annotations/val/c.png", "annotations/notes.txt", ".hidden/d.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_files_below_are_sorted_and_hidden_ones_skipped(folder):
    assert files_below(folder) == ["a.jpg", "annotations/val/c.png", "images/b.JPG"]
    assert files_below(folder, {".txt"}) == ["annotations/notes.txt"]


def test_images_are_placed_beside_the_table_above_it_and_in_subfolders(folder):
    table = folder / "annotations" / "captions_val.json"
    root, places = place_images(["a.jpg", "b.JPG", "c.png", "d.png", ""], table, folder, ("val", "images"))
    assert root == folder
    assert places == {"a.jpg": "a.jpg", "b.JPG": "images/b.JPG", "c.png": "annotations/val/c.png"}


def test_the_root_moves_up_where_an_image_lies_above_it(folder):
    table = folder / "annotations" / "captions_val.json"
    root, places = place_images(["a.jpg", "c.png"], table, folder / "annotations", ("val",))
    assert (root, places) == (folder, {"a.jpg": "a.jpg", "c.png": "annotations/val/c.png"})


def test_absolute_names_are_left_as_they_are(folder):
    """Joined to a folder they are still themselves, so that looking them up would put a folder before them."""
    name = str(folder / "a.jpg")
    assert place_images([name], folder / "annotations" / "captions_val.json", folder, ()) == (folder, {})


def test_images_are_listed_however_their_names_are_spelled(folder):
    assert unlisted_images(folder, ["./a.jpg", "images\\b.JPG"]) == ["annotations/val/c.png"]
    assert unlisted_images(folder, [str(folder / "a.jpg"), "x/../images/b.JPG"]) == ["annotations/val/c.png"]
