"""TREC's files: what is written another reader finds, what is read is checked line by line."""

from collections import defaultdict
from io import StringIO
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from mmlab.evaluate import qrels_from_pairs, score_queries
from mmlab.evaluate.trec import (
    TrecRun,
    falling_scores,
    read_trec_run,
    trec_qrels_lines,
    trec_run_lines,
    trec_topic_lines,
    write_trec,
)
from mmlab.items.rankings import rankings_from_scores

CAPTIONS = [3, 1, 2, 5, 1, 4]  # texts of each image
IMAGES = pd.DataFrame({"pair_id": [f"my photo {n}.jpg" for n in range(6)]}).assign(
    modality="image", text=None, label="mug", split="test", image="/x.jpg"
)
TEXTS = (
    IMAGES.loc[IMAGES.index.repeat(CAPTIONS)]
    .assign(modality="text", text="=1+1", image=None)
    .reset_index(drop=True)
)
IMAGES["item_id"] = IMAGES["pair_id"]  # ids that hold blanks
TEXTS["item_id"] = [f"t{n:02}%" for n in range(len(TEXTS))]
ITEMS = pd.concat([IMAGES, TEXTS], ignore_index=True)
MEASURES = ["Success@1", "RR", "AP", "R@2", "nDCG@10"]


def ranked(seed: int = 0, levels: int = 4) -> pd.DataFrame:
    """Every text ranks every image, with few different scores, so that many are equal."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(-levels, levels, (len(TEXTS), len(IMAGES))) / levels
    return rankings_from_scores(scores, TEXTS["item_id"], IMAGES["item_id"])


RIGHT = qrels_from_pairs(ITEMS, "text", "image")


def read_as_trec_eval(run: str) -> dict[str, list[str]]:
    """The ids of each query as trec_eval ranks them: by the score as float32, then by the id, backwards."""
    found = defaultdict(list)
    for line in run.splitlines():
        query, q0, item, _, score, _ = line.split()
        assert q0 == "Q0"
        found[query].append((np.float32(score), item))
    return {query: [item for _, item in sorted(rows, reverse=True)] for query, rows in found.items()}


def test_another_reader_finds_the_ranking_that_is_judged() -> None:
    run = "".join(trec_run_lines(ranked(), RIGHT, "a run"))
    right = {line.split()[0]: line.split()[2] for line in trec_qrels_lines(RIGHT)}
    order = read_as_trec_eval(run)
    scores = score_queries(ranked(), RIGHT, ["Success@1", "RR"])
    for text, row in zip(TEXTS["item_id"], scores.to_dict("records"), strict=True):
        items, query = order[text.replace("%", "%25")], text.replace("%", "%25")
        rank = items.index(right[query]) + 1
        assert (row["Success@1"], row["RR"]) == (float(rank == 1), 1 / rank)
    by_rank = pd.read_csv(StringIO(run), sep=" ", header=None)
    assert [order[query] for query in by_rank[0].unique()] == by_rank.groupby(0, sort=False)[2].agg(
        list
    ).tolist()
    assert (by_rank.groupby(0)[4].diff().dropna() < 0).all()  # nothing is left to a rule for equal scores
    assert by_rank[2].iloc[0].startswith("my%20photo%20")


def test_rankings_that_lack_a_column_are_refused_before_a_line_is_written() -> None:
    with pytest.raises(ValueError, match="rankings: columns .*score"):
        next(trec_run_lines(ranked().drop(columns="score"), RIGHT, "a"))


def test_what_is_written_is_read_as_it_was(tmp_path) -> None:
    path = tmp_path / "a.run"
    path.write_text("".join(trec_run_lines(ranked(), RIGHT, "a")))
    table = read_trec_run(path, ITEMS)
    assert (table["stated"] == table["rank"]).all()
    pd.testing.assert_frame_equal(
        score_queries(table, RIGHT, MEASURES), score_queries(ranked(), RIGHT, MEASURES)
    )


@pytest.mark.parametrize("values", [[0.5, 0.5, 0.5], [0.0, 0.0, -0.0], [-2.0, -2.0, -3.0], [1e-45, 0.0, 0.0]])
def test_scores_fall_by_the_smallest_step(values) -> None:
    falling = falling_scores(np.zeros(3, dtype=int), np.array(values))
    expected = [np.float32(values[0])]
    for value in values[1:]:
        below = np.nextafter(expected[-1], np.float32(-np.inf))
        expected.append(min(np.float32(value), below))
    assert falling.dtype == np.float32
    assert falling.tolist() == [float(one) for one in expected]


def test_a_folder_holds_all_that_other_tools_need(tmp_path) -> None:
    scores = score_queries(ranked(), RIGHT, MEASURES)
    tables = ({"text-to-image": one} for one in (ranked(), RIGHT, scores))
    files = write_trec(tmp_path / "out", "demo", *tables, ITEMS)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(files["file"])
    assert files["rows"].tolist() == [22, 16, 16 * 6, 16, 16]
    found = pd.read_csv(tmp_path / "out" / "demo.text-to-image.csv")
    assert found["RR"].tolist() == pytest.approx(scores["RR"].tolist())
    assert set(found["text"]) == {"'=1+1"}  # no formula
    assert pd.read_csv(tmp_path / "out" / "demo.items.csv")["item_id"].tolist() == ITEMS["item_id"].tolist()


def test_topics_are_xml_whatever_the_texts_hold() -> None:
    texts = ['a < b & "c"', "bell \x07 and \ufffe]]>", None]
    queries = pd.DataFrame(
        {"query_id": ["q 1", 'a"b', "i"], "text": texts, "image": [None, None, "/a & b.jpg"]}
    )
    topics = ElementTree.fromstring("".join(trec_topic_lines(queries)))  # noqa: S314 - our own
    assert [topic.get("number") for topic in topics] == ["q%201", 'a"b', "i"]
    assert [topic.findtext("title") for topic in topics] == ['a < b & "c"', "bell  and ]]>", None]
    assert topics[2].findtext("image") == "/a & b.jpg"


def line(query="t00%25", item="my%20photo%200.jpg", rank="1", score="0.5", more="tag"):
    return f"{query} Q0 {item} {rank} {score} {more}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (line() + "t00% Q0 x 1 0.5\n",
         "a.run, line 2: expected 6 columns, query Q0 item rank score tag; found 5 in 't00%"),
        (line(item="my photo 0.jpg"), "line 1: expected 6 columns, .*; found 8"),
        ("\n" + line(query="t99"), "line 2: 't99' is the id of no item of the run; expected an item_id"),
        (line(item="t01%25"), "line 1: expected a text that finds an image, .*; found two texts"),
        (line(score="nan"), "line 1: expected a finite number as the score, found 'nan'"),
        (line(score="1e999"), "expected a finite number as the score, found '1e999'"),
        (line(score="1_0"), "expected a finite number as the score, found '1_0'"),
        (line() + "\n" + line(query="t01%25") + line(score="9"), "line 4: its query has this item already, in line 1"),
        ("", "a.run holds no line; expected query Q0 item rank score tag in each"),
        ("x" * 5000, "line 1 is longer than 4,000 bytes"),
        ("\x00\udcff Q0 a 1 2 t", "line 1: .* is the id of no item"),
    ],
)  # fmt: skip
def test_a_damaged_line_is_named(tmp_path, text, message) -> None:
    path = tmp_path / "a.run"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=message):
        read_trec_run(path, ITEMS)


def test_a_file_that_is_not_there_or_too_large_is_refused(tmp_path, monkeypatch) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no TREC run file .*none\.run"):
        read_trec_run(tmp_path / "none.run", ITEMS)
    (tmp_path / "a.run").write_text(line())
    monkeypatch.setattr("mmlab.evaluate.trec.MAX_BYTES", 10)
    with pytest.raises(ValueError, match="a.run is larger than 1e-05 MB: keep fewer hits"):
        read_trec_run(tmp_path / "a.run", ITEMS)


def test_ids_may_stand_as_they_are_and_lines_end_as_on_windows(tmp_path) -> None:
    (tmp_path / "a.run").write_bytes(b"\xef\xbb\xbft00% Q0 my%20photo%200.jpg x -1.5e0 tag\r\n")
    [row] = read_trec_run(tmp_path / "a.run", ITEMS).to_dict("records")
    assert (row["query_id"], row["item_id"], row["score"]) == ("t00%", "my photo 0.jpg", -1.5)
    assert np.isnan(row["stated"])


def rows(*lines) -> pd.DataFrame:
    table = pd.DataFrame(lines, columns=["query_id", "item_id", "rank", "score", "stated"])
    return table.astype({"stated": float}).assign(direction="text-to-image")


def test_what_does_not_count_is_said() -> None:
    a, b, c = IMAGES["item_id"].head(3)
    table = rows(
        ("t00%", a, 1, 0.9, 2), ("t00%", b, 2, 0.8, 1), ("t00%", c, 3, 0.7, 3), ("t01%", a, 1, 0.5, 1)
    )  # fmt: skip
    judged = {"text-to-image": ["t00%", "t02%"], "image-to-text": [a, b]}
    run = TrecRun.of("bm25", table, ITEMS, judged, {"text-to-image": 2, "image-to-text": 2})
    assert list(run.answers) == ["text-to-image"]
    assert run.answers["text-to-image"]["item_id"].tolist() == [a, b]
    assert run.notes == (
        "text-to-image: answers 1 of 2 queries; the others score 0; left out, of other queries or items than those "
        "that are judged: 1 lines; cut from up to 3 hits of a query to 2, as many as the run keeps; queries whose "
        "highest score is not that of the first rank: 1 (scores decide, as in trec_eval: turn the sign of distances "
        "round)",
        "image-to-text: answers no query, so it is not compared",
    )
    shallow = TrecRun.of("bm25", table.tail(1), ITEMS, {"text-to-image": ["t01%"]}, {"text-to-image": 5})
    assert shallow.notes == (
        "text-to-image: answers 1 of 1 queries; keeps up to 1 hits of a query and the run 5: others are not found",
    )
    as_deep = TrecRun.of("bm25", table.tail(1), ITEMS, {"text-to-image": ["t01%"]}, {"text-to-image": 1})
    assert as_deep.notes == ("text-to-image: answers 1 of 1 queries",)
    with pytest.raises(ValueError, match="bm25 answers no query that is judged"):
        TrecRun.of("bm25", table, ITEMS, {"text-to-image": ["t05%"]}, {"text-to-image": 5})


def test_a_run_without_answers_writes_empty_files(tmp_path) -> None:
    nothing = ranked().head(0)
    scores = score_queries(nothing, RIGHT.head(0), MEASURES)
    tables = ({"text-to-image": one} for one in (nothing, RIGHT.head(0), scores))
    assert write_trec(tmp_path, "x", *tables, ITEMS)["rows"].tolist() == [22, 0, 0, 0, 0]
    assert (tmp_path / "x.text-to-image.run").read_bytes() == b""
