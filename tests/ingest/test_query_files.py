"""Files of queries and judgements as two plain tables: which columns are read as what, and what a row cannot say."""

import pandas as pd
import pytest

from mmlab.ingest.findings_cache import Blobs
from mmlab.ingest.query_files import grade_clicks, read_query_files


@pytest.fixture
def read(make, tmp_path):
    """A function: files, and the names of those of the queries and judgements -> what is read; dataset columns: sku."""

    def read_files(files, queries, qrels=None):
        folder = make(files, "q")
        judged = None if qrels is None else folder / qrels
        return read_query_files(folder / queries, judged, Blobs(tmp_path / "blobs"), ["sku", "Colour Code"])

    return read_files


def rows(table, *names):
    return table[list(names)].to_numpy().tolist()


@pytest.mark.parametrize(
    ("header", "judging", "groups"),
    [
        ("query,item_id,relevance", "item_id", []),
        ("query,image,grade", "image", []),  # what is judged, since there is a relevance
        ("query,Colour Code,relevance", "Colour Code", []),  # a column of the dataset
        ("query_id,query,product_id,score", "product_id", []),
        ("query_image,sku,relevance", "sku", []),
        (
            "query,image,label",
            None,
            ["label"],
        ),  # a label is no relevance of an image: the image is the query's
        ("query,image,score", None, ["score"]),
        ("query,kind,relevance", None, ["kind", "relevance"]),
    ],
)
def test_which_tables_hold_judgements_too(read, header, judging, groups):
    found = read({"q.csv": f"{header}\n{','.join('1' * len(header.split(',')))}\n"}, "q.csv")
    assert found.judgements["column"].tolist() == ([judging] if judging else [])
    assert found.queries.columns.tolist()[7:] == groups
    assert found.queries["listed"].tolist() == [judging is None]


def test_with_judgements_elsewhere_a_table_holds_queries_only(read):
    files = {"q.csv": "query,sku,relevance\nmug,P1,1\n", "r.csv": "query,Colour Code,rel\nmug,red,2\n"}
    found = read(files, "q.csv", "r.csv")
    assert rows(found.queries, "text", "sku", "relevance") == [["mug", "P1", 1]]
    assert rows(found.judgements, "query", "name", "relevance", "column") == [
        ["mug", "red", "2", "Colour Code"]
    ]


def test_columns_with_the_names_of_ours_are_renamed_and_nested_ones_are_no_groups(read):
    line = '{"id": %d, "text": "mug", "row": 7, "tags": ["a"], "Kind": "name"}\n'
    found = read({"q.jsonl": line % 3}, "q.jsonl")
    assert found.queries.columns.tolist()[7:] == ["source_row", "Kind"]
    assert rows(found.queries, "query_id", "text", "row", "source_row") == [["3", "mug", 1, 7]]


def test_a_row_with_too_many_cells_is_a_finding_and_one_with_few_is_filled(read):
    found = read({"q.csv": "id,query,kind\n1,mug\n2,red, blue,name,x\n3,cup,name,,\n"}, "q.csv")
    assert rows(found.queries, "query_id", "text", "row") == [["1", "mug", 1], ["3", "cup", 3]]
    assert rows(found.findings, "what", "file", "row", "reason", "detail") == [
        ["query", "q.csv", 2, "malformed row", "expected 3 fields, found 5"]
    ]


def test_qrels_of_the_validation_split_are_read_where_there_is_no_test(read):
    head = "query-id\tcorpus-id\tscore\n"
    files = {
        "q.csv": "id,query\n1,mug\n",
        "qrels/train.tsv": f"{head}1\ta\t1\n",
        "qrels/dev.tsv": f"{head}1\tb\t1\n",
    }
    found = read(files, "q.csv", "qrels")
    assert found.judgements["name"].tolist() == ["b"]
    assert found.notes == ["the judgements are those of the split dev, not of train"]


def test_judgements_without_a_relevance_count_as_one(read):
    found = read({"q.csv": "id,query\n1,mug\n", "r.csv": "query_id,sku\n1,P1\n"}, "q.csv", "r.csv")
    assert found.judgements["relevance"].tolist() == ["1"]
    assert found.notes == ["r.csv has no column of relevance: each of its rows counts as 1"]


@pytest.mark.parametrize(
    ("clicks", "impressions", "grades"),
    [
        ([20, 10, 0], [100, 100, 100], ["2", "2", "0"]),  # 10 are expected: 21/11, 11/11
        ([45, 15, 0], [100, 100, 100], ["3", "1", "0"]),  # 20 are expected: 46/21, 16/21
        ([9, 1, 0], [10, 30, 10], ["3", "0", "0"]),  # 2, 6 and 2 are expected: 10/3, 2/7
        ([2, 2, 2], [10, 10, 10], ["2", "2", "2"]),  # as expected: 3/3
    ],
)
def test_clicks_are_graded_by_those_expected(clicks, impressions, grades):
    log = pd.DataFrame({"clicks": clicks, "impressions": impressions}).astype("str")
    log = log.assign(query="mug", name=["a", "b", "c"], column="item", table="log.csv", row=[1, 2, 3])
    judgements, findings = grade_clicks(log)
    assert judgements["relevance"].tolist() == grades
    assert findings.empty


def test_a_query_image_may_not_lie_outside(read, make):
    make({"secret.png": None}, ".")
    files = {"queries.csv": "query,image\nin red,../secret.png\nin blue,in.png\n", "in.png": None}
    found = read(files, "queries.csv")
    assert found.queries["file"].notna().tolist() == [False, True]
    assert found.queries["image"].tolist() == ["../secret.png", "in.png"]


def test_halves_of_characters_and_long_names_do_no_harm(read):
    lines = [
        '{"query": "mug \\ud800", "kind\\udc00": "a\\ud800"}',
        '{"query": "cup", "image": "%s"}' % ("x" * 5000),
    ]
    found = read({"q.jsonl": "\n".join(lines)}, "q.jsonl")
    assert found.queries["text"].tolist() == ["mug \ufffd", "cup"]
    assert found.queries["kind\ufffd"].tolist()[0] == "a\ufffd"
    assert found.queries["image"].str.len().tolist() == [0, 1000]
    assert found.queries["file"].isna().all()


def test_topics_without_an_end_are_read_in_linear_time(read):
    found = read({"topics.xml": "<top><num>1<title>mug" + "<top>" * 100_000}, "topics.xml")
    assert rows(found.queries, "query_id", "text") == [["1", "mug"]]
    assert len(found.findings) == 100_000
