"""Each way in which a name finds its file, and what no name may reach."""

import os
import time

import pandas as pd
import pytest

from mmlab.ingest.images.find import find_images, normalize_name
from mmlab.ingest.images.image_index import ImageIndex


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ("a/b.jpg", "a/b.jpg"),
        ("./a//b.jpg", "a/b.jpg"),
        ("a\\b.jpg", "a/b.jpg"),
        (" a/c/../b.jpg ", "a/b.jpg"),
        ("../b.jpg", "../b.jpg"),
        ("file:///data/a%20b.jpg", "/data/a b.jpg"),
        ("FILE://server/data/a.jpg", "/data/a.jpg"),
        ("file:a.jpg", "a.jpg"),
        (" ", ""),
        ("file:", ""),
        (" https://example.org/a//b/../c.jpg?d=e ", "https://example.org/a//b/../c.jpg?d=e"),
        ("HTTP://example.org/a", "HTTP://example.org/a"),
    ],
)
def test_a_path_has_one_spelling_and_an_address_stays(entry, name):
    assert normalize_name(entry) == name


@pytest.fixture
def make(tmp_path):
    """A function: files below the dataset -> its folder; secret.png lies beside it."""
    (tmp_path / "secret.png").touch()

    def write(*names):
        for name in names:
            path = tmp_path / "dataset" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / "dataset"

    return write


def find(root, *names, table=None, folders=(), first=(), address=None, **options):
    """What is found for names of one table, a row each."""
    tables = table if isinstance(table, list) else [table] * len(names)
    rows = pd.DataFrame({"image": names, "table": tables, "address": address}, dtype="str")
    rows = rows.assign(file=None, problem=None).astype("str")
    index = root if isinstance(root, ImageIndex) else ImageIndex(root, **options)
    return find_images(rows, index, folders, first)


def names_of(found):
    return found["name"].tolist()


def only(found, column):
    return found[column].fillna("").tolist()


def test_a_name_is_taken_as_written(make):
    root = make("a.jpg", "sub/b.png", "data.bin")
    found = find(
        root, "a.jpg", "./sub/b.png", str(root / "a.jpg"), "sub\\b.png", "data.bin", f"file://{root}/a.jpg"
    )
    assert names_of(found) == ["a.jpg", "sub/b.png", "a.jpg", "sub/b.png", "data.bin", "a.jpg"]
    assert found["file"].tolist()[:2] == [str(root / "a.jpg"), str(root / "sub" / "b.png")]
    assert found["guess"].isna().all() and found["reason"].isna().all()


def test_the_folder_of_the_table_comes_before_root_and_before_the_usual_folders(make):
    root = make("train/a.jpg", "test/a.jpg", "a.jpg", "images/a.jpg", "images/b.jpg", "test/images/c.jpg")
    tables = ["train/metadata.csv", "test/metadata.csv", None]
    assert names_of(find(root, "a.jpg", "a.jpg", "a.jpg", table=tables)) == [
        "train/a.jpg",
        "test/a.jpg",
        "a.jpg",
    ]
    found = find(root, "a.jpg", "b.jpg", "c.jpg", table="test/m.csv", folders=["images"])
    assert names_of(found) == ["test/a.jpg", "images/b.jpg", "test/images/c.jpg"]
    assert found["guess"].isna().all()


