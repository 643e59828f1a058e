import pytest

from mmlab.ingest.sources.dataset_files import files_below


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
