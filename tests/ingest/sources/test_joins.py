"""Two tables that are one dataset, in the forms in which shops, museums, clinics and benchmarks publish them."""

import base64
import gzip
import json
from pathlib import Path

import pytest

from mmlab.ingest import inspect_dataset
from mmlab.ingest.sources.formats import read_source

A, B, C = (f"A {colour} card lies on the table" for colour in ("red", "blue", "green"))
PRODUCTS = f"product_id,title,price\n11,{A},3\n12,{B},4\n"
IMAGES = "product_id,file\n11,a.jpg\n11,b.jpg\n12,c.jpg\n"
FILES = {f"images/{name}.jpg": b"" for name in "abc"}


def lines(*objects):
    return "".join(json.dumps(one) + "\n" for one in objects)


def listing(number, text, image, *others):
    names = [{"language_tag": "en_US", "value": text}]
    return {"item_id": number, "item_name": names, "main_image_id": image, "other_image_id": list(others)}


SHOP = {"products.csv": PRODUCTS, "images.csv": IMAGES, **FILES}
MARKET = {
    "Products.csv": f",id,product_name,product_description,price\n0,ac21,{A},{B},3\n1,ac22,{C},{A},4\n",
    "Images.csv": ",id,product_id,bucket\n0,f0a1,ac21,https://s.example/1\n1,f0a2,ac22,https://s.example/2\n",
    "images/f0a1.jpg": b"", "images/f0a2.jpg": b"",
}  # fmt: skip
ABO = {
    "listings/listings_0.json.gz": gzip.compress(
        lines(listing("B1", A, "51a"), listing("B2", B, "51b")).encode()
    ),
    "listings/listings_1.json.gz": gzip.compress(
        lines(listing("B3", C, "51c"), listing("B4", A, "51a")).encode()
    ),
    "images/metadata/images.csv.gz": gzip.compress(
        b"image_id,height,width,path\n51a,1,1,14/x1.jpg\n51b,1,1,15/x2.jpg\n51c,1,1,15/x3.jpg\n"
    ),
    **{f"images/small/{name}.jpg": b"" for name in ("14/x1", "15/x2", "15/x3")},
}
CLINIC = {
    "indiana_reports.csv": f"uid,MeSH,image,findings,impression\n1,normal,PA and Lateral,{A},{B}\n2,-,Chest,{C},\n",
    "indiana_projections.csv": "uid,filename,projection\n1,1_IM-1.dcm.jpg,Frontal\n2,2_IM-1.dcm.jpg,Frontal\n",
    "images/1_IM-1.dcm.jpg": b"", "images/2_IM-1.dcm.jpg": b"",
}  # fmt: skip
MUSEUM = {
    "objects.csv": f"objectid,title,medium\n0,{A},oil\n1,{B},oil\n",
    "published_images.csv": "uuid,iiifurl,depictstmsobjectid\nu1,https://i.example/u1,0\nu2,https://i.example/u2,1\n",
}
BENCHMARK = {
    "cand_pool/pool.jsonl": lines(*(
        {"did": f"9:{number}", "img_path": f"images/{name}.jpg", "txt": None, "modality": "image"}
        for number, name in ((1, "a"), (2, "b"))
    )),
    "query/test.jsonl": lines(*(
        {"qid": f"9:{number}", "query_txt": text, "query_modality": "text", "pos_cand_list": [f"9:{image}"]}
        for number, text, image in ((1, A, 2), (2, B, 1))
    )),
    **FILES,
}  # fmt: skip
JOINED = {  # files, then the pairs of image and text, and the columns that say the same
    "shop": (SHOP, [("a.jpg", A), ("b.jpg", A), ("c.jpg", B)], "product_id is product_id"),
    "marketplace": (MARKET, [("f0a1", A), ("f0a1", B), ("f0a2", C), ("f0a2", A)], "id is product_id"),
    "Amazon Berkeley Objects": (
        ABO, [("14/x1.jpg", A), ("14/x1.jpg", A), ("15/x2.jpg", B), ("15/x3.jpg", C)], "main_image_id is image_id",
    ),
    "Indiana's chest X-rays": (
        CLINIC, [("1_IM-1.dcm.jpg", A), ("1_IM-1.dcm.jpg", B), ("2_IM-1.dcm.jpg", C)], "uid is uid",
    ),
    "National Gallery of Art": (
        MUSEUM, [("https://i.example/u1", A), ("https://i.example/u2", B)], "objectid is depictstmsobjectid",
    ),
    "M-BEIR": (BENCHMARK, [("images/a.jpg", B), ("images/b.jpg", A)], "pos_cand_list is did"),
}  # fmt: skip