GUESSES = [
    ("a.jpg", "deep/er/a.jpg", "by name in another folder"),
    ("old/a.jpg", "new/a.jpg", "by name in another folder"),
    ("/mnt/x/a.jpg", "images/a.jpg", "by the end of their path"),
    ("../../x/a.jpg", "x/a.jpg", "by the end of their path"),
    ("C:\\Users\\me\\a.jpg", "images/a.jpg", "by the end of their path"),
    ("\\\\server\\share\\a.jpg", "images/a.jpg", "by the end of their path"),
    ("file:///C:/me/a.jpg", "images/a.jpg", "by the end of their path"),
    ("A.JPG", "a.jpg", "in another case"),
    ("Images/a.jpg", "images/a.jpg", "in another case"),
    ("caf\u00e9.jpg", "cafe\u0301.jpg", "with accents in another form"),
    ("cafe\u0301.jpg", "caf\u00e9.jpg", "with accents in another form"),
    ("red%20shoe.png", "red shoe.png", "by the decoded name"),
    ("images/caf%C3%A9.png", "images/caf\u00e9.png", "by the decoded name"),
    ("15970", "images/15970.jpg", "by a name without suffix"),
    ("15970.0", "images/15970.jpg", "by a name without suffix"),
    ("images/000", "images/000.png", "by a name without suffix"),
    ("v1.2", "v1.2.png", "by a name without suffix"),
    ("a.png", "a.jpg", "with another suffix"),
    ("139", "val/000000000139.jpg", "by a number without its zeros"),
    ("https://x.org/val/a%20b.jpg?s=1", "images/a b.jpg", "on disk by the end of their address"),
]


@pytest.mark.parametrize(("name", "file", "guess"), GUESSES)
def test_a_guess_is_made_where_one_file_fits_and_is_told(make, name, file, guess):
    found = find(make(file, "images/other.jpg"), name)
    assert (names_of(found), only(found, "guess")) == ([file], [guess])


@pytest.mark.parametrize(("name", "file", "guess"), GUESSES)
def test_no_guess_is_made_where_two_files_fit(make, name, file, guess):
    found = find(make(f"p/{file}", f"q/{file}"), name)
    assert found["file"].isna().all()
    if name.startswith("https:"):  # is fetched
        assert (names_of(found), only(found, "reason")) == ([name], [""])
        return
    assert only(found, "reason") == ["ambiguous name"]
    assert found["detail"][0].startswith("2 files are called ")
    assert f"p/{file}, q/{file}" in found["detail"][0]


def test_of_several_files_the_one_with_the_longest_tail_is_taken(make):
    root = make("train/cat/1.jpg", "train/dog/1.jpg", "test/dog/1.jpg")
    found = find(root, "/old/train/dog/1.jpg", "C:\\x\\Cat\\1.jpg", "/old/dog/1.jpg", "1.jpg")
    assert names_of(found)[:2] == ["train/dog/1.jpg", "train/cat/1.jpg"]
    assert only(found, "reason") == ["", "", "ambiguous name", "ambiguous name"]


def test_the_folder_that_the_user_names_comes_first(make):
    root = make("a.jpg", "small/a.jpg", "large/a.jpg", "small/7.jpg", "large/7.jpg")
    assert names_of(find(root, "a.jpg", "7", "small/7.jpg")) == ["a.jpg", "7", "small/7.jpg"]
    assert names_of(find(root, "a.jpg", "7", "small/7.jpg", first=["large"])) == [
        "large/a.jpg",
        "large/7.jpg",
        "small/7.jpg",
    ]


def test_a_table_takes_what_lies_below_its_own_folder(make):
    root = make("train/images/1.jpg", "test/images/1.jpg")
    found = find(root, "1.jpg", "1.jpg", table=["train/labels.csv", "test/labels.csv"])
    assert names_of(found) == ["train/images/1.jpg", "test/images/1.jpg"]


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["dogs/1.jpg"], ["cats/1.jpg", "dogs/1.jpg"]),
        (["flat/1.jpg"], ["cats/1.jpg", "dogs/1.jpg"]),
        (["a.jpg"], ["a.jpg", "a.png"]),
        (["images/a.jpg"], ["/old/one/a.jpg", "/old/two/a.jpg"]),
    ],
)
def test_one_file_is_not_given_to_two_images(make, files, names):
    found = find(make(*files), *names)
    taken = [name for name in names if name in files]
    assert found["file"].notna().tolist() == [name in files for name in names]
    assert only(found, "reason").count("ambiguous name") == len(names) - len(taken)


