"""BM25: the words of texts as sparse vectors, by the tokenizer of Qdrant Edge, and queries that ask by their words.

The weight of a term in a document is tf (k1 + 1) / (tf + k1 (1 - b + b length / mean length)); the index multiplies it by
ln(1 + (N - n + 0.5) / (n + 0.5)), the rarity of a term that n of N documents have (Robertson and Zaragoza, The
Probabilistic Relevance Framework, 2009). One document holds the texts of a pair and its columns of words: it stands for
each of its images and texts.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd

from mmlab.index.store.payload import KEYWORD, TEXT, payload_fields
from mmlab.items import Space, is_among
from mmlab.items.parameter_table import check_values
from mmlab.items.ragged_vectors import SparseVectors
from mmlab.items.vectors import RARITY, TERM_WEIGHTS

if TYPE_CHECKING:
    from qdrant_edge import Bm25

BM25 = "bm25"
K1, B = 1.2, 0.75
NO_LANGUAGE = "none"
LENGTH_DIGITS = 1  # of the mean length: one more text does not make another space of all
COUNTING_K1 = 1e6  # with it and b = 0 the weight of a term is how often it occurs
NO_WORDS = ("modality", "pair_id", "image", "split", "origin", "content", "flags", "duplicate_of", "text")


COUNTS = Space(BM25, "", TERM_WEIGHTS, "", "counts", 0)  # of terms that are not weighted yet


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
        check_values(bm25_language=self.language, bm25_stop_words=self.stop_words, bm25_stemming=self.stemming)


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
        """The space of these terms: what is told apart by it is the settings and the documents' mean length."""
        told = json.dumps({**asdict(self.settings), "mean_length": self.mean_length}, sort_keys=True)
        return Space(BM25, "", f"{TERM_WEIGHTS}, {RARITY}", "", told, 0)

    @classmethod
    def of(cls, space: Space) -> Self:
        """Return the model of a space that another one made."""
        told = json.loads(space.preprocessing)
        return cls(WordSettings(**{name: value for name, value in told.items() if name != "mean_length"}), told["mean_length"])

    @cached_property
    def _counter(self) -> "Bm25":
        return _tokenizer(self.settings)

    def ask(self, ids: Sequence[str], texts: Iterable[str]) -> SparseVectors:
        """Return the different terms of each text, each of weight 1."""
        counted = count_terms(self._counter, ids, texts)
        space = self.space
        return SparseVectors(counted.ids, counted.offsets, space, indices=counted.indices, weights=np.ones_like(counted.weights))

    def documents(self, counted: SparseVectors) -> SparseVectors:
        """Return the weights of terms that were counted by `count_terms`."""
        lengths = _lengths(counted)
        held_back = self.settings.k1 * (1 - self.settings.b + self.settings.b * lengths / self.mean_length)
        held_back = np.repeat(held_back, np.diff(counted.offsets))
        weights = counted.weights * (self.settings.k1 + 1) / (counted.weights + held_back)
        return replace(counted, weights=weights.astype(np.float32), space=self.space)


def word_vectors(items: pd.DataFrame, settings: WordSettings | None = None) -> SparseVectors:
    """Return the words of each item's pair as a document, and the texts among the items as queries.

    A document holds the texts of the pair, and its label and the dataset's own columns of words, each value once; `apart`
    holds these columns alone. Items without a pair stand for themselves, and one without words has no terms.

    Raises ValueError where no item has a word.

    >>> items = pd.DataFrame({"item_id": ["a", "b"], "pair_id": "p", "modality": ["text", "image"], "text": ["red mugs", None]})
    >>> found = word_vectors(items)
    >>> found.queries.ids.tolist(), found.offsets.tolist()
    (['a'], [0, 2, 4])
    """
    settings = settings or WordSettings()
    tokenizer = _tokenizer(settings)
    group = items["pair_id"].fillna(items["item_id"]).astype("str")
    said, noted = _joined(items.assign(group=group), ["text"]), _joined(items.assign(group=group), word_columns(items))
    groups = group.unique()
    whole = [f"{said.get(one, '')}\n{noted.get(one, '')}" for one in groups]
    counted = count_terms(tokenizer, groups, whole)
    mean_length = round(float(_lengths(counted).mean()), LENGTH_DIGITS) if len(counted) else 0.0
    if not mean_length:
        raise ValueError("bm25: no item has a word to be found by; give texts, or leave bm25 out of the retrievers")
    model = WordModel(settings, mean_length)
    apart = model.documents(count_terms(tokenizer, groups, [noted.get(one, "") for one in groups]))
    texts = items.loc[items["modality"] == "text", ["item_id", "text"]]
    queries = model.ask(texts["item_id"].to_numpy(dtype=str), texts["text"].fillna(""))
    ids = items["item_id"].to_numpy(dtype=str)
    documents, apart = (_of_items(one, group, ids) for one in (model.documents(counted), apart))
    return replace(documents, queries=queries, apart=apart if apart.offsets[-1] else None)


def word_columns(items: pd.DataFrame) -> list[str]:
    """Return the label and the dataset's own columns of words: what is said of an item beside its texts.

    >>> word_columns(pd.DataFrame({"item_id": ["a"], "label": ["mug"], "price": [3.5], "image": ["a.jpg"]}))
    ['label']
    """
    return [name for name, kind in payload_fields(items).items() if kind in (KEYWORD, TEXT) and name not in NO_WORDS]


def count_terms(tokenizer: "Bm25", ids: Sequence[str] | np.ndarray, texts: Iterable[str]) -> SparseVectors:
    """Return the different terms of each text and how often each occurs."""
    found = [tokenizer.embed_document(text) for text in texts]
    indices = [one.indices for one in found]
    counts = np.array([value for one in found for value in one.values], dtype=np.float32).round()
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in indices])]) if found else [0]
    flat = np.array([index for one in indices for index in one], dtype=np.uint32)
    return SparseVectors(np.asarray(ids, dtype=str), offsets, COUNTS, indices=flat, weights=counts)


def _tokenizer(settings: WordSettings) -> "Bm25":
    """Return the engine's tokenizer, whose weights are counts."""
    from qdrant_edge import Bm25, Bm25Config, DisabledStemmer, StopwordsSet

    plain = settings.language == NO_LANGUAGE
    stop_words = StopwordsSet(set(), set()) if plain or not settings.stop_words else None
    stemmer = DisabledStemmer() if plain or not settings.stemming else None
    language = None if plain else settings.language
    return Bm25(Bm25Config(k=COUNTING_K1, b=0.0, avg_len=1.0, language=language, stopwords=stop_words, stemmer=stemmer))


def _joined(items: pd.DataFrame, columns: Sequence[str]) -> dict[str, str]:
    """Return by group the different values of the columns, each once, a line each."""
    values = [items[["group", name]].rename(columns={name: "words"}).dropna() for name in columns]
    if not values:
        return {}
    words = pd.concat(values).astype("str").drop_duplicates()
    return words.groupby("group", sort=False)["words"].agg("\n".join).to_dict()


def _lengths(counted: SparseVectors) -> np.ndarray:
    """Return how many words each text has, (N,)."""
    return np.diff(np.concatenate([[0.0], np.cumsum(counted.weights, dtype=np.float64)])[counted.offsets])


def _of_items(documents: SparseVectors, group: pd.Series, ids: np.ndarray) -> SparseVectors:
    """Return each item's document, that of its group, under the item's id."""
    places = pd.Index(documents.ids).get_indexer(group)
    return documents.at(places, ids)
