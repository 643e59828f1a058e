"""What a first look tells, and where it says that nothing useful would come of a dataset."""

import pandas as pd
import pytest

from mmlab.ingest import Rules, ingest_items, inspect_dataset
from mmlab.ingest.findings_cache import Blobs, FindingsCache
from mmlab.ingest.images.fetch import KIND as FETCHED

LONG = "a red square on nothing"


def table(*rows, header="image,caption"):
    return "\n".join([header, *rows, ""])


def look(dataset, columns=(), source="auto", **rules):
    return inspect_dataset(dataset, source, columns, Rules(**rules), looks_only=True)


def test_photos_without_text_are_a_dataset(make):
    looked = look(make({"a.png": None, "b/c.png": None}))
    assert (looked.kind, looked.images, looked.texts, looked.advice) == ("images", 2, 0, "")


def test_what_was_looked_at_is_not_read_again(make):
    folder = make({"captions.csv": table(f"a.png,{LONG}", f"b.png,{LONG}"), "images/a.png": None})
    looked = inspect_dataset(folder)
    (folder / "captions.csv").unlink()
    result = ingest_items(looked, progress=False)
    assert result.items["pair_id"].tolist() == ["images/a.png"] * 2
    assert result.guesses == {"by name in another folder": 1}
    assert "> 1 images found by name in another folder." in result._repr_markdown_()
    assert result.skipped["reason"].tolist() == ["missing file"]
    with pytest.raises(ValueError, match="inspect it again with these rules"):
        ingest_items(looked, rules=Rules(min_words=0), progress=False)


def test_a_look_leaves_nothing_behind(make, tmp_path):
    folder = make({"a.png": None})
    content = (folder / "a.png").read_bytes()
    (folder / "a.png").unlink()
    pd.DataFrame({"image": [{"path": "x.png", "bytes": content}], "caption": [LONG]}).to_parquet(
        folder / "captions.parquet"
    )
    looked = look(folder)
    assert (looked.images, looked.texts) == (1, 1)
    assert not (tmp_path / "data").exists()
    with pytest.raises(ValueError, match="without looks_only"):
        ingest_items(looked, progress=False)


def test_images_in_another_folder_are_told_with_the_parameter(make, tmp_path):
    make({"a.png": None, "b.png": None}, "pics")
    folder = make({"train.csv": table(f"../pics/a.png,{LONG}", f"b.png,{LONG}")})
    looked = look(folder)
    assert (
        looked.advice
        == f"0 of 2 images found under these names; 2 lie in {tmp_path / 'pics'}: give -p images_at={tmp_path / 'pics'}"
    )
    with pytest.raises(ValueError, match="dataset .*: 0 of 2 images found"):
        looked.check()
    for at in (str(tmp_path / "pics"), "../pics"):
        given = look(folder, images_at=at)
        assert (given.images, given.texts, given.advice) == (2, 2, "")
        assert given.pairs["image"].tolist() == ["pics/a.png", "pics/b.png"]
    items = ingest_items(
        folder, rules=Rules(images_at="../pics", keep=["duplicate image"]), progress=False
    ).items
    assert items["image"].dropna().tolist() == [str(tmp_path / "pics" / name) for name in ("a.png", "b.png")]


def test_absolute_paths_that_are_there_are_told_with_the_parameter(make, tmp_path):
    far = make({"sub/a.png": None}, "far/away")
    folder = make({"train.csv": table(f"{far}/sub/a.png,{LONG}")}, "near/dataset")
    assert look(folder).advice.endswith(f"1 lie in {far / 'sub'}: give -p images_at={far / 'sub'}")
    assert look(folder, images_at=str(far)).images == 1


def test_a_folder_of_images_that_is_not_there_is_an_error(make):
    with pytest.raises(
        FileNotFoundError, match=r"images_at: expected a folder, found none at .*dataset/none or "
    ):
        look(make({"captions.csv": table(f"a.png,{LONG}")}), images_at="none")


@pytest.mark.parametrize("named", ["ds/annotations/train.csv", "ds/annotations"])
@pytest.mark.parametrize("written", ["{}", "images/{}", "../images/{}"])
def test_a_table_below_the_folder_of_its_images(make, tmp_path, named, written):
    """Above the table is looked where the user named the table; where its folder, the parameter is told."""
    rows = [f"{written.format(name)},{LONG}" for name in ("a.png", "b.png")]
    make({"annotations/train.csv": table(*rows), "images/a.png": None, "images/b.png": None}, "ds")
    looked = look(tmp_path / named)
    if named.endswith(".csv"):
        assert looked.pairs["image"].tolist() == ["images/a.png", "images/b.png"]
        assert sum(looked.guesses.values()) == (2 if written == "{}" else 0)
    else:
        assert looked.advice.endswith(f"give -p images_at={tmp_path / 'ds' / 'images'}")


