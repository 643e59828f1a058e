"""What counts as a right answer: by pair, by label, or judged by hand.

Qrels are tables of query_id, item_id and relevance; an answer is right where its relevance is above 0. Judgements by
hand are lines of JSON in a file that is only ever appended to, so version n of it is its first n lines. A line whose
relevance is null takes the judgements of its answer back.
"""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from mmlab.items import MODALITIES, QREL_COLUMNS, check_columns

LABEL_COLUMNS = (*QREL_COLUMNS, "judged", "by")  # judged: the time in UTC, ISO 8601; by: who judged
MAX_RELEVANCE = 100
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
    """Append lines that take back all judgements of these answers, and return the new version of the file.

    `answers`: query_id and item_id. Nothing is deleted, and an answer may be judged again. Raises ValueError as
    `append_labels` does.
    """
    rows = _checked(answers.assign(relevance=0), by).itertuples(index=False, name=None)
    return _append(Path(path), b"".join(_line((*row[:2], None), by) for row in rows))


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
    """Return the judgements without those that a later line of the same answer takes back, and without these lines."""
    back = records["relevance"].isna()
    place = pd.Series(range(len(records)), records.index)
    keys = [records[name] for name in ("query_id", "item_id")]
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
            yield [record[name] for name in LABEL_COLUMNS]
        except (ValueError, KeyError, TypeError):
            continue
