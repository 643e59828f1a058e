"""Which split is judged, its queries against its own items, and on which other queries something may be fitted."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from mmlab.items import MODALITIES, Vectors, check_columns, is_among
from mmlab.items.options import VALIDATION
from mmlab.items.tables import Ids, TooFew, places_among

AUTO, ALL, NO_SPLIT = "auto", "all", "none"
TEST = "test"
COMPARED_PAIRS = 2000  # whose queries are asked what stands beside the answer


@dataclass(frozen=True, eq=False)
class Split:
    """A part of the items whose queries are asked against its own items alone, and the items of all other parts.

    name: the split's, in small letters; "none" for items without one, "all" where all items are one gallery. items,
    others: tables with item_id, modality, pair_id, split.
    """

    name: str
    items: pd.DataFrame
    others: pd.DataFrame

    def __str__(self) -> str:
        """Name it in a sentence: "the test split"."""
        special = {
            ALL: "all splits" if self.items["split"].notna().any() else "all items",
            NO_SPLIT: "no split",
        }
        return special.get(self.name, f"the {self.name} split")

    @property
    def where(self) -> dict[str, Any] | None:
        """The filter of an index that lets only its items through; None where all do."""
        own, others = (
            sorted(part["split"].dropna().astype(str).unique()) for part in (self.items, self.others)
        )
        if self.others.empty:
            return None
        return {"split": {"not": others}} if self.items["split"].isna().any() else {"split": own}

    @cached_property
    def rest(self) -> "list[Split]":
        """The other splits that have a right answer, each with a gallery of its own, in the order of the items."""
        names = split_names(self.others)
        known = _answerable(self.others, names)
        everything = pd.concat([self.items, self.others])
        return [choose_split(everything, name) for name in dict.fromkeys(names) if name in known]

    @property
    def validation(self) -> "Split | None":
        """The validation split among the others, None where there is none."""
        return next((part for part in self.rest if part.name in VALIDATION), None)

    @property
    def galleries(self) -> "list[Split]":
        """What is ranked to judge here and to fit there: the split, then the validation split where that is another."""
        return [self, *([self.validation] if self.validation else [])]

    def take(self, vectors: Vectors) -> Vectors:
        """Return the vectors of its items, in their order."""
        return vectors.take(vectors.ids[is_among(vectors.ids, self.items["item_id"])])

    def of_compared_pairs(self, ids: np.ndarray, seed: int) -> np.ndarray:
        """Return those of its items (N,) that belong to 2,000 pairs drawn by `seed`; all where it has no more pairs."""
        pairs, _ = self._drawn_pairs(seed)
        if len(pairs) <= COMPARED_PAIRS:
            return ids
        drawn = pairs[:COMPARED_PAIRS]
        return ids[is_among(ids, self.items.loc[is_among(self.items["pair_id"], drawn), "item_id"])]

    def comparing(self, vectors: Vectors, seed: int) -> Vectors:
        """Return the vectors of its items that ask what stands beside the answer, see `of_compared_pairs`."""
        own = self.take(vectors)
        return own.take(self.of_compared_pairs(own.ids, seed))

    def comparing_items(self, source: str, seed: int) -> pd.DataFrame:
        """Return its items of modality `source` that ask what stands beside the answer, see `of_compared_pairs`."""
        own = self.items[self.items["modality"] == source]
        return own[is_among(own["item_id"], self.of_compared_pairs(own["item_id"].to_numpy(), seed))]

    @property
    def drawing(self) -> str:
        """Say, to end a sentence, that pairs were drawn for what stands beside the answer; "" where all of them ask."""
        most = max(part.items["pair_id"].nunique() for part in self.galleries)
        return f", of {COMPARED_PAIRS:,} pairs drawn of a split" if most > COMPARED_PAIRS else ""

    def asking(self, source: str, max_queries: int = 0, seed: int = 0) -> pd.DataFrame:
        """Return its items of modality `source` that ask: all, or where there are more than `max_queries`, those drawn.

        Pairs are drawn by `seed`, of those that hold a right answer, and all queries of a pair ask: as many pairs as
        have at most `max_queries` queries together, and one at least. Both directions draw the same pairs first.
        """
        own = self.items[self.items["modality"] == source]
        if not max_queries or len(own) <= max_queries:
            return own
        pairs, answerable = self._drawn_pairs(seed)
        place = places_among(own["pair_id"], pairs[:answerable])
        queries = np.cumsum(np.bincount(place[place >= 0], minlength=answerable))
        most = max(int(np.searchsorted(queries, max_queries, side="right")), 1)
        return own[(place >= 0) & (place < most)]

    def _drawn_pairs(self, seed: int) -> tuple[np.ndarray, int]:
        """Return all pairs in an order drawn by `seed`, those that hold a right answer first, and how many do."""
        if seed not in self._orders:
            pairs = np.random.default_rng(seed).permutation(np.sort(self.items["pair_id"].dropna().unique()))
            held = [self.items.loc[self.items["modality"] == one, "pair_id"] for one in MODALITIES]
            both = np.logical_and(*(is_among(pairs, own) for own in held))
            self._orders[seed] = np.concatenate([pairs[both], pairs[~both]]), int(both.sum())
        return self._orders[seed]

    @cached_property
    def _orders(self) -> dict[int, tuple[np.ndarray, int]]:
        """The orders of the pairs that were drawn, each once."""
        return {}

    def within(self, qrels: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of qrels whose query and answer are both its items."""
        return qrels[self._own(qrels["query_id"]) & self._own(qrels["item_id"])]

    def asked(self, rankings: pd.DataFrame) -> pd.DataFrame:
        """Return the rows whose query is one of its items, as they are where all are."""
        own = self._own(rankings["query_id"])
        return rankings if own.all() else rankings[own].reset_index(drop=True)

    def not_asked(self, rankings: pd.DataFrame) -> pd.DataFrame:
        """Return the rows whose query is none of its items."""
        return rankings[~self._own(rankings["query_id"])].reset_index(drop=True)

    def scores(self, source: str, max_queries: int = 0) -> int:
        """Return how many scores an exact search makes: queries of modality `source` times items of the other."""
        held = int((self.items["modality"] == source).sum())
        return min(held, max_queries or held) * (len(self.items) - held)

    def _own(self, ids: pd.Series) -> np.ndarray:
        return is_among(ids, self.items["item_id"])

    def outside(self, part: "Split") -> pd.DataFrame:
        """Return the items that are neither of this split nor of that `part`: such queries may be a bank for it."""
        return self.others[~is_among(self.others["item_id"], part.items["item_id"])]


