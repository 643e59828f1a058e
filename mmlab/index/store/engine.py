"""What mmlab needs from an engine that keeps points: ids, rows and plain dicts; and the rankings made from its hits.

Shapes: N points, Q queries, D dimensions. `Store` is the same in terms of items and vectors.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice
from operator import gt
from typing import Any, NamedTuple, Protocol, Self, TypedDict, Unpack, cast
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.api.internals import create_dataframe_from_blocks

from mmlab.index.store.payload import FLOAT, INTEGER, KEYWORD, Condition, Conditions, Value
from mmlab.index.store.schema import Schema
from mmlab.items import RANKING_COLUMNS
from mmlab.items.options import Whole, check_value
from mmlab.items.parameter_table import check_values
from mmlab.items.ragged_vectors import AnyVectors, Terms, TokenVectors

TEXT = pd.StringDtype(na_value=np.nan)  # the dtype "str", which takes longer by its name
COLUMNS = pd.Index(RANKING_COLUMNS)
COLUMN_NUMBERS = np.arange(len(COLUMNS))[:, None]
MAX_SPELT_IDS = 1 << 17
# A walk through the graph loses its way where a filter lets few points through: where a tenth of 100,000 x 512 have a
# label, it found 0.75 of the ten nearest, where a sixth have it 0.87. A part smaller than this share is scanned.
SCANNED_SHARE = 0.2


FoundPoints = Sequence[Any]  # by one query, best first; each has id, score and payload


@lru_cache(MAX_SPELT_IDS)
def _spell(number: int) -> str:
    """Return a point's id as text: 1.4 µs, or 0.06 µs for an id that an earlier query found too."""
    return str(UUID(int=number))


class Found:
    """What queries found in an index: its number of hits, and all of them as a table.

    The table is made when it is first read, which takes as long as the engine's search itself; ids become text then.
    """

    def __init__(self, hits: int, make_table: Callable[[], pd.DataFrame]) -> None:
        self._hits, self._make_table = hits, make_table

    @classmethod
    def of_table(cls, table: pd.DataFrame) -> Self:
        """Return what was found as a table already."""
        return cls(len(table), lambda: table)

    def __len__(self) -> int:
        return self._hits

    def __repr__(self) -> str:
        return f"Found({self._hits:,} hits)"

    @cached_property
    def table(self) -> pd.DataFrame:
        """query_id, item_id, rank from 1, score (float32); queries in their order, the best hits first."""
        return self._make_table()


def points_to_rankings(
    query_ids: np.ndarray, found: Sequence[FoundPoints], part: str, in_order: bool = False
) -> pd.DataFrame:
    """Return query_id, item_id, rank from 1 and score (float32); queries keep their order, equal scores go by id.

    found: the points of each query. part: see `Search`. `in_order`: rank the points as they come, not by their score.
    The table is put together from its blocks: 0.14 ms for one query, where the usual constructor takes 0.45 ms, as long
    as the engine needs for the search.
    """
    read = [(_item_ids(points, part), [point.score for point in points]) for points in found]
    read = read if in_order else [_sort_hits(*one) for one in read]
    lengths = np.array([len(ids) for ids, _ in read], dtype=np.int64)
    ends = lengths.cumsum()
    columns = (
        _text_array(np.repeat(query_ids, lengths).tolist()),
        _text_array([item for ids, _ in read for item in ids]),
        (np.arange(1, lengths.sum() + 1) - np.repeat(ends - lengths, lengths))[None],
        np.array([[score for _, scores in read for score in scores]], dtype=np.float32),
    )
    blocks = list(zip(columns, COLUMN_NUMBERS, strict=True))
    return create_dataframe_from_blocks(blocks, index=pd.RangeIndex(int(lengths.sum())), columns=COLUMNS)


def _item_ids(points: FoundPoints, part: str) -> list[str]:
    """Return the id of each item as text, which takes as long as a search."""
    if part:
        return [point.payload[part]["item_id"] for point in points]
    ids = [point.id for point in points]
    return ids if not ids or isinstance(ids[0], str) else [_spell(one.int) for one in ids]


