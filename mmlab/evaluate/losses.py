"""Where right answers are lost, and why: by the data, the model or a step, and whether text or image failed.

The cause of a miss (`name_causes`): a query that exact search finds is lost by the step that lost it. Of the others,
those whose data are marked, as suspected wrong pairs, as text that was read from the image, or as odd by 01_ingest, are
put down to that mark, if such queries miss at least twice as often as those without any. What remains is the model's.

A missed pair is judged by its neighbours. An item's neighbours are the n nearest others of its own modality (not
itself). One is right if it has the same `pair_id` or the same label. With r right ones among the neighbours, and a
the number that there could be (all right others, n at most), the item's modality has failed if r < a / 2: most of
what could be there is not. Where a = 0, there is nothing to judge by. `MissedQueries` lists the missed queries of one
direction with what a person judged their hits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from mmlab.evaluate.means import mean_measures, pair_numbers
from mmlab.evaluate.measures.geometry import nearest_others
from mmlab.evaluate.measures.pair_separation import nearest_right
from mmlab.evaluate.measures.qrels import append_labels, merge_qrels, read_labels, retract_labels, right_ranks
from mmlab.evaluate.resampling import mean_intervals
from mmlab.items import Vectors, check_columns, is_among
from mmlab.items.options import Whole, check_value
from mmlab.items.rankings import opposite_modality
from mmlab.items.tables import places_among

FOUND, NEVER_FOUND = "found", "never found"
NOT_STAGES = ("query_id", "outcome", "failed", "text_share", "image_share", "mark", "cause")
WRONG_PAIR, PRINTED, BY_MODEL = "suspected wrong pair", "printed text", "the model"
PRINTED_ORIGIN = "ocr"
# of the findings of 01_ingest those by which an item may be missed; duplicates are not among them
DEFECTS = ("short text", "vague caption", "blank", "dark", "blurred", "tiny", "extreme aspect")
INDEX_STEPS = ("index", "quantized")
LEAST_RATIO = 2  # of the misses of queries with a mark to those of queries without any
CAUSE_COLUMNS = ["cause", "kind", "missed", "marked", "queries", "k"]
FAILED = {(True, True): "both", (True, False): "text", (False, True): "image", (False, False): "neither"}
UNKNOWN = "unknown"
MAX_FOUND = 1000  # queries whose neighbours are compared with those of the misses
FAILURE_COLUMNS = ["failed", "value", "low", "high", "queries", "among_found", "image_unknown"]
FAILURES = ("text", "image", "both", "neither", UNKNOWN)


def explain_queries(
    stages: Mapping[str, pd.DataFrame],
    qrels: pd.DataFrame,
    by_modality: Mapping[str, Vectors],
    items: pd.DataFrame,
    k: int,
) -> pd.DataFrame:
    """Return for every query the step that lost its answer, and for the misses the modality that failed.

    `stages`: name -> rankings, see `attribute_losses`, whose columns come first: query_id, outcome, and one per stage.
    `by_modality`: see `failed_modalities`, whose columns text_share, image_share and failed follow. They are given for
    queries without a right answer in the first k of the last stage, and are missing for all others. Raises ValueError
    as these two do.

    >>> from mmlab.items import Space
    >>> items = pd.DataFrame({"item_id": ["t", "i"], "modality": ["text", "image"], "pair_id": "a", "label": None})
    >>> space = Space("clip", "1", "", "", "", 1)
    >>> vectors = {"text": Vectors(["t"], [[1]], space), "image": Vectors(["i"], [[1]], space)}
    >>> found = pd.DataFrame({"query_id": ["t"], "item_id": ["i"], "rank": [1], "score": [1.0]})
    >>> qrels = pd.DataFrame({"query_id": ["t"], "item_id": ["i"], "relevance": [1]})
    >>> explained = explain_queries({"exact": found, "index": found.head(0)}, qrels, vectors, items, k=1)
    >>> explained[["outcome", "failed"]].to_numpy().tolist()
    [['lost by index', 'unknown']]
    """
    losses = attribute_losses(stages, qrels, k)
    missed = losses.loc[~losses[list(stages)[-1]], "query_id"]
    failed = failed_modalities(by_modality, items, qrels, missed.tolist())
    return losses.merge(failed.drop(columns="item_id"), on="query_id", how="left")


def name_causes(
    explained: pd.DataFrame, qrels: pd.DataFrame, items: pd.DataFrame, wrong_pairs: pd.DataFrame
) -> pd.DataFrame:
    """Return `explained` with two more columns: `mark`, what is odd about a query's data, and `cause` of a miss.

    `wrong_pairs`: text_id and suspected, see `suspected_wrong_pairs`. A query is marked if each of its right answers
    is, by itself or by the query. cause is "lost by <stage>", a mark, or "the model"; both columns are missing where
    there is none.

    >>> items = pd.DataFrame({"item_id": ["t", "i"], "origin": ["ocr", "image"], "flags": None})
    >>> explained = pd.DataFrame({"query_id": ["t"], "outcome": ["never found"], "exact": [False]})
    >>> qrels = pd.DataFrame({"query_id": ["t"], "item_id": ["i"], "relevance": [1]})
    >>> none = pd.DataFrame({"text_id": [], "suspected": []})
    >>> name_causes(explained, qrels, items, none)["cause"].tolist()
    ['printed text']
    """
    mark = explained["query_id"].map(_marks(qrels, items, wrong_pairs)).astype("str")
    missed = ~explained[_stages(explained)[-1]].astype(bool)
    usual = LEAST_RATIO * missed[mark.isna()].mean() if mark.isna().any() else 0.0
    often = missed.groupby(mark).mean()
    blamed = mark.where(mark.isin(often.index[often >= usual]))
    lost = explained["outcome"].where(explained["outcome"].str.startswith("lost by"))
    cause = lost.fillna(blamed).fillna(BY_MODEL).where(missed)
    return explained.assign(mark=mark, cause=cause.astype("str"))


def _marks(qrels: pd.DataFrame, items: pd.DataFrame, wrong_pairs: pd.DataFrame) -> pd.Series:
    """Return the mark of each query whose right answers are all marked, by query_id."""
    known = items.set_index("item_id")
    flags = known["flags"].astype("str").fillna("").str.split(", ")
    own = pd.Series(np.nan, known.index, dtype="str")
    for defect in reversed(DEFECTS):
        own = own.mask(flags.map(lambda found, defect=defect: defect in found).astype(bool), defect)
    own = own.mask((known["origin"] == PRINTED_ORIGIN).fillna(False), PRINTED)
    suspected = wrong_pairs.loc[wrong_pairs["suspected"].astype(bool), "text_id"] if len(wrong_pairs) else []
    own = own.mask(is_among(known.index, suspected), WRONG_PAIR)
    order = {name: place for place, name in enumerate((WRONG_PAIR, PRINTED, *DEFECTS))}
    right = qrels[qrels["relevance"] > 0]
    places = pd.concat([right[name].map(own).map(order) for name in ("query_id", "item_id")], axis="columns")
    first = places.min(axis="columns").groupby(right["query_id"], sort=False).agg(["min", "count", "size"])
    whole = first.loc[first["count"] == first["size"], "min"].astype(int)
    return whole.map(dict(enumerate(order)))


def count_causes(explained: pd.DataFrame, k: int) -> pd.DataFrame:
    """Count the causes of `name_causes`, the data first: cause, kind, missed, marked, queries, k.

    kind is "data", "model", "index" or "later step"; missed are the queries without a right answer among the first
    `k`, marked all queries with this mark (missing where it is none), queries all.
    """
    missed, marked = (explained[name].value_counts() for name in ("cause", "mark"))
    rows = [
        (cause, _kind(cause), int(number), marked.get(cause), len(explained), k)
        for cause, number in missed.items()
    ]
    kinds = ("data", "model", "index", "later step")
    return pd.DataFrame(sorted(rows, key=lambda row: kinds.index(row[1])), columns=CAUSE_COLUMNS)


def _kind(cause: str) -> str:
    if not cause.startswith("lost by "):
        return "model" if cause == BY_MODEL else "data"
    return "index" if cause.removeprefix("lost by ") in INDEX_STEPS else "later step"


def attribute_losses(stages: Mapping[str, pd.DataFrame], qrels: pd.DataFrame, k: int) -> pd.DataFrame:
    """Attribute every query to one step: query_id, outcome, and per stage whether a right answer is in the first k.

    `stages`: name -> rankings, each made from the one before: exact search first, then e.g. the index, the quantized
    index, the fused result, and last the answer. Ties count against it. The outcome depends on the first and the last:

    - found by both: "found"
    - found by the first only: "lost by <stage>", the last stage that turned found into not found
    - found by the last only: "gained by <stage>", the last stage that turned not found into found
    - found by neither: "never found", an error of the model

    Raises ValueError without a stage and for k under 1.
    """
    if not stages or k < 1:
        raise ValueError(f"expected one stage or more and k >= 1, found {list(stages)} and k={k}")
    found = {name: _found(rankings, qrels, k) for name, rankings in stages.items()}
    names, hits = list(stages), np.column_stack([column.to_numpy() for column in found.values()])
    first, last, before, after = hits[:, 0], hits[:, -1], hits[:, :-1], hits[:, 1:]
    outcome = np.where(first, FOUND, NEVER_FOUND).astype(object)
    for change, queries, changed in (
        ("lost", first & ~last, before & ~after),
        ("gained", ~first & last, ~before & after),
    ):
        if not queries.any():
            continue
        stage = changed.shape[1] - changed[:, ::-1].argmax(axis=1)
        outcome[queries] = [f"{change} by {names[number]}" for number in stage[queries]]
    table = {"query_id": next(iter(found.values())).index, "outcome": outcome}
    return pd.DataFrame({**table, **{name: column.to_numpy() for name, column in found.items()}})


def losses_by_stage(losses: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """Count the outcomes of `attribute_losses`: outcome, queries, share, low, high (95%, by pair).

    The queries add up to all; without any there are no rows. Order: found, then for each stage what it gained and lost
    (a stage that did neither has 0 losses), then never found.
    """
    outcomes = [FOUND]
    for _, stage in pairwise(_stages(losses)):
        gained, lost = f"gained by {stage}", f"lost by {stage}"
        outcomes += [gained, lost] if (losses["outcome"] == gained).any() else [lost]
    outcomes.append(NEVER_FOUND)
    if losses.empty:
        return pd.DataFrame(columns=["outcome", "queries", "share", "low", "high"])
    values = np.column_stack([losses["outcome"] == outcome for outcome in outcomes]).astype(float)
    low, high = mean_intervals(values, pair_numbers(losses["query_id"], items)).T
    counts = {"outcome": outcomes, "queries": values.sum(axis=0).astype(int)}
    return pd.DataFrame({**counts, "share": values.mean(axis=0), "low": low, "high": high})


def loss_changes(losses: pd.DataFrame) -> pd.DataFrame:
    """Return the way down from all queries to those found in the end: step, queries (each change, signed).

    The first row counts all queries. Then come the causes of what no step finds, where `name_causes` has named them,
    else "missed by <first stage> search"; then what each later stage loses and gains. They add up to the number that
    the last stage finds.
    """
    first, *others = _stages(losses)
    lost_by_first, never = ~losses[first].astype(bool), losses["outcome"] == NEVER_FOUND
    by_first = f"missed by {first} search"
    missed = losses["cause"].where(never) if "cause" in losses else pd.Series(by_first, losses.index)
    causes = missed.fillna(by_first)[lost_by_first].value_counts()
    rows = [("queries", len(losses)), *((str(name), -int(number)) for name, number in causes.items())]
    rows += [(by_first, 0)] if causes.empty else []
    for name in others:
        lost, gained = (
            int((losses["outcome"] == f"{change} by {name}").sum()) for change in ("lost", "gained")
        )
        rows.append((f"lost by {name}", -lost))
        rows += [(f"gained by {name}", gained)] if gained else []
    return pd.DataFrame(rows, columns=["step", "queries"])


def losses_beside(
    steps: Mapping[str, pd.DataFrame],
    parents: Mapping[str, str],
    qrels: pd.DataFrame,
    k: int,
    items: pd.DataFrame,
) -> pd.DataFrame:
    """Count what each step loses and gains of the step that it was made from: step, made_from, lost, gained, ...

    `steps`: name -> rankings; `parents`: step -> the step that it was made from. A right answer within `k` counts, of
    the queries in `qrels`: `queries` are so many, low and high the 95% interval of the share that is lost, by pair.
    """
    found = {name: _found(rankings, qrels, k) for name, rankings in steps.items()}
    rows = []
    for name, parent in parents.items():
        lost, gained = found[parent] & ~found[name], ~found[parent] & found[name]
        bounds = (np.nan, np.nan)
        if len(lost):
            (bounds,) = mean_intervals(
                lost.to_numpy(float)[:, None], pair_numbers(lost.index, items)
            ).tolist()
        rows.append((name, parent, int(lost.sum()), int(gained.sum()), len(lost), *bounds))
    return pd.DataFrame(rows, columns=["step", "made_from", "lost", "gained", "queries", "low", "high"])


def failed_modalities(
    by_modality: Mapping[str, Vectors],
    items: pd.DataFrame,
    qrels: pd.DataFrame,
    misses: Sequence[str],
    neighbours: int = 5,
) -> pd.DataFrame:
    """Return for each missed query which modality failed: query_id, item_id, text_share, image_share, failed.

    `by_modality`: "text" and "image" -> their vectors, of one space or two (`vectors_by_modality`). item_id is the
    right answer nearest to the query (in two spaces: the first). The shares are r / a of the pair's text and image,
    NaN where there is nothing to judge by. failed is "text", "image", "both", "neither" (both stand among their like:
    the two modalities do not meet), or "unknown" (one cannot be judged and the other has not failed). Queries without
    a right answer that has a vector are left out. Raises ValueError for fewer than 1 neighbours.
    """
    check_columns(items, ("item_id", "modality", "pair_id", "label"), "items")
    check_value("neighbours", neighbours, Whole(1))
    missed = qrels[is_among(qrels["query_id"], misses)]
    asked = "text" if is_among(missed["query_id"], by_modality["text"].ids).any() else "image"
    answered = opposite_modality(asked)
    pairs = nearest_right(by_modality[asked].asking(), by_modality[answered], missed)
    for modality, column in ((asked, "query_id"), (answered, "item_id")):
        ids = pairs[column].to_numpy()
        pairs[f"{modality}_share"] = _right_shares(ids, by_modality[modality], items, neighbours)
    pairs = pairs[["query_id", "item_id", "text_share", "image_share"]]
    return pairs.assign(failed=[_name(*row) for row in pairs[["text_share", "image_share"]].to_numpy()])


def failure_shares(explained: pd.DataFrame, items: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Return the share of each kind of failure among the misses, and how often the found queries look the same.

    `explained`: see `explain_queries`; `found`: `failed_modalities` of queries that were found, which says how often a
    text or an image stands among strangers where nothing is lost. Returns failed, value, low, high (95%, by pair),
    queries, among_found (share, NaN without found queries), image_unknown (share of the misses whose image has nothing
    to be judged by). One row each for text, image, both, neither and unknown; no rows without misses.
    """
    missed = explained[explained["failed"].notna()]
    if missed.empty:
        return pd.DataFrame(columns=FAILURE_COLUMNS)
    kinds = {name: (missed["failed"] == name).astype(float) for name in FAILURES}
    means = mean_measures(pd.DataFrame({"query_id": missed["query_id"], **kinds}), items)
    table = means.rename(columns={"measure": "failed"})
    table["queries"] = [int(column.sum()) for column in kinds.values()]
    table["among_found"] = [float((found["failed"] == name).mean()) for name in FAILURES]
    table["image_unknown"] = float(missed["image_share"].isna().mean())
    return table[FAILURE_COLUMNS]


