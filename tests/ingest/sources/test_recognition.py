"""What is read of the folders of published data sets and of people's own, each in the form that it has there."""

import gzip
import io
import json
import subprocess
import sys

import pandas as pd
import pytest
from PIL import Image

from mmlab.ingest import Rules, ingest_items, inspect_dataset
from mmlab.ingest.findings_cache import Blobs
from mmlab.ingest.sources.formats import read_source, recognise
from mmlab.items import open_image
from mmlab.items.images import known_formats
from tests.ingest.sources.archive_files import tar_of, workbook_of

A, B, C, D = (f"A {colour} card lies on the table" for colour in ("red", "blue", "green", "white"))
IMAGES = {f"images/{name}.jpg": b"" for name in "ab"}
CSV = f"image,caption\na.jpg,{A}\nb.jpg,{B}\n"


def coco(*names, first=1):
    images = [{"id": number, "file_name": name} for number, name in enumerate(names, first)]
    return {"images": images, "annotations": [{"image_id": one["id"], "caption": A} for one in images]}


def karpathy(**splits):
    return {
        "images": [
            {"filename": name, "split": split, "sentences": [{"raw": A}, {"raw": B}]}
            for name, split in splits.items()
        ]
    }


def parquet_of(image, split, *colours):
    rows = [
        {"image": {"path": None, "bytes": image(colour)}, "text": f"{split} {colour} card"}
        for colour in colours
    ]
    return pd.DataFrame(rows).to_parquet()


KAGGLE = f"image_name| comment_number| comment\na.jpg| 0| {A}\na.jpg| 1| {B}\nb.jpg| 0   {C}\n"
ENTITIES = (
    f'raw,sentids,split,filename,img_id\n"[""{A}"", ""{B}""]","[0, 1]",train,a.jpg,0\n'
    f'"[""{C}""]",[2],test,b.jpg,1\n'
)
REDCAPS = {
    "info": {},
    "annotations": [{"image_id": "x1", "url": "https://i.example/x1.jpg", "raw_caption": A, "caption": A}],
}
TEXTCAPS = {"dataset_name": "textcaps", "data": [
    {"image_id": "a", "image_name": "a", "image_path": "train/a.jpg", "set_name": "train", "caption_id": 1,
     "caption_str": A, "reference_strs": [A, B]},
]}  # fmt: skip
STUDIO = [{"id": 1, "data": {"image": "images/a.jpg"}, "annotations": [
    {"result": [{"type": "textarea", "value": {"text": [A, B]}}]}]}]  # fmt: skip
SHOPIFY = (
    "Handle,Title,Body (HTML),Vendor,Option1 Name,Option1 Value,Image Src,Image Position,Image Alt Text,SEO Title\n"
    f"mug,Red mug,<p>{A}</p>,Acme,Title,Default,https://c.example/1.jpg,1,front,\n"
    "mug,,,,,,https://c.example/2.jpg,2,back,\n"
    f"cup,Blue cup,<p>{B}</p>,Acme,Title,Default,https://c.example/3.jpg,1,,\n"
)
WIT = (
    "language\tpage_url\timage_url\tpage_title\tcaption_reference_description\tcaption_alt_text_description\n"
    f"de\thttps://de.example/Tasse\thttps://up.example/1.jpg\tTasse\t{A}\t{B}\n"
)
NARRATIVE = {"dataset_id": "mscoco_val2017", "image_id": "a", "annotator_id": 1, "caption": A,
             "timed_caption": [{"utterance": "A red", "start_time": 0.1}],
             "traces": [[{"x": 0.1, "y": 0.2, "t": 0.0}]]}  # fmt: skip