def choose_split(items: pd.DataFrame, split: str = AUTO) -> Split:
    """Return the split to judge: queries and gallery.

    `split`: "auto" for test where there is one, else validation, else all; the name of a split, of which val, valid,
    validation and dev mean the same; "none" for items without one; "all" for all items as one gallery. "auto" passes
    over a split without a pair of text and image, as the photos of a hidden test. `items` has item_id, modality,
    pair_id and split. Raises ValueError for a split that no item is of, naming those that there are.

    >>> items = pd.DataFrame({"item_id": list("abcd"), "modality": ["text", "image"] * 2, "pair_id": list("ppqq"),
    ...                       "split": ["train", "train", "test", "test"]})
    >>> judged = choose_split(items)
    >>> judged.name, judged.items["item_id"].tolist(), judged.where
    ('test', ['c', 'd'], {'split': ['test']})
    """
    check_columns(items, ("item_id", "modality", "pair_id", "split"), "items")
    names = split_names(items)
    name = _name(items, names, split)
    if name == ALL:
        return Split(ALL, items, items.head(0))
    return Split(name, items[names == name], items[names != name])


def split_names(items: pd.DataFrame) -> pd.Series:
    """Return the split of each item in small letters, "none" where it has none."""
    split = items["split"].astype("object")
    return split.where(split.notna(), NO_SPLIT).astype(str).str.strip().str.lower()


def _name(items: pd.DataFrame, names: pd.Series, split: str) -> str:
    wanted = split.strip().lower()
    if wanted == AUTO:
        able = _answerable(items, names)
        return next((name for name in (TEST, *VALIDATION) if name in able), ALL)
    same = VALIDATION if wanted in VALIDATION else ()
    found = [name for name in (wanted, *same) if name == ALL or (names == name).any()]
    if not found:
        known = ", ".join(sorted(names.unique()))
        raise ValueError(f"split: expected {AUTO}, {ALL} or one of {known}; found {split!r}")
    return found[0]


