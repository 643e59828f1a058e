"""BM25: the words of texts as sparse vectors, by the tokenizer of Qdrant Edge, and queries that ask by their words.

The weight of a term in a document is tf (k1 + 1) / (tf + k1 (1 - b + b length / mean length)); the index multiplies it
by ln(1 + (N - n + 0.5) / (n + 0.5)), the rarity of a term that n of N documents have (Robertson and Zaragoza, The
Probabilistic Relevance Framework, 2009). One document holds the texts of a pair and its columns of words: it stands for
each of its images and texts.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
import pandas as pd

from mmlab.index.store.payload import KEYWORD, TEXT, payload_fields
from mmlab.items import Space
from mmlab.items.parameter_table import check_values
from mmlab.items.ragged_vectors import SparseVectors
from mmlab.items.tables import TooFew
from mmlab.items.vectors import RARITY, TERM_WEIGHTS

if TYPE_CHECKING:
    from qdrant_edge import Bm25
    from scipy.sparse import csr_matrix

BM25 = "bm25"
K1, B = 1.2, 0.75
NO_LANGUAGE = "none"
LENGTH_DIGITS = 1  # of the mean length: one more text does not make another space of all
COUNTING_K1 = 1e6  # with it and b = 0 the weight of a term is how often it occurs
NO_WORDS = ("modality", "pair_id", "image", "split", "origin", "content", "flags", "duplicate_of", "text")


@dataclass(frozen=True)
class WordSettings:
    """How BM25 reads words.

    language: of the stop words and of the stemmer, as "english"; "none" for neither. stop_words, stemming: whether the
    language's are used. k1, b: how soon a term's repetitions count no more, and how much long documents are held back.

    Raises ValueError for an unknown language.

    >>> WordSettings(language="german").stemming
    True
    """

    language: str = "english"
    stop_words: bool = True
    stemming: bool = True
    k1: float = K1
    b: float = B

    def __post_init__(self) -> None:
        check_values(
            bm25_language=self.language, bm25_stop_words=self.stop_words, bm25_stemming=self.stemming
        )


class TermCounts(NamedTuple):
    """How often each term occurs in each text, csr (N, T), and the engine's index of each of the T terms."""

    counts: "csr_matrix"
    terms: np.ndarray

    @classmethod
    def of(cls, tokenizer: "Bm25", texts: Iterable[str]) -> Self:
        """Count the terms of texts."""
        found = [tokenizer.embed_document(text) for text in texts]
        indices = [one.indices for one in found]
        values = np.array([value for one in found for value in one.values], dtype=np.float32).round()
        offsets = np.concatenate([[0], np.cumsum([len(one) for one in indices], dtype=np.int64)])
        terms, columns = np.unique(
            np.array([i for one in indices for i in one], dtype=np.uint32), return_inverse=True
        )
        return cls(_matrix((values, columns, offsets), shape=(len(found), len(terms))), terms)

    def take(self, rows: np.ndarray | slice) -> Self:
        """Return the counts of some of the texts."""
        return self._replace(counts=self.counts[rows])

    def vectors(self, ids: Sequence[str] | np.ndarray, weights: np.ndarray, space: Space) -> SparseVectors:
        """Return the terms of each text with these weights, in the order of the counts."""
        indices = self.terms[self.counts.indices]
        return SparseVectors(
            np.asarray(ids, dtype=str), self.counts.indptr, space, indices=indices, weights=weights
        )


@dataclass(frozen=True)
class WordModel:
    """Texts as weighted terms, in the space of BM25 over documents of this mean length; see `word_vectors`.

    Example: `model.ask(["q"], ["a red mug"])` are the terms of one query, each of weight 1.
    """

    settings: WordSettings
    mean_length: float

    modalities = ("text",)
    device = "cpu"
    tells_queries_apart = True

    @cached_property
    def space(self) -> Space:
        """The space of these terms, which keeps the settings and the documents' mean length."""
        kept = json.dumps({**asdict(self.settings), "mean_length": self.mean_length}, sort_keys=True)
        return Space(BM25, "", f"{TERM_WEIGHTS}, {RARITY}", "", kept, 0)

    @classmethod
    def of(cls, space: Space) -> Self:
        """Return the model of a space that another one made."""
        kept = json.loads(space.preprocessing)
        return cls(
            WordSettings(**{name: value for name, value in kept.items() if name != "mean_length"}),
            kept["mean_length"],
        )

    def ask(self, ids: Sequence[str], texts: Iterable[str]) -> SparseVectors:
        """Return the different terms of each text, each of weight 1."""
        return self.queries(ids, TermCounts.of(_tokenizer(self.settings), texts))

    def queries(self, ids: Sequence[str] | np.ndarray, counted: TermCounts) -> SparseVectors:
        """Return the terms that were counted as queries have them, each of weight 1."""
        return counted.vectors(ids, np.ones_like(counted.counts.data), self.space)

    def documents(self, ids: Sequence[str] | np.ndarray, counted: TermCounts) -> SparseVectors:
        """Return the terms that were counted as documents have them."""
        counted.counts.eliminate_zeros()
        counts, k1, b = counted.counts, self.settings.k1, self.settings.b
        lengths = np.asarray(counts.sum(axis=1)).ravel()
        held_back = np.repeat(k1 * (1 - b + b * lengths / self.mean_length), np.diff(counts.indptr))
        return counted.vectors(ids, counts.data * (k1 + 1) / (counts.data + held_back), self.space)


