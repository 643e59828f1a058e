"""TREC's files, by which tools of evaluation understand each other: queries, right answers and rankings, out and in.

Queries (topics) are XML: `<topic number="query"><title>text</title></topic>`; an image asks by its path, `<image>` in
place of the title. A line of right answers (qrels) is `query 0 item relevance`, one of a ranking (run) is
`query Q0 item rank score tag`. Blanks separate the columns, so a blank or a % inside an id is written as in a URL:
"my photo.jpg" is my%20photo.jpg.
trec_eval, ir-measures and ranx rank by the score alone, each with a rule of its own for equal ones: what is written
here has none.
"""

import math
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr  # which write, and read nothing

import numpy as np
import pandas as pd

from mmlab.items import DIRECTIONS, RANKING_COLUMNS, check_columns, is_among, replacing
from mmlab.items.rankings import first_rows, rank_by_score, ranks
from mmlab.items.tables import Ids, to_csv

TREC_COLUMNS = ("query", "Q0", "item", "rank", "score", "tag")
MAX_BYTES = 500_000_000
MAX_LINE_BYTES = 4_000
MAX_SHOWN_CHARS = 60  # of what a line holds, in a message
IN_NO_ID = re.compile(r"[\s%\x00-\x1f\x7f-\x9f]")
NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
EXPORTED_ITEMS = ["item_id", "modality", "pair_id", "text", "image", "label", "split"]


def write_trec(
    folder: str | Path,
    name: str,
    rankings: Mapping[str, pd.DataFrame],
    qrels: Mapping[str, pd.DataFrame],
    per_query: Mapping[str, pd.DataFrame],
    items: pd.DataFrame,
) -> pd.DataFrame:
    """Write rankings, right answers and scores of each direction, and the items, into a folder: file, rows, content.

    For each direction there are NAME.DIRECTION.topics.xml, .run and .qrels (TREC), and .csv: a row for each query that
    has a right answer, with its text and its scores. NAME.items.csv says which id is which text or image. The csv files
    open safely in a spreadsheet (`to_csv`); they are UTF-8 with a byte order mark, by which one knows it.
    """
    known = items.reindex(columns=EXPORTED_ITEMS)
    files = [_write(folder, f"{name}.items.csv", _csv(known), len(known), "all items: id, pair, text, image")]
    queries = known.rename(columns={"item_id": "query_id"}).drop(columns="modality")
    for direction, ranked in rankings.items():
        right, scores = qrels[direction], queries.merge(per_query[direction], on="query_id", how="right")
        asked = queries[is_among(queries["query_id"], right["query_id"])]
        for kind, lines, rows, content in (
            ("topics.xml", trec_topic_lines(asked), len(asked), "queries (TREC topics)"),
            ("run", trec_run_lines(ranked, right, name), len(ranked), "rankings (TREC run)"),
            ("qrels", trec_qrels_lines(right), len(right), "right answers (TREC qrels)"),
            ("csv", _csv(scores), len(scores), "scores of each query"),
        ):
            files.append(_write(folder, f"{name}.{direction}.{kind}", lines, rows, content))
    return pd.DataFrame(files, columns=["file", "rows", "content"])


def trec_run_lines(rankings: pd.DataFrame, qrels: pd.DataFrame, tag: str) -> Iterator[str]:
    r"""Yield the lines of a TREC run file, in which every reader finds the ranking that mmlab judges.

    Equal scores count against the system: among them the less relevant item comes first. Scores are float32, which
    trec_eval reads, and each is at least one step below the one before, so that no rule for equal scores applies.

    >>> ranked = pd.DataFrame({"query_id": "q", "item_id": ["a", "b"], "rank": [1, 2], "score": [0.5, 0.5]})
    >>> right = pd.DataFrame({"query_id": ["q"], "item_id": ["a"], "relevance": [1]})
    >>> list(trec_run_lines(ranked, right, "demo"))
    ['q Q0 b 1 0.5 demo\n', 'q Q0 a 2 0.49999997 demo\n']
    """
    check_columns(rankings, RANKING_COLUMNS, "rankings")
    rows = rankings.merge(qrels, on=["query_id", "item_id"], how="left").fillna({"relevance": 0})
    query, _ = pd.factorize(rows["query_id"])
    order = np.lexsort((rows["rank"], rows["relevance"], -rows["score"].to_numpy(dtype=float), query))
    rows, query = rows.iloc[order], query[order]
    columns = (_escaped(rows["query_id"]), _escaped(rows["item_id"]), ranks(query))
    scores = falling_scores(query, rows["score"].to_numpy())
    end = IN_NO_ID.sub("-", tag)
    for query_id, item_id, rank, score in zip(*columns, scores, strict=True):
        yield f"{query_id} Q0 {item_id} {rank} {score:.9g} {end}\n"