def _sort_hits(ids: list[str], scores: list[float]) -> tuple[list[str], list[float]]:
    """Sort by score, then id: engines sort by score alone, and mostly no two scores are equal."""
    if all(map(gt, scores, islice(scores, 1, None))):
        return ids, scores
    order = sorted(range(len(ids)), key=lambda i: (-scores[i], ids[i]))
    return [ids[i] for i in order], [scores[i] for i in order]


def _text_array(values: list[str]) -> pd.arrays.ArrowStringArray:
    return pd.arrays.ArrowStringArray(pa.array(values, type=pa.large_string()), dtype=TEXT)


class FilterTerms(NamedTuple):
    """The classes of one of Qdrant's libraries that make a filter; `boolean` makes a value of a truth value."""

    all_of: Callable[..., Any]
    field: Callable[..., Any]
    any_value: Callable[..., Any]
    one_value: Callable[..., Any]
    between: Callable[..., Any]
    boolean: Callable[[Any], Any] = bool


def translate_filter(conditions: Conditions, terms: FilterTerms) -> Any:
    """Return the filter that lets through what meets all conditions, in the terms of a library; None for all points."""
    if not conditions:
        return None
    required = [_translate(one, terms) for one in conditions if not one.negated]
    excluded = [_translate(one, terms) for one in conditions if one.negated]
    return terms.all_of(must=required or None, must_not=excluded or None)


def _translate(condition: Condition, terms: FilterTerms) -> Any:
    path, values = condition.path, condition.values
    if condition.bounds:
        return terms.field(key=path, range=terms.between(**dict(condition.bounds)))
    if condition.kind in (KEYWORD, INTEGER):
        return terms.field(key=path, match=terms.any_value(any=list(values)))
    if condition.kind == FLOAT:  # Qdrant matches no floats
        fields = [terms.field(key=path, range=terms.between(gte=value, lte=value)) for value in values]
    else:
        matches = [terms.one_value(value=terms.boolean(value)) for value in values]
        fields = [terms.field(key=path, match=match) for match in matches]
    return terms.all_of(should=fields)


MAX_FACET_VALUES = 1_000_000  # of a field that are counted
MIN_CANDIDATES, CANDIDATES_PER_HIT, MAX_CANDIDATES = 100, 4, 16_384  # of MMR; Qdrant takes no more

Payload = dict[str, Any]  # values by field; in the named layout such a dict by modality
OneVector = np.ndarray | list[float] | list[list[float]] | Terms  # a row, rows of tokens, weighted terms
Row = np.ndarray | list[float] | dict[str, OneVector]  # a point's vector, or its vectors by name
Counts = dict[Value, int]  # points by value of a field
Record = tuple[str, Payload, Row | None]  # id, payload, and the vectors if they were asked for
WholeRecord = tuple[str, Payload, Row]


BEST_SCORE, SUM_SCORES, FEEDBACK = "best_score", "sum_scores", "feedback"  # scores by examples
DISCOVER, CONTEXT = "discover", "context"  # by pairs of examples


@dataclass(frozen=True)
class Examples:
    """Examples that are wanted and unwanted, rows of D numbers, and the score by them that the engine computes.

    Below, w and u are the cosines of a point to a wanted and an unwanted example, q that to the query, and
    s(x) = x / (1 + |x|).

    best_score: (1 + s(w)) / 2 for the highest w, the query being one of the wanted, where it is above the highest u;
    else -(1 + s(u)) / 2. sum_scores: q + the sum of all w - the sum of all u.
    feedback: q + weight (mean of w - mean of u). Qdrant computes a q + the sum of (difference of marks)^b c (w - u)
    over all pairs of a better and a worse example; here the marks are 1 and 0, a = b = 1 and c = weight / pairs.
    discover and context: the i-th wanted and the i-th unwanted example are a pair. discover: the number of pairs with
    w > u, less that with w < u, + (1 + s(q)) / 2. context: the sum of s(min(w - u, 0)) over the pairs, without q.
    """

    score: str
    wanted: list[list[float]]
    unwanted: list[list[float]]
    weight: float = 0.5

    @property
    def pairs(self) -> list[tuple[list[float], list[float]]]:
        """The i-th wanted with the i-th unwanted."""
        return list(zip(self.wanted, self.unwanted, strict=True))

    @property
    def marked(self) -> list[tuple[list[float], float]]:
        """All examples with their marks, 1 where they are wanted, else 0."""
        return [(row, 1.0) for row in self.wanted] + [(row, 0.0) for row in self.unwanted]

    @property
    def pair_weight(self) -> float:
        """The coefficient c of a pair of a wanted and an unwanted example in the feedback's score."""
        return self.weight / max(len(self.wanted) * len(self.unwanted), 1)