SUGAR = {
    "0": {"filename": "a.jpg", "caption": A, "negative_caption": B},
    "1": {"filename": "b.jpg", "caption": B, "negative_caption": A},
}
WINOGROUND = [
    {"id": 0, "image_0": "ex_0_img_0", "image_1": "ex_0_img_1", "caption_0": A, "caption_1": B, "tag": "x"}
]
ABO = {
    "item_id": "B1",
    "item_name": [{"language_tag": "en_US", "value": A}],
    "main_image_id": "a",
    "country": "US",
}
HM = f"article_id,product_code,prod_name,detail_desc\n0108775015,108775,Strap top,{A}\n"
FASHION = (
    "id,gender,articleType,productDisplayName\n15970,Men,Shirts,Acme Men Navy Blue Shirt\n"
    "15971,Men,Jeans,Borel Jeans, Blue\n"
)
SWAPPED = {
    "0": {"filename": "a.jpg", "caption": C, "negative_caption": D},
    "1": {"filename": "b.jpg", "caption": D, "negative_caption": C},
}
DOCCI = {"example_id": "x", "split": "qual_dev", "image_file": "a.jpg"}
SHOPEE = {
    "train.csv": f"posting_id,image,image_phash,title,label_group\ntrain_1,a.jpg,94974f,{A},249\n",
    "test.csv": f"posting_id,image,image_phash,title\ntest_1,b.jpg,94974f,{B}\n",
    "sample_submission.csv": "posting_id,matches\ntest_1,test_1\n",
}
LAYOUTS = {  # name: files, then kind, images, texts and splits that are read
    "Multi30k": ({
        "task1/image_splits/train.txt": "a.jpg\nb.jpg\n", "task1/image_splits/test_2016_flickr.txt": "c.jpg\n",
        "task1/raw/train.en.gz": gzip.compress(f"{A}\n{B}\n".encode()), "task1/raw/train.de": "Karte\nKarten\n",
        "task1/tok/train.lc.norm.tok.en": f"{A}\n{B}\n", "task1/raw/test_2016_flickr.en": C, "task1/raw/val.en": D,
    }, "lists", 3, 5, "test train"),
    "SBU, lists": ({"sbu_photo_urls.txt": "http://s.example/1.jpg\nhttp://s.example/2.jpg\n",
                    "sbu_photo_captions.txt": f"{A}\n{B}\n"}, "lists", 2, 2, ""),
    "Flickr8k of Kaggle": ({"captions.txt": CSV, "Images/a.jpg": b"", "Images/b.jpg": b""}, "flickr", 2, 2, ""),
    "Flickr8k, the original": ({
        "Flickr8k_text/Flickr8k.token.txt": f"a.jpg#0\t{A}\na.jpg#1\t{B}\nb.jpg#0\t{C}\n",
        "Flickr8k_text/Flickr8k.lemma.token.txt": f"a.jpg#0\t{A}\n",
        "Flickr8k_text/Flickr_8k.trainImages.txt": "a.jpg\n", "Flickr8k_text/Flickr_8k.testImages.txt": "b.jpg\n",
        "Flickr8k_text/ExpertAnnotations.txt": "a.jpg\tb.jpg#2\t1\t1\t1\n", "Flickr8k_text/readme.txt": "Please cite",
        "Flicker8k_Dataset/a.jpg": b"", "Flicker8k_Dataset/b.jpg": b"",
    }, "flickr", 2, 3, "test train"),
    "Flickr30k of Kaggle": ({"f/results.csv": KAGGLE, "f/f/a.jpg": b"", "f/f/b.jpg": b""}, "flickr", 1, 2, ""),
    "Flickr30k, tokens": ({"results_20130124.token": f"a.jpg#0\t{A}\nb.jpg#0\t{B}\n"}, "flickr", 2, 2, ""),
    "Flickr30k of Karpathy": ({
        "dataset_flickr30k.json": karpathy(a="train", b="val", c="test"),
    }, "karpathy", 3, 6, "test train val"),
    "Flickr30k, lists in cells": ({"flickr_annotations_30k.csv": ENTITIES}, "csv", 2, 3, "test train"),
    "COCO, both splits": ({
        "annotations/captions_train2017.json": coco("000.jpg"), "annotations/captions_val2017.json": coco("001.jpg"),
        "annotations/instances_val2017.json": coco("001.jpg") | {"annotations": [{"image_id": 1, "category_id": 1}]},
        "train2017/000.jpg": b"", "val2017/001.jpg": b"",
    }, "coco", 2, 2, "train val"),
    "COCO, only the images of val": ({
        "annotations/captions_train2017.json": coco("000.jpg"), "annotations/captions_val2017.json": coco("001.jpg"),
        "val2017/001.jpg": b"",
    }, "coco", 1, 1, "val"),
    "VizWiz": ({"annotations/val.json": coco("v.jpg"), "val/v.jpg": b""}, "coco", 1, 1, "val"),
    "nocaps": ({"nocaps_val_4500_captions.json": coco("n.jpg") | {"licenses": []}}, "coco", 1, 1, "val"),
    "TextCaps": ({"TextCaps_0.1_train.json": TEXTCAPS, "train_images/a.jpg": b""}, "json", 1, 1, "train"),
    "FiftyOne, captions": ({"labels.json": coco("a.jpg"), "data/a.jpg": b""}, "coco", 1, 1, ""),
    "FiftyOne, classes": ({
        "labels.json": {"classes": ["cat"], "labels": {"a": 0}}, "data/a.jpg": b"",
    }, "json", 1, 0, ""),
    "RSICD": ({"dataset_rsicd.json": karpathy(a="test"), "RSICD_images/a.jpg": b""}, "karpathy", 1, 2, "test"),
    "RedCaps": ({"mugs_2020.json": REDCAPS}, "json", 1, 1, ""),
    "SBU": ({"sbu-captions-all.json": {"image_urls": ["http://s.example/1.jpg"], "captions": [A]}}, "json", 1, 1, ""),
    "Conceptual Captions": ({
        "Train_GCC-training.tsv": f"{A}\thttp://c.example/1.jpg\n{B}\thttp://c.example/2\n",
    }, "tsv", 2, 2, "train"),
    "Crossmodal-3600": ({"captions.jsonl": [
        {"image/key": "a", "en": {"caption": [A, B], "caption/tokenized": ["a"]}, "fr": {"caption": [C]}}
    ], **IMAGES}, "jsonl", 1, 3, ""),
    "WIT": ({"wit_v1.train.tsv": WIT}, "tsv", 1, 2, "train"),
    "DOCCI": ({
        "docci_descriptions.jsonlines": json.dumps(DOCCI | {"description": A}),
        "docci_metadata.jsonlines": json.dumps(DOCCI | {"labels": ["cup"]}), **IMAGES,
    }, "jsonl", 1, 1, "qual_dev"),
    "Localized narratives": ({"open_images_val_captions.jsonl": [NARRATIVE], **IMAGES}, "jsonl", 1, 1, "val"),
    "SugarCrepe": ({"add_att.json": SUGAR, "swap_obj.json": SWAPPED}, "json", 2, 8, ""),
    "Winoground": ({
        "examples.jsonl": WINOGROUND, "images/ex_0_img_0.png": b"",
        "images/ex_0_img_1.png": b"",
    }, "jsonl", 2, 2, ""),
    "Amazon Berkeley Objects": ({
        "listings/metadata/listings_0.json": json.dumps(ABO) + "\n" + json.dumps(ABO), **IMAGES,
    }, "json", 1, 2, ""),
    "H&M": ({"articles.csv": HM, "images/010/0108775015.jpg": b""}, "csv", 1, 2, ""),
    "Fashion Product Images": ({
        "styles.csv": FASHION, "images.csv": "filename,link\n15970.jpg,http://x.example/15970.jpg\n",
        "images/15970.jpg": b"", "images/15971.jpg": b"",
    }, "csv", 2, 2, ""),
    "Shopee": (SHOPEE | {"train_images/a.jpg": b"", "test_images/b.jpg": b""}, "csv", 2, 2, "test train"),
    "Shopify": ({"products_export.csv": SHOPIFY}, "csv", 3, 8, ""),
    "img2dataset, files": ({
        "00000/000000000.jpg": b"", "00000/000000000.txt": A,
        "00000/000000000.json": {"caption": A, "url": "http://x.example/1"},
        "00000_stats.json": {"count": 1, "status_dict": {"success": 1}},
    }, "sidecar", 1, 1, ""),
    "img2dataset, webdataset": ({
        "00000.tar": tar_of({"0.jpg": b"x", "0.txt": A, "0.json": {"caption": A}}),
        "00001.tar": tar_of({"1.jpg": b"y", "1.txt": B, "1.json": {"caption": B}}), "00000_stats.json": {"count": 1},
    }, "webdataset", 2, 2, ""),
    "CLIP_benchmark": ({
        "test/0.tar": tar_of({"s0.jpg": b"x", "s0.txt": f"{A}.\n{B}.\n"}), "test/nshards.txt": "1",
    }, "webdataset", 1, 2, "test"),
    "Hugging Face imagefolder": ({
        "train/metadata.csv": f"file_name,text\na.jpg,{A}\n", "train/a.jpg": b"",
        "test/metadata.jsonl": json.dumps({"file_name": "b.jpg", "text": B}), "test/b.jpg": b"",
    }, "jsonl", 2, 2, "test train"),
    "open_clip": ({"train.csv": f"filepath\ttitle\nimages/a.jpg\t{A}, red\n", **IMAGES}, "csv", 1, 1, "train"),
    "kohya": ({
        "10_card/1.png": b"", "10_card/1.caption": A,
        "10_card/2.png": b"", "10_card/2.txt": B,
    }, "sidecar", 2, 2, ""),
    "parallel folders": ({
        "images/train/1.png": b"", "captions/train/1.TXT": A,
        "images/test/1.png": b"", "captions/test/1.TXT": B,
    }, "sidecar", 2, 2, "test train"),
    "texts in full names": ({
        "1.jpg": b"", "1.jpg.txt": A,
        "2.jpg": b"", "2.json": {"caption": B, "tags": ["x"]},
    }, "sidecar", 2, 2, ""),
    "boxes are no texts": ({"images/1.jpg": b"", "labels/1.txt": "0 0.5 0.5 0.1 0.2\n"}, "images", 1, 0, ""),
    "Label Studio": ({"project-1-at-2025.json": STUDIO, **IMAGES}, "json", 1, 2, ""),
    "one folder in another": ({"archive/data/captions.csv": CSV, "archive/data/images/a.jpg": b""}, "csv", 2, 2, ""),
    "an unrelated table beside texts": ({
        "1.jpg": b"", "1.txt": A,
        "exif.csv": "key,value\na,1\n",
    }, "sidecar", 1, 1, ""),
    "a workbook": ({
        "products.xlsx": workbook_of([("Photo", "Product name"), ("a.jpg", A), ("b.jpg", B)]),
    }, "excel", 2, 2, ""),
    "numbers for names": ({
        "items.csv": f"id,title\n7,{A}\n8,{B}\n", "pics/7.jpg": b"",
        "pics/8.jpg": b"",
    }, "csv", 2, 2, ""),
}  # fmt: skip


