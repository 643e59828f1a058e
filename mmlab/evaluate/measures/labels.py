"""Relevance judged by hand: a file that is only ever appended to, one line of JSON per judgement.

Nothing is overwritten, so every earlier state can be read again: version n is the first n judgements. A line is
on the disk when `append_labels` returns; what a kill leaves of an unfinished one is passed over.
"""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from mmlab.items import QREL_COLUMNS, check_columns

LABEL_COLUMNS = (*QREL_COLUMNS, "judged", "by")  # judged: the time in UTC, ISO 8601; by: who judged
HIGHEST = 100  # grades
LONGEST = 200  # characters of an id or a name
WAIT = 60  # seconds to wait for another writer


def append_labels(path: str | Path, labels: pd.DataFrame, by: str = "") -> int:
    """Append the judgements in `labels` (query_id, item_id, relevance 0 to 100, whole) and return the new version.

    The version is the number of judgements in the file, which is made if it is not there. All rows get the time
    of now and `by`, the name of who judged. Several processes may append at once. Raises ValueError, and writes
    nothing, if a relevance is no whole number in 0 to 100 or an id is empty or longer than 200 characters.
    """
    from filelock import FileLock

    path = Path(path)
    lines = b"".join(_line(row, by) for row in _checked(labels, by).itertuples(index=False))
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock", timeout=WAIT), open(path, "a+b") as file:
        if file.tell() and not _ends_whole(path):
            lines = b"\n" + lines  # closes the line that a kill left behind
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())
        return len(read_labels(path))


def read_labels(path: str | Path, version: int | None = None) -> pd.DataFrame:
    """All judgements in the order they were made: query_id, item_id, relevance, judged, by; none without a file.

    A pair may be there several times: the last judgement holds, as `merge_qrels` has it. `version`: only the
    first so many. Raises ValueError for a version that the file has not reached.
    """
    path = Path(path)
    rows = list(_rows(path.read_bytes())) if path.is_file() else []
    if version is not None and not 0 <= version <= len(rows):
        raise ValueError(f"{path.name} has {len(rows)} judgements, version {version} is not among them")
    table = pd.DataFrame(rows[:version], columns=list(LABEL_COLUMNS))
    text = {name: "str" for name in LABEL_COLUMNS if name != "relevance"}
    return table.astype({**text, "relevance": "int64"})


def labels_between(labels: pd.DataFrame, items: pd.DataFrame, queries: str, gallery: str) -> pd.DataFrame:
    """The judgements whose query is an item of modality `queries` and whose answer is one of `gallery`."""
    modality = items.set_index("item_id")["modality"]
    asked, answered = labels["query_id"].map(modality), labels["item_id"].map(modality)
    return labels[(asked == queries) & (answered == gallery)].reset_index(drop=True)


def _checked(labels: pd.DataFrame, by: str) -> pd.DataFrame:
    table = check_columns(labels, QREL_COLUMNS, "labels")[list(QREL_COLUMNS)]
    grades = pd.to_numeric(table["relevance"], errors="coerce")
    wrong = ~(grades.between(0, HIGHEST) & (grades % 1 == 0))
    if wrong.any():
        found = table.loc[wrong, "relevance"].iloc[0]
        raise ValueError(f"labels: a relevance is a whole number in 0 to {HIGHEST}, found {found}")
    for name in [*table["query_id"], *table["item_id"]]:
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST:
            raise ValueError(f"labels: an id has 1 to {LONGEST} characters, found {str(name)[:40]!r}")
    if len(by) > LONGEST:
        raise ValueError(f"labels: by has at most {LONGEST} characters, found {len(by)}")
    return table.assign(relevance=grades.astype(int))


def _line(row: tuple, by: str) -> bytes:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    record = dict(zip(LABEL_COLUMNS, (*row, now, by), strict=True))
    return (json.dumps(record) + "\n").encode("ascii")


def _ends_whole(path: Path) -> bool:
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _rows(content: bytes) -> Iterator[list]:
    """The values of each whole line; a line without an end, or that is no judgement, was never acknowledged."""
    for line in content.split(b"\n")[:-1]:
        try:
            record = json.loads(line)
            yield [record[name] for name in LABEL_COLUMNS]
        except (ValueError, KeyError, TypeError):
            continue
