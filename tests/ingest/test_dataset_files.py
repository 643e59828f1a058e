"""What a walk finds, and nothing is read but the files of the dataset that was given."""

import json
import os
import shutil

import pandas as pd
import pytest
from PIL import Image

from mmlab.ingest import Rules, inspect_dataset
from mmlab.ingest.dataset_files import LEADS_OUT, open_given, reading, walk_files
from mmlab.ingest.sources.formats import read_source

PRIVATE = "root:x:0:0: a line of private words"
CAPTIONS = f"image,caption\na.png,{PRIVATE}\n"
COCO = {
    "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "../next/b.png"}],
    "annotations": [
        {"image_id": 1, "caption": "A ramp from black to white"},
        {"image_id": 2, "caption": "An image of the folder next door"},
    ],
}


@pytest.fixture
def folder(make):
    """A dataset of one image, and beside it a folder of private files."""
    make(
        {"passwd": PRIVATE, "captions.csv": CAPTIONS, "a.txt": PRIVATE, "a.json": json.dumps(PRIVATE)},
        "outside",
    )
    return make({"a.png": None})


def read_all(folder, **rules):
    """All that is read of a dataset, as one text, and the first look at it."""
    looked = inspect_dataset(folder, rules=Rules(**rules))
    return looked.source.rows.to_csv() + str(looked.as_json()), looked


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("a.txt", "passwd"),
        ("a.caption", "passwd"),
        ("a.json", "a.json"),
        ("captions.csv", "captions.csv"),
        ("metadata.csv", "captions.csv"),
        ("texts/a.txt", "passwd"),
        ("texts", ""),
        ("data", ""),
    ],
)
def test_a_text_or_a_table_that_is_a_link_out_is_not_read_but_told(folder, link, target):
    (folder / link).parent.mkdir(exist_ok=True)
    (folder / link).symlink_to(folder.parent / "outside" / target)
    found, looked = read_all(folder)
    assert "root:x" not in found and looked.texts == 0
    assert any(why.endswith(LEADS_OUT) for why in looked.unread.values())
    assert any("give -p follow_links=true" in note for note in looked.notes)
    followed, looked = read_all(folder, follow_links=True)
    assert "root:x" in followed and looked.texts == 1


def test_the_texts_behind_links_are_counted(folder):
    for number in range(3):
        shutil.copy(folder / "a.png", folder / f"{number}.png")
        (folder / f"{number}.txt").symlink_to(folder.parent / "outside" / "passwd")
    looked = inspect_dataset(folder)
    assert looked.unread == {"*": f"3 texts or tables lie behind *, {LEADS_OUT}"}


def test_a_dataset_whose_only_table_is_a_link_says_what_to_do(folder):
    (folder / "captions.csv").symlink_to(folder.parent / "outside" / "captions.csv")
    advice = f"1 images and no text; captions.csv was not read: {LEADS_OUT}; -p source=images goes on without texts"
    assert inspect_dataset(folder).advice == advice


def test_a_list_of_a_split_that_is_a_link_is_not_read(make):
    """Flickr8k's lists lie beside its table and are found by their names."""
    make({"list": "a.png\n"}, "outside")
    folder = make({"Flickr8k.token.txt": "a.png#0\tA ramp from black to white\n", "a.png": None})
    name = "Flickr_8k.testImages.txt"
    (folder / name).symlink_to(folder.parent / "outside" / "list")
    assert read_source(folder).rows["split"].isna().all()
    (folder / name).unlink()
    (folder / name).write_text("a.png\n")
    assert read_source(folder).rows["split"].tolist() == ["test"]


def test_the_lists_of_texts_in_the_folder_next_door_are_not_read(make):
    """Of Multi30k the folder of its lists of images was given: the texts lie in another one."""
    folder = make({"image_splits/train.txt": "a.png\nb.png\n", "tok/train.en": f"{PRIVATE}\n{PRIVATE}\n"})
    assert read_source(folder).kind == "lists"
    with pytest.raises(ValueError, match="no list of as many texts lies beside it"):
        read_source(folder / "image_splits")