VIA = {
    "a.jpg10": {"filename": "a.jpg", "size": 10, "regions": [], "file_attributes": {"caption": A, "public": "no"}},
    "b.jpg10": {
        "filename": "b.jpg", "size": 10, "file_attributes": {"caption": B},
        "regions": [{"shape_attributes": {"name": "rect"}, "region_attributes": {"name": "x"}}],
    },
}  # fmt: skip
VIA_CSV = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes\n" + "".join(
    f'{name},10,"{{""caption"":""{text}""}}",0,0,"{{}}"\n' for name, text in (("a.jpg", A), ("b.jpg", B))
)
REGIONS = [
    {
        "id": 1,
        "regions": [{"region_id": 5, "image_id": 1, "phrase": A, "x": 1}, {"region_id": 6, "phrase": B}],
    },
    {"id": 2, "regions": [{"region_id": 7, "image_id": 2, "phrase": C}]},
]
CHAT = [
    {"images": ["a.jpg"], "messages": [
        {"role": "user", "content": "<image>What is it?"}, {"role": "assistant", "content": A},
    ]},
]  # fmt: skip
UNSPLASH = (
    "photo_id\tphoto_url\tphoto_image_url\tphoto_description\tai_description\n"
    f"x\thttps://u.example/photos/x\thttps://i.example/x1\t{A}\t{B}\n"
)
LAYOUTS |= {
    "VGG Image Annotator": ({"via_export_json.json": VIA, **IMAGES}, "json", 2, 2, ""),
    "VGG Image Annotator, a project": ({
        "via_project.json": {"_via_settings": {"ui": {}}, "_via_img_metadata": VIA, "_via_image_id_list": [*VIA]},
        **IMAGES,
    }, "json", 2, 2, ""),
    "VGG Image Annotator, csv": ({"via_export_csv.csv": VIA_CSV, **IMAGES}, "csv", 2, 2, ""),
    "Visual Genome, regions": ({
        "region_descriptions.json": REGIONS, "image_data.json": [{"image_id": 1, "url": "https://v.example/1.jpg"}],
        "VG_100K/1.jpg": b"", "VG_100K/2.jpg": b"",
    }, "json", 2, 3, ""),
    "Visual Genome, paragraphs": ({
        "paragraphs_v1.json": [{"url": "https://v.example/1.jpg", "image_id": 1, "paragraph": f"{A}. {B}"}],
        "VG_100K/1.jpg": b"",
    }, "json", 1, 1, ""),
    "ROCO": ({
        "train/radiology/captions.txt": f"ROCO_00002\t {A}\nROCO_00003\t {B}\n",
        "train/radiology/licences.txt": "ROCO_00002\tPMC1\thttp://x.example\tCC BY\n",
        "train/radiology/images/ROCO_00002.jpg": b"", "train/radiology/images/ROCO_00003.jpg": b"",
    }, "csv", 2, 2, "train"),
    "ROCOv2": ({
        "train_captions.csv": f"ID,Caption\nROCOv2_train_1,{A}\n",
        "test_captions.csv": f"ID,Caption\nROCOv2_test_1,{B}\n",
        "train/ROCOv2_train_1.jpg": b"", "test/ROCOv2_test_1.jpg": b"",
    }, "csv", 2, 2, "test train"),
    "COCO-CN": ({
        "imageid.human-written-caption.txt": f"COCO_train2014_042#zh#0\t{A}\nCOCO_train2014_043#zh#0\t{B}\n",
        "coco-cn_train.txt": "COCO_train2014_042\n", "train2014/COCO_train2014_042.jpg": b"",
        "train2014/COCO_train2014_043.jpg": b"",
    }, "csv", 2, 2, ""),
    "Flickr30k-CN": ({
        "flickr30kcn.caption.txt": f"1000092795#zhb#0 {A}\n1000092795#zhb#1 {B}\n10002456#zhb#0 {C}\n",
        "flickr30k-images/1000092795.jpg": b"", "flickr30k-images/10002456.jpg": b"",
    }, "csv", 2, 3, ""),
    "names and texts divided by a blank": ({"list.txt": f"a.jpg {A}\nb.jpg {B}\n", **IMAGES}, "csv", 2, 2, ""),
    "AI Challenger": ({
        "caption_train_annotations.json": [{"url": "http://w.example/x", "image_id": "a.jpg", "caption": [A, B]}],
        "caption_train_images/a.jpg": b"",
    }, "json", 1, 2, "train"),
    "LLaMA-Factory": ({"mllm_demo.json": CHAT, "a.jpg": b""}, "json", 1, 1, ""),
    "Unsplash Lite": ({
        "photos.tsv000": UNSPLASH, "keywords.tsv000": "photo_id\tkeyword\nx\tred card\n",
    }, "tsv", 1, 2, ""),
    "Ground Truth": ({
        "output.manifest": [{"source-ref": "s3://bucket/images/a.jpg", "caption": A, "caption-metadata": {}}],
    }, "jsonl", 1, 1, ""),
    "DiffusionDB": ({
        "part-000001/part-000001.json": {"a.jpg": {"p": A, "se": 38753269, "st": 50}}, "part-000001/a.jpg": b"",
    }, "json", 1, 1, ""),
    "tags of Danbooru": ({
        "metadata.jsonl": [{"id": number, "tag_string": f"1girl {one} table", "rating": "s"} for number, one in
                           ((1, "red_card"), (2, "blue_card"))],
        "0001/1.jpg": b"", "0001/2.jpg": b"",
    }, "jsonl", 2, 2, ""),
    "texts in folders of their own": ({
        "text_c10/class_00001/image_1.txt": f"{A}\n{B}\n", "text_c10/class_00002/image_2.txt": f"{C}\n",
        "jpg/image_1.jpg": b"", "jpg/image_2.jpg": b"",
    }, "sidecar", 2, 3, ""),
    "ImageNet's boxes are no texts": ({
        "LOC_train_solution.csv": "ImageId,PredictionString\nn01440764_1,n01440764 13 18 465 413\n",
        "train/n01440764/n01440764_1.jpg": b"",
    }, "csv", 1, 0, "train"),
    "Hateful Memes": ({
        "train.jsonl": [{"id": 42953, "img": "img/42953.png", "label": 0, "text": A}],
        "dev.jsonl": [{"id": 8291, "img": "img/08291.png", "label": 1, "text": B}],
        "img/42953.png": b"", "img/08291.png": b"",
    }, "jsonl", 2, 2, "dev train"),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(read, layout):
    files, kind, images, texts, splits = LAYOUTS[layout]
    source = read(files)
    rows = source.rows[source.rows["problem"].isna()]
    assert source.kind == kind
    assert rows.loc[rows["image"] != "", "image"].nunique() == images
    assert (rows["caption"] != "").sum() == texts
    assert sorted(rows["split"].dropna().unique()) == splits.split()


def test_a_cloned_repository_of_the_hub(write, image, tmp_path):
    folder = write({
        "README.md": "---", "data/train-00000-of-00002-a1.parquet": parquet_of(image, "train", "red"),
        "data/train-00001-of-00002-b2.parquet": parquet_of(image, "train", "blue", "green"),
        "data/validation-00000-of-00001.parquet": parquet_of(image, "val", "white"),
    })  # fmt: skip
    source = read_source(folder, blobs=Blobs(tmp_path / "blobs"))
    assert source.rows["split"].tolist() == ["train"] * 3 + ["validation"]
    assert source.rows["file"].nunique() == 4


def test_a_cache_of_the_hub_is_its_newest_snapshot(write):
    files = {
        "snapshots/old/metadata.csv": CSV,
        "snapshots/new/metadata.csv": CSV + f"c.jpg,{C}\n",
        "refs/main": "new",
    }
    source = read_source(write(files | {"blobs/0": ""}))
    assert (source.root.name, len(source.rows)) == ("new", 3)


ONE, TWO = f"image,caption\na.jpg,{A}\n", f"photo,title\nb.jpg,{B}\n"
IN_ORDER = [  # each comes before all that follow
    ("huggingface", "dataset_dict.json", "{}"),
    ("csv", "captions.csv", ONE),
    ("jsonl", "metadata.jsonl", [{"file_name": "b.jpg", "text": B}]),
    ("flickr", "Flickr8k.token.txt", f"c.jpg#0\t{A}\n"),
    ("karpathy", "dataset_own.json", karpathy(d="train")),
    ("coco", "captions_val.json", coco("e.jpg")),
    ("tsv", "other.tsv", f"photo\tprompt\nf.jpg\t{A}\n"),
    ("sidecar", "a.txt", "A dog"),
    ("images", "a.jpg", b""),
]


@pytest.mark.parametrize("place", range(len(IN_ORDER)))
def test_what_comes_first_in_a_folder(write, place):
    letters = {f"{letter}.jpg": b"" for letter in "abcdef"} if place < len(IN_ORDER) - 1 else {}
    found = recognise(write({name: content for _, name, content in IN_ORDER[place:]} | letters))
    assert found.kind == IN_ORDER[place][0]
    assert {file.path.name for file in found.files} <= {IN_ORDER[place][1], "dataset"}
    passed_over = {name for kind, name, _ in IN_ORDER[place + 1 : -2]}
    assert not found.files or place == 0 or passed_over <= set(found.unread)


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, name, _ in IN_ORDER[1:]])
def test_a_kind_that_is_named_is_looked_for_alone(write, kind, name):
    folder = write({name: content for _, name, content in IN_ORDER})
    found = recognise(folder, kind)
    assert found.kind == kind and [file.path.name for file in found.files] == ([name] if found.files else [])


