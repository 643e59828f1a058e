"""The one search: a text, an image or both, of one model or several, calibrated and reranked."""

import time
import warnings
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from mmlab.embed import ModelError, embed_items, load_model
from mmlab.embed.models import load as deferred
from mmlab.evaluate import qrels_from_pairs
from mmlab.index import build_index, open_store
from mmlab.items import ITEM_COLUMNS, RANKING_COLUMNS, Vectors
from mmlab.panels import PanelData, answer_query
from mmlab.retrieve import (
    CALIBRATIONS,
    FUSIONS,
    Query,
    Retriever,
    SearchResult,
    fuse,
    rrf,
    search,
    weighted_sum,
)
from mmlab.retrieve.query.rank import rank
from mmlab.retrieve.score_studies import try_calibrations
from mmlab.retrieve.scores.calibrate import Temperature
from mmlab.retrieve.scores.fitted_calibration import FittedCalibration
from mmlab.retrieve.scores.fuse import mix_vectors
from mmlab.retrieve.scores.fusion_weights import weights_by_confidence
from mmlab.retrieve.scores.query_split import ALL, choose_split
from tests.embed.checkpoints import vlm

TEXT = "a red mug"


@pytest.fixture(scope="module")
def image(collection) -> Path:
    items = collection.items
    return Path(items.loc[items["modality"] == "image", "image"].iloc[5])


def found(systems, query: Query, *rest) -> pd.DataFrame:
    return search(systems, query, *rest).table


def rankings_of(answers) -> list[pd.DataFrame]:
    return [one.table.assign(query_id="q")[list(RANKING_COLUMNS)] for one in answers]


def turned(retriever: Retriever) -> Retriever:
    """The same model with its texts written backwards and its images on their side."""

    class Backwards:
        space = retriever.model.space

        def embed_queries(self, texts):
            return retriever.model.embed_queries([text[::-1] for text in texts])

        def embed_images(self, images):
            return retriever.model.embed_images([image.rotate(90) for image in images])

    return Retriever(retriever.index, Backwards())


def test_one_part_of_one_model_is_the_retrievers_own_answer(collection, image: Path) -> None:
    for query in (Query(text=TEXT, k=5), Query(image=image, to="text", k=3, exact=True)):
        content = query.text or query.image
        expected = collection.retriever.search(content, query.to, query.k, exact=query.exact).table
        pd.testing.assert_frame_equal(found(collection.retriever, query), expected)


def test_early_fusion_searches_with_the_mixed_vector(collection, image: Path) -> None:
    retriever = collection.retriever
    mixed = mix_vectors([retriever.embed(TEXT), retriever.embed(image)], [0.7, 0.3])
    expected = retriever.index.search(mixed, "image", 5, exact=True).table
    hits = found(retriever, Query(TEXT, image, weight=0.7, k=5, exact=True))
    assert hits["item_id"].tolist() == expected["item_id"].tolist()
    assert "label" in hits
    assert "query_id" not in hits


@pytest.fixture(scope="module")
def composer(collection, tmp_path_factory) -> Retriever:
    """A vision-language model over twenty items of the collection."""
    folder = tmp_path_factory.mktemp("composer")
    model = load_model(str(vlm(folder / "tiny-vlm")), device="cpu")
    items = collection.items.groupby("modality").head(10)
    vectors = embed_items(items, model, progress=False).vectors
    store = open_store(folder / "store")
    return Retriever(build_index(store, "composed", items, [vectors], progress=False), model)


def test_a_composed_query_searches_with_the_vector_of_both_as_one_input(composer, image: Path) -> None:
    with Image.open(image) as opened:
        both = composer.model.embed_both([TEXT], [opened.convert("RGB")], as_queries=True)
    expected = composer.index.search(
        Vectors(["both"], both, composer.model.space), "image", 5, exact=True
    ).table
    composed = found(composer, Query(TEXT, image, fusion="composed", k=5, exact=True))
    assert composed["item_id"].tolist() == expected["item_id"].tolist()
    assert composed["score"].tolist() == pytest.approx(expected["score"].tolist(), abs=1e-5)
    early = found(composer, Query(TEXT, image, k=5, exact=True))
    assert early["score"].tolist() != pytest.approx(composed["score"].tolist(), abs=1e-3)
    alone = found(composer, Query(TEXT, image, fusion="composed", weight=0, k=5, exact=True))
    pd.testing.assert_frame_equal(alone, composer.search(image, k=5, exact=True).table)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_late_fusion_is_that_of_both_answers(collection, image: Path, fusion: str) -> None:
    retriever = collection.retriever
    rankings = rankings_of(retriever.search(part, k=50, exact=True) for part in (TEXT, image))
    query = Query(TEXT, image, weight=0.25, fusion=fusion, k=6, depth=50, exact=True)
    expected = fuse(fusion, rankings, [0.25, 0.75]).head(6)
    hits = found(retriever, query)
    assert hits["item_id"].tolist() == expected["item_id"].tolist()
    assert hits["score"].tolist() == pytest.approx(expected["score"].tolist())
    by_rule = fuse(fusion, rankings, weights_by_confidence(rankings)).head(6)
    chosen = found(retriever, replace(query, weight="confidence"))
    assert chosen["item_id"].tolist() == by_rule["item_id"].tolist()


