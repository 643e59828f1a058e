"""Queries that are known: what answers an item of the collection, rankings and questions that were saved."""

import base64
import io
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mmlab.items import RANKING_COLUMNS, check_columns, is_among, open_image
from mmlab.items.parameter_table import COUNT
from mmlab.retrieve.query.rerank import Match
from mmlab.retrieve.query.search import CalibrationsBySystem, search
from mmlab.retrieve.query.spec import Query, SearchResult, modality_of
from mmlab.retrieve.query.systems import Searcher, System

MAX_NAME_CHARS = 100  # of a saved question
LOCK_TIMEOUT_S = 10
QUESTION_COLUMNS = ("name", "saved_at", "question", "rank", "item_id", "score", "relevance")
PARTS = ("plus", "minus")  # fields of a query that hold texts and images


class RightAnswers(NamedTuple):
    """The item_ids that answer a query, and in words what makes them right."""

    item_ids: list[str]
    meaning: str


def find_right_answers(items: pd.DataFrame, query: Query) -> RightAnswers | None:
    """Return what answers a query of the collection; None where it is nobody's, or more than one part asks.

    Between texts and images, the items of its pair are right. Among images, those with its label; among texts, those of
    its pair: without the query itself, and None where there is no other. A text is known by its words.
    """
    known = own_items(items, query)
    if known.empty or len(query.contents) != 1 or query.examples:
        return None
    same_pair = is_among(items["pair_id"], known["pair_id"])
    if query.source != query.to:
        return RightAnswers(_ids(items, query.to, same_pair), f"{query.to}s of its own pair")
    right, meaning = same_pair, "the other texts of its pair"
    if query.to == "image":
        label = known["label"].iloc[0]
        right, meaning = items["label"] == label, f"the other images of label “{label}”"
    answers = _ids(items, query.to, right & ~is_among(items["item_id"], known["item_id"]))
    return RightAnswers(answers, meaning) if answers else None


def own_items(items: pd.DataFrame, query: Query) -> pd.DataFrame:
    """Return the items that the query is itself: the image of this path, or the texts of these words.

    Where examples ask alone, these are the items of the examples.
    """
    own = np.zeros(len(items), dtype=bool)
    for content in query.contents or query.examples:
        if len(query.contents) < 2 and isinstance(content, str | Path):
            own |= (items[modality_of(content)] == str(content)).to_numpy(dtype=bool)
    return items[own]


def search_known(
    systems: "Searcher | Mapping[str, Searcher | System]",
    items: pd.DataFrame,
    query: Query,
    calibrations: CalibrationsBySystem | None = None,
    match: Match | None = None,
) -> SearchResult:
    """Answer a query as `search` does, and leave the query itself out where it is one of the items that are found.

    A query for more items than there are finds them all. Where so many items are the query itself that no search goes
    as deep, there may be fewer.
    """
    held = int((items["modality"] == query.to).sum())
    own = own_items(items, query)
    own_ids = own.loc[own["modality"] == query.to, "item_id"]
    asked = replace(query, k=min(query.k + len(own_ids), COUNT.most)).limited_to(held)
    result = search(systems, asked, calibrations, match)
    others = result.table[~is_among(result.table["item_id"], own_ids)].head(query.k).reset_index(drop=True)
    return replace(result, table=others.assign(rank=range(1, len(others) + 1)))


def _ids(items: pd.DataFrame, modality: str, wanted: pd.Series) -> list[str]:
    ids: list[str] = items.loc[(items["modality"] == modality) & wanted, "item_id"].tolist()
    return ids


