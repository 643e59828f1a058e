"""Queries and judgements of the user's own: each format from real files, resolved to items, every refusal listed."""

import hashlib
import json

import pandas as pd
import pytest
from PIL import Image

from mmlab.ingest import Rules, ingest_items, read_queries
from mmlab.ingest.own_queries import CLEANED, EMPTY, ID_TWICE, JUDGED_OTHERWISE, JUDGED_TWICE, UNJUDGED
from mmlab.items import data

COLOURS = {"img/a.png": "red", "img/b.png": "blue", "img/c.png": "green", "img/d.png": "red"}
ROWS = [  # d.png repeats a.png, so that its caption is tied to that one
    ("img/a.png", "a red mug on nothing", "P1", "101"),
    ("img/a.png", "the red mug again, seen closely", "P1", "102"),
    ("img/b.png", "a blue mug on nothing", "P1", "103"),
    ("img/c.png", "a green bowl on nothing", "P2", "104"),
    ("img/d.png", "a red plate on nothing", "P3", "105"),
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """What ingest makes of a shop of three products, P1 with two images and three texts; columns sku, caption_id."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "img").mkdir()
    for name, colour in COLOURS.items():
        Image.new("RGB", (30, 20), colour).save(folder / name)
    table = pd.DataFrame(ROWS, columns=["image", "caption", "sku", "caption_id"])
    table.to_csv(folder / "captions.csv", index=False)
    return ingest_items(folder, rules=Rules(ocr=False), cache=folder / "cache", progress=False)


@pytest.fixture
def read(shop, make):
    """A function: files of queries and judgements -> what `read_queries` makes of them."""

    def read_files(files, queries="q", qrels="", folder="q"):
        made = make(files, folder)
        return read_queries(shop.items, made if queries == "q" else queries, qrels, shop.images, made)

    return read_files


def judged(own, items):
    """Query, relevance, what was named, and the image or the first word of the text that it means."""
    merged = own.qrels.merge(items, on="item_id")
    what = merged["pair_id"].where(merged["modality"] == "image", merged["text"].str.slice(0, 11))
    return sorted(zip(merged["query_id"], merged["relevance"], merged["named"], what, strict=True))


def found(own):
    """Row, query, name, reason and whether it is kept, of all findings."""
    return own.findings[["row", "query_id", "name", "reason", "kept"]].fillna("").to_numpy().tolist()


def test_a_table_of_queries_and_one_of_judgements(read, shop):
    files = {
        "queries.csv": "query_id,query,kind,length\n1,red mug,name,2\n2,bowl,attribute,1\n",
        "qrels.csv": "query_id,sku,relevance\n1,P1,2\n2,P2,1\n1,P3,0\n",
    }
    own = read(files, "queries.csv", "qrels.csv")
    assert own.queries.to_dict("list") == {
        "query_id": ["1", "2"], "text": ["red mug", "bowl"], "image": ["", ""],
        "kind": ["name", "attribute"], "length": [2, 1],
    }  # fmt: skip
    assert own.queries["length"].dtype == "Int64"
    assert judged(own, shop.items) == [
        ("1", 0, "sku", "a red plate"),  # its image is a.png's, of P1
        ("1", 2, "sku", "a blue mug "),
        ("1", 2, "sku", "a red mug o"),
        ("1", 2, "sku", "img/a.png"),
        ("1", 2, "sku", "img/b.png"),
        ("1", 2, "sku", "the red mug"),
        ("2", 1, "sku", "a green bow"),
        ("2", 1, "sku", "img/c.png"),
    ]
    assert own.qrels["relevance"].dtype == "int64"
    assert found(own) == []
    assert own.balance().to_numpy().tolist() == [["kept", 2, 3], ["total", 2, 3]]
    assert own.sentence == (
        "**2 queries** came in, 2 with a text, with **3 judgements** of 8 items, which name *sku*. "
        "0 queries and 0 judgements were refused."
    )


@pytest.mark.parametrize(
    ("column", "name", "meant"),
    [
        ("image", "img/b.png", [("image", "img/b.png")]),
        ("image", "./img\\b.png", [("image", "img/b.png")]),
        ("image_id", "b", [("image", "img/b.png")]),
        ("doc_id", "b.png", [("image", "img/b.png")]),
        ("image", "img/d.png", [("image", "img/a.png")]),  # a duplicate counts for the image that is kept
        ("caption_id", "102", [("text", "the red mug")]),
        ("product_id", "P2", [("sku", "a green bow"), ("sku", "img/c.png")]),
    ],
)
def test_a_judgement_names_an_image_a_text_or_the_value_of_a_column(read, shop, column, name, meant):
    own = read({"q.csv": f"query,{column},relevance\nmug,{name},3\n"}, "q.csv")
    assert [one[1:] for one in judged(own, shop.items)] == [(3, *one) for one in meant]
    assert own.judgements == 1


def test_a_judgement_names_an_item_or_the_path_of_its_file(read, shop):
    image, text = shop.items.iloc[3], shop.items.iloc[4]
    assert (image["pair_id"], text["text"]) == ("img/b.png", "a blue mug on nothing")
    rows = f"query,item,relevance\nmug,{text['item_id']},3\nmug,{image['image']},1\n"
    assert judged(read({"q.csv": rows}, "q.csv"), shop.items) == [
        ("q" + _made("mug"), 1, "image", "img/b.png"),
        ("q" + _made("mug"), 3, "item", "a blue mug "),
    ]


def _made(text):
    return hashlib.sha256(f"{text}\x1f".encode()).hexdigest()[:12]


def test_a_column_read_under_another_name_is_said(read):
    own = read({"q.csv": "query,product_id,relevance\nmug,P1,3\nmug,P9,1\n"}, "q.csv")
    assert own.notes == [
        "the column product_id of the judgements was read as the column sku of the dataset: "
        "1 of 2 names are known there"
    ]


def test_queries_that_cannot_be_used_are_refused_each_with_its_reason(read, shop, make):
    make({"photo.png": None, "damaged.png": "no image", "../outside.png": None}, "q")
    rows = [
        "query_id,query,image",
        "1,<b>mug</b>,",
        "1,<b>mug</b>,",
        "1,bowl,",
        "2,  ,",
        "3,plate,damaged.png",
        "4,plate,nowhere.png",
        "5,plate,https://example.org/a.png",
        "6,plate,../outside.png",
        "7,in red,photo.png",
        "8,,img/b.png",
        "9,one,two,three",
    ]
    qrels = "query_id,image,relevance\n1,a.png,1\n2,a.png,1\n7,a.png,0\nx,a.png,1\n"
    own = read({"queries.csv": "\n".join(rows), "qrels.csv": qrels}, "queries.csv", "qrels.csv")
    photo = str((data().parent / "q" / "photo.png").resolve())
    stored = shop.items.set_index("pair_id")["image"].dropna()["img/b.png"]
    assert own.queries[["query_id", "text", "image"]].to_numpy().tolist() == [
        ["1", "mug", ""], ["7", "in red", photo], ["8", "", stored],
    ]  # fmt: skip
    assert found(own) == [
        [11, "", "9,one,two,three", "malformed row", False],
        [2, "1", "", ID_TWICE, False],
        [3, "1", "", ID_TWICE, False],
        [4, "2", "", EMPTY, False],
        [5, "3", "", "not an image", False],
        [6, "4", "", "missing image", False],
        [7, "5", "", "missing image", False],
        [8, "6", "", "missing image", False],
        [1, "1", "", CLEANED, True],
        [2, "2", "a.png", "unknown query", False],
        [4, "x", "a.png", "unknown query", False],
        [10, "8", "", UNJUDGED, True],
        [9, "7", "", "nothing relevant", True],
    ]
    details = own.findings["detail"].tolist()
    assert details[1:3] == ["the same as row 1, kept once", "another query than row 1, which holds"]
    assert "fetch it" in details[6]
    assert details[9:11] == ["the query was refused: neither text nor image", "no query has this id or text"]
    balance = own.balance().set_index("outcome")
    assert balance.loc["kept"].tolist() == [3, 2]
    assert balance.loc["total"].tolist() == [11, 4]  # every row has one outcome


def test_judgements_that_cannot_be_used_are_refused_and_the_last_of_two_holds(read, shop):
    rows = [
        "query,item,relevance",
        "mug,a.png,1",
        "mug,a.png,1",
        "mug,b.png,1",
        "mug,./img/b.png,2",
        "mug,c.png,1.5",
        "mug,c.png,101",
        "mug,c.png,-1",
        "mug,c.png,",
        "mug,img/x.png,1",
        "mug,,1",
        "mug,P1,2.0",
    ]
    own = read({"q.csv": "\n".join(rows)}, "q.csv")
    query = own.queries["query_id"].item()
    refused = [[row, query, name, reason, False] for row, name, reason in (
        (5, "c.png", "no relevance"), (6, "c.png", "no relevance"), (7, "c.png", "no relevance"),
        (8, "c.png", "no relevance"), (9, "img/x.png", "unknown item"), (10, "", "unknown item"),
        (11, "P1", "unknown item"), (1, "a.png", JUDGED_TWICE), (3, "b.png", JUDGED_OTHERWISE),
    )]  # fmt: skip
    assert found(own) == refused
    assert own.findings["detail"].iloc[-1] == "1 here, 2 in row 4: the last holds"
    assert [one[1:] for one in judged(own, shop.items)] == [
        (1, "image", "img/a.png"),
        (2, "image", "img/b.png"),
    ]
    assert own.balance().set_index("outcome").loc["total"].tolist() == [1, 11]


def test_a_judgement_of_a_product_gives_way_for_one_item_only(read, shop):
    rows = "query_id,sku,relevance\n1,P1,1\n"
    make_items = "query_id,item,relevance\n1,img/a.png,3\n"
    own = read(
        {"queries.csv": "query_id,query\n1,mug\n", "qrels/one.csv": rows, "qrels/two.csv": make_items},
        "queries.csv", "qrels",
    )  # fmt: skip
    assert own.qrels["relevance"].value_counts().to_dict() == {1: 4, 3: 1}
    assert found(own) == [[1, "1", "P1", JUDGED_OTHERWISE, True]]
    assert own.judgements == 2


def test_queries_and_judgements_in_one_table_and_groups_that_say_one_thing_of_a_query(read):
    rows = "query,sku,relevance,language,annotator\nred mug,P1,2,en,x\nred mug,P2,0,en,y\nTasse,P1,2,de,x\n"
    own = read({"q.tsv": rows.replace(",", "\t")}, "q.tsv")
    assert own.queries.columns.tolist() == ["query_id", "text", "image", "language"]
    assert own.queries["language"].tolist() == ["en", "de"]
    assert own.judgements == 3
    assert found(own) == []


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_tables_of_other_kinds(read, make, kind):
    table = pd.DataFrame({"qid": [7, 8], "text": ["mug", "bowl"], "share": [0.5, 0.25]})
    folder = make({"rels.csv": "qid,sku,relevance\n7,P1,1\n8,P2,1\n"}, "q")
    if kind == "jsonl":
        table.to_json(folder / "queries.jsonl", orient="records", lines=True)
    else:
        table.to_parquet(folder / "queries.parquet")
    own = read({}, f"queries.{kind}", "rels.csv")
    assert own.queries["query_id"].tolist() == ["7", "8"]
    assert own.queries["share"].tolist() == [0.5, 0.25]
    assert own.judgements == 2


def test_a_folder_of_beir_gives_the_queries_of_its_test_split(read):
    queries = [
        {"_id": f"q{number}", "text": text, "metadata": {}}
        for number, text in enumerate(["mug", "bowl", "cup"])
    ]
    files = {
        "corpus.jsonl": json.dumps({"_id": "P1", "text": "mug"}),
        "queries.jsonl": "\n".join(map(json.dumps, queries)),
        "qrels/test.tsv": "query-id\tcorpus-id\tscore\nq0\tP1\t2\nq1\tP2\t1\n",
        "qrels/train.tsv": "query-id\tcorpus-id\tscore\nq2\tP1\t1\n",
    }
    own = read(files)
    assert own.queries.to_numpy().tolist() == [["q0", "mug", ""], ["q1", "bowl", ""]]
    assert own.judgements == 2
    assert own.notes[:2] == [
        "the judgements are those of the split test, not of train",
        "1 queries that no judgement names were left out",
    ]


TOPICS = """<top>
<num> Number: 301
<title> red &amp; blue mug
<desc> Description:
Which mugs are red?
</top>
<top><num>302</num><title></title><desc>a green bowl</desc><narr>never read</narr></top>
<topic number="303"><query>plate</query></topic>
<top><title>without a number</title></top>
"""


def test_topics_and_qrels_of_trec(read, shop):
    files = {
        "topics.301-350": TOPICS,
        "qrels.trec": "301 0 img/a.png 1\n301 0 img/b.png 2\n302 Q0 P2 1\n303 0 c 0\n\n",
    }
    own = read(files, "topics.301-350", "qrels.trec")
    assert own.queries.to_numpy().tolist() == [
        ["301", "red & blue mug", ""], ["302", "a green bowl", ""], ["303", "plate", ""],
    ]  # fmt: skip
    assert [one for one in judged(own, shop.items) if one[0] == "301"] == [
        ("301", 1, "image", "img/a.png"), ("301", 2, "image", "img/b.png"),
    ]  # fmt: skip
    assert found(own) == [
        [4, "", "<title>without a number</title>", "malformed row", False],
        [3, "302", "P2", "unknown item", False],
        [2, "302", "", UNJUDGED, True],
        [3, "303", "", "nothing relevant", True],
    ]


def test_topics_of_two_columns(read):
    files = {"topics.txt": "q1\tred mug 2\nq2\tbowl 3\n", "qrels.txt": "q1\t0\ta.png\t1\nq2\t0\tc.png\t1\n"}
    own = read(files, "topics.txt", "qrels.txt")
    assert own.queries["text"].tolist() == ["red mug 2", "bowl 3"]
    assert own.judgements == 2


@pytest.mark.parametrize("form", ["saved", "parquet"])
def test_a_data_set_of_mteb_with_images_inside(read, shop, make, form, tmp_path):
    datasets = pytest.importorskip("datasets")
    image = make({"look.png": None}, "photos") / "look.png"
    inside = str(image) if form == "saved" else {"bytes": image.read_bytes(), "path": None}
    queries = {"id": ["q1", "q2"], "text": ["in blue", None], "image": [inside] * 2}
    tables = {
        "queries": datasets.Dataset.from_dict(queries).cast_column("image", datasets.Image()),
        "corpus": datasets.Dataset.from_dict({"id": ["P1"], "text": ["a mug"]}),
        "qrels": datasets.Dataset.from_dict(
            {"query-id": ["q1", "q2"], "corpus-id": ["P1", "P2"], "score": [1, 2]}
        ),
    }
    for name, table in tables.items():
        if form == "saved":
            split = "queries" if name == "queries" else "test"
            datasets.DatasetDict({split: table}).save_to_disk(tmp_path / "q" / name)
        else:
            place = tmp_path / "q" / ("data" if name == "qrels" else name)
            place.mkdir(parents=True)
            table.to_parquet(place / "test-00000-of-00001.parquet")
    image.unlink()
    own = read({})
    assert own.queries[["query_id", "text"]].to_numpy().tolist() == [["q1", "in blue"], ["q2", ""]]
    kept = own.queries["image"].unique()
    assert len(kept) == 1
    assert kept[0].startswith(str((data() / "cache" / "images").resolve()))
    assert Image.open(kept[0]).size == (30, 20)
    assert sorted({(one[0], one[1]) for one in judged(own, shop.items)}) == [("q1", 1), ("q2", 2)]


def test_a_data_set_of_mteb_is_the_dataset_and_its_queries(make, tmp_path):
    image = make({"look.png": None}, "photos") / "look.png"
    tables = {
        "corpus": {"id": ["d7"], "image": [{"bytes": image.read_bytes(), "path": None}]},
        "queries": {"id": ["q1"], "text": ["something red"]},
        "qrels": {"query-id": ["q1"], "corpus-id": ["d7"], "score": [1]},
    }
    for name, columns in tables.items():
        (tmp_path / "mteb" / name).mkdir(parents=True)
        pd.DataFrame(columns).to_parquet(tmp_path / "mteb" / name / "test-00000-of-00001.parquet")
    items = ingest_items(tmp_path / "mteb" / "corpus", rules=Rules(ocr=False), progress=False).items
    own = read_queries(items, tmp_path / "mteb")
    assert own.qrels.to_numpy().tolist() == [["q1", items["item_id"].item(), 1, "id"]]


def test_a_click_log_is_graded_against_what_is_expected_of_the_query(read):
    rows = [  # mug: 60 clicks of 300 impressions, a rate of 0.2
        "query,sku,impressions,clicks",
        "mug,P1,50,25",  # in two rows, 45 of 100: 46 / 21
        "mug,P1,50,20",
        "mug,P2,100,15",  # 16 / 21
        "mug,P3,100,0",
        "bowl,P2,9,5",
        "bowl,P1,50,1",  # 6 of 59: 2 / 6.08
        "cup,P1,500,0",
        "cup,P2,5,9",
    ]
    own = read({"log.csv": "\n".join(rows)}, "log.csv")
    texts = own.queries.set_index("query_id")["text"]
    grades = own.qrels.assign(query=own.qrels["query_id"].map(texts)).drop_duplicates(["query", "relevance"])
    assert grades[["query", "relevance"]].to_numpy().tolist() == [
        ["mug", 3],
        ["mug", 1],
        ["mug", 0],
        ["bowl", 0],
    ]
    assert [one[2:] for one in found(own)] == [
        ["P2", "no counts", False],
        ["P1", "query without clicks", False],
        ["P2", "shown too rarely", False],
        ["", UNJUDGED, True],
        ["", "nothing relevant", True],
    ]
    assert own.notes[0] == "log.csv: relevance is graded by clicks over expected clicks, 0 to 3"


@pytest.mark.parametrize(
    ("files", "queries", "qrels", "message"),
    [
        (
            {"q.csv": "a,b\n1,2\n"},
            "q.csv",
            "",
            r"expected a column of the queries \(query_text, .* found \['a', 'b'\]",
        ),
        ({"q.csv": "query\n  \n", "a": "x"}, "q.csv", "", "none of 0 can be used"),
        (
            {"q.csv": "query,image\n,x.png\n"},
            "q.csv",
            "",
            "none of 1 can be used, first row 1 of q.csv: missing image",
        ),
        (
            {"q.csv": "query\nmug\n", "r.csv": "a,b\n1,2\n"},
            "q.csv",
            "r.csv",
            "column of the judgements' queries",
        ),
        (
            {"q.csv": "query\nmug\n", "r.csv": "query,b\nmug,2\n"},
            "q.csv",
            "r.csv",
            "column of what is judged",
        ),
        (
            {"q.csv": "query,item,relevance\nmug,zzz,1\n"},
            "q.csv",
            "",
            r"none of 1 judgements names an item of the dataset, first \['zzz'\]",
        ),
        (
            {"queries.csv": "query\nmug\n", "queries.tsv": "query\nmug\n"},
            "q",
            "",
            "expected one file or folder of queries",
        ),
        (
            {"q.csv": "query\nmug\n"},
            "other.csv",
            "",
            "parameter queries: expected a file or a folder, found nothing at",
        ),
        ({"q.tar": "query\nmug\n"}, "q.tar", "", "found a file of the kind webdataset"),
    ],
)
def test_what_cannot_be_read_is_said(read, files, queries, qrels, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read(files, queries, qrels)


def test_without_judgements_nothing_is_marked(read):
    own = read({"q.csv": "query\nmug\nbowl\n"}, "q.csv")
    assert len(own.qrels) == 0
    assert own.qrels.columns.tolist() == ["query_id", "item_id", "relevance", "named"]
    assert found(own) == []
    assert own.notes == ["no judgements were given"]
    again = read({"q.csv": "query\nbowl\nmug\n"}, "q.csv")
    assert sorted(again.queries["query_id"]) == sorted(
        own.queries["query_id"]
    )  # ids are made from the content


def test_a_query_that_was_cleaned_is_known_by_its_text_as_written(read):
    own = read({"q.csv": "query\nred  mug\n", "r.csv": "query,sku\nred  mug,P2\n"}, "q.csv", "r.csv")
    assert own.queries["text"].tolist() == ["red mug"]
    assert own.judgements == 1