@pytest.mark.parametrize("models", [1, 2])
def test_equal_shares_are_plain_reciprocal_rank_fusion(collection, image: Path, models: int) -> None:
    retriever = collection.retriever
    rankings = rankings_of([retriever.search(part, k=50, exact=True) for part in (TEXT, image)] * models)
    query = Query(TEXT, image, fusion="rrf", k=9, depth=50, exact=True)
    for k in (60, 5):
        expected = rrf(rankings, k=k).head(9)
        hits = found({str(number): retriever for number in range(models)}, replace(query, rrf_k=k))
        assert hits["item_id"].tolist() == expected["item_id"].tolist()
        assert hits["score"].tolist() == pytest.approx(expected["score"].tolist())


class Fixed:
    """A searcher whose answer is written down: x and y at their ranks for a text and for an image, others between."""

    def __init__(self, items: pd.DataFrame, text: dict[int, str], image: dict[int, str]) -> None:
        self.items, self.places = items, {"text": text, "image": image}

    def session(self):
        return nullcontext()

    def count(self, to: str) -> int:
        return 30

    def search(self, query, to="image", k=10, where=None, exact=False) -> SearchResult:
        source = "text" if isinstance(query, str) else "image"
        ids = [self.places[source].get(rank, f"{source} {rank}") for rank in range(1, k + 1)]
        ranks = pd.Series(range(1, k + 1))
        hits = pd.DataFrame({"item_id": ids, "rank": ranks, "score": 1 / ranks})
        timings = dict.fromkeys(("embed_ms", "search_ms", "payload_ms"), 1.0)
        return SearchResult(hits.merge(self.items, on="item_id"), timings)


def test_panel_and_call_rank_text_and_image_of_two_models_alike(tmp_path: Path) -> None:
    """Ranks 1, 20, 1, 20 against 8, 8, 8, 8: y is first by a k of 60, x by shares of 1/4 that make it a k of 15."""
    ids = [*"xy", *(f"{source} {rank}" for source in ("text", "image") for rank in range(1, 31))]
    items = pd.DataFrame({"item_id": ids, "pair_id": ids, "modality": "image"}).reindex(columns=ITEM_COLUMNS)
    photo = tmp_path / "photo.png"
    Image.new("RGB", (4, 4)).save(photo)
    items = items.assign(image=str(photo))
    one = Fixed(items, {1: "x", 8: "y"}, {20: "x", 8: "y"})
    systems = {name: {"text": one, "image": one} for name in ("one", "two")}
    query = Query(TEXT, photo, fusion="rrf", k=30)
    assert 4 / 68 > 2 / 61 + 2 / 80
    hits = found(systems, query)
    assert hits["item_id"].tolist()[:2] == ["y", "x"]
    assert hits["score"].tolist()[:2] == pytest.approx([4 / 68, 2 / 61 + 2 / 80])
    shown, by_panel = answer_query(PanelData(systems, items), query)
    assert by_panel["item_id"].tolist() == hits["item_id"].tolist()
    assert str(shown).index("1. 0.059") < str(shown).index("2. 0.058")
    steep = found(systems, replace(query, rrf_k=15))
    assert steep["item_id"].tolist()[:2] == ["x", "y"]
    assert steep["score"].tolist()[:2] == pytest.approx([2 / 16 + 2 / 35, 4 / 23])