NAMES = ["annotations/captions_val.json", "captions_val.json", "dataset_x.json", "captions.txt"]


@pytest.mark.parametrize("name", NAMES)
def test_where_a_folder_is_given_the_images_beside_it_are_not_read(make, name):
    make({"b.png": None, "images/b.png": None}, "next")
    karpathy = [
        {"filename": one["file_name"], "sentences": [{"raw": "A ramp from black to white"}]}
        for one in COCO["images"]
    ]
    text = "image,caption\na.png,A ramp from black to white\n../next/b.png,An image of the folder next door\n"
    content = {"dataset_x.json": json.dumps({"images": karpathy}), "captions.txt": text}.get(
        name, json.dumps(COCO)
    )
    folder = make({name: content, "a.png": None})
    shutil.copy(folder / "a.png", folder.parent / "b.png")
    looked = inspect_dataset(folder)
    assert looked.found["file"].dropna().tolist() == [str(folder / "a.png")]
    assert looked.refused["reason"].tolist() == ["path leaves the dataset"]


def test_a_pipe_is_no_file_and_is_not_waited_for(folder):
    os.mkfifo(folder / "pipe")
    with pytest.raises(OSError, match="expected a file, found a folder, a pipe or a device"):
        open_given(folder / "pipe")


def test_the_door_is_open_to_the_dataset_that_is_being_read_alone(folder):
    outside = folder.parent / "outside" / "passwd"
    with reading(folder):
        with pytest.raises(ValueError, match="leads out of the dataset: give -p follow_links=true"):
            open_given(outside)
        with pytest.raises(ValueError, match="leads out of the dataset"):
            open_given(folder / ".." / "outside" / "passwd")
        with open_given(folder / "a.png") as file:
            assert Image.open(file).size == (30, 20)
    with open_given(outside) as file:  # which its caller named
        assert file.read().decode() == PRIVATE


README = """---
configs:
- config_name: default
  data_files: "%s"
---
"""


@pytest.fixture
def hub(make, monkeypatch, tmp_path):
    """A folder as the Hub has it, with a table of its own and one outside; the README names what it is given."""
    datasets = pytest.importorskip("datasets", reason='needs pip install "mmlab[datasets]"')
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    def hub(data_files):
        folder = make(
            {"README.md": README % data_files, "data/test.csv": "image,caption\na.png,A ramp\n"}, "hub [1]"
        )
        pd.DataFrame({"image": ["a.png"], "caption": [PRIVATE]}).to_csv(folder.parent / "private.csv")
        return folder

    return hub


OUTSIDE = ["../private.csv", "{above}/private.csv", "http://127.0.0.1:9/private.csv"]


@pytest.mark.parametrize("data_files", [*OUTSIDE, "data/*"])
def test_what_the_readme_of_a_dataset_names_is_not_read(hub, data_files, tmp_path):
    rows = read_source(hub(data_files.format(above=tmp_path)), "huggingface").rows
    assert rows[["caption", "split"]].values.tolist() == [["A ramp", "test"]]


@pytest.mark.parametrize("how", ["a name that climbs", "a link", "a part that climbs"])
def test_a_saved_dataset_reads_its_own_records_alone(tmp_path, how):
    datasets = pytest.importorskip("datasets", reason='needs pip install "mmlab[datasets]"')
    for name, text in (("outside", PRIVATE), ("saved", "A ramp")):
        datasets.Dataset.from_dict({"image": ["a.png"], "caption": [text]}).save_to_disk(tmp_path / name)
    saved, outside = tmp_path / "saved", next((tmp_path / "outside").glob("*.arrow"))
    if how == "a link":
        own = next(saved.glob("*.arrow"))
        own.unlink()
        own.symlink_to(outside)
    elif how == "a name that climbs":
        state = json.loads((saved / "state.json").read_text())
        state["_data_files"] = [{"filename": f"../outside/{outside.name}"}]
        (saved / "state.json").write_text(json.dumps(state))
    else:
        shutil.rmtree(saved)
        saved.mkdir()
        (saved / "dataset_dict.json").write_text(json.dumps({"splits": ["../outside"]}))
    with pytest.raises(ValueError, match="leads out of the dataset|expected names of folders"):
        read_source(saved)


