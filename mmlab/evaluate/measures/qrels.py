"""What counts as a right answer, by pair, by label or judged by hand, and at which rank the right answers stand.

Qrels are tables of query_id, item_id and relevance; an answer is right where its relevance is above 0. Judgements by
hand are lines of JSON in a file that is only ever appended to, so version n of it is its first n lines. A line whose
relevance is null takes back what the same person judged of its answer. Ranks are those in rankings, or in the whole
gallery.
"""

import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmlab.items import MODALITIES, QREL_COLUMNS, RANKING_COLUMNS, Vectors, check_columns, is_among
from mmlab.items.rankings import SCORE_TOLERANCE, finite_scores, ranks, sort_rows
from mmlab.items.tables import places_among
from mmlab.items.vectors import score_blocks

TIES = ("against", "as ranked")
HALF_CHARACTER = re.compile("[\ud800-\udfff]")  # which JSON can spell and no file can hold
LABEL_COLUMNS = (*QREL_COLUMNS, "judged", "by")  # judged: the time in UTC, ISO 8601; by: who judged
MAX_RELEVANCE = 100
RELEVANCE_WORDS = {0: "judged not relevant", 1: "judged relevant", None: "judgement taken back"}
MAX_ID_CHARS = 200  # of an id, and of the name of who judged
LOCK_TIMEOUT_S = 60


def qrels_from_pairs(items: pd.DataFrame, queries: str, gallery: str) -> pd.DataFrame:
    """Return exact relevance: the items of modality `gallery` that share the `pair_id` of a query.

    `queries` and `gallery` are "text" and "image", in either order. Returns query_id, item_id and relevance 1, one
    row per right answer. A query whose pair has no item in the gallery cannot be judged and has no row. Raises
    ValueError for other modalities.

    >>> items = pd.DataFrame({"item_id": ["t1", "t2", "i1"], "modality": ["text", "text", "image"], "pair_id": "a"})
    >>> qrels_from_pairs(items, "text", "image").to_numpy().tolist()
    [['t1', 'i1', 1], ['t2', 'i1', 1]]
    """
    return _join(items, queries, gallery, "pair_id").assign(relevance=1)[list(QREL_COLUMNS)]


def qrels_from_labels(
    items: pd.DataFrame, queries: str, gallery: str, same_pair: int = 2, same_label: int = 1
) -> pd.DataFrame:
    """Return graded relevance: `same_pair` for an item of the query's pair, `same_label` for one of its label only.

    Returns query_id, item_id and relevance, one row per right answer, those of a query's pair first. A query without
    a label is answered by its pair alone. Raises ValueError as `qrels_from_pairs` does, and unless
    same_pair >= same_label >= 0.

    >>> items = pd.DataFrame({"item_id": ["t1", "i1", "i2"], "modality": ["text", "image", "image"],
    ...                       "pair_id": ["a", "a", "b"], "label": "mug"})
    >>> qrels_from_labels(items, "text", "image").to_numpy().tolist()
    [['t1', 'i1', 2], ['t1', 'i2', 1]]
    """
    if not same_pair >= same_label >= 0:
        raise ValueError(f"expected same_pair >= same_label >= 0, found {same_pair} and {same_label}")
    by_pair = _join(items, queries, gallery, "pair_id").assign(relevance=same_pair)
    by_label = _join(items, queries, gallery, "label").assign(relevance=same_label)
    both = pd.concat([by_pair, by_label])[list(QREL_COLUMNS)].drop_duplicates(["query_id", "item_id"])
    number, _ = pd.factorize(both["query_id"])
    return both.iloc[number.argsort(kind="stable")].reset_index(drop=True)