@pytest.mark.parametrize(
    ("kind", "name", "content"),
    [
        ("csv", "x.csv", ONE),
        ("parquet", "X.PARQUET", b"PAR1"),
        ("flickr", "x.token", "a.jpg#0\tA\n"),
        ("flickr", "results.csv", "image_name| comment_number| comment\n"),
        ("csv", "list.txt", ONE),
        ("coco", "mine.json", coco("a.jpg")),
        ("karpathy", "mine.json", karpathy(a="test")),
    ],
)
def test_a_files_kind_is_seen(write, kind, name, content):
    folder = write({name: content})
    found = recognise(folder / name)
    assert (found.kind, found.files[0].path, found.root) == (kind, folder / name, folder)


def test_several_sources_that_could_be_meant(write):
    folder = write({"one.csv": ONE, "two.csv": TWO, "a.jpg": b"", "b.jpg": b""})
    with pytest.raises(
        ValueError, match=r"several sources lie there, \['one.csv', 'two.csv'\]: name one, as dataset=.*one"
    ):
        recognise(folder)
    assert recognise(folder / "two.csv").kind == "csv"
    assert recognise(write({"captions.csv": CSV})).files[0].name == "captions.csv"


def test_two_tables_of_one_content_are_read_once(write):
    lines = [{"image": "a.jpg", "caption": A}, {"image": "b.jpg", "caption": B}]
    found = recognise(write({"captions.csv": CSV, "captions.jsonl": lines, "captions (1).csv": CSV}))
    assert [file.name for file in found.files] == ["captions.csv"]
    assert found.unread == dict.fromkeys(
        ["captions.jsonl", "captions (1).csv"], "it holds the same as captions.csv"
    )


