import pytest

TOKENS = "a.jpg#0\tA dog .\na.jpg#1\tA #1 dog\nb.jpg\tB\n"
PLACES = ["", "Images/", "images/", "Flicker8k_Dataset/", "Flickr8k_Dataset/", "flickr30k_images/"]


@pytest.mark.parametrize("folder", PLACES)
@pytest.mark.parametrize("given", ["", "text/"])
def test_images_are_found_beside_and_above(read, folder, given):
    source = read({f"{given}Flickr8k.token.txt": TOKENS, f"{folder}a.jpg": b""}, name=given)
    assert source.kind == "flickr" and source.rows["image"].tolist() == [f"{folder}a.jpg"] * 2 + ["b.jpg"]
    assert (source.root / f"{folder}a.jpg").is_file()
    assert source.rows["caption"].tolist() == ["A dog .", "A #1 dog", "B"]


def test_lists_tell_the_split(read):
    lists = {
        "Flickr_8k.trainImages.txt": "b.jpg\n\n",
        "Flickr_8k.devImages.txt": "a.jpg\r\n",
        "Flickr_8k.testImages.txt": "",
    }
    rows = read({"x.token": TOKENS + "broken\n"} | lists).rows
    assert rows["split"].tolist()[:3] == ["dev", "dev", "train"] and rows["split"].isna()[4]


def test_kaggles_table_of_flickr30k(read):
    lines = "image_name| comment_number| comment\na.jpg| 0| Two | one\nb.jpg| 4   A dog\nc.jpg| 0|\n"
    rows = read({"results.csv": lines}).rows
    assert rows["image"].tolist() == ["a.jpg", "", "c.jpg"]
    assert rows["caption"].tolist() == ["Two | one", "b.jpg| 4   A dog", ""]
    assert rows.loc[2, ["problem", "detail"]].tolist() == ["malformed row", "expected name.jpg| 0| caption"]


def test_kaggles_table_of_flickr8k(read):
    lines = 'image,caption\na.jpg,"A ""dog"", asleep"\nb.jpg,B\nc.jpg,C,D\n' + f"d.jpg,{'x' * 140_000}\n"
    source = read({"captions.txt": lines, "Images/a.jpg": b""})
    assert source.rows["image"].tolist() == ["Images/a.jpg", "b.jpg", "", ""]
    assert source.rows["caption"].tolist()[:3] == ['A "dog", asleep', "B", "c.jpg,C,D"]
    assert source.rows["problem"].notna().tolist() == [False, False, True, True]


def test_a_line_without_a_tab(read):
    rows = read({"x.token": "a.jpg#0 A dog\nb.jpg#0\tB\n"}).rows
    assert rows.loc[1, ["image", "caption", "problem", "detail"]].tolist() == [
        "", "a.jpg#0 A dog", "malformed row", "expected name.jpg#0<tab>caption",
    ]  # fmt: skip
    assert rows.loc[2, "caption"] == "B"


@pytest.mark.parametrize("content", ["", "\n\n", "image,caption\n"])
def test_a_file_without_captions(read, content):
    with pytest.raises(
        ValueError, match=r"x.token (is empty|has no captions: expected lines such as name.jpg)"
    ):
        read({"x.token": content})