def test_a_missing_image_is_not_replaced_by_that_of_another_table(make):
    root = make("train/2.jpg", "test/1.jpg")
    found = find(root, "1.jpg", "2.jpg", "1.jpg", table=["train/m.csv", "train/m.csv", "test/m.csv"])
    assert only(found, "reason") == ["ambiguous name", "", ""]
    assert names_of(found)[1:] == ["train/2.jpg", "test/1.jpg"]


def test_names_that_can_mean_one_image_share_its_file(make):
    found = find(make("images/a.jpg"), "a.jpg", "images/a.jpg", "/mnt/images/a.jpg", "a", "IMAGES/A.JPG")
    assert names_of(found) == ["images/a.jpg"] * 5


@pytest.mark.parametrize(
    "name",
    [
        "none.png",
        "nul\0.png",
        "x" * 5000,
        "y/" * 3000 + "z.png",
        "loop.png",
        "pipe.png",
        "folder.png",
        ".",
    ],
)
def test_what_is_no_file_is_missing(make, name):
    folder = make("good.png")
    (folder / "loop.png").symlink_to("loop.png")
    os.mkfifo(folder / "pipe.png")
    (folder / "folder.png").mkdir()
    found = find(folder, name)
    assert (only(found, "reason"), only(found, "file")) == (["missing file"], [""])


ESCAPES = [
    "../secret.png", "sub/../../secret.png", "..\\secret.png", "/etc/passwd", "/dev/zero", "..", "../", "/", "~/x.png",
    "file:///etc/passwd", "file:../secret.png", "file:%2e%2e/secret.png", "link.png", "linked/secret.png",
    "linked/../secret.png",
    "sub/../link.png", "%2e%2e/secret.png", "..%2fsecret.png", "/../secret.png", "\\..\\secret.png", "C:/../secret.png",
    ".hidden/link.png", "sub/linked", "..\0/secret.png", "../" * 1000 + "etc/passwd", "../dataset/../secret.png",
    "LINK.PNG", "link", "secret", "secret.jpg", "linked/SECRET.png",
]  # fmt: skip


@pytest.mark.parametrize(
    "name", [*ESCAPES, "{root}/../secret.png", "{above}/secret.png", "{root}/linked/secret.png"]
)
@pytest.mark.parametrize("table", [None, "sub/captions.csv", ".hidden/captions.csv"])
def test_no_name_reaches_a_file_outside(make, name, table):
    folder = make("good.png", "sub/notes.txt", ".hidden/notes.txt")
    for link in ("link.png", ".hidden/link.png"):
        (folder / link).symlink_to(folder.parent / "secret.png")
    (folder / "linked").symlink_to(folder.parent)
    (folder / "sub" / "linked").symlink_to(folder.parent / "secret.png")
    found = find(folder, name.format(root=folder, above=folder.parent), table=table)
    assert found["file"].isna().all()
    assert only(found, "reason")[0] in ("path leaves the dataset", "missing file")


def test_a_file_behind_a_link_is_told_and_taken_only_if_links_are_followed(make):
    folder = make("captions.csv")
    (folder.parent / "store").mkdir()
    (folder.parent / "store" / "a.png").touch()
    (folder / "images").symlink_to("../store")
    (folder / "one.png").symlink_to("../secret.png")
    found = find(folder, "images/a.png", "a.png", "one.png")
    assert only(found, "reason") == ["path leaves the dataset"] * 3
    assert found["detail"][0] == "images is a link that leads out of the dataset: give -p follow_links=true"
    assert found["link"].tolist() == ["images", "images", "one.png"]
    followed = find(
        folder,
        "images/a.png",
        "a.png",
        "one.png",
        "../secret.png",
        "images/../../secret.png",
        follow_links=True,
    )
    assert names_of(followed)[:3] == ["images/a.png", "images/a.png", "one.png"]
    assert followed["file"].tolist()[0] == str(folder.parent / "store" / "a.png")
    assert followed["file"].isna().tolist() == [False, False, False, True, True]


def test_links_that_are_followed_lead_no_further(make):
    """A row names a path through a folder that the user's link leads to, and out of it again."""
    folder = make("captions.csv")
    (folder.parent / "store").mkdir()
    (folder / "images").symlink_to("../store")
    found = find(folder, "images/../secret.png", "images/../../secret.png", follow_links=True)
    assert found["file"].isna().all()