def test_queries_composed_of_an_image_and_its_change_are_no_captions(write):
    """FashionIQ, and CIRR: an image and what differs in another one."""
    triplets = [{"target": "a", "candidate": "b", "captions": ["is more red", "has long sleeves"]}]
    files = {"captions/cap.dress.train.json": triplets, "images/a.jpg": b"", "images/b.jpg": b""}
    looked = inspect_dataset(write(files))
    assert looked.advice.startswith(
        "2 images and no text; captions/cap.dress.train.json was not read: its texts say how an image differs"
    )
    meant = read_source(write({}), columns="image=target,caption=captions")
    assert meant.rows[["image", "caption"]].values.tolist() == [
        ["a", "is more red"],
        ["a", "has long sleeves"],
    ]


def test_a_table_of_texts_without_images_stops_a_look(write):
    files = {"X_train.csv": f"designation,description,imageid\n{A},{B},77\n", "image_77_product_5.jpg": b""}
    looked = inspect_dataset(write(files))
    assert (
        "X_train.csv was not read: it has texts (description) and no column of images: name" in looked.advice
    )
    assert "1 images and no text" in looked.advice and looked.advice.endswith("goes on without texts")


def test_an_image_on_the_web_is_not_its_page(write):
    assert (
        read_source(write({"photos.tsv000": UNSPLASH})).rows["image"].tolist() == ["https://i.example/x1"] * 2
    )
    assert inspect_dataset(write({})).addresses == ["https://i.example/x1"]


