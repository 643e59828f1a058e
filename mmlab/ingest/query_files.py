"""Queries of the user's own, and judgements of what answers them, read from the usual formats into two plain tables.

The formats: tables (csv, tsv, JSON Lines, Parquet, Excel), also one that holds queries and judgements; click logs; the
folders of BEIR; topics and judgements of TREC; and retrieval data sets of MTEB as the package `datasets` saves them.
"""

import hashlib
import html
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
import pandas as pd

from mmlab.ingest.dataset_files import is_given, list_given, reading, walk_files
from mmlab.ingest.findings_cache import Blobs
from mmlab.ingest.images.find import is_address, normalize_name
from mmlab.ingest.sources.cells import (
    MALFORMED,
    Row,
    as_numbers,
    image_of,
    malformed_row,
    string_array,
    to_plain,
    to_text,
    typed_array,
)
from mmlab.ingest.sources.column_names import MAX_COLUMNS, normalized, shortened, unique_names
from mmlab.ingest.sources.kinds import SUFFIXES, TABLES, split_of
from mmlab.ingest.sources.packed_tables import SAVED_FILES
from mmlab.ingest.sources.records import Table
from mmlab.ingest.sources.text_files import open_text, plain_suffix, read_text, replace_surrogates
from mmlab.ingest.sources.text_tables import open_delimited
from mmlab.items import is_among
from mmlab.items.sentences import listed

# The usual names of columns in the order of preference, as `normalized` writes them.
OWN_IDS = ("query_id", "queryid", "qid", "topic_id", "topic_number")
QUERY_IDS = (*OWN_IDS, "id", "topic", "number", "num")
TEXTS = (
    "query_text", "query", "search_term", "search_terms", "search_query", "keywords", "text", "question", "term",
    "phrase", "utterance", "title", "caption", "q",
)  # fmt: skip
OWN_IMAGES = ("query_image", "query_image_path", "image_query", "reference_image", "reference")
QUERY_IMAGES = (
    *OWN_IMAGES, "image", "image_path", "image_file", "image_name", "img", "photo", "file_name", "filename",
    "file_path", "filepath", "path", "file", "image_url", "image_id",
)  # fmt: skip
ITEM_NAMES = (
    "item_id", "item", "corpus_id", "doc_id", "docid", "docno", "document_id", "doc", "document", "passage_id", "pid",
    "product_id", "product", "article_id", "sku", "asin", "text_id", "caption_id", "target", "answer",
)  # fmt: skip
IMAGE_ITEMS = (
    "pair_id", "image_id", "image", "image_path", "image_name", "image_file", "file_name", "filename", "img", "photo",
    "image_url", "target_image",
)  # fmt: skip
ITEMS = (*ITEM_NAMES, *IMAGE_ITEMS)
PLAIN_RELEVANCES = (
    "relevance",
    "rel",
    "grade",
    "judgement",
    "judgment",
    "relevance_label",
    "relevance_score",
)
RELEVANCES = (*PLAIN_RELEVANCES, "score", "rating", "gain", "label")
IMPRESSIONS = ("impressions", "impression", "views", "shown", "exposures", "displays")
CLICKS = ("clicks", "clicked", "click", "click_count", "num_clicks", "n_clicks")
QUERY_PARTS, QREL_PARTS = (
    {"queries", "query", "topics", "topic"},
    {"qrels", "qrel", "judgements", "judgments"},
)
MTEB_QRELS = (
    "default",
    "data",
)  # folders of the judgements of an MTEB data set that have no name of their own
SPLIT_ORDER = (
    "test",
    "validation",
    "valid",
    "val",
    "dev",
    "train",
)  # of judgements: those of one split are read

