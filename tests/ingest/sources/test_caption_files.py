import pytest


def coco(names, captions, **fields):
    images = [{"id": number, "file_name": name, **fields} for number, name in enumerate(names, 1)]
    return {"images": images, "annotations": [{"image_id": n, "caption": text} for n, text in captions]}


def test_where_images_of_coco_lie_is_told(read):
    source = read({"annotations/captions_val2017.json": coco(["a.jpg"], [(1, "A dog")])})
    assert (source.kind, source.rows.loc[1, "split"]) == ("coco", "val")
    assert source.image_folders[:2] == ("val2017", "images/val2017")
    assert {"val", "images", "data"} <= set(source.image_folders)


def test_rows_follow_the_images(read):
    content = coco(["a.jpg", "b.jpg", "c.jpg"], [(3, "C"), (1, "A"), (3, "D")])
    rows = read({"captions_own.json": content}).rows
    assert rows["image"].tolist() == ["a.jpg", "b.jpg", "c.jpg", "c.jpg"]
    assert rows["caption"].tolist() == ["A", "", "C", "D"]
    assert rows["split"].isna().all()


def test_images_have_an_address_too(read):
    images = [
        {"id": 1, "file_name": "a.jpg", "coco_url": "http://x/a.jpg"},
        {"id": 2, "file_name": "b.jpg", "coco_url": "", "flickr_url": "http://y/b.jpg"},
        {"id": 3, "file_name": "c.jpg", "coco_url": "http://x/c.jpg"},
        {"id": 4, "file_name": "d.jpg"},
    ]
    rows = read({"captions_x.json": {"images": images, "annotations": []}, "c.jpg": b""}).rows
    assert rows["image"].tolist() == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    assert rows["address"].tolist()[:3] == ["http://x/a.jpg", "http://y/b.jpg", "http://x/c.jpg"]
    assert rows["address"].isna().tolist() == [False, False, False, True]


def test_a_broken_entry_costs_itself_only(read):
    content = coco(["a.jpg"], [(1, "A"), (9, "of nothing"), (1, 5), ([1], "x")])
    content["images"] += [{"id": 1, "file_name": "again.jpg"}, {"id": {}, "file_name": "x"}, "junk"]
    content["annotations"].append(7)
    rows = read({"captions_x.json": content}).rows
    assert rows["problem"].isna().tolist() == [True] + [False] * 7
    assert rows["image"].tolist()[:3] == ["a.jpg", "again.jpg", ""]
    assert rows.loc[2, "detail"] == "expected different ids, found 1 twice"
    assert rows.loc[5, "caption"] == "of nothing"
    assert rows.loc[5, "detail"] == "expected the id of an image, found image_id 9"
    assert rows.loc[6, "caption"] == '{"image_id":1,"caption":5}'


def test_names_that_leave_the_dataset_do_not_move_its_root(read, tmp_path):
    (tmp_path / "secret.jpg").write_bytes(b"")
    names = ["../secret.jpg", str(tmp_path / "secret.jpg"), "x\0y", "n" * 5000]
    source = read({"captions_x.json": coco(names, [])})
    assert source.root == tmp_path / "dataset" and source.rows["image"].tolist() == names


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89PNG", r"captions_x.json is not valid JSON"),
        (b"[" * 100_000, r"captions_x.json is not valid JSON"),
        ([], r"captions_x.json: expected JSON objects, a list of them or one per line, found none"),
        ({"images": {}, "annotations": []}, r"captions_x.json is not COCO"),
        ({"images": [], "annotations": []}, r"captions_x.json names no images"),
    ],
)
def test_a_file_that_is_not_coco(read, content, message):
    with pytest.raises(ValueError, match=message):
        read({"captions_x.json": content})


def test_detections_give_images_with_the_name_of_their_one_category(read):
    content = coco(["a.jpg", "b.jpg", "c.jpg"], [])
    content["categories"] = [{"id": 3, "name": "cat"}, {"id": 4, "name": "dog"}]
    content["annotations"] = [
        {"image_id": image, "category_id": one} for image, one in ((1, 3), (1, 3), (2, 3), (2, 4))
    ]
    rows = read({"labels.json": content}).rows
    assert rows["image"].tolist() == ["a.jpg", "b.jpg", "c.jpg"]
    assert rows["label"].tolist()[:1] == ["cat"] and rows["label"].isna().tolist() == [False, True, True]