def test_names_that_label_studio_made(write):
    studio = [{"data": {"image": f"/data/upload/7/1b2c3d4e-{name}.jpg"}, "annotations": [
        {"result": [{"value": {"text": [A]}}]}]} for name in "ab"]  # fmt: skip
    looked = inspect_dataset(write({"project-7.json": studio, **IMAGES}))
    assert looked.pairs["image"].tolist() == ["images/a.jpg", "images/b.jpg"]


def test_what_is_not_read_is_told(write):
    found = recognise(
        write({"captions.csv": CSV, "x.zip": b"PK", "p.pkl": b"", "h.heic": b"", "notes.json": {"a": 1}})
    )
    assert found.unread["x.zip"] == "not read: unpack it"
    assert "a pickle may run code" in found.unread["p.pkl"]
    assert found.unread["notes.json"] == "no column holds images; found ['key', 'caption']"


def test_nothing_usable(write):
    with pytest.raises(FileNotFoundError, match=r"expected a table .*; found \['notes.odt'\]: give the path"):
        recognise(write({"notes.odt": ""}))
    with pytest.raises(
        FileNotFoundError, match=r"a source of the kind coco; found \['notes.odt'\]: give the"
    ):
        recognise(write({}), "coco")
    with pytest.raises(
        FileNotFoundError, match=r"found \['notes.odt', 'x.zip'\]: x.zip: not read: unpack it; give"
    ):
        recognise(write({"x.zip": "PK"}))