def trec_topic_lines(queries: pd.DataFrame) -> Iterator[str]:
    r"""Yield the lines of a TREC topics file, in XML; `queries`: query_id, text and image, one of which is missing.

    Characters that XML cannot hold are left out of texts.

    >>> list(trec_topic_lines(pd.DataFrame({"query_id": ["q 1"], "text": ["a < b"], "image": [None]})))[1]
    '<topic number="q%201"><title>a &lt; b</title></topic>\n'
    """
    yield "<topics>\n"
    columns = (_escaped(queries["query_id"]), queries["text"], queries["image"])
    for query_id, text, image in zip(*columns, strict=True):
        name, words = ("image", image) if pd.isna(text) else ("title", text)
        yield f"<topic number={quoteattr(query_id)}><{name}>{escape(NOT_IN_XML.sub('', words))}</{name}></topic>\n"
    yield "</topics>\n"


def trec_qrels_lines(qrels: pd.DataFrame) -> Iterator[str]:
    r"""Yield the lines of a TREC qrels file.

    >>> list(trec_qrels_lines(pd.DataFrame({"query_id": ["q 1"], "item_id": ["a"], "relevance": [1]})))
    ['q%201 0 a 1\n']
    """
    columns = (_escaped(qrels["query_id"]), _escaped(qrels["item_id"]), qrels["relevance"])
    for query_id, item_id, relevance in zip(*columns, strict=True):
        yield f"{query_id} 0 {item_id} {relevance}\n"


def falling_scores(query: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return scores (R,) as float32, each lowered as little as makes it less than the one before it in its query.

    `query`: the number of each row's query (R,); the rows stand in their order.

    >>> falling_scores(np.array([0, 0, 1]), np.array([1.0, 1.0, 1.0])).tolist()
    [1.0, 0.9999999403953552, 1.0]
    """
    bits = score.astype(np.float32).view(np.int32).astype(np.int64)
    step = np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)  # whole numbers in the order of the floats
    place = ranks(query)
    falling = pd.Series(step + place).groupby(query).cummin().to_numpy() - place
    return np.where(falling < 0, -falling | 0x80000000, falling).astype(np.uint32).view(np.float32)


def read_trec_run(path: str | Path, items: pd.DataFrame) -> pd.DataFrame:
    """Read a TREC run file over these items: query_id, item_id, rank (by score), score, stated, direction.

    stated is the file's rank. The file may hold both directions; ids are item_ids. As for trec_eval the score decides,
    not the file's rank or its order. Raises FileNotFoundError where there is no file, and ValueError for a file without
    lines or over 500 MB and, with the number of the line, for one that has not six columns, an id that no item has, a
    query and an item of one modality, a score that is no number, and an item that a query has twice.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no TREC run file {path}")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path.name} is larger than {MAX_BYTES / 1e6:g} MB: keep fewer hits of each query")
    line, query, item, stated, score = _read_columns(path, items)
    if not len(line):
        raise ValueError(f"{path.name} holds no line; expected {' '.join(TREC_COLUMNS)} in each")
    _check_twice(path, query.astype(np.int64) * len(items) + item, line)
    ids = items["item_id"].array
    directions = items["modality"].map({source: name for name, (source, _) in DIRECTIONS.items()}).array
    rows = {"query_id": ids[query], "item_id": ids[item], "rank": 0, "score": score, "stated": stated}
    return rank_by_score(pd.DataFrame({**rows, "direction": directions[query]}))


@dataclass(frozen=True)
class TrecRun:
    """A TREC run file as it is compared: its rankings by direction, and in words what of the file does not count."""

    name: str
    answers: Mapping[str, pd.DataFrame]
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        name: str,
        table: pd.DataFrame,
        items: pd.DataFrame,
        judged: Mapping[str, Ids],
        depths: Mapping[str, int],
    ) -> Self:
        """Keep what other runs are judged by, too: the same queries, the same items, no more hits of a query.

        `table`: as `read_trec_run` returns it. `items`: those that can be found. `judged`: direction -> the queries.
        `depths`: direction -> the hits of a query that the others keep. A direction of which the file answers no judged
        query is left out. Raises ValueError where none is left.
        """
        answers, notes = {}, []
        for direction, queries in judged.items():
            rows = table[table["direction"] == direction]
            asked = is_among(rows["query_id"], queries)
            kept = rows[asked & is_among(rows["item_id"], items["item_id"])]
            if kept.empty:
                notes.append(f"{direction}: answers no query, so it is not compared")
                continue
            answers[direction] = first_rows(kept, depths[direction]).drop(columns=["stated", "direction"])
            notes.append(
                f"{direction}: {'; '.join(_describe(rows, kept, len(set(queries)), depths[direction]))}"
            )
        if not answers:
            raise ValueError(f"{name} answers no query that is judged; mmlab export writes those of a run")
        return cls(name, answers, tuple(notes))