def add_pair_columns(hits: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """Add `pair_image`, the path of the pair's image, and `words`, the pair's first text or its label, to hits."""
    near = items[is_among(items["pair_id"], hits["pair_id"])]
    images = near[near["modality"] == "image"].drop_duplicates("pair_id").set_index("pair_id")["image"]
    texts = near[near["modality"] == "text"].drop_duplicates("pair_id").set_index("pair_id")["text"]
    words = hits["text"].astype(object)
    for fallback in (hits["pair_id"].map(texts), hits["label"], hits["pair_id"]):
        words = words.fillna(fallback)
    pair_image = hits["image"].astype(object).fillna(hits["pair_id"].map(images))
    return hits.assign(pair_image=pair_image, words=words)


@dataclass(frozen=True, repr=False)
class SavedRankings:
    """The rankings that a run saved, by direction ("text-to-image"), and its items; asked as a `Retriever` is.

    Its queries are answered again, without a model and without a store.
    """

    rankings: Mapping[str, pd.DataFrame]
    items: pd.DataFrame

    def __repr__(self) -> str:
        return f"SavedRankings({', '.join(self.rankings)})"

    def session(self) -> AbstractContextManager:
        """Return a context in which nothing is opened: there is no store."""
        return nullcontext(self)

    def count(self, to: str) -> int:
        """Return the number of items of modality `to`."""
        return int((self.items["modality"] == to).sum())

    def search(
        self,
        query: str | Path,
        to: str = "image",
        k: int = 10,
        where: Mapping[str, Any] | None = None,
        exact: bool = False,
        **settings: Any,
    ) -> SearchResult:
        """Return the first `k` of the ranking that was saved for this text or image of the collection.

        `exact` changes nothing: what was ranked is ranked. Raises ValueError for a filter and other settings, for a
        direction without rankings, and for a query that is none of theirs.
        """
        if where or settings:
            names = ", ".join([*(["filters"] if where else []), *settings])
            raise ValueError(f"saved rankings cannot be searched anew; leave out: {names}")
        direction = f"{modality_of(query)}-to-{to}"
        if direction not in self.rankings:
            raise ValueError(f"no rankings {direction} are saved; there are {', '.join(self.rankings)}")
        ranked = check_columns(self.rankings[direction], RANKING_COLUMNS, direction)
        found = ranked[ranked["query_id"] == self._query_id(query, ranked)].nsmallest(k, "rank")
        hits = found[["item_id", "rank", "score"]].merge(self.items, on="item_id")
        timings = dict.fromkeys(("embed_ms", "search_ms", "payload_ms"), 0.0)
        return SearchResult(hits, timings, method="a saved ranking")

    def _query_id(self, query: str | Path, ranked: pd.DataFrame) -> str:
        known = self.items.loc[self.items[modality_of(query)] == str(query), "item_id"]
        ranked_ones = known[is_among(known, ranked["query_id"])]
        if ranked_ones.empty:
            raise ValueError(
                f"{str(query)[:100]!r} is none of the queries that were ranked; choose one of the collection"
            )
        return ranked_ones.iloc[0]


def saved_rankings_by_run(
    rankings: Mapping[str, Mapping[str, pd.DataFrame]], items: pd.DataFrame
) -> dict[str, SavedRankings]:
    """Return each run's saved rankings by its name, from the rankings of each direction by run.

    A run need not have ranked both directions.
    """
    runs = dict.fromkeys(run for tables in rankings.values() for run in tables)
    return {
        run: SavedRankings(
            {direction: tables[run] for direction, tables in rankings.items() if run in tables}, items
        )
        for run in runs
    }


@dataclass(frozen=True)
class SavedQuestions:
    """Questions that a person saved by name with their hits, in a JSON Lines file: the last of a name holds.

    >>> SavedQuestions(Path("no-such-file.jsonl")).table.columns.tolist()
    ['name', 'saved_at', 'question', 'rank', 'item_id', 'score', 'relevance']
    """

    path: Path

    def save(
        self, name: str, query: Query, hits: pd.DataFrame, labels: Mapping[str, int] | None = None
    ) -> None:
        """Append a question: hits are rank, item_id and score, labels the relevance of some by item_id.

        An image that is no file is kept with it, as a JPEG. Raises ValueError for a name that is empty or longer than
        100 characters.
        """
        from filelock import FileLock

        if not name.strip() or len(name) > MAX_NAME_CHARS:
            raise ValueError(f"name: expected 1 to {MAX_NAME_CHARS} characters, found {len(name.strip())}")
        rows = hits[["rank", "item_id", "score"]].to_dict("records")
        given = {"name": name.strip(), "saved_at": datetime.now(UTC).isoformat(timespec="seconds")}
        line = json.dumps(
            {**given, "query": query_to_json(query), "hits": rows, "labels": dict(labels or {})}
        )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with (
            FileLock(f"{self.path}.lock", timeout=LOCK_TIMEOUT_S),
            self.path.open("a", encoding="utf-8") as file,
        ):
            file.write(line + "\n")

    def queries(self) -> dict[str, Query]:
        """Return the saved queries by name, the newest first."""
        return {name: query_from_json(row["query"]) for name, row in self._rows().items()}

    @property
    def table(self) -> pd.DataFrame:
        """A row for each hit of each question: name, saved_at, question, rank, item_id, score, relevance."""
        rows = [
            {"name": name, "saved_at": row["saved_at"], "question": query_from_json(row["query"]).describe()}
            | {**hit, "relevance": row["labels"].get(hit["item_id"])}
            for name, row in self._rows().items()
            for hit in row["hits"]
        ]
        return pd.DataFrame(rows, columns=list(QUESTION_COLUMNS))

    def _rows(self) -> dict[str, dict[str, Any]]:
        """Return the last line of each name, the newest first. Raises ValueError for a line that cannot be read."""
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.is_file() else []
        found: dict[str, dict[str, Any]] = {}
        for number, line in reversed(list(enumerate(lines, 1))):
            try:
                row = json.loads(line)
                found.setdefault(str(row["name"]), row)
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{self.path.name}, line {number}: no saved question; remove the line"
                ) from error
        return found


def query_to_json(query: Query) -> dict[str, Any]:
    """Return a query as JSON has it, images that are no file as JPEG in base64."""
    plain = query.to_dict() | {name: [_part_to_json(part) for part in getattr(query, name)] for name in PARTS}
    plain["context"] = [[_part_to_json(part) for part in pair] for pair in query.context]
    image = None if query.image is None else _part_to_json(query.image)
    return {**plain, "image": image, "image_name": query.image_name}


def query_from_json(row: Mapping[str, Any]) -> Query:
    """Return the query that `query_to_json` wrote; fields that are unknown are left out.

    >>> query_from_json(query_to_json(Query(text="a mug", image=Path("a.jpg"), minus=("blue",)))).minus
    ('blue',)
    """
    names = {item.name for item in fields(Query)}
    known: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in row.items()
        if name in names
    }
    known |= {name: tuple(_part_from_json(part) for part in row[name]) for name in PARTS}
    known["context"] = tuple(tuple(map(_part_from_json, pair)) for pair in row.get("context", ()))
    image = row["image"]
    known["image"] = None if image is None else _part_from_json(image)
    return Query(**known)


def _part_to_json(part: Any) -> dict[str, str]:
    if isinstance(part, str | Path):
        return {modality_of(part): str(part)}
    buffer = io.BytesIO()
    part.save(buffer, "JPEG", quality=92)
    return {"jpeg": base64.b64encode(buffer.getvalue()).decode()}


def _part_from_json(part: Mapping[str, str]) -> Any:
    if "jpeg" in part:
        return open_image(io.BytesIO(base64.b64decode(part["jpeg"])))
    return part["text"] if "text" in part else Path(part["image"])