def test_a_folder_that_the_user_names_is_a_root(make, tmp_path):
    root = make("lists/a.csv")
    (tmp_path / "pics" / "sub").mkdir(parents=True)
    for name in ("a.jpg", "sub/b.jpg", "c.jpg"):
        (tmp_path / "pics" / name).touch()
    (tmp_path / "pics" / "out.jpg").symlink_to(tmp_path / "secret.png")
    index = ImageIndex(root / "lists")
    first = [index.add_folder(tmp_path / "pics")]
    found = find(
        index, "a.jpg", "sub/b.jpg", "b.jpg", f"{tmp_path}/pics/c.jpg", "../pics/c.jpg", "out.jpg", "../../secret.png",
        first=first,
    )  # fmt: skip
    assert names_of(found)[:5] == [
        "pics/a.jpg",
        "pics/sub/b.jpg",
        "pics/sub/b.jpg",
        "pics/c.jpg",
        "pics/c.jpg",
    ]
    assert only(found, "reason")[5:] == ["path leaves the dataset"] * 2


def test_an_image_that_came_with_its_file_and_a_broken_row_are_not_looked_for(make):
    rows = pd.DataFrame(
        {"image": ["a.png", "b.png"], "file": ["/kept/a", None], "problem": [None, "malformed row"]},
        dtype="str",
    ).assign(table=None, address=None)
    found = find_images(rows, ImageIndex(make("a.png", "b.png")))
    assert (names_of(found), only(found, "file")) == (["a.png", ""], ["/kept/a", ""])


def test_an_image_on_disk_needs_no_address(make):
    addresses = ["http://x/a.jpg", "http://x/b.jpg", None]
    found = find(make("val/a.jpg"), "a.jpg", "b.jpg", "c.jpg", address=addresses)
    assert names_of(found) == ["val/a.jpg", "http://x/b.jpg", "c.jpg"]
    assert only(found, "reason") == ["", "", "missing file"]


def test_addresses_whose_ends_are_alike_are_fetched(make):
    names = ["http://x.org/1/photo.jpg", "http://x.org/2/photo.jpg", "http://[bad", "http://x.org"]
    found = find(make("images/photo.jpg"), *names)
    assert names_of(found) == names
    assert found["file"].isna().all() and found["reason"].isna().all()


@pytest.mark.parametrize(
    "written", ["{}.JPG", "/old/{}/image.jpg", "C:\\old\\images\\{}\\image.jpg", "{}/none.jpg"]
)
def test_a_large_dataset_is_found_in_seconds(make, written):
    """A tenth of what is promised for a hundred thousand, with a wide margin for a busy machine."""
    root = make("x.jpg")
    index = ImageIndex(root)
    names = [
        f"images/{n}/image.jpg" if "image" in written else f"images/{n % 100}/{n}.jpg" for n in range(10_000)
    ]
    index.paths |= {name: f"{root}/{name}" for name in names}
    started = time.process_time()
    found = find(index, *(written.format(n) for n in range(10_000)))
    assert time.process_time() - started < 2
    assert found["file"].notna().all() == ("none" not in written)


def test_many_files_of_one_name_and_no_folder_to_tell_them_apart(make):
    index = ImageIndex(make("x.jpg"))
    index.paths |= {f"images/{n}/image.jpg": f"/{n}" for n in range(5000)}
    started = time.process_time()
    found = find(index, *(f"old{n}/image.jpg" for n in range(5000)), "7/image.jpg", table="lists/a.csv")
    assert time.process_time() - started < 2
    assert found["reason"].value_counts().to_dict() == {"ambiguous name": 5000}
    assert found["name"].iloc[-1] == "images/7/image.jpg"
    assert (
        found["detail"]
        .iloc[0]
        .startswith("5000 files are called image.jpg: images/0/image.jpg, images/1/image.jpg,")
    )