def _answerable(items: pd.DataFrame, names: pd.Series) -> set[str]:
    """Return the splits in which a text and an image share a pair."""
    held = items.assign(split=names)[["split", "pair_id", "modality"]].dropna().drop_duplicates()
    both = held.groupby(["split", "pair_id"]).size() == len(MODALITIES)
    return set(both[both].index.get_level_values("split"))


@dataclass(frozen=True)
class CalibrationSplit:
    """The queries to fit on and those to evaluate on, no pair in both, and a sentence on how they were divided.

    gallery: the split whose items the fitting queries are asked against; None where that is not known.
    """

    fitting: frozenset[str]
    evaluation: frozenset[str]
    summary: str
    gallery: Split | None = field(default=None, compare=False)

    def holds(self, modality: str) -> int | None:
        """Return how many items of a modality the fitting queries can find; None where their gallery is not known."""
        return int((self.gallery.items["modality"] == modality).sum()) if self.gallery else None

    def fitting_rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the rows, of rankings or qrels, of the queries to fit on."""
        return table[is_among(table["query_id"], self.fitting)]

    def evaluation_rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the rows, of rankings or qrels, of the queries to evaluate on."""
        return table[is_among(table["query_id"], self.evaluation)]


def split_queries(judged: Split, query_ids: Ids, seed: int = 0) -> CalibrationSplit:
    """Divide queries: fit on those of the validation split in its own gallery, evaluate on those of the judged split.

    Validation is called val, valid, validation or dev. Where all items are one gallery, its validation queries are
    fitted on there and all others evaluated. Where no other query is of validation, half of the pairs that are judged,
    drawn by `seed`, serve to fit and the others to evaluate. Raises TooFew with fewer than two pairs.

    >>> items = pd.DataFrame({"item_id": list("abcd"), "modality": ["text", "image"] * 2, "pair_id": list("ppqq"),
    ...                       "split": ["validation", "validation", "test", "test"]})
    >>> split = split_queries(choose_split(items), ["a", "c"])
    >>> sorted(split.fitting), sorted(split.evaluation), split.gallery.name
    (['a'], ['c'], 'validation')
    """
    own, gallery = judged.items[is_among(judged.items["item_id"], query_ids)], judged.validation
    if gallery is not None:
        asked = gallery.items[is_among(gallery.items["item_id"], query_ids)]
        fitting = asked[~is_among(asked["pair_id"], own["pair_id"])]
        if len(fitting):
            return _divided(fitting, own, gallery, str(judged))
    known = own[split_names(own).isin(VALIDATION)] if judged.name == ALL else own.head(0)
    others = own[~is_among(own["pair_id"], known["pair_id"])]
    if len(known) and len(others):
        return _divided(known, others, judged, "all other splits")
    return _halves(own, judged, seed)


def _divided(
    fitting: pd.DataFrame, evaluation: pd.DataFrame, gallery: Split, others: str
) -> CalibrationSplit:
    fitted = f"fitted on {len(fitting):,} queries of the validation split"
    summary = f"{fitted}, evaluated on {len(evaluation):,} of {others}"
    return CalibrationSplit(frozenset(fitting["item_id"]), frozenset(evaluation["item_id"]), summary, gallery)


def _halves(own: pd.DataFrame, judged: Split, seed: int) -> CalibrationSplit:
    half = _draw_half_of_pairs(own["pair_id"].astype("str"), seed)
    summary = (
        f"not divided by a validation split: fitted on the {half.sum():,} queries of half of the pairs, "
        f"drawn by seed {seed}, evaluated on the {(~half).sum():,} of the other half"
    )
    fitting, evaluation = (frozenset(own.loc[rows, "item_id"]) for rows in (half, ~half))
    return CalibrationSplit(fitting, evaluation, summary, judged)


def _draw_half_of_pairs(pair_ids: pd.Series, seed: int) -> np.ndarray:
    pairs = np.sort(pair_ids.unique())
    if len(pairs) < 2:
        raise TooFew(f"queries: expected those of two pairs or more to divide, found {len(pairs)}")
    return is_among(pair_ids, np.random.default_rng(seed).permutation(pairs)[: len(pairs) // 2])