def karpathy_entry(name, *captions, **fields):
    return {"filename": name, "split": "train", "sentences": [{"raw": text} for text in captions], **fields}


def test_sentences_and_splits_as_written(read):
    images = [
        karpathy_entry("a.jpg", "A", "B"),
        karpathy_entry("b.jpg", split="restval"),
        karpathy_entry("c.jpg", "C", split=None),
    ]
    rows = read({"dataset_own.json": {"images": images}}).rows
    assert rows["image"].tolist() == ["a.jpg", "a.jpg", "b.jpg", "c.jpg"]
    assert rows["caption"].tolist() == ["A", "B", "", "C"]
    assert rows["split"].tolist()[:3] == ["train", "train", "restval"] and rows["split"].isna()[4]


def test_an_image_is_named_with_its_filepath(read):
    source = read({"dataset_coco.json": {"images": [karpathy_entry("a.jpg", "A", filepath="val2014")]}})
    assert source.rows["image"].tolist() == ["val2014/a.jpg"]


def test_a_broken_image_of_karpathys_costs_itself_only(read):
    images = [
        karpathy_entry("a.jpg", "A"),
        karpathy_entry("b.jpg") | {"sentences": [{"tokens": []}]},
        {"filename": "c.jpg"},
        3,
        {},
    ]
    rows = read({"dataset_own.json": {"images": images}}).rows
    assert rows["problem"].notna().tolist() == [False, True, True, True, True]
    assert rows["image"].tolist() == ["a.jpg", "b.jpg", "c.jpg", "", ""]
    assert rows["caption"].tolist() == ["A", '[{"tokens":[]}]', '{"filename":"c.jpg"}', "3", "{}"]
    assert rows.loc[3, "detail"] == "expected an image with filename and sentences"


@pytest.mark.parametrize("content", [{"images": []}, {"images": {}}, [], {}])
def test_a_file_that_is_not_karpathys(read, content):
    with pytest.raises(ValueError, match=r"own.json is not Karpathy's: expected an object with a list"):
        read({"own.json": content}, "karpathy", name="own.json")


TOKENS = "a.jpg#0\tA dog .\na.jpg#1\tA #1 dog\nb.jpg\tB\n"


def test_lines_of_tokens(read):
    source = read({"Flickr8k.token.txt": TOKENS})
    assert source.kind == "flickr" and source.rows["image"].tolist() == ["a.jpg", "a.jpg", "b.jpg"]
    assert source.rows["caption"].tolist() == ["A dog .", "A #1 dog", "B"]
    assert {"Images", "images", "Flicker8k_Dataset", "flickr30k-images"} <= set(source.image_folders)


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
    assert rows["image"].tolist() == ["a.jpg", "b.jpg", "c.jpg"]
    assert rows["caption"].tolist() == ["Two | one", "b.jpg| 4   A dog", ""]
    assert rows.loc[2, ["problem", "detail"]].tolist() == ["malformed row", "expected 3 fields, found 2"]


def test_kaggles_table_of_flickr8k(read):
    lines = 'image,caption\na.jpg,"A ""dog"", asleep"\nb.jpg,B\nc.jpg,C,D\n' + f"d.jpg,{'x' * 140_000}\n"
    source = read({"captions.txt": lines, "Images/a.jpg": b""})
    assert source.rows["image"].tolist() == ["a.jpg", "b.jpg", "c.jpg", ""]
    assert source.rows["caption"].tolist()[:3] == ['A "dog", asleep', "B", "C,D"]
    assert source.rows["problem"].notna().tolist() == [False, False, False, True]


def test_a_line_without_a_tab(read):
    rows = read({"x.token": "a.jpg#0 A dog\nb.jpg#0\tB\n"}).rows
    assert rows.loc[1, ["image", "caption", "problem", "detail"]].tolist() == [
        "a.jpg#0 A dog", "a.jpg#0 A dog", "malformed row", "expected 2 fields, found 1",
    ]  # fmt: skip
    assert rows.loc[2, "caption"] == "B"


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_a_file_without_captions(read, content):
    with pytest.raises(ValueError, match=r"x.token(: expected a header .*, found none| is empty)"):
        read({"x.token": content})
