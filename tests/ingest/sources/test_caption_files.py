import pytest


def coco(names, captions, **fields):
    images = [{"id": number, "file_name": name, **fields} for number, name in enumerate(names, 1)]
    return {"images": images, "annotations": [{"image_id": n, "caption": text} for n, text in captions]}


@pytest.mark.parametrize("folder", ["", "val2017/", "images/", "annotations/", "annotations/val2017/"])
@pytest.mark.parametrize("given", ["", "annotations", "annotations/captions_val2017.json"])
def test_images_are_found_where_coco_has_them(read, folder, given):
    content = coco(["a.jpg"], [(1, "A dog")])
    source = read({"annotations/captions_val2017.json": content, f"{folder}a.jpg": b""}, name=given)
    assert (source.root / source.rows.loc[1, "image"]).read_bytes() == b""
    assert (source.kind, source.rows.loc[1, "split"]) == ("coco", "val")
    assert ".." not in source.rows.loc[1, "image"]


def test_rows_follow_the_images(read):
    content = coco(["a.jpg", "b.jpg", "c.jpg"], [(3, "C"), (1, "A"), (3, "D")])
    rows = read({"captions_own.json": content}).rows
    assert rows["image"].tolist() == ["a.jpg", "b.jpg", "c.jpg", "c.jpg"]
    assert rows["caption"].tolist() == ["A", "", "C", "D"]
    assert rows["split"].isna().all()


def test_images_that_are_not_here_are_at_their_address(read):
    images = [
        {"id": 1, "file_name": "a.jpg", "coco_url": "http://x/a.jpg"},
        {"id": 2, "file_name": "b.jpg", "coco_url": "", "flickr_url": "http://y/b.jpg"},
        {"id": 3, "file_name": "c.jpg", "coco_url": "http://x/c.jpg"},
        {"id": 4, "file_name": "d.jpg"},
    ]
    rows = read({"captions_x.json": {"images": images, "annotations": []}, "c.jpg": b""}).rows
    assert rows["image"].tolist() == ["http://x/a.jpg", "http://y/b.jpg", "c.jpg", "d.jpg"]


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
        (b"\x89PNG", r"captions_x.json is not sound JSON"),
        (b"[" * 100_000, r"captions_x.json is not sound JSON"),
        ([], r"captions_x.json is not COCO: expected an object with the lists images and annotations"),
        ({"images": {}, "annotations": []}, r"captions_x.json is not COCO"),
        ({"images": [], "annotations": []}, r"captions_x.json names no images"),
        ({"images": [{}], "annotations": [{"bbox": []}]}, r"annotations without captions: take the file"),
    ],
)
def test_a_file_that_is_not_coco(read, content, message):
    with pytest.raises(ValueError, match=message):
        read({"captions_x.json": content})