def test_models_are_weighed_by_their_shares_and_may_be_one_retriever_for_each_modality(
    collection, image: Path
) -> None:
    retriever, other = collection.retriever, turned(collection.retriever)
    both = {"a": {"text": retriever, "image": other}, "b": {"text": other, "image": retriever}}
    query = Query(
        TEXT, image, weight=0.3, fusion="weighted_sum", k=6, depth=40, exact=True, shares=(0.8, 0.2)
    )
    answers = [one.search(part, k=40, exact=True) for one, part in
               ((retriever, TEXT), (other, image), (other, TEXT), (retriever, image))]  # fmt: skip
    expected = weighted_sum(rankings_of(answers), [0.8 * 0.3, 0.8 * 0.7, 0.2 * 0.3, 0.2 * 0.7]).head(6)
    hits = found(both, query)
    assert hits["item_id"].tolist() == expected["item_id"].tolist()
    assert hits["score"].tolist() == pytest.approx(expected["score"].tolist())
    with pytest.raises(ValueError, match="shares: expected one for each of 2 models, adding up to 1; found"):
        search(both, replace(query, shares=(1.0,)))


def test_more_than_there_are_is_the_error_that_a_retriever_gives(collection, image: Path) -> None:
    retriever = collection.retriever
    held = retriever.count("image")
    for query in (Query(text=TEXT), Query(TEXT, image), Query(TEXT, image, fusion="rrf")):
        assert len(found(retriever, replace(query, k=held))) == held
        assert len(found(retriever, replace(query, k=held + 1).limited_to(held))) == held
        with pytest.raises(ValueError, match=f"k = {held + 1} is more than the {held} image items"):
            search(retriever, replace(query, k=held + 1))
    assert len(found(retriever, Query(TEXT, image, fusion="rrf", depth=10_000, k=3))) == 3


def test_all_the_weight_on_one_part_is_that_part_alone(collection, image: Path) -> None:
    retriever = collection.retriever
    for weight, part in ((1, TEXT), (0, image)):
        expected = retriever.search(part, k=5, exact=True).table
        for fusion in ("early", "weighted_sum"):
            hits = found(retriever, Query(TEXT, image, weight=weight, fusion=fusion, k=5, exact=True))
            pd.testing.assert_frame_equal(hits, expected)


def test_the_same_model_twice_changes_nothing(collection, image: Path) -> None:
    query = Query(TEXT, image, fusion="weighted_sum", k=5, exact=True)
    one = found(collection.retriever, query)
    twice = found({"a": collection.retriever, "b": collection.retriever}, query)
    assert twice["item_id"].tolist() == one["item_id"].tolist()
    assert twice["score"].tolist() == pytest.approx(one["score"].tolist())


def test_a_query_is_steered_diversified_and_grouped_as_the_retriever_does(collection, image: Path) -> None:
    retriever = collection.retriever
    steered = Query(text=TEXT, plus=("a teapot",), minus=("blue",), minus_weight=0.3, k=5)
    expected = retriever.search(TEXT, k=5, plus=["a teapot"], minus=["blue"], minus_weight=0.3).table
    pd.testing.assert_frame_equal(found(retriever, steered), expected)
    for given in (
        {"plus": ("a teapot",), "minus": ("blue",), "recommend": "feedback"},
        {"context": (("red", "blue"),)},
        {"boost": {"width": -0.001}},
    ):
        expected = retriever.search(TEXT, k=5, **given)
        result = search(retriever, Query(text=TEXT, k=5, **given))
        pd.testing.assert_frame_equal(result.table, expected.table)
    alone = {"plus": ("a teapot", image), "recommend": "best_score"}
    expected = retriever.search(None, k=5, **alone).table
    pd.testing.assert_frame_equal(found(retriever, Query(k=5, **alone)), expected)
    diverse = Query(text=TEXT, diversity=0.5, k=5)
    pd.testing.assert_frame_equal(found(retriever, diverse), retriever.search(TEXT, k=5, diversity=0.5).table)
    grouped = found(retriever, Query(TEXT, image, to="text", fusion="rrf", group_by_pair=True, k=20))
    assert grouped["pair_id"].is_unique
    assert grouped["rank"].tolist() == list(range(1, 21))
    with pytest.raises(ValueError, match="diversity orders the hits of one search"):
        search(retriever, Query(TEXT, image, fusion="rrf", diversity=0.5))


def test_the_time_of_every_part_is_told(collection, image: Path) -> None:
    for query in (Query(text=TEXT), Query(TEXT, image), Query(TEXT, image, fusion="rrf")):
        started = time.perf_counter()
        timings = search(collection.retriever, query).timings
        elapsed = 1000 * (time.perf_counter() - started)
        assert list(timings) == ["embed_ms", "search_ms", "payload_ms", "rank_ms"]
        assert min(timings.values()) > 0
        assert 0.5 * elapsed < sum(timings.values()) <= elapsed  # no part is left out or counted twice