def test_a_readme_on_the_hub_names_files_on_the_hub(monkeypatch):
    from mmlab.ingest.sources.packed_tables import check_hub_files

    check_hub_files({"train": ["hf://datasets/owner/name@abc/data/a.parquet"]})
    check_hub_files(None)
    for file in ("/etc/passwd", "http://127.0.0.1/x.csv"):
        with pytest.raises(ValueError, match=f"names a file that is not in it, {file}"):
            check_hub_files({"train": ["hf://datasets/owner/name@abc/data/a.parquet", file]})


@pytest.fixture
def walked(make):
    """A dataset of three files, and a store beside it."""
    names = (
        "dataset/b.jpg",
        "dataset/sub/a.png",
        "dataset/notes.txt",
        "dataset/.hidden/c.png",
        "store/d.png",
    )
    return make(dict.fromkeys(names, ""), "") / "dataset"


def test_all_files_but_hidden_ones_are_there_in_order(walked):
    tree = walk_files(walked)
    assert tree.names == ["b.jpg", "notes.txt", "sub/a.png"]
    assert (tree.linked, tree.links, tree.complete) == ({}, {}, True)
    assert tree.path("sub/a.png") == str(walked / "sub" / "a.png")


def test_a_folder_that_is_not_there_holds_nothing(tmp_path):
    assert walk_files(tmp_path / "none").names == []


def test_a_linked_folder_outside_is_walked_and_marked(walked):
    (walked / "images").symlink_to("../store")
    tree = walk_files(walked)
    assert tree.linked == {"images/d.png": "images"}
    assert tree.links == {"images": str(walked.parent / "store")}
    assert tree.path("images/d.png") == str(walked.parent / "store" / "d.png")


def test_a_linked_file_outside_is_marked_and_one_inside_is_not(walked):
    (walked / "out.png").symlink_to(walked.parent / "store" / "d.png")
    (walked / "in.png").symlink_to(walked / "b.jpg")
    tree = walk_files(walked)
    assert tree.names == ["b.jpg", "in.png", "notes.txt", "out.png", "sub/a.png"]
    assert tree.linked == {"out.png": "out.png"}


def test_what_git_writes_in_place_of_a_link_is_a_link(walked):
    (walked / "images").write_text("../store")
    (walked / "LICENSE").write_text("do what you want")
    tree = walk_files(walked)
    assert tree.linked == {"images/d.png": "images"}
    assert tree.path("images/d.png") == str(walked.parent / "store" / "d.png")
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
def test_what_git_writes_in_place_of_a_link_to_a_file(walked, name, text, target):
    (walked / "sub" / "plain").touch()
    (walked.parent / "store" / "d.jpg").touch()
    (walked / name).write_text(text)
    tree = walk_files(walked)
    assert name in tree.names and tree.linked == {}
    assert tree.path(name) == os.path.join(walked, target or name)
    assert tree.written == ({name: str(walked / target)} if target else {})


def test_links_in_circles_end(walked):
    (walked / "self").symlink_to(walked)
    (walked / "above").symlink_to(walked.parent)
    (walked / "loop").symlink_to("loop")
    (walked / "twice").symlink_to("../store")
    (walked / "once").symlink_to("../store")
    (walked.parent / "store" / "back").symlink_to(walked)
    names = walk_files(walked).names
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


def test_a_walk_ends_where_there_are_too_many(walked):
    tree = walk_files(walked, max_files=2)
    assert not tree.complete
    assert len(tree.names) < 4