def test_an_empty_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"found an empty folder"):
        recognise(tmp_path)


def test_the_one_table_that_cannot_be_read_is_told(write):
    with pytest.raises(ValueError, match=r"captions.csv: expected a column with the images"):
        recognise(write({"captions.csv": "title\nx\n", "a.jpg": b""}))


def test_columns_that_no_table_has_are_told(read):
    with pytest.raises(
        ValueError, match=r"shop.csv: columns \['none'\] are missing; found \['image', 'caption'\]"
    ):
        read({"shop.csv": CSV, "a.jpg": b""}, columns="image=none")


def test_a_file_that_is_none_of_them(write):
    folder = write({"notes.doc": ""})
    with pytest.raises(ValueError, match=r"found notes.doc: name its kind"):
        recognise(folder / "notes.doc")
    with pytest.raises(ValueError, match=r"expected a folder for the kind images, found a file"):
        recognise(folder / "notes.doc", "images")


def test_a_list_without_texts_is_no_source(read):
    source = read({"train.txt": "a.jpg\nb.jpg\n", "train.en": "only one line\n", "a.jpg": b"", "b.jpg": b""})
    assert source.kind == "images"
    assert source.unread["train.txt"].endswith(
        "it has one column, and no list of as many texts lies beside it"
    )


@pytest.mark.parametrize("written", [False, True], ids=["links", "what git writes for them"])
def test_files_of_a_cache_are_links(write, image, written):
    table = f"file_name,text\nimages/a.jpg,{A}\nimages/b.jpg,{B}\n"
    folder = write({"blobs/m": table, "blobs/0": image(), "blobs/1": image("blue"), "refs/main": "abc"})
    snapshot = folder / "snapshots/abc"
    (snapshot / "images").mkdir(parents=True)
    for name, blob in (("metadata.csv", "m"), ("images/a.jpg", "0"), ("images/b.jpg", "1")):
        target = f"{'../' * (name.count('/') + 2)}blobs/{blob}"
        (snapshot / name).write_text(target) if written else (snapshot / name).symlink_to(target)
    for given in (folder, snapshot, snapshot / "metadata.csv"):
        source = read_source(given)
        assert (source.kind, source.root, len(source.rows)) == ("csv", snapshot, 2)
        looked = inspect_dataset(given)
        assert (looked.images, looked.texts, looked.links, looked.advice) == (2, 2, {}, "")
        told = "3 files, such as images/a.jpg, are what git writes where it can make no links"
        assert any(note.startswith(told) for note in looked.notes) == written
    items = ingest_items(snapshot / "metadata.csv", rules=Rules(keep=["tiny"]), progress=False).items
    assert items["modality"].value_counts().to_dict() == {"image": 2, "text": 2}