def test_a_table_beside_images_one_folder_up(make, tmp_path):
    make({"lists/train.csv": table(f"a.png,{LONG}"), "a.png": None}, "ds")
    assert look(tmp_path / "ds" / "lists" / "train.csv").images == 1


@pytest.fixture
def linked(make):
    """A dataset whose folder of images is a link to another folder."""
    folder = make({"captions.csv": table(f"images/a.png,{LONG}", f"b.png,{LONG}")})
    store = make({"a.png": None, "b.png": None, "more.png": None}, "store")
    (folder / "images").symlink_to(store)
    return folder


def test_a_linked_folder_is_counted_and_told(linked):
    looked = look(linked)
    assert (looked.images, looked.links) == (0, {"images": 2})
    assert looked.advice == (
        "0 of 2 images found under these names; 2 lie behind images, a link that leads out of the dataset: "
        "give -p follow_links=true"
    )
    assert looked.unlisted == {}


def test_a_linked_folder_that_is_followed_is_used(linked):
    looked = look(linked, follow_links=True)
    assert (looked.images, looked.texts, looked.advice) == (2, 2, "")
    assert list(looked.unlisted) == ["images/more.png"]
    result = ingest_items(linked, rules=Rules(follow_links=True, keep=["duplicate image"]), progress=False)
    assert result.items["modality"].value_counts().to_dict() == {"image": 2, "text": 2}


def test_a_linked_folder_without_a_table(make, linked):
    (linked / "captions.csv").unlink()
    assert look(linked).advice.endswith("give -p follow_links=true")
    assert look(linked, follow_links=True).images == 3


def test_links_of_single_files_are_counted_by_their_folder(make, linked):
    (linked / "images").unlink()
    for name in ("a.png", "b.png"):
        (linked / name).symlink_to(linked.parent / "store" / name)
    assert look(linked).links == {"*": 2}
    assert look(linked, follow_links=True).images == 2


def test_pointers_of_git_lfs_are_told(make):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"
    looked = look(make({"captions.csv": table("a.png,A dog")}))
    assert "git lfs" not in looked.advice
    folder = make({"a.png": pointer})
    assert look(folder).advice == (
        "the images are pointers of Git LFS, not images: run git lfs pull in the folder that was cloned"
    )


def test_images_that_are_still_packed_are_told(make):
    folder = make({"captions.csv": table("a.png,A dog"), "images.zip": "PK"})
    assert look(folder).advice.endswith("images.zip was not read: unpack it")


@pytest.mark.parametrize(
    ("rows", "advice"),
    [
        (
            ["x.png,b", "y.png,c"],
            r"looked below .*dataset for x.png, y.png; 2 others lie there, such as a/1.png: give -p images_at=FOLDER",
        ),
        (["1.png,b"], r"2 files are called 1.png: a/1.png, b/1.png: write the folder into the table"),
        ([",b", ",c"], r"none of 2 rows names an image: name the column that does by -p columns=image=NAME"),
    ],
)
def test_each_cause_has_its_remedy(make, rows, advice):
    looked = look(make({"captions.csv": table(*rows), "a/1.png": None, "b/1.png": None}))
    with pytest.raises(ValueError, match=advice):
        looked.check()


def test_rows_that_cannot_be_read_are_told(make):
    looked = look(make({"captions.jsonl": '{"image": [["a"]]}\n{"image": {}}\n'}))
    assert looked.advice.startswith("none of 2 rows could be read; the first: expected an image's path")


def test_images_on_the_web_are_counted_and_not_fetched_by_the_thousand(make, tmp_path):
    addresses = [f"http://127.0.0.1:9/{n}.png" for n in range(3)]
    folder = make(
        {
            "captions.csv": table(*(f"{address},{LONG}" for address in addresses), f"a.png,{LONG}"),
            "a.png": None,
        }
    )
    looked = look(folder)
    assert (looked.images, looked.texts, looked.addresses, looked.advice) == (4, 4, addresses, "")
    assert looked.notes == ["3 images lie on the web and would be fetched."]
    assert look(folder, max_downloads=2).advice.startswith(
        "3 images lie on the web, and no more than 2 are fetched unasked"
    )
    with pytest.raises(ValueError, match="give -p max_downloads=3 to fetch them all"):
        ingest_items(folder, rules=Rules(max_downloads=2), progress=False)
    blobs = Blobs(tmp_path / "data" / "cache" / "images")
    kept = blobs.put(b"fetched before").relative_to(blobs.folder)
    with FindingsCache(tmp_path / "data" / "cache" / "ingest.sqlite") as cache:
        cache.put(FETCHED, {addresses[0]: kept.as_posix()})
    assert look(folder, max_downloads=2).advice == ""