TOPIC = re.compile(r"<top(?:ic)?\b([^<>]{0,500})>", re.IGNORECASE)
TOPIC_FIELD = re.compile(r"<(/?)(\w{1,20})[^<>]{0,200}>")
TOPIC_LABEL = re.compile(r"\s*(?:number|topic|description)\s*:", re.IGNORECASE)
TOPIC_NUMBER = re.compile(r"""(?:number|id)\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE)
TOPIC_TEXTS = ("title", "query", "desc", "question")
WHOLE_NUMBER = re.compile(r"-?\d+(?:\.0*)?")
TREC_FIELDS = 4  # topic, iteration, document, relevance
LINES_LOOKED_AT = 20
MAX_TOPIC_BYTES = 50_000_000
MAX_LINE_CHARS = 100_000  # of TREC
MAX_NAME_CHARS = 1000  # of an image
MAX_ROWS = 20_000_000  # of all tables together

MIN_IMPRESSIONS = 10  # of an item for a query; of fewer, clicks say nothing
GRADE_BOUNDS = (0.5, 1.0, 2.0)  # of the clicks over the expected clicks, from which the grade is 1, 2 and 3

QUERY, JUDGEMENT = "query", "judgement"
FINDING_COLUMNS = ("what", "file", "row", "query_id", "name", "reason", "detail", "kept")
FEW_SHOWN, NO_CLICKS, NO_COUNTS = "shown too rarely", "query without clicks", "no counts"


class QueryFiles(NamedTuple):
    """What the files say, as written; one line per row of a table.

    queries: query_id (made from the content where the table has none), text and image ("" for none), file (absolute
        path of the image where its bytes came inside or it lies beside the table, else missing), table, row (from 1
        below the header), listed (whether the row holds a query only), then the user's columns.
    judgements: query (an id, or a text), name, relevance (text), column (the one that held the name), table, row.
    findings: the rows that could not be used, see FINDING_COLUMNS.
    notes: what was chosen or guessed, in sentences.
    """

    queries: pd.DataFrame
    judgements: pd.DataFrame
    findings: pd.DataFrame
    notes: list[str]


def read_query_files(
    queries: Path, qrels: Path | None, blobs: Blobs, columns: Iterable[str] = ()
) -> QueryFiles:
    """Read a file or folder of queries and, where these are in another place, one of judgements.

    columns: the names of the dataset's columns, by which a table of judgements may name items.
    Images lie where the table of the queries says, in its folder or below. Of judgements in several splits those of
    test are read, else of validation. Of a folder that holds both, the queries are those that are judged, as BEIR's
    own reader has it.

    Raise ValueError where a file cannot be read as a whole, or a column is missing, with the columns that were found.
    """
    reader = _Reader(blobs, {normalized(name) for name in columns}, joined=qrels is None)
    with reading(queries):
        place, inside = _parts(queries)
        reader.joined &= inside is None
        reader.read_queries(place)
        if qrels is None and inside is not None:
            reader.read_qrels(inside)
    if qrels is not None:
        with reading(qrels):
            reader.read_qrels(_parts(qrels)[1] or qrels)
    return reader.result(of_folder=qrels is None and inside is not None)


def _parts(path: Path) -> tuple[Path, Path | None]:
    """Return the file or folder of the queries and that of the judgements in a folder, by their names.

    What is no such folder holds queries only: the path itself, and None.
    """
    entries = list_given(path) if path.is_dir() else []
    words = {entry: set(normalized(entry.name.partition(".")[0]).split("_")) for entry in entries}
    queries = [entry for entry in entries if words[entry] & QUERY_PARTS and not words[entry] & QREL_PARTS]
    qrels = [entry for entry in entries if words[entry] & QREL_PARTS]
    if not qrels and any("corpus" in some for some in words.values()):
        qrels = [entry for entry in entries if entry.is_dir() and entry.name in MTEB_QRELS]
    for what, found in (("queries", queries), ("qrels", qrels)):
        if len(found) > 1:
            raise ValueError(
                f"{path}: expected one file or folder of {what}, found {shortened([one.name for one in found])}: "
                "name the one to be read"
            )
    return queries[0] if queries else path, qrels[0] if qrels else None


@dataclass
class _Rows:
    """A table that was read whole: its cells by the names of the columns, and the number of each row."""

    name: str
    folder: Path
    cells: dict[str, list[Any]]
    rows: list[int]
    split: str | None = None

    def column(self, wanted: Iterable[str], taken: Iterable[str | None] = ()) -> str | None:
        """Return the first of the columns that has one of the names; None where none has."""
        known = {normalized(name): name for name in reversed(self.cells) if name not in set(taken)}
        return next((known[name] for name in wanted if name in known), None)

    def texts(self, name: str | None) -> pd.api.extensions.ExtensionArray:
        """Return the cells of a column as text, "" for those that are empty."""
        if name is None:
            return string_array([""] * len(self.rows))
        cells = self.cells[name]
        return string_array([cell.strip() if isinstance(cell, str) else _text_of(cell) for cell in cells])

    def missing(self, what: str, usual: Sequence[str]) -> ValueError:
        """Return an error for a table without a column that it needs."""
        return ValueError(
            f"{self.name}: expected a column of {what} ({', '.join(usual)}, ...), found "
            f"{shortened(list(self.cells))}: rename one"
        )


def _text_of(cell: Any) -> str:
    plain = to_plain(cell)
    return to_text(int(plain) if isinstance(plain, float) and plain.is_integer() else plain) or ""


@dataclass
class _Reader:
    """Collects what the tables of one reading say.

    own: the columns of the dataset, normalized. joined: whether a table of queries may hold judgements too.
    """

    blobs: Blobs
    own: set[str]
    joined: bool
    queries: list[pd.DataFrame] = field(default_factory=list)
    judgements: list[pd.DataFrame] = field(default_factory=list)
    findings: list[pd.DataFrame] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    count: int = 0

    def result(self, of_folder: bool) -> QueryFiles:
        """Return all that was read; of a folder that holds both parts, the judged queries only."""
        queries = pd.concat(self.queries, ignore_index=True)
        judgements = pd.concat([no_judgements(), *self.judgements], ignore_index=True)
        if of_folder and len(judgements):
            is_judged = is_among(queries["query_id"], judgements["query"])
            if not is_judged.all():
                self.notes.append(f"{(~is_judged).sum():,} queries that no judgement names were left out")
            queries = queries[is_judged].reset_index(drop=True)
        for name in queries.columns[len(QUERY_FIELDS) :]:
            queries[name] = as_numbers(queries[name])
        return QueryFiles(queries, judgements, join_findings(self.findings), self.notes)

    def read_queries(self, path: Path) -> None:
        """Read all tables of queries at a path."""
        for rows in self._tables(path, QUERY):
            self._add_queries(rows)

    def read_qrels(self, path: Path) -> None:
        """Read the tables of judgements at a path: those of one split where it has several."""
        for rows in self._tables(path, JUDGEMENT):
            self._add_judgements(rows)

    def _tables(self, path: Path, what: str) -> list[_Rows]:
        """Return the tables at a path: a file, a folder of files, or a data set that `datasets` saved."""
        if not path.is_dir():
            return [self._whole(_open(path), path.name, path.parent, what)]
        if any((path / name).is_file() for name in SAVED_FILES):
            whole = self._whole(TABLES["huggingface"](path), path.name, path, what)
            tables = _by_split(whole) if "split" in whole.cells else [whole]
            split = self._split({rows.split for rows in tables}) if what == JUDGEMENT else None
            return [rows for rows in tables if split in (None, rows.split)]
        names = [name for name in walk_files(path).names if plain_suffix(Path(name)) in SUFFIXES]
        names = [name for name in names if is_given(path / name)]
        if not names:
            raise ValueError(f"{path}: expected tables ({', '.join(SUFFIXES)}), found none")
        split = self._split(set(map(split_of, names))) if what == JUDGEMENT else None
        names = [name for name in names if split in (None, split_of(name))]
        return [
            self._whole(_open(path / name), f"{path.name}/{name}", (path / name).parent, what)
            for name in names
        ]

    def _split(self, splits: set[str | None]) -> str | None:
        """Return the split of the judgements that are read; None for all."""
        if len(splits) < 2:
            return None
        known = [str(one) for one in splits if one]
        chosen = next((one for one in SPLIT_ORDER if one in known), min(known))
        others = listed(sorted(set(known) - {chosen}))
        self.notes.append(
            f"the judgements are those of the split {chosen}" + f", not of {others}" * bool(others)
        )
        return chosen

    def _whole(self, table: Table, name: str, folder: Path, what: str) -> _Rows:
        """Return all records of a table that can be read; the others become findings."""
        names = unique_names(table.names)
        if len(names) > MAX_COLUMNS:
            raise ValueError(f"{name}: expected at most {MAX_COLUMNS} columns, found {len(names)}")
        kept, rows, broken = [], [], []
        for number, cells in enumerate(table.records, 1):
            self.count += 1
            if self.count > MAX_ROWS:
                raise ValueError(
                    f"{name}: expected at most {MAX_ROWS:,} rows, found more: give a part of them"
                )
            fitted = cells if isinstance(cells, Row) else _fitted(cells, len(names), table.delimiter)
            if isinstance(fitted, Row):
                broken.append((name, number, fitted.caption, fitted.detail))
            else:
                kept.append(fitted)
                rows.append(number)
        lost = pd.DataFrame(broken, columns=["table", "row", "name", "detail"])
        lost["name"], lost["detail"] = string_array([*lost["name"]]), string_array([*lost["detail"]])
        self.findings.append(to_findings(lost, what, MALFORMED, lost["detail"]))
        columns = map(list, zip(*kept, strict=True)) if kept else ([] for _ in names)
        return _Rows(name, folder, dict(zip(names, columns, strict=True)), rows)

    def _add_queries(self, rows: _Rows) -> None:
        """Add the queries of a table and, where it holds them, their judgements."""
        judging = self._judging_columns(rows) if self.joined else set()
        query_id = rows.column(OWN_IDS if judging else QUERY_IDS, judging)
        text = rows.column(TEXTS, {query_id, *judging})
        image = rows.column(OWN_IMAGES if judging else QUERY_IMAGES, {query_id, text, *judging})
        if text is None and image is None:
            raise rows.missing("the queries", [*TEXTS[:4], *QUERY_IMAGES[:1], "image"])
        queries = self._query_frame(rows, query_id, text, image).assign(listed=not judging)
        taken = {query_id, text, image, *judging}
        own = {name: cells for name, cells in rows.cells.items() if name not in taken and _is_plain(cells)}
        if judging:
            own = _of_the_query(own, queries["query_id"])
            self._add_judgements(rows, queries["query_id"])
        groups = {
            name: typed_array([to_plain(cell) for cell in cells])
            for name, cells in zip(_free_names(own), own.values(), strict=True)
        }
        self.queries.append(queries[list(QUERY_FIELDS)].assign(**groups))

    def _judging_columns(self, rows: _Rows) -> set[str]:
        """Return the columns of the judgements in a table of queries; none where it holds no judgements."""
        counts = [rows.column(IMPRESSIONS), rows.column(CLICKS)]
        plain, usual = rows.column(PLAIN_RELEVANCES), rows.column(RELEVANCES)
        ours = [rows.column(OWN_IDS), rows.column(TEXTS), usual, *counts]
        item = rows.column(ITEM_NAMES, ours)
        if item is None and (plain or None not in counts):
            item = self._item_column(rows, ours)
        if item is None or (usual is None and None in counts):
            return set()
        return {name for name in (item, plain or usual, *counts) if name}

    def _query_frame(
        self, rows: _Rows, query_id: str | None, text: str | None, image: str | None
    ) -> pd.DataFrame:
        images = [self._image(cell, rows.folder) for cell in rows.cells[image]] if image else []
        names, files = [name for name, _ in images], [file for _, file in images]
        frame = pd.DataFrame({"query_id": rows.texts(query_id), "text": rows.texts(text)})
        frame["image"] = string_array(names) if image else rows.texts(None)
        frame["file"] = string_array(files if image else [None] * len(frame))
        shown = frame["image"].where(frame["image"] != "", frame["file"].fillna(""))
        content = frame["text"] + "\x1f" + shown
        missing = frame["query_id"] == ""
        frame.loc[missing, "query_id"] = content[missing].map(_made_id)
        return frame.assign(table=rows.name, row=np.array(rows.rows, dtype=np.int64))

    def _image(self, cell: Any, folder: Path) -> tuple[str, str | None]:
        """Return the name of a query's image and its file, None where it is not inside or beside the table."""
        if cell is None or cell == "" or cell != cell:
            return "", None
        try:
            name, content = image_of(cell)
        except ValueError:
            return _text_of(cell)[:MAX_NAME_CHARS], None
        if content is not None:
            return name, str(self.blobs.put(content))
        name = normalize_name(name)[:MAX_NAME_CHARS]
        path = os.path.join(folder, name)
        here = name and "\0" not in name and not is_address(name) and is_given(path) and os.path.isfile(path)
        return name, os.path.realpath(path) if here else None

    def _item_column(self, rows: _Rows, taken: Iterable[str | None]) -> str | None:
        """Return the column that names what is judged: by a usual name, else by that of a column of the dataset."""
        own = (normalized(name) for name in rows.cells if normalized(name) in self.own)
        return rows.column((*ITEMS, *own), taken)

    def _add_judgements(self, rows: _Rows, ids: pd.Series | None = None) -> None:
        """Add the judgements of a table; `ids` are those of its queries where it holds these too."""
        query = rows.column((*OWN_IDS, "query", "topic", *TEXTS)) if ids is None else None
        relevance, shown, clicks = map(rows.column, (RELEVANCES, IMPRESSIONS, CLICKS))
        item = self._item_column(rows, [query, rows.column(TEXTS), relevance, shown, clicks])
        if query is None and ids is None:
            raise rows.missing("the judgements' queries", ("query_id", "query"))
        if item is None:
            raise rows.missing("what is judged", ("item_id", "image", "product_id"))
        frame = pd.DataFrame({"query": rows.texts(query) if ids is None else ids, "name": rows.texts(item)})
        frame = frame.assign(
            column=replace_surrogates(item), table=rows.name, row=np.array(rows.rows, dtype=np.int64)
        )
        if relevance is None and shown is not None and clicks is not None:
            log = frame.assign(impressions=rows.texts(shown), clicks=rows.texts(clicks))
            frame, findings = grade_clicks(log)
            self.findings.append(findings)
            self.notes.append(f"{rows.name}: relevance is graded by clicks over expected clicks, 0 to 3")
        else:
            frame["relevance"] = pd.Series(
                rows.texts(relevance) if relevance else "1", frame.index, dtype="str"
            )
        if relevance is None and clicks is None:
            self.notes.append(f"{rows.name} has no column of relevance: each of its rows counts as 1")
        self.judgements.append(frame[list(JUDGEMENT_FIELDS)])


def _fitted(cells: Sequence[Any], width: int, delimiter: str) -> Sequence[Any] | Row:
    """Return as many cells as there are columns; a malformed row where there are more that hold something."""
    if len(cells) > width and any(cells[width:]):
        text = delimiter.join(map(str, cells))
        return malformed_row(text, f"expected {width} fields, found {len(cells)}")
    return [*cells, *[None] * (width - len(cells))] if len(cells) < width else cells[:width]


QUERY_FIELDS = ("query_id", "text", "image", "file", "table", "row", "listed")
JUDGEMENT_FIELDS = ("query", "name", "relevance", "column", "table", "row")


def no_judgements() -> pd.DataFrame:
    """Return a table of judgements without rows."""
    return pd.DataFrame(
        {name: pd.Series(dtype="int64" if name == "row" else "str") for name in JUDGEMENT_FIELDS}
    )


def to_findings(
    rows: pd.DataFrame, what: str, reason: str, detail: "str | pd.Series" = "", kept: bool = False
) -> pd.DataFrame:
    """Return findings for rows with table and row and, where they have them, query_id and name."""
    rows = rows.rename(columns={"table": "file"}).assign(what=what, reason=reason, detail=detail, kept=kept)
    texts = dict.fromkeys(("what", "file", "query_id", "name", "reason", "detail"), "str")
    return rows.reindex(columns=list(FINDING_COLUMNS)).astype({**texts, "row": "int64", "kept": "bool"})


def join_findings(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return all findings in one table, in their order."""
    empty = to_findings(pd.DataFrame({"table": [], "row": []}), "", "")
    return pd.concat([empty, *(part for part in parts if len(part))], ignore_index=True)


def grade_clicks(log: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return judgements for a click log, and findings on what of it is none.

    log: query, name, impressions, clicks (text, whole numbers, as in a table), table, row; what is logged for a query
    and an item in several rows is added up.

    The grade is that of the clicks over the expected clicks: an item that was shown n times is expected to get n times
    the click-through rate r of its query, of all its impressions. One click is added to both, so that few clicks say
    little: (clicks + 1) / (n r + 1). From 0.5 the grade is 1, from 1 it is 2, from 2 it is 3; below, and where nobody
    clicked, it is 0. An item shown fewer than 10 times for a query is not judged, nor is anything for a query without
    clicks. Positions are not known here, so what was shown on top is graded too high where it often was: let them
    change, or judge a sample by hand. Sources: Zhang and Jones, Comparing Click Logs and Editorial Labels for Training
    Query Rewriting, WWW 2007 Workshop on Query Log Analysis (clicks over expected clicks); Gao et al., Smoothing
    Clickthrough Data for Web Search Ranking, SIGIR 2009.

    >>> log = pd.DataFrame({"query": "mug", "name": ["a", "b", "c"], "impressions": ["100"] * 3,
    ...     "clicks": ["20", "10", "0"], "column": "item", "table": "log.csv", "row": [1, 2, 3]})
    >>> grade_clicks(log)[0]["relevance"].tolist()  # 10 clicks are expected: 21/11, 11/11, none
    ['2', '2', '0']
    """
    counts = log[["impressions", "clicks"]].apply(pd.to_numeric, errors="coerce")
    right = (counts % 1 == 0).all(axis=1) & counts["clicks"].between(0, counts["impressions"])
    wrong = log[~right].rename(columns={"query": "query_id"})
    detail = "expected 0 <= clicks <= impressions, found " + wrong["clicks"] + " and " + wrong["impressions"]
    rest = log[right].assign(**counts[right])
    keys = ["query", "name"]
    firsts = rest.groupby(keys, sort=False, as_index=False).agg(
        dict.fromkeys(("column", "table", "row"), "first") | dict.fromkeys(("impressions", "clicks"), "sum")
    )
    totals = firsts.groupby("query")[["clicks", "impressions"]].transform("sum")
    expected = firsts["impressions"] * totals["clicks"] / totals["impressions"].clip(lower=1)
    ratio = (firsts["clicks"] + 1) / (expected + 1)
    grades = np.where(firsts["clicks"] > 0, np.searchsorted(GRADE_BOUNDS, ratio, side="right"), 0)
    silent, rare = totals["clicks"] == 0, firsts["impressions"] < MIN_IMPRESSIONS
    shown = firsts.assign(relevance=pd.Series(grades, firsts.index).astype("str"))
    named = shown.rename(columns={"query": "query_id"})
    few = f"expected at least {MIN_IMPRESSIONS} impressions, found " + named["impressions"].astype(
        "int64"
    ).astype("str")
    findings = join_findings([
        to_findings(wrong, JUDGEMENT, NO_COUNTS, detail),
        to_findings(named[silent], JUDGEMENT, NO_CLICKS),
        to_findings(named[rare & ~silent], JUDGEMENT, FEW_SHOWN, few[rare & ~silent]),
    ])  # fmt: skip
    return shown[~silent & ~rare], findings


def _made_id(content: str) -> str:
    return "q" + hashlib.sha256(content.encode(errors="replace")).hexdigest()[:12]


def _is_plain(cells: Sequence[Any]) -> bool:
    """Return whether a column holds words or numbers, so that it can group queries."""
    return not any(isinstance(cell, dict | list | bytes) for cell in cells)


def _free_names(names: Iterable[str]) -> list[str]:
    """Return the names of the user's columns, with "source_" before those of ours and those in use."""
    used, free = {*QUERY_FIELDS}, list[str]()
    for name in map(replace_surrogates, names):
        while name in used:
            name = f"source_{name}"
        used.add(name)
        free.append(name)
    return free


def _of_the_query(own: Mapping[str, list[Any]], ids: pd.Series) -> dict[str, list[Any]]:
    """Return the columns that say one thing of each query, of a table with a row for each judgement."""
    kept = {}
    for name, cells in own.items():
        values = pd.DataFrame({"query": ids, "value": [_text_of(cell) for cell in cells]}).drop_duplicates()
        if values["query"].is_unique:
            kept[name] = cells
    return kept


def _by_split(rows: _Rows) -> list[_Rows]:
    """Return a table for each of the splits that its column `split` names, without this column."""
    splits = rows.texts("split")
    tables = []
    for split in dict.fromkeys(splits):
        places = [place for place, one in enumerate(splits) if one == split]
        cells = {
            name: [column[place] for place in places]
            for name, column in rows.cells.items()
            if name != "split"
        }
        numbers = [rows.rows[place] for place in places]
        tables.append(_Rows(rows.name, rows.folder, cells, numbers, split or None))
    return tables


def _open(path: Path) -> Table:
    """Open a table, topics or judgements of TREC, by what the name and the first lines say."""
    kind = SUFFIXES.get(plain_suffix(path), "text")
    if kind in ("webdataset", "pdf"):
        raise ValueError(
            f"{path}: expected a table of queries or judgements, found a file of the kind {kind}"
        )
    if kind in ("csv", "tsv", "text"):
        return _open_trec(path) or open_delimited(path)
    return (_open_single(path) if kind == "jsonl" else None) or TABLES[kind](path)


def _open_single(path: Path) -> Table | None:
    """Open JSON Lines of one entry, which by itself may be an object of many; None for any other file."""
    with open_text(path) as file:
        lines = [line for line in islice(_lines(file), LINES_LOOKED_AT) if line.strip()]
    try:
        entry = json.loads(lines[0]) if len(lines) == 1 else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or not {*QUERY_IDS, *TEXTS} & set(map(normalized, entry)):
        return None
    return Table(list(entry), iter([list(entry.values())]))


def _open_trec(path: Path) -> Table | None:
    """Open topics or judgements of TREC; None for a file that is neither."""
    with open_text(path) as file:
        head = [line for line in islice(_lines(file), LINES_LOOKED_AT) if line.strip()]
    if any(map(TOPIC.search, head)):
        return Table(["query_id", "text"], _topics(path))
    fields = [_trec_fields(line) for line in head]
    if head and all(len(cells) == TREC_FIELDS and WHOLE_NUMBER.fullmatch(cells[-1]) for cells in fields):
        return Table(["query_id", "iteration", "docno", "relevance"], _trec_rows(path, TREC_FIELDS))
    known = {*QUERY_IDS, *TEXTS, *QUERY_IMAGES, *ITEMS, *RELEVANCES}
    pairs = [line.split("\t") for line in head]
    if head and all(len(cells) == 2 for cells in pairs) and not known & set(map(normalized, pairs[0])):
        return Table(["query_id", "text"], _trec_rows(path, 2))
    return None


def _lines(file: TextIO) -> Iterator[str]:
    while line := file.readline(MAX_LINE_CHARS):
        yield line


def _trec_fields(line: str) -> list[str]:
    line = line.strip().removeprefix("\ufeff")
    return [cell.strip() for cell in line.split("\t")] if "\t" in line else line.split()


def _trec_rows(path: Path, width: int) -> Iterator[list[str] | Row]:
    with open_text(path) as file:
        for line in _lines(file):
            cells = _trec_fields(line)
            if cells and len(cells) != width:
                yield malformed_row(line, f"expected {width} fields, found {len(cells)}")
            elif cells:
                yield cells


def _topics(path: Path) -> Iterator[list[str] | Row]:
    """Yield number and text of each topic: its title, else its description; narratives are left out."""
    parts = TOPIC.split(read_text(path, MAX_TOPIC_BYTES))[1:]
    for attributes, body in zip(parts[::2], parts[1::2], strict=True):
        body = re.split("</top", body, maxsplit=1, flags=re.IGNORECASE)[0]
        pieces = TOPIC_FIELD.split(body)
        found: dict[str, str] = {}
        for slash, tag, content in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True):
            words = " ".join(TOPIC_LABEL.sub("", html.unescape(content), count=1).split())
            if not slash and words:
                found.setdefault(tag.lower(), words)
        named = TOPIC_NUMBER.search(attributes)
        number = found.get("num") or (named[1] if named else "")
        text = next((found[tag] for tag in TOPIC_TEXTS if tag in found), "")
        yield (
            [number, text] if number else malformed_row(body, "expected the number of the topic, found none")
        )