class SearchOptions(TypedDict, total=False):
    """Settings of a search that a caller may choose; the schema's hold for those that are None or left out.

    exact: scan all vectors. ef: candidates of a walk through the graph. quantized: compare the quantized copies first.
    rescore, oversampling: rank `oversampling` times k candidates by the vectors themselves. diversity: MMR, from 0
    (the nearest) to 1 (the most different). examples: what the engine scores by beside the query. boost: the weights of
    fields whose values are added to the score of the candidates.
    """

    exact: bool
    ef: int | None
    quantized: bool
    rescore: bool | None
    oversampling: float | None
    diversity: float | None
    examples: Examples | None
    boost: Mapping[str, float] | None


@dataclass(frozen=True)
class Search:
    """How points are searched: what every engine understands.

    The fields are those of `SearchOptions` and these. k: hits per query. vector: the name of the vector that is
    compared, "" for the one without. first: the name of the pooled vectors by which a first stage finds candidates for
    MaxSim, "" for one stage. part: in the named layout the modality whose item_id is the id of a hit.
    candidates: what MMR chooses from, what a first stage finds, and what is boosted. boost: here the fields are paths.
    """

    k: int
    ef: int
    vector: str = ""
    first: str = ""
    part: str = ""
    exact: bool = False
    quantized: bool = True
    rescore: bool | None = None
    oversampling: float | None = None
    diversity: float | None = None
    candidates: int = MIN_CANDIDATES
    examples: Examples | None = None
    boost: Mapping[str, float] | None = None

    @classmethod
    def from_options(
        cls, schema: Schema, k: int, vector: str, part: str, **options: Unpack[SearchOptions]
    ) -> Self:
        """Return the search with the schema's settings for those left out; ValueError if k or ef is below 1."""
        check_value("k", k, Whole(1))
        check_values(ef=options.get("ef"))
        quantization = schema.quantization
        defaults: dict[str, Any] = {"ef": schema.hnsw.ef}
        if quantization:
            defaults |= {"rescore": quantization.rescore, "oversampling": quantization.oversampling}
        chosen: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
        if "diversity" in chosen and (options.get("examples") or options.get("boost")):
            raise ValueError(
                "diversity orders what is nearest to the query: leave it out, or the examples and the boost"
            )
        candidates = min(max(MIN_CANDIDATES, CANDIDATES_PER_HIT * k), MAX_CANDIDATES)
        candidates = max(candidates, k) if options.get("boost") else candidates
        return cls(k=k, vector=vector, part=part, candidates=candidates, **(defaults | chosen))


def asked_rows(queries: AnyVectors, part: slice, first: bool) -> list[tuple[OneVector, np.ndarray | None]]:
    """Return the queries of a part, each with the row of its first stage, None without one."""
    rows = queries.rows(part)
    if not first:
        return [(row, None) for row in rows]
    numbers = np.arange(len(queries))[part]
    pooled = cast("TokenVectors", queries).at(numbers, queries.ids[numbers]).pooled()
    return list(zip(rows, pooled.rows(np.arange(len(numbers))), strict=True))


@dataclass(frozen=True)
class FusedSearch:
    """Several searches of one collection, each of one query, and how their hits become one answer in the engine.

    fusion: "rrf", by 1 / (rrf_k + rank), or "dbsf"; all searches count alike. k: hits of the answer.
    """

    searches: tuple[tuple[AnyVectors, Search], ...]
    fusion: str
    rrf_k: int
    k: int

    @property
    def part(self) -> str:
        """The modality whose item_id is the id of a hit, "" where a point is an item."""
        return self.searches[0][1].part