def test_what_git_writes_for_links_without_a_table(write, image):
    folder = write(
        {"a.png": "photos/a.png", "photos/a.png": image(), "a.caption": "../captions", "captions": A}
    )
    (folder / "a.caption").write_text("texts/a.caption")
    write({"texts/a.caption": A})
    source = read_source(folder, "sidecar")
    assert source.rows.loc[source.rows["image"] == "a.png", "caption"].tolist() == [A]
    result = ingest_items(folder, rules=Rules(keep=["tiny"]), progress=False)
    assert set(result.skipped["reason"]) == {"repeated caption", "duplicate image"}


def test_a_link_to_a_table_elsewhere_is_the_table_there(write):
    folder = write({"far/captions.csv": CSV, "far/a.jpg": b"", "near/b.jpg": b""})
    (folder / "near" / "table.csv").symlink_to(folder / "far" / "captions.csv")
    source = read_source(folder / "near" / "table.csv")
    assert (source.root, source.tables) == (folder / "far", ("captions.csv",))


WITHOUT_EXTRAS = """
import sys
sys.modules |= {"pillow_heif": None, "python_calamine": None}
from mmlab.ingest.sources.formats import read_source
try:
    print(dict(read_source(sys.argv[1]).unread))
    read_source(sys.argv[1] + "/b.xlsx")
except ModuleNotFoundError as error:
    print(error)
"""


def test_what_an_extra_would_read_is_told_without_it(write, image):
    folder = write(
        {"a.png": image(), "a.heic": b"x", "b.xlsx": workbook_of([("image", "caption"), ("a.png", A)])}
    )
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS, str(folder)], capture_output=True, text=True, check=True
    )
    unread, error = done.stdout.splitlines()
    assert "'a.heic': 'not read: pip install \"mmlab[heic]\", or save it as JPEG'" in unread
    assert (
        'pip install "mmlab[excel]"' in unread and error == 'b.xlsx: to read it, pip install "mmlab[excel]"'
    )


@pytest.mark.parametrize(
    ("suffix", "kind"), [("avif", "AVIF"), ("jfif", "JPEG"), ("jp2", "JPEG2000"), ("heic", "HEIF")]
)
def test_images_of_every_format_are_seen_and_opened(write, suffix, kind):
    known_formats()
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(buffer, kind)
    folder = write({f"a.{suffix}": buffer.getvalue(), "a.txt": A})
    source = read_source(folder)
    assert source.rows[["image", "caption"]].values.tolist() == [[f"a.{suffix}", A]]
    assert open_image(folder / f"a.{suffix}").size == (64, 48)