def _describe(rows: pd.DataFrame, kept: pd.DataFrame, judged: int, depth: int) -> Iterator[str]:
    """Yield in words what of the rows of a direction counts, and what does not."""
    answered, deepest = kept["query_id"].nunique(), int(kept.groupby("query_id").size().max())
    yield f"answers {answered:,} of {judged:,} queries"
    if answered < judged:
        yield "the others score 0"
    if len(rows) > len(kept):
        yield f"left out, of other queries or items than those that are judged: {len(rows) - len(kept):,} lines"
    if deepest > depth:
        yield f"cut from up to {deepest:,} hits of a query to {depth:,}, as many as the run keeps"
    elif deepest < depth:
        yield f"keeps up to {deepest:,} hits of a query and the run {depth:,}: others are not found"
    first = kept[kept["stated"] == kept.groupby("query_id")["stated"].transform("min")]
    highest = kept.groupby("query_id")["score"].max().reindex(first["query_id"]).to_numpy()
    other = first.loc[first["score"].to_numpy() < highest, "query_id"].nunique()
    if other:
        yield (
            f"queries whose highest score is not that of the first rank: {other:,} (scores decide, as in trec_eval: "
            "turn the sign of distances round)"
        )


def _write(
    folder: str | Path, file: str, lines: Iterable[str], rows: int, content: str
) -> tuple[str, int, str]:
    with (
        replacing(Path(folder) / file) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as opened,
    ):
        opened.writelines(lines)
    return file, rows, content


def _csv(table: pd.DataFrame) -> Iterator[str]:
    yield "\ufeff"  # by which a spreadsheet knows UTF-8
    yield to_csv(table)


def _escape(name: str) -> str:
    return IN_NO_ID.sub(lambda found: quote(found[0], safe=""), name)


def _escaped(ids: pd.Series) -> pd.Series:
    return ids.map({name: _escape(name) for name in ids.unique()})


def _read_columns(path: Path, items: pd.DataFrame) -> list[np.ndarray]:
    """Return of each line its number, the places of query and item among the items, the file's rank, and the score."""
    ids = items["item_id"].tolist()
    places = {name.encode(): place for place, name in enumerate(ids)}
    # where an id as it is and another one escaped are the same, the escaped one counts
    places |= {_escape(name).encode(): place for place, name in enumerate(ids)}
    is_text = (items["modality"] == "text").tolist()
    columns: list[array] = [array(kind) for kind in "iiidd"]
    for number, text in _lines(path):
        try:
            row = _parse(text, places, is_text)
        except ValueError as error:
            raise ValueError(f"{path.name}, line {number}: {error}") from error
        for column, value in zip(columns, (number, *row), strict=True):
            column.append(value)
    return [np.asarray(column) for column in columns]


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the text of each line that is not blank; raise ValueError for an endless one."""
    with open(path, "rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES + 1), b""), start=1):
            if len(line) > MAX_LINE_BYTES:
                raise ValueError(f"{path.name}, line {number} is longer than {MAX_LINE_BYTES:,} bytes")
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if text.strip():
                yield number, text


def _parse(line: bytes, places: Mapping[bytes, int], is_text: list[bool]) -> tuple[int, int, float, float]:
    """Return the places of query and item among the items, the file's rank (NaN where it is none), and the score."""
    parts = line.split()
    if len(parts) != len(TREC_COLUMNS):
        expected = f"expected {len(TREC_COLUMNS)} columns, {' '.join(TREC_COLUMNS)}"
        raise ValueError(f"{expected}; found {len(parts)} in {_shown(line)}")
    query, item = (_find(name, places) for name in (parts[0], parts[2]))
    if is_text[query] == is_text[item]:
        kind = "texts" if is_text[query] else "images"
        raise ValueError(
            f"expected a text that finds an image, or an image that finds a text; found two {kind}"
        )
    score = float(parts[4]) if NUMBER.fullmatch(parts[4]) else math.nan
    if not math.isfinite(score):
        raise ValueError(f"expected a finite number as the score, found {_shown(parts[4])}")
    return query, item, float(parts[3]) if parts[3].isdigit() else math.nan, score


def _find(name: bytes, places: Mapping[bytes, int]) -> int:
    if name not in places:
        raise ValueError(
            f"{_shown(name)} is the id of no item of the run; expected an item_id, as in the items.csv of mmlab export"
        )
    return places[name]


def _shown(text: bytes) -> str:
    return repr(text.decode("utf-8", "replace").strip()[:MAX_SHOWN_CHARS])


def _check_twice(path: Path, key: np.ndarray, line: np.ndarray) -> None:
    order = np.argsort(key, kind="stable")
    again = np.flatnonzero(key[order][1:] == key[order][:-1])
    if len(again):
        place = again[np.argmin(order[again + 1])]
        first, second = line[order[place]], line[order[place + 1]]
        raise ValueError(
            f"{path.name}, line {second}: its query has this item already, in line {first}; keep one of them"
        )