def test_what_does_not_fit_is_refused(collection, image: Path) -> None:
    retriever = collection.retriever
    two = {"one": retriever, "two": retriever}
    for fusion in ("early", "composed"):
        with pytest.raises(ValueError, match=f"{fusion} fusion makes one vector of one space, found several"):
            search(two, Query(TEXT, image, fusion=fusion))
    with pytest.raises(
        ModelError, match=r"demo takes no image and text as one input: give a vision-language"
    ):
        search(retriever, Query(TEXT, image, fusion="composed"))
    with pytest.raises(ValueError, match="fitted on cosines: choose calibration none, or no boost"):
        search(retriever, Query(text=TEXT, boost={"width": 1}, calibration="isotonic"))
    with pytest.raises(ValueError, match="rerank holds the hits against a query"):
        search(retriever, Query(plus=("red",), recommend="sum_scores", rerank=3))
    with pytest.raises(ValueError, match="the weight by confidence needs the rankings of one model"):
        search(retriever, Query(TEXT, image, weight="confidence"))
    with pytest.raises(ValueError, match="the weight by confidence needs the rankings of one model"):
        search(two, Query(TEXT, image, weight="confidence", fusion="rrf"))
    with pytest.raises(ValueError, match="models: expected some of one, two, found 'three'"):
        search(two, Query(text=TEXT, models=("three",)))
    with pytest.raises(ValueError, match="rerank: there is no model to rank the first hits again"):
        search(retriever, Query(text=TEXT, rerank=3))


def test_every_kind_of_calibration_gives_probabilities(collection) -> None:
    items, vectors = collection.items, collection.vectors
    texts: Vectors = vectors.take(items.loc[items["modality"] == "text", "item_id"])
    ranked = {"text-to-image": rank(collection.retriever.index, texts, "image", k=20, exact=True)}
    right = {"text-to-image": qrels_from_pairs(items, "text", "image")}
    fitted = try_calibrations(ranked, choose_split(items, ALL), right).fitted
    assert list(fitted) == list(CALIBRATIONS)
    for kind in fitted:
        hits = found(collection.retriever, Query(text=TEXT, k=5, calibration=kind), {"": fitted})
        assert hits["probability"].between(0, 1).all()
        assert hits["probability"].is_monotonic_decreasing
    filtered = Query(text=TEXT, k=5, calibration="logistic", where={"split": "test"}, depth=20)
    plain = replace(filtered, where={})
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the answer says it, and nobody else does
        answered = [search(collection.retriever, query, {"": fitted}) for query in (filtered, plain)]
    assert "no filter (here split = test)" in answered[0].warning
    assert answered[1].warning == ""


def test_a_calibration_is_not_lent_to_another_model(collection) -> None:
    systems = {"one": collection.retriever, "two": collection.retriever}
    fitted = {"one": {"temperature": {"text-to-image": FittedCalibration(Temperature(0.1), frozenset())}}}
    query = Query(text=TEXT, calibration="temperature", models=("one",))
    assert "probability" in found(systems, query, fitted)
    with pytest.raises(ValueError, match="the temperature calibration of two is fitted for nothing"):
        search(systems, replace(query, models=("two",)), fitted)
    with pytest.raises(ValueError, match="several models are calibrated for none"):
        search(systems, replace(query, models=("one", "two"), fusion="rrf"), fitted)


def test_a_matching_head_ranks_the_first_hits_again(collection) -> None:
    plain = found(collection.retriever, Query(text=TEXT, k=4))
    turned_round = found(
        collection.retriever,
        Query(text=TEXT, k=4, rerank=3),
        None,
        lambda texts, images: list(range(len(texts))),
    )
    assert turned_round["item_id"].tolist() == [plain["item_id"][place] for place in (2, 1, 0, 3)]
    assert turned_round["before"].tolist() == [3, 2, 1, 4]


def test_loading_the_model_is_no_part_of_the_time(collection, monkeypatch) -> None:
    def load_slowly(space):
        time.sleep(1)
        return collection.retriever.model

    monkeypatch.setattr(deferred, "load_for", load_slowly)
    retriever = replace(collection.retriever, model=deferred.DeferredModel(collection.retriever.model.space))
    assert sum(search(retriever, Query(text=TEXT)).timings.values()) < 1000