def draw_found(explained: pd.DataFrame, seed: int = 0) -> list[str]:
    """Return the queries that were found, of `explain_queries`: of more than 1,000 so many, drawn by `seed`."""
    found = explained.loc[explained[_stages(explained)[-1]], "query_id"]
    return found.sample(min(len(found), MAX_FOUND), random_state=seed).tolist()


def _stages(losses: pd.DataFrame) -> list[str]:
    return [name for name in losses.columns if name not in NOT_STAGES]


def _found(rankings: pd.DataFrame, qrels: pd.DataFrame, k: int) -> pd.Series:
    ranks = right_ranks(rankings, qrels)
    return (ranks["rank"] <= k).groupby(ranks["query_id"], sort=False).any()


def _right_shares(ids: np.ndarray, vectors: Vectors, items: pd.DataFrame, neighbours: int) -> np.ndarray:
    """Return r / a of each of `ids` among the vectors of its modality, NaN where a = 0."""
    known = items[["pair_id", "label"]].iloc[places_among(vectors.ids, items["item_id"])]
    rows = places_among(ids, vectors.ids)
    pair, label = (pd.factorize(known[name])[0] for name in ("pair_id", "label"))
    nearest, _ = nearest_others(rows, vectors.array, np.arange(len(vectors)), neighbours)
    right = _same(pair, rows[:, None], nearest) | _same(label, rows[:, None], nearest)
    both = pd.factorize(pd.Series(pair * (label.max(initial=0) + 2) + label))[0]
    size_pair, size_label, size_both = (_sizes(code)[rows] for code in (pair, label, both))
    others = np.where(label[rows] < 0, size_pair, size_pair + size_label - size_both) - 1
    possible = np.minimum(others, neighbours)
    found = (right & (nearest >= 0)).sum(axis=1)
    return np.divide(found, possible, out=np.full(len(rows), np.nan), where=possible > 0)