def merge_qrels(base: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Return `base` with the judgements of `labels` over it: where both judge an answer, the label holds.

    Of several labels for one answer the last holds. A label of relevance 0 takes a right answer away; a query that
    has none left is not scored. Raises ValueError where a table lacks a column of the qrels.

    >>> base = pd.DataFrame({"query_id": ["q", "q"], "item_id": ["a", "b"], "relevance": [1, 1]})
    >>> labels = pd.DataFrame({"query_id": ["q"], "item_id": ["a"], "relevance": [0]})
    >>> merge_qrels(base, labels).to_numpy().tolist()
    [['q', 'b', 1], ['q', 'a', 0]]
    """
    for table, name in ((base, "qrels"), (labels, "labels")):
        check_columns(table, QREL_COLUMNS, name)
    both = pd.concat([base[list(QREL_COLUMNS)], labels[list(QREL_COLUMNS)]], ignore_index=True)
    return both.drop_duplicates(["query_id", "item_id"], keep="last", ignore_index=True)


def _join(items: pd.DataFrame, queries: str, gallery: str, column: str) -> pd.DataFrame:
    if sorted((queries, gallery)) != sorted(MODALITIES):
        raise ValueError(
            f"expected 'text' and 'image' as queries and gallery, found {queries!r} and {gallery!r}"
        )
    check_columns(items, ("item_id", "modality", column), "items")
    known = items[items[column].notna()]
    asked, found = (
        known.loc[known["modality"] == modality, ["item_id", column]] for modality in (queries, gallery)
    )
    return asked.rename(columns={"item_id": "query_id"}).merge(found, on=column)


def append_labels(path: str | Path, labels: pd.DataFrame, by: str = "") -> int:
    """Append the judgements in `labels` to the file and return its new version, the number of its lines.

    `labels`: query_id, item_id and relevance, a whole number in 0 to 100. `by`: the name of who judged. All rows get
    the current time. The file is made where there is none, several processes may append at once, and the judgements
    are on the disk when this returns. Raises ValueError, and writes nothing, where a relevance is no whole number in
    0 to 100 or an id is empty or longer than 200 characters.
    """
    rows = _checked(labels, by).itertuples(index=False, name=None)
    return _append(Path(path), b"".join(_line(row, by) for row in rows))


def retract_labels(path: str | Path, answers: pd.DataFrame, by: str = "") -> int:
    """Append lines that take back what `by` judged of these answers, and return the new version of the file.

    `answers`: query_id and item_id. Nothing is deleted, and an answer may be judged again. Raises ValueError as
    `append_labels` does.
    """
    rows = _checked(answers.assign(relevance=0), by).itertuples(index=False, name=None)
    return _append(Path(path), b"".join(_line((*row[:2], None), by) for row in rows))


def add_judgement(path: str | Path, query_id: str, item_id: str, relevance: int | None, by: str = "") -> str:
    """Append one judgement to the file and return a sentence about it.

    `relevance`: 1, 0, or None to take back what the same person judged of this answer; `by`: who judged.
    """
    row = pd.DataFrame([{"query_id": query_id, "item_id": item_id, "relevance": relevance}])
    version = (retract_labels if relevance is None else append_labels)(path, row, by)
    return f"{RELEVANCE_WORDS[relevance]}: version {version} of {Path(path).name}"


def _append(path: Path, lines: bytes) -> int:
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock", timeout=LOCK_TIMEOUT_S), open(path, "a+b") as file:
        if file.tell() and not _ends_with_newline(path):
            lines = b"\n" + lines  # closes the line that a killed writer left
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())
        return len(list(_rows(path.read_bytes())))


def read_labels(path: str | Path, version: int | None = None) -> pd.DataFrame:
    """Read the judgements that stand, in the order they were made: query_id, item_id, relevance, judged, by.

    There are no rows where there is no file. A pair may occur several times; `merge_qrels` lets the last judgement
    hold. What was taken back (`retract_labels`) is left out. `version`: read only the first so many lines. Raises
    ValueError for a version that the file has not reached.

    >>> read_labels("no-such-file.jsonl").columns.tolist()
    ['query_id', 'item_id', 'relevance', 'judged', 'by']
    """
    path = Path(path)
    rows = list(_rows(path.read_bytes())) if path.is_file() else []
    if version is not None and not 0 <= version <= len(rows):
        raise ValueError(
            f"expected a version from 0 to {len(rows)}, the lines of {path.name}; found {version}"
        )
    table = _standing(pd.DataFrame(rows[:version], columns=list(LABEL_COLUMNS)))
    text = {name: "str" for name in LABEL_COLUMNS if name != "relevance"}
    return table.astype({**text, "relevance": "int64"})


def _standing(records: pd.DataFrame) -> pd.DataFrame:
    """Return the judgements without those that a later line of the same person takes back, and without these lines."""
    back = records["relevance"].isna()
    place = pd.Series(range(len(records)), records.index)
    keys = [records[name] for name in ("query_id", "item_id", "by")]
    last = place.where(back, -1).groupby(keys).transform("max")
    return records[place > last].reset_index(drop=True)


def labels_between(labels: pd.DataFrame, items: pd.DataFrame, queries: str, gallery: str) -> pd.DataFrame:
    """Return the judgements whose query is an item of modality `queries` and whose answer is one of `gallery`."""
    modality = items.set_index("item_id")["modality"]
    asked, answered = labels["query_id"].map(modality), labels["item_id"].map(modality)
    return labels[(asked == queries) & (answered == gallery)].reset_index(drop=True)


def _checked(labels: pd.DataFrame, by: str) -> pd.DataFrame:
    table = check_columns(labels, QREL_COLUMNS, "labels")[list(QREL_COLUMNS)]
    grades = pd.to_numeric(table["relevance"], errors="coerce")
    wrong = ~(grades.between(0, MAX_RELEVANCE) & (grades % 1 == 0))
    if wrong.any():
        found = table.loc[wrong, "relevance"].iloc[0]
        raise ValueError(
            f"labels: expected a relevance that is a whole number in 0 to {MAX_RELEVANCE}, found {found}"
        )
    for name in [*table["query_id"], *table["item_id"]]:
        if not isinstance(name, str) or not 0 < len(name) <= MAX_ID_CHARS:
            raise ValueError(
                f"labels: expected an id of 1 to {MAX_ID_CHARS} characters, found {str(name)[:40]!r}"
            )
    if len(by) > MAX_ID_CHARS:
        raise ValueError(
            f"labels: expected a name of at most {MAX_ID_CHARS} characters in `by`, found {len(by)}"
        )
    return table.assign(relevance=grades.astype(int))


def _line(row: tuple[str, str, int | None], by: str) -> bytes:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    record = dict(zip(LABEL_COLUMNS, (*row, now, by), strict=True))
    return (json.dumps(record) + "\n").encode("ascii")


def _ends_with_newline(path: Path) -> bool:
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _rows(content: bytes) -> Iterator[list[Any]]:
    """Yield the values of each whole line; skip lines that are cut off or are no judgements."""
    for line in content.split(b"\n")[:-1]:
        try:
            record = json.loads(line)
            row = [record[name] for name in LABEL_COLUMNS]
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        if _is_judgement(*row):
            yield row


def _is_judgement(query: Any, item: Any, relevance: Any, judged: Any, by: Any) -> bool:
    """Return whether the values of a line are of the types and in the ranges that `append_labels` writes."""
    texts = all(isinstance(text, str) and len(text) <= MAX_ID_CHARS for text in (query, item, judged, by))
    if not texts or not query or not item or any(map(HALF_CHARACTER.search, (query, item, judged, by))):
        return False
    return relevance is None or (type(relevance) is int and 0 <= relevance <= MAX_RELEVANCE)


def right_ranks(rankings: pd.DataFrame, qrels: pd.DataFrame, ties: str = "against") -> pd.DataFrame:
    """Return every right answer with its rank from 1: query_id, item_id, relevance, rank (NaN: not ranked).

    With ties "against" the scores decide, and among equal ones the less relevant item comes first, so that a system
    gains nothing by scoring all alike. With "as ranked" the rank column decides. There is one row per right answer
    of `qrels`, in its order. Raises ValueError for other ties, a score that is NaN, or an answer given twice.
    """
    check_columns(rankings, RANKING_COLUMNS, "rankings")
    right = right_answers(qrels)
    if ties not in TIES:
        raise ValueError(f"unknown ties {ties!r}; known: {', '.join(map(repr, TIES))}")
    if rankings["score"].isna().any():
        raise ValueError(f"rankings: {rankings['score'].isna().sum()} scores are NaN; leave such hits out")
    query, place = match_hits(rankings, right)
    relevance = np.r_[right["relevance"].to_numpy(dtype=float), 0.0][place]
    score = rankings["score"].to_numpy() if ties == "against" else -rankings["rank"].to_numpy()
    rank = np.full(len(right) + 1, np.nan)
    rank[place[sort_rows(query, relevance, score)]] = ranks(query)
    return right.assign(rank=rank[:-1])


def mark_relevant(rankings: pd.DataFrame, qrels: pd.DataFrame) -> pd.DataFrame:
    """Return the hits of the judged queries with a column `relevant` (bool) and their scores as float64.

    A hit without a row in `qrels`, or with relevance 0, is not relevant. Queries without a row are left out. Raises
    ValueError for a missing column, a score that is not finite, or an item that a query has twice.

    >>> rankings = pd.DataFrame({"query_id": "q", "item_id": ["a", "b"], "rank": [1, 2], "score": [0.9, 0.5]})
    >>> qrels = pd.DataFrame({"query_id": ["q"], "item_id": ["b"], "relevance": [1]})
    >>> mark_relevant(rankings, qrels)["relevant"].tolist()
    [False, True]
    """
    score = finite_scores(rankings)
    _, place = match_hits(rankings, right_answers(qrels))
    judged = is_among(rankings["query_id"], qrels["query_id"])
    return rankings.assign(score=score, relevant=place >= 0)[judged].reset_index(drop=True)


def right_answers(qrels: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `qrels` with relevance > 0; raise ValueError where an answer is given twice."""
    check_columns(qrels, QREL_COLUMNS, "qrels")
    right = qrels.loc[qrels["relevance"] > 0, list(QREL_COLUMNS)].reset_index(drop=True)
    twice = right.duplicated(["query_id", "item_id"])
    if twice.any():
        query, item = right.loc[twice, ["query_id", "item_id"]].iloc[0]
        raise ValueError(f"qrels: {twice.sum()} right answers are given twice, first {item} of {query}")
    return right


def match_hits(rankings: pd.DataFrame, answers: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return for each hit the number of its query and its row in `answers` (-1: none), both (H,).

    Queries are numbered as they first appear in the rankings. Raises ValueError where a query has an answer twice.
    """
    query, queries = pd.factorize(rankings["query_id"], use_na_sentinel=False)
    items = pd.Index(answers["item_id"].unique())
    item = places_among(rankings["item_id"], items)
    asked = places_among(answers["query_id"], queries)  # -1: it got no hit
    key = asked * len(items) + places_among(answers["item_id"], items)
    wanted = np.where(asked < 0, -1 - np.arange(len(answers)), key)
    place = np.full(len(rankings), -1)
    known = item >= 0
    place[known] = pd.Index(wanted).get_indexer(query[known] * len(items) + item[known])
    found = np.bincount(place[place >= 0], minlength=1)
    if found.max() > 1:
        query_id, item_id = answers.loc[found.argmax(), ["query_id", "item_id"]]
        raise ValueError(f"rankings: {item_id} is ranked {found.max()} times for {query_id}, expected once")
    return query, place


def exact_ranks(queries: Vectors, gallery: Vectors, qrels: pd.DataFrame) -> pd.DataFrame:
    """Return the rank of every right answer in the whole gallery: query_id, item_id, relevance, rank.

    These are the ranks that `right_ranks` gives for rankings of the whole gallery, counted without making them. Ties
    count against the answer; cosines that differ by 1e-6 or less are ties. The rank is NaN where an answer or its
    query has no vector. Raises SpaceMismatch for vectors of two spaces.
    """
    queries.space.check_same(gallery.space)
    right = right_answers(qrels)
    query = pd.Index(queries.ids).get_indexer(right["query_id"])
    item = pd.Index(gallery.ids).get_indexer(right["item_id"])
    ranks = np.full(len(right), np.nan)
    known = np.flatnonzero((query >= 0) & (item >= 0))
    known = known[np.argsort(query[known], kind="stable")]
    own, at_least = _count_at_least(queries.array, gallery.array, query[known], item[known])
    grades = right["relevance"].to_numpy(dtype=float)[known]
    ranks[known] = at_least + _correction(query[known], own, grades)
    return right.assign(rank=ranks)


def _count_at_least(
    queries: np.ndarray, gallery: np.ndarray, query: np.ndarray, item: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the score of each answer and how many items score as much or more, both (A,); answers sorted by query."""
    own, at_least = np.empty(len(query), dtype=np.float32), np.empty(len(query))
    for rows, scores in score_blocks(queries, gallery):
        first, last = np.searchsorted(query, [rows.start, rows.stop])
        row = query[first:last] - rows.start
        own[first:last] = scores[row, item[first:last]]
        lowest = _lowest_equal(own[first:last])
        at_least[first:last] = [
            np.count_nonzero(scores[one] >= least) for one, least in zip(row, lowest, strict=True)
        ]
    return own, at_least


def _correction(query: np.ndarray, own: np.ndarray, grades: np.ndarray) -> np.ndarray:
    """Return what to add to the counts (A,) so that right answers of a query do not count against each other.

    Of the right answers of a query that score as much as this one, itself included, only those before it in the
    order (score, then the lower grade first) count.
    """
    order = np.lexsort((grades, -own, query))
    position = np.empty(len(query))
    position[order] = np.arange(len(query)) - np.searchsorted(query, query) + 1
    line = np.sort(query * 4.0 + own)  # cosines lie in [-1, 1], so the queries keep apart
    end = np.searchsorted(query, query, side="right")
    return position - (end - np.searchsorted(line, query * 4.0 + _lowest_equal(own)))


def _lowest_equal(own: np.ndarray) -> np.ndarray:
    """Return the smallest scores that still count as equal, float32."""
    return own - np.float32(SCORE_TOLERANCE)
