"""From records to rows: one for each image and each of its texts."""

from mmlab.ingest.sources.column_names import NEGATIVE

TEXT = "A red card lies on the table"


def test_several_images_in_a_cell_have_each_text_of_the_row(read):
    cells = ["x/a.png;x/b.png", "c.png | d.png", "['e.png', 'f.png']", '["g.png"]', "h, i; j.png"]
    rows = read({"captions.csv": [("images", "title", "note"), *((cell, "T", "N") for cell in cells)]}).rows
    assert rows["image"].tolist() == [
        "x/a.png", "x/b.png", "c.png", "d.png", "e.png", "f.png", "g.png", "h, i; j.png",
    ]  # fmt: skip
    assert rows["caption"].tolist() == ["T"] * 8 and rows["note"].tolist() == ["N"] * 8


def test_several_columns_of_texts_give_a_row_each(read):
    rows = read(
        {"captions.csv": "image,caption_en,caption_de,n\na.jpg,Card,Karte,1\nb.jpg,,Hut,2\nc.jpg,,,3\n"}
    ).rows
    assert rows["image"].tolist() == ["a.jpg", "a.jpg", "b.jpg", "c.jpg"]
    assert rows["caption"].tolist() == ["Card", "Karte", "Hut", ""]
    assert rows["origin"].tolist() == ["caption_en", "caption_de", "caption_de", "caption"]
    assert rows["language"].tolist()[:3] == ["en", "de", "de"] and rows["language"].isna()[4]
    assert rows["n"].tolist() == [1, 1, 2, 3]


def test_numbered_columns_of_images_and_texts_belong_together(read):
    rows = read(
        {"x.jsonl": [{"image_0": "a.jpg", "image_1": "b.jpg", "caption_0": "A", "caption_1": "B"}]}
    ).rows
    assert rows[["image", "caption"]].values.tolist() == [["a.jpg", "A"], ["b.jpg", "B"]]
    rows = read({"x.jsonl": [{"image_0": "a.jpg", "image_1": "b.jpg", "image_2": None, "title": "A"}]}).rows
    assert rows[["image", "caption"]].values.tolist() == [["a.jpg", "A"], ["b.jpg", "A"]]


def test_a_negative_is_a_text_without_an_image(read):
    rows = read(
        {"x.json": {"0": {"filename": "a.jpg", "caption": "A dog", "negative_caption": "A cat"}}}
    ).rows
    assert rows["image"].tolist() == ["a.jpg", ""]
    assert rows["caption"].tolist() == ["A dog", "A cat"] and rows["origin"].tolist() == ["caption", NEGATIVE]


def test_the_first_row_of_a_product_speaks_for_all(read):
    lines = [
        "Handle,Title,Image Src,Image Alt Text",
        "mug,Red mug,1.jpg,front",
        "mug,,2.jpg,",
        "cup,,3.jpg,",
        "cup,Cup,4.jpg,",
        "cup,,,",
    ]
    rows = read({"x.csv": "\n".join(lines)}).rows
    found = rows.groupby("image")["caption"].agg(list).to_dict()
    assert found == {"1.jpg": ["Red mug", "front"], "2.jpg": ["Red mug"], "3.jpg": [""], "4.jpg": ["Cup"]}


def test_an_address_stands_beside_the_name_of_a_file(read):
    rows = read({"x.csv": "file_name,coco_url,caption\na.jpg,http://x.example/a.jpg,A\n"}).rows
    assert rows.loc[1, ["image", "address", "coco_url"]].tolist() == [
        "a.jpg",
        *["http://x.example/a.jpg"] * 2,
    ]


def test_splits_are_known_in_any_spelling(read):
    spellings = ["Train ", "TEST", "Validation", "valid", "DEV", " val", "restval", ""]
    lines = "".join(f"{number}.jpg,x,{split}\n" for number, split in enumerate(spellings))
    splits = read({"captions.csv": "image,caption,split\n" + lines}).rows["split"]
    assert (
        splits.tolist()[:7] == ["train", "test", "validation", "valid", "dev", "val", "restval"]
        and splits.isna()[8]
    )