@pytest.mark.parametrize("dataset", JOINED)
def test_two_tables_are_joined_and_it_is_told(write, dataset):
    files, pairs, columns = JOINED[dataset]
    folder = write(files)
    source = read_source(folder)
    rows = source.rows[source.rows["caption"] != ""]
    assert list(zip(rows["image"], rows["caption"], strict=True)) == pairs
    assert any(columns in note for note in source.notes)
    assert not [name for name, why in source.unread.items() if not name.endswith(".txt")]
    looked = inspect_dataset(folder)
    assert (looked.texts, looked.advice) == (len(pairs), "")


def test_images_in_base64_have_their_texts_elsewhere(write, image, tmp_path):
    """Chinese-CLIP's form: MUGE and Flickr30k-CN; each split has its own texts."""
    ids = {"train": {"red": 1000002, "blue": 1000016}, "valid": {"green": 1000033, "white": 1000034}}
    files = {}
    for split, numbers in ids.items():
        rows = [
            f"{number}\t{base64.b64encode(image(colour)).decode()}\n" for colour, number in numbers.items()
        ]
        texts = [{"text_id": number, "text": f"{split} {colour}", "image_ids": [number]}
                 for colour, number in numbers.items()]  # fmt: skip
        files |= {f"{split}_imgs.tsv": "".join(rows), f"{split}_texts.jsonl": lines(*texts)}
    looked = inspect_dataset(write(files), cache=tmp_path / "cache")
    assert (looked.images, looked.texts, looked.splits) == (4, 4, {"train": 2, "valid": 2})
    found = looked.found["file"].map(lambda path: Path(path).read_bytes())
    colours = looked.source.rows["caption"].str.split(" ").str[1]
    assert found.tolist() == [image(colour) for colour in colours]


def test_what_one_of_two_tables_lacks_is_accounted_for(write):
    more = PRODUCTS + f"13,{C},5\n"
    files = {"products.csv": more, "images.csv": IMAGES + "99,d.jpg\n", **FILES, "images/d.jpg": b""}
    rows = read_source(write(files)).rows
    assert rows[["image", "caption"]].values.tolist()[-2:] == [["d.jpg", ""], ["", C]]
    looked = inspect_dataset(write({}))
    assert looked.refused[["reason", "count"]].values.tolist() == [["no image named", 1]]


def test_a_page_on_the_web_is_no_image_where_another_table_has_them(write):
    products = f"product_id,title,url\n11,{A},https://shop.example/p/11\n12,{B},https://shop.example/p/12\n"
    images = IMAGES.replace("11,", "11.0,").replace("12,", "12.0,")
    looked = inspect_dataset(write({"products.csv": products, "images.csv": images, **FILES}))
    assert (looked.images, looked.texts, looked.addresses) == (3, 3, [])


def test_the_users_columns_of_both_are_kept(write):
    rows = read_source(write(SHOP)).rows
    assert rows["price"].tolist() == [3, 3, 4] and rows["product_id"].tolist() == [11, 11, 12]
    assert read_source(write({})).tables == ("products.csv", "images.csv")


def test_several_ways_to_join_are_told(write):
    files = {
        "products.csv": f"id,sku,title\n1001,9001,{A}\n1002,9002,{B}\n",
        "images.csv": "id,sku,file\n1001,9002,a.jpg\n1002,9001,b.jpg\n",
        **FILES,
    }
    folder = write(files)
    with pytest.raises(
        ValueError,
        match=r"in several ways: products.csv \(id\) with images.csv \(id\); products.csv \(sku\) with .*columns=id=id",
    ):
        read_source(folder)
    for column, texts in (("id", [A, B]), ("sku", [B, A])):
        assert read_source(folder, columns=f"id={column}").rows["caption"].tolist() == texts


def test_columns_of_both_tables_can_be_named(write):
    files = {
        "shop.csv": f"nr,kurz,lang\n1,x,{A}\n2,y,{B}\n", "bilder.csv": "artikel,bild\n1,a.jpg\n2,b.jpg\n", **FILES,
    }  # fmt: skip
    folder = write(files)
    looked = inspect_dataset(folder)
    assert "shop.csv was not read: it has texts (lang) and no column of images" in looked.advice
    rows = read_source(folder, columns="id=nr,id=artikel,caption=kurz,image=bild").rows
    assert rows[["image", "caption"]].values.tolist() == [["a.jpg", "x"], ["b.jpg", "y"]]


def test_a_table_that_needs_no_other_is_left_alone(write):
    styles = f"id,productDisplayName\n7,{A}\n8,{B}\n"
    source = read_source(
        write({"styles.csv": styles, "images.csv": "id,filename\n7,7.jpg\n", "7.jpg": b"", "8.jpg": b""})
    )
    assert source.tables == ("styles.csv",) and source.rows["caption"].tolist() == [A, B]


def test_a_column_that_says_the_same_everywhere_joins_nothing(write):
    files = {
        "texts.csv": f"store,title\n7,{A}\n7,{B}\n", "images.csv": "store,file\n7,a.jpg\n7,b.jpg\n", **FILES,
    }  # fmt: skip
    assert inspect_dataset(write(files)).advice.startswith("2 images and no text; texts.csv was not read")