def word_vectors(items: pd.DataFrame, settings: WordSettings | None = None) -> SparseVectors:
    """Return the words of each item's pair as a document, and the texts among the items as queries.

    A document holds the texts of the pair, and its label and the dataset's own columns of words, each value once. Items
    without a pair stand for themselves, and one without words has no terms.

    Raises TooFew where no item has a word.

    >>> items = pd.DataFrame({"item_id": ["a", "b"], "pair_id": "p", "modality": ["text", "image"]})
    >>> found = word_vectors(items.assign(text=["red mugs", None]))
    >>> found.queries.ids.tolist(), found.offsets.tolist()
    (['a'], [0, 2, 4])
    """
    settings = settings or WordSettings()
    words = _PairWords.of(items, _tokenizer(settings))
    mean_length = round(float(words.whole.counts.sum() / max(words.whole.counts.shape[0], 1)), LENGTH_DIGITS)
    if not mean_length:
        raise TooFew(
            "bm25: no item has a word to be found by; give texts, or leave bm25 out of the retrievers"
        )
    model = WordModel(settings, mean_length)
    is_text = (items["modality"] == "text").to_numpy()
    ids = items["item_id"].to_numpy(dtype=str)
    return replace(
        model.documents(ids, words.whole.take(words.pair)),
        queries=model.queries(ids[is_text], words.texts),
        bare=model.documents(ids, words.columns.take(words.pair)),
        own=model.documents(ids[is_text], words.without(is_text)),
    )


class _PairWords(NamedTuple):
    """The words of each pair's columns, all words of each pair, and those of each text; `pair` of each item."""

    columns: TermCounts
    whole: TermCounts
    texts: TermCounts
    pair: np.ndarray

    @classmethod
    def of(cls, items: pd.DataFrame, tokenizer: "Bm25") -> Self:
        """Count the words of the pairs of these items."""
        pair, names = pd.factorize(items["pair_id"].fillna(items["item_id"]))
        is_text = (items["modality"] == "text").to_numpy()
        said = items.loc[is_text, "text"].fillna("").tolist()
        counted = TermCounts.of(tokenizer, [*said, *_noted(items, pair, len(names))])
        texts, columns = counted.take(slice(len(said))), counted.take(slice(len(said), None))
        ones = np.ones(len(said), dtype=np.float32)
        belongs = _matrix((ones, (pair[is_text], np.arange(len(said)))), (len(names), len(said)))
        return cls(columns, columns._replace(counts=columns.counts + belongs @ texts.counts), texts, pair)

    def without(self, is_text: np.ndarray) -> TermCounts:
        """Return for each text the words of its pair without its own."""
        return self.whole._replace(counts=self.whole.counts[self.pair[is_text]] - self.texts.counts)


def system_name(space: Space) -> str:
    """Return what a system of this space is called: by its key, "bm25" without what tells two apart."""
    return BM25 if space.model == BM25 else space.key


def word_columns(items: pd.DataFrame) -> list[str]:
    """Return the label and the dataset's own columns of words: what is said of an item beside its texts.

    >>> word_columns(pd.DataFrame({"item_id": ["a"], "label": ["mug"], "price": [3.5], "image": ["a.jpg"]}))
    ['label']
    """
    return [
        name
        for name, kind in payload_fields(items).items()
        if kind in (KEYWORD, TEXT) and name not in NO_WORDS
    ]


def _tokenizer(settings: WordSettings) -> "Bm25":
    """Return the engine's tokenizer, whose weights are counts."""
    from qdrant_edge import Bm25, Bm25Config, DisabledStemmer, StopwordsSet

    plain = settings.language == NO_LANGUAGE
    stop_words = StopwordsSet(set(), set()) if plain or not settings.stop_words else None
    stemmer = DisabledStemmer() if plain or not settings.stemming else None
    language = None if plain else settings.language
    return Bm25(
        Bm25Config(
            k=COUNTING_K1, b=0.0, avg_len=1.0, language=language, stopwords=stop_words, stemmer=stemmer
        )
    )


def _noted(items: pd.DataFrame, pair: np.ndarray, pairs: int) -> list[str]:
    """Return the different values of the columns of words of each pair, each once, a line each."""
    values = [pd.DataFrame({"pair": pair, "words": items[name]}).dropna() for name in word_columns(items)]
    words = (
        pd.concat([pd.DataFrame({"pair": [], "words": []}), *values])
        .astype({"words": "str"})
        .drop_duplicates()
    )
    return words.groupby("pair")["words"].agg("\n".join).reindex(range(pairs), fill_value="").tolist()


def _matrix(parts: tuple, shape: tuple[int, int]) -> "csr_matrix":
    """Return a sparse matrix of its values and places."""
    from scipy.sparse import csr_matrix

    return csr_matrix(parts, shape=shape)
