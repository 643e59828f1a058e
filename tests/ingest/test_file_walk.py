"""What a walk finds, and which files it marks as lying outside."""

import os

import pytest

from mmlab.ingest.file_walk import walk_files


@pytest.fixture
def folder(make):
    """A dataset of three files, and a store beside it."""
    names = (
        "dataset/b.jpg",
        "dataset/sub/a.png",
        "dataset/notes.txt",
        "dataset/.hidden/c.png",
        "store/d.png",
    )
    return make(dict.fromkeys(names, ""), "") / "dataset"


def test_all_files_but_hidden_ones_are_there_in_order(folder):
    tree = walk_files(folder)
    assert tree.names == ["b.jpg", "notes.txt", "sub/a.png"]
    assert (tree.linked, tree.links, tree.complete) == ({}, {}, True)
    assert tree.path("sub/a.png") == str(folder / "sub" / "a.png")


def test_a_folder_that_is_not_there_holds_nothing(tmp_path):
    assert walk_files(tmp_path / "none").names == []


def test_a_linked_folder_outside_is_walked_and_marked(folder):
    (folder / "images").symlink_to("../store")
    tree = walk_files(folder)
    assert tree.linked == {"images/d.png": "images"}
    assert tree.links == {"images": str(folder.parent / "store")}
    assert tree.path("images/d.png") == str(folder.parent / "store" / "d.png")


def test_a_linked_file_outside_is_marked_and_one_inside_is_not(folder):
    (folder / "out.png").symlink_to(folder.parent / "store" / "d.png")
    (folder / "in.png").symlink_to(folder / "b.jpg")
    tree = walk_files(folder)
    assert tree.names == ["b.jpg", "in.png", "notes.txt", "out.png", "sub/a.png"]
    assert tree.linked == {"out.png": "out.png"}


def test_what_git_writes_in_place_of_a_link_is_a_link(folder):
    (folder / "images").write_text("../store")
    (folder / "LICENSE").write_text("do what you want")
    tree = walk_files(folder)
    assert tree.linked == {"images/d.png": "images"}
    assert tree.path("images/d.png") == str(folder.parent / "store" / "d.png")
    assert "LICENSE" in tree.names


@pytest.mark.parametrize(
    ("name", "text", "target"),
    [
        ("c.jpg", "b.jpg", "b.jpg"),
        ("sub/c.jpg", "../b.jpg", "b.jpg"),
        ("c.jpg", "sub/plain", "sub/plain"),  # a file without suffix may be anything
        ("c.jpg", "b.jpg\n", ""),
        ("c.jpg", "b.jpg\0", ""),
        ("c.jpg", "none.jpg", ""),
        ("c.jpg", "../store/d.jpg", ""),  # leads out
        ("c.txt", "b.jpg", ""),  # a list of one image
        ("c.txt", "sub", ""),  # a caption of one word
        ("c.jpg", "./" * 600 + "b.jpg", ""),  # no path is so long
    ],
)
def test_what_git_writes_in_place_of_a_link_to_a_file(folder, name, text, target):
    (folder / "sub" / "plain").touch()
    (folder.parent / "store" / "d.jpg").touch()
    (folder / name).write_text(text)
    tree = walk_files(folder)
    assert name in tree.names and tree.linked == {}
    assert tree.path(name) == os.path.join(folder, target or name)
    assert tree.written == ({name: str(folder / target)} if target else {})


def test_links_in_circles_end(folder):
    (folder / "self").symlink_to(folder)
    (folder / "above").symlink_to(folder.parent)
    (folder / "loop").symlink_to("loop")
    (folder / "twice").symlink_to("../store")
    (folder / "once").symlink_to("../store")
    (folder.parent / "store" / "back").symlink_to(folder)
    names = walk_files(folder).names
    assert len([name for name in names if name.endswith("d.png")]) == 1
    assert len(names) == 4


def test_a_snapshot_of_the_hugging_face_cache_leads_nowhere(tmp_path):
    blobs, snapshot = tmp_path / "datasets--a--b" / "blobs", tmp_path / "datasets--a--b" / "snapshots" / "f00"
    blobs.mkdir(parents=True)
    (snapshot / "images").mkdir(parents=True)
    (blobs / "123").touch()
    (snapshot / "images" / "a.png").symlink_to("../../../blobs/123")
    for root, name in ((snapshot, "images/a.png"), (snapshot / "images", "a.png")):
        tree = walk_files(root)
        assert (tree.names, tree.linked) == ([name], {})


def test_a_walk_ends_where_there_are_too_many(folder):
    tree = walk_files(folder, max_files=2)
    assert not tree.complete
    assert len(tree.names) < 4
