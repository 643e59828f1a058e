"""BM25's words: documents of pairs, queries of texts, weights against the engine's own and against bm25s."""

import numpy as np
import pandas as pd
import pytest

from mmlab.index.engines.bm25 import (
    BM25,
    TermCounts,
    WordModel,
    WordSettings,
    _tokenizer,
    system_name,
    word_columns,
    word_vectors,
)
from mmlab.items import Space, exact_search

PLAIN = WordSettings(language="none")


def items_of(*rows: tuple) -> pd.DataFrame:
    """Items a, b, c ... of rows (pair, modality, text, label)."""
    table = pd.DataFrame(rows, columns=["pair_id", "modality", "text", "label"])
    return table.assign(item_id=[chr(97 + i) for i in range(len(table))])


PAIRS = items_of(
    ("p", "image", None, "mug"),
    ("p", "text", "red mugs and a mug", "mug"),
    ("p", "text", "a red cup", "mug"),
    ("q", "image", None, "chair"),
    (None, "text", "the blue chair", None),
)


def words(found, item: str) -> int:
    """How many terms an item has."""
    place = found.ids.tolist().index(item)
    return int(found.offsets[place + 1] - found.offsets[place])


def test_every_item_stands_for_the_words_of_its_pair():
    found = word_vectors(PAIRS)
    # p says red, mug and cup, q its label alone, the text without a pair blue and chair
    assert [words(found, item) for item in "abcde"] == [3, 3, 3, 1, 2]
    assert found.queries.ids.tolist() == ["b", "c", "e"]
    assert found.space.kind == "sparse"
    assert system_name(found.space) == "bm25"


def test_documents_without_texts_hold_the_columns_alone():
    bare = word_vectors(PAIRS).bare
    assert [words(bare, item) for item in "abcde"] == [1, 1, 1, 1, 0]


def test_of_its_own_pair_a_query_is_told_what_the_others_say():
    own = word_vectors(PAIRS).own
    # b says red twice mug: red, cup and the label mug are left; c: red, mug, mug and the label
    assert [words(own, item) for item in "bce"] == [3, 2, 0]


def test_an_item_is_found_by_a_stem_and_not_by_a_stop_word():
    found = word_vectors(PAIRS)
    model = WordModel.of(found.space)
    hits = exact_search(model.ask(["q"], ["mugs and the"]), found)
    assert set(hits["item_id"]) == {"a", "b", "c"}
    kept = WordSettings(stemming=False)
    plain = word_vectors(PAIRS, kept)
    assert exact_search(WordModel.of(plain.space).ask(["q"], ["chairs"]), plain).empty


def test_stop_words_are_kept_where_no_language_is_named():
    assert words(word_vectors(PAIRS, PLAIN), "e") == 3
    assert words(word_vectors(PAIRS, WordSettings(stop_words=False)), "e") == 3


def test_weights_are_those_of_the_engine():
    from qdrant_edge import Bm25, Bm25Config

    model = WordModel(WordSettings(), mean_length=4.0)
    counted = TermCounts.of(_tokenizer(model.settings), ["a red mug on a red table", "green shoes"])
    found = model.documents(["x", "y"], counted)
    engine = Bm25(Bm25Config(avg_len=4.0, language="english"))
    for place, text in enumerate(["a red mug on a red table", "green shoes"]):
        own = engine.embed_document(text)
        terms = found.rows(np.array([place]))[0]
        assert dict(zip(*terms, strict=True)) == pytest.approx(
            dict(zip(own.indices, own.values, strict=True))
        )


def test_scores_are_those_of_bm25s_on_the_same_tokens():
    import bm25s

    rng = np.random.default_rng(0)
    texts = [" ".join(f"w{i}" for i in rng.zipf(1.3, 10) % 500) for _ in range(300)]
    items = pd.DataFrame({"item_id": [f"{i:03}" for i in range(300)], "modality": "text", "text": texts})
    found = word_vectors(items.assign(pair_id=None), PLAIN)
    other = bm25s.BM25(k1=1.2, b=0.75, method="lucene")
    other.index([text.split() for text in texts], show_progress=False)
    for place in range(20):
        query = found.queries.take([f"{place:03}"])
        scores = exact_search(query, found, k=300).set_index("item_id")["score"]
        wanted = 2.2 * other.get_scores(sorted(set(texts[place].split())))  # it leaves out the factor k1 + 1
        wanted = pd.Series(wanted, index=items["item_id"]).drop(f"{place:03}")
        assert scores.reindex(wanted[wanted > 0].index).to_numpy() == pytest.approx(
            wanted[wanted > 0].to_numpy(), abs=1e-4
        )
        assert len(scores) == (wanted > 0).sum()


def test_the_space_keeps_all_that_decides_a_weight():
    found = word_vectors(PAIRS, WordSettings("german", stop_words=False))
    model = WordModel.of(found.space)
    assert (model.settings, model.space) == (WordSettings("german", stop_words=False), found.space)
    assert system_name(Space("other", "1", "mean", "", "", 2)) != BM25


def test_one_more_text_among_many_keeps_the_space():
    rows = [("p", "text", "five words are said here", None)] * 200
    more = items_of(*rows).assign(item_id=[str(i) for i in range(200)], pair_id=None)
    few = word_vectors(more.head(199), PLAIN)
    assert few.space == word_vectors(more, PLAIN).space


def test_columns_of_words_are_the_label_and_the_datasets_own():
    table = PAIRS.assign(title="t", price=1.0, split="test", origin="caption", image="a.jpg", flags="tiny")
    assert word_columns(table) == ["label", "title"]


def test_what_has_no_words_is_refused():
    with pytest.raises(ValueError, match="bm25: no item has a word to be found by"):
        word_vectors(items_of(("p", "image", None, None)))
    with pytest.raises(ValueError, match="bm25_language: expected one of english, .* found 'klingon'"):
        WordSettings(language="klingon")
