"""mmlab inspect, as a user calls it; and the look that mmlab run begins with."""

import json
import shlex

import pytest
from click.testing import CliRunner
from PIL import Image

from mmlab.cli import cli, main
from mmlab.cli.overview import suggest_name

ROWS = "file,words,split\na.png,a red square on nothing,train\nb.png,\x1b[31m=a blue square,test\nnone.png,x,test\n"


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Two images in my photos/pics and a table beside it, in the current folder; the data folder is the test's own."""
    monkeypatch.setenv("MMLAB_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my photos" / "pics").mkdir(parents=True)
    for name, colour in (("a", "red"), ("b", "blue")):
        Image.new("RGB", (30, 20), colour).save(tmp_path / "my photos" / "pics" / f"{name}.png")
    (tmp_path / "my photos" / "list.csv").write_text(ROWS)
    return tmp_path / "my photos"


COLUMNS = 'columns=["image=file", "caption=words"]'


def inspect(*arguments):
    """The exit code, stdout and stderr of mmlab inspect."""
    runner = CliRunner()
    shown = runner.invoke(cli, ["inspect", *map(str, arguments)])
    return shown.exit_code, shown.stdout, shown.stderr


def test_it_says_what_is_there_and_how_to_go_on(photos):
    code, shown, _ = inspect("my photos", "-p", COLUMNS, "-p", "k=5")
    assert code == 0
    assert shown.startswith(
        "Read as csv from list.csv: 2 images and 2 texts, in the splits train (1), test (1);"
    )
    assert "pics/a.png  a red square on nothing" in shown
    assert "missing file  1      none.png" in shown
    assert "2 images found by name in another folder." in shown
    assert "\x1b" not in shown
    line = shown.splitlines()[-1]
    assert shlex.split(line) == [
        "mmlab", "run", "--name", "my-photos", "-p", COLUMNS, "-p", "k=5", "--dataset", str(photos)
    ]  # fmt: skip


def test_as_json_it_is_one_object_and_nothing_else(photos):
    code, shown, said = inspect(photos, "--json", "-p", COLUMNS)
    seen = json.loads(shown)
    assert (code, said) == (0, "")
    assert (seen["source"], seen["images"], seen["texts"]) == ("csv", 2, 2)
    assert seen["splits"] == {"train": 1, "test": 1}
    assert seen["skipped"] == [{"reason": "missing file", "count": 1, "example": "none.png", "detail": None}]
    assert seen["unread"] == {}
    assert [pair["image"] for pair in seen["pairs"]] == ["pics/a.png", "pics/b.png"]
    assert seen["command"].startswith("mmlab run --name my-photos")
    assert not (photos.parent / "data").exists()


def test_names_that_are_no_text_break_nothing(photos):
    with open(f"{photos}/\udcff\x1b[31m.zip", "w"):
        pass
    assert list(json.loads(inspect(photos, "--json", "-p", COLUMNS)[1])["unread"]) == ["\udcff\x1b[31m.zip"]
    code, shown, _ = inspect(photos, "-p", COLUMNS)
    assert code == 0
    assert "\x1b" not in shown
    assert ".zip was not read: " in shown


def test_nothing_useful_is_one_line_and_1(photos, capsys):
    (photos / "pics").rename(photos.parent / "elsewhere")
    assert main(["inspect", "my photos", "-p", COLUMNS]) == 1
    shown = capsys.readouterr()
    found = f"0 of 3 images found under these names; 2 lie in {photos.parent}/elsewhere"
    assert shown.err == f"mmlab: error: {found}: give -p images_at={photos.parent}/elsewhere\n"
    assert "Go on with" not in shown.out
    assert main(["run", "--dataset", "my photos", "--name", "p", "-p", COLUMNS]) == 2
    assert found in capsys.readouterr().err
    assert not (photos.parent / "data").exists()


def test_a_folder_of_images_is_taken_from_here_and_goes_into_the_command(photos):
    (photos / "pics").rename(photos.parent / "elsewhere")
    code, shown, _ = inspect("my photos", "-p", COLUMNS, "-p", "images_at=elsewhere")
    assert code == 0
    assert f"images_at={photos.parent}/elsewhere" in shlex.split(shown.splitlines()[-1])


def test_links_are_looked_behind_and_the_command_follows_them(photos, capsys):
    (photos / "pics").rename(photos.parent / "elsewhere")
    (photos / "pics").symlink_to("../elsewhere")
    code, shown, _ = inspect("my photos", "-p", COLUMNS)
    assert code == 0
    assert "2 images lie behind pics, a link that leads out: give -p follow_links=true." in shown
    assert "follow_links=true" in shlex.split(shown.splitlines()[-1])
    assert main(["run", "--dataset", "my photos", "--name", "p", "-p", COLUMNS]) == 2
    assert (
        "2 lie behind pics, a link that leads out of the dataset: give -p follow_links=true"
        in capsys.readouterr().err
    )


def test_a_text_behind_a_link_is_told_and_not_printed(photos):
    (photos.parent / "private").write_text("file,title\na.png,a line that was not given\n")
    (photos / "captions.csv").symlink_to(photos.parent / "private")
    _, shown, _ = inspect("my photos", "-p", COLUMNS)
    assert (
        "captions.csv was not read: a link that leads out of the dataset: give -p follow_links=true" in shown
    )
    assert "a line that was not given" not in shown
    assert "follow_links" not in shown.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere does not exist"),
        (["."], "expected a table"),
        (["my photos", "-p", "colums=[]"], "did you mean columns?"),
        (["my photos", "-p", "dataset=x"], "-p dataset=... is given by the command itself: leave it out"),
        (["my photos", "-p", 'columns=["image=none"]'], "columns ['none'] are missing"),
        (["my photos", "-p", "images_at=none", "-p", COLUMNS], "images_at: expected a folder"),
        ([], "Missing argument 'DATASET'"),
    ],
)
def test_wrong_arguments_are_one_line_and_2(photos, capsys, arguments, message):
    (photos.parent / "empty").mkdir()
    arguments = ["empty" if argument == "." else argument for argument in arguments]
    assert main(["inspect", *arguments]) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert message in shown.err


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("/x/My Photos (2)", "My-Photos-2"),
        ("/x/page.html", "page-html"),
        ("hf://owner/data.set", "data-set"),
        ("/", "run"),
    ],
)
def test_a_run_is_called_like_its_dataset(dataset, name):
    assert suggest_name(dataset) == name