class NoCollection(LookupError):
    """The store has no collection of this name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"no collection {name!r}; the store has {list(known)}. Build it with 03_index first")


class Engine(Protocol):
    """Points in named collections at one place. Every method but `collections` may rely on an open session.

    ignores_settings: whether it scans, whatever a schema says of graph
    and quantization. shared: whether others may keep collections there as well.
    """

    ignores_settings: bool
    shared: bool

    @property
    def place(self) -> str:
        """Where the points lie, and which engine keeps them."""

    def session(self, search: bool = False) -> AbstractContextManager[None]:
        """Keep collections open until the block ends; sessions may be nested.

        search: nothing is done but a search, which may miss that somebody else just replaced the collections.
        """

    def close(self) -> None:
        """Give back what is kept open between sessions; do nothing while one is open."""

    def collections(self) -> list[str]:
        """Return the names of the collections, sorted."""

    def create(self, name: str, schema: Schema, indexes: Mapping[str, str]) -> None:
        """Make an empty collection with payload indexes, given as {path: kind}.

        If it exists with this schema, add what a create that was killed has left out.
        """

    def drop(self, name: str) -> None:
        """Remove a collection that exists."""

    def schema(self, name: str) -> Schema:
        """Return the schema stored with the collection; raise NoCollection, WrongSchema or DamagedCollection."""

    def check(self, name: str) -> None:
        """Raise NoCollection, WrongSchema, or DamagedCollection if a file is not as it was built, or does not load."""

    def scans_few(self, name: str) -> bool:
        """Return whether it scans by itself where a filter lets few points of a collection through.

        Where there are several segments each decides for its own points, of which there may be many in one of them.
        """

    def count(self, name: str, conditions: Conditions = (), exact: bool = True) -> int:
        """Return the number of points that meet all conditions; unless `exact`, an estimate by the payload indexes."""

    def facet(self, name: str, path: str, conditions: Conditions) -> Counts:
        """Return the exact number of points with each value of an indexed path, of those that meet all conditions."""

    def upsert(self, name: str, batches: Iterable[list[WholeRecord]], sent: Callable[[int], object]) -> float:
        """Add or replace points, a batch after the other, or several at a time.

        sent: called with the number of points of each batch once they survive the death of this process. Returns the
        seconds that it took to build the graphs of parts of the collection in between.
        """

    def delete(self, name: str, ids: Sequence[str]) -> None:
        """Remove points; unknown ids are ignored."""

    def build(self, name: str, progress: bool = False) -> None:
        """Build the HNSW graph over all points and return when it is there; `progress` shows a bar if it can."""

    def info(self, name: str) -> dict[str, Any]:
        """Return points, indexed_vectors, segments and disk_bytes (None if the engine does not tell)."""

    def resident_bytes(self, name: str, rows: np.ndarray, search: Search) -> int | None:
        """Return the memory a fresh process needs to open a collection and search the rows; None if unknown."""

    def search(
        self, name: str, queries: AnyVectors, conditions: Conditions, search: Search
    ) -> list[FoundPoints]:
        """Return the up to `k` nearest points to each of the queries, in their order, best first."""

    def search_fused(self, name: str, conditions: Conditions, search: FusedSearch) -> FoundPoints:
        """Return the hits of several searches as one answer, by one request."""

    def payloads(self, name: str, ids: Sequence[str]) -> dict[str, Payload]:
        """Return the payloads by id, without the ids that do not exist."""

    def rows(self, name: str, ids: Sequence[str]) -> dict[str, Row]:
        """Return the vectors by id, without the ids that do not exist."""

    def scroll(
        self, name: str, conditions: Conditions, fields: list[str] | None = None, vectors: bool = False
    ) -> Iterator[Record]:
        """Yield all points that meet the conditions in the order of their ids, with all fields or those named."""

    def scroll_common(self, name: str, fields: list[str]) -> Iterator[Record]:
        """Yield all points as `scroll` does, but of a cluster only those that all copies of a shard hold alike."""

    def count_by_copies(self, name: str) -> tuple[int, int]:
        """Return how many points the copies with the fewest and with the most hold; twice the count without copies."""