def _same(codes: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (codes[first] == codes[second]) & (codes[first] >= 0)


def _sizes(codes: np.ndarray) -> np.ndarray:
    """Return how many rows share the code of each row; a missing code (-1) counts like one of its own."""
    return np.bincount(codes + 1)[codes + 1]


def _name(text_share: float, image_share: float) -> str:
    failed = (text_share < 0.5, image_share < 0.5)  # NaN is not less
    if np.isnan([text_share, image_share]).any() and not any(failed):
        return UNKNOWN
    return FAILED[failed]


ALL_MISSES = "all misses"
RELEVANCE_WORDS = {0: "judged not relevant", 1: "judged relevant", None: "judgement taken back"}


@dataclass(frozen=True, repr=False)
class MissedQueries:
    """The missed queries of one direction, and the file of judgements about their hits.

    Attributes:
        explained: query_id and failed (text, image, both, neither, unknown; missing for a query that was found), see
            `explain_queries`.
        rankings: query_id, item_id, rank, score.
        qrels: query_id, item_id, relevance.
        labels: the file that judgements are appended to; it need not exist yet.

    >>> explained = pd.DataFrame({"query_id": ["a", "b", "c"], "failed": ["text", None, "both"]})
    >>> missed = MissedQueries(explained, pd.DataFrame(), pd.DataFrame(), Path("labels.jsonl"))
    >>> missed.query_ids(), missed.query_ids("both")
    (['a', 'c'], ['c'])
    """

    explained: pd.DataFrame
    rankings: pd.DataFrame
    qrels: pd.DataFrame
    labels: Path

    def query_ids(self, kind: str = ALL_MISSES) -> list[str]:
        """Return the missed queries in the order of `explained`; `kind`: ALL_MISSES or a value of failed."""
        missed = self.explained[self.explained["failed"].notna()]
        return (missed if kind == ALL_MISSES else missed[missed["failed"] == kind])["query_id"].tolist()

    def kinds(self) -> list[tuple[str, str]]:
        """Return the kinds that occur with their counts, as ("text failed (3)", "text"); all misses come first."""
        counts = self.explained["failed"].dropna().value_counts()
        first = (f"{ALL_MISSES} ({counts.sum()})", ALL_MISSES)
        return [first, *((f"{kind} failed ({count})", str(kind)) for kind, count in counts.items())]

    def hits(self, query_id: str, k: int = 5) -> pd.DataFrame:
        """Return the first `k` hits of a query as rankings with two more columns.

        relevant: whether the hit is right, by the qrels and the judgements over them. judged: the last relevance that a
        person gave it, <NA> where nobody did.
        """
        hits = self.rankings[self.rankings["query_id"] == query_id].nsmallest(k, "rank")
        right = self.right_answers(query_id)["item_id"]
        given = hits["item_id"].map(self._judgements(query_id).set_index("item_id")["relevance"])
        hits = hits.assign(relevant=hits["item_id"].isin(right), judged=given.astype("Int64"))
        return hits.reset_index(drop=True)

    def right_answers(self, query_id: str) -> pd.DataFrame:
        """Return the qrels of a query with the judgements over them; the qrels alone where nothing is left relevant."""
        own = self.qrels[self.qrels["query_id"] == query_id]
        merged = merge_qrels(own, self._judgements(query_id))
        right = merged[merged["relevance"] > 0]
        return own if right.empty else right

    def add_judgement(self, query_id: str, item_id: str, relevance: int | None, by: str = "") -> str:
        """Append one judgement to the file and return a sentence about it.

        `relevance`: 1, 0, or None to take back what was judged of this hit; `by`: who judged.
        """
        row = pd.DataFrame([{"query_id": query_id, "item_id": item_id, "relevance": relevance}])
        retracts = relevance is None
        version = retract_labels(self.labels, row, by) if retracts else append_labels(self.labels, row, by)
        return f"{RELEVANCE_WORDS[relevance]}: version {version} of {self.labels.name}"

    def _judgements(self, query_id: str) -> pd.DataFrame:
        """Return the last judgement of each hit of a query."""
        given = read_labels(self.labels)
        return given[given["query_id"] == query_id].drop_duplicates("item_id", keep="last")