def test_an_address_whose_file_is_on_disk_is_not_fetched(make):
    rows = ["http://127.0.0.1:9/val/a.png," + LONG, "http://127.0.0.1:9/val/b.png," + LONG]
    folder = make({"captions.csv": table(*rows), "val/a.png": None, "val/b.png": None})
    looked = look(folder, max_downloads=0)
    assert (looked.images, looked.addresses) == (2, [])
    assert looked.guesses == {"on disk by the end of their address": 2}
    assert looked.pairs["image"].tolist() == ["val/a.png", "val/b.png"]


def test_files_that_were_passed_over_stop_a_dataset_without_text(make):
    """A source that a reader left aside is told; who wants the images alone says so."""
    looked = look(make({"a.png": None}))
    read = looked.source._replace(unread={"titles.doc": "a Word document; save it as csv"})
    from mmlab.ingest.first_look import _advise

    passed_over = type(looked)(looked.dataset, read, looked.found, {}, Rules())
    advice = _advise(passed_over, "auto", None)
    assert advice == (
        "1 images and no text; titles.doc was not read: a Word document; save it as csv; "
        "-p source=images goes on without texts"
    )
    assert _advise(passed_over, "images", None) == ""
    assert passed_over.notes == ["titles.doc was not read: a Word document; save it as csv"]


def test_what_there_is_is_counted(make):
    rows = [
        f"a.png,{LONG},train",
        f"a.png,{LONG}!,train",
        "b.png,,test",
        f"none.png,{LONG},test",
        f",{LONG},test",
    ]
    looked = look(
        make(
            {
                "captions.csv": table(*rows, header="image,caption,split"),
                "images/a.png": None,
                "b.png": None,
                "c.png": None,
            }
        )
    )
    assert (looked.kind, looked.images, looked.texts) == ("csv", 2, 2)
    assert looked.splits == {"train": 1, "test": 1}
    assert looked.guesses == {"by name in another folder": 1}
    assert looked.pairs.to_numpy().tolist() == [["images/a.png", LONG], ["images/a.png", LONG + "!"]]
    refused = looked.refused.set_index("reason")
    assert refused["count"].to_dict() == {"missing file": 1, "no image named": 1, "unlisted image": 1}
    assert refused["example"].tolist() == ["none.png", LONG, "c.png"]
    assert looked.table.to_numpy().tolist()[:4] == [
        ["images", 2],
        ["texts", 2],
        ["images in train", 1],
        ["images in test", 1],
    ]
    assert looked.sentence == (
        "Read as csv from captions.csv: 2 images and 2 texts, in the splits train (1), test (1); "
        "3 entries would be refused."
    )
    assert repr(looked).startswith("Inspection(") and looked.sentence in repr(looked)
    assert looked.notes == ["1 images found by name in another folder."]
    assert looked.advice == ""
    looked.check()


def test_as_plain_values_it_is_all_there(make):
    looked = look(make({"captions.csv": table(f"a.png,{LONG}"), "a.png": None}))
    assert looked.as_json() == {
        "source": "csv", "files": ["captions.csv"], "images": 1, "texts": 1, "splits": {}, "skipped": [], "unread": {},
        "vectors": None,
        "pairs": [{"image": "a.png", "text": LONG}], "guesses": {}, "notes": [], "advice": "",
    }  # fmt: skip


def test_many_files_that_were_passed_over_are_counted(make):
    looked = look(make({"a.png": None, **{f"{n}.zip": "" for n in range(12)}}))
    assert len(looked.source.unread) == 12
    assert looked.notes[-2].endswith("unpack it")
    assert looked.notes[-1] == "2 more files were not read."


def test_what_may_stay_is_not_refused(make):
    folder = make({"captions.csv": table(f"a.png,{LONG}", f",{LONG}"), "a.png": None, "b.png": None})
    assert look(folder).refused["reason"].tolist() == ["no image named", "unlisted image"]
    assert look(folder, keep=["no image named", "unlisted image"]).refused.empty
