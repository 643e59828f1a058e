"""A text and an image as one question."""

from pathlib import Path

import pytest
from mmlab.retrieve.query.hybrid import hybrid, hybrid_examples, hybrid_ways

from mmlab.items import RANKING_COLUMNS
from mmlab.retrieve import FUSIONS, Retriever, fuse, rrf, weighted_sum
from mmlab.retrieve.scores.fusion_weights import weights_by_confidence
from mmlab.retrieve.scores.vector_arithmetic import mix_vectors

TEXT = "a red mug"


@pytest.fixture(scope="module")
def image(collection) -> Path:
    items = collection.items
    return Path(items.loc[items["modality"] == "image", "image"].iloc[5])


def test_early_fusion_searches_with_the_mixed_vector(collection, image: Path) -> None:
    retriever = collection.retriever
    mixed = mix_vectors([retriever.embed(TEXT), retriever.embed(image)], [0.7, 0.3])
    expected = retriever.index.search(mixed, "image", 5, exact=True)
    hits = hybrid(retriever, TEXT, image, weight=0.7, k=5, exact=True)
    assert hits["item_id"].tolist() == expected["item_id"].tolist()
    assert "label" in hits
    assert "query_id" not in hits


@pytest.mark.parametrize("how", FUSIONS)
def test_late_fusion_is_that_of_both_answers(collection, image: Path, how: str) -> None:
    retriever = collection.retriever
    answers = [retriever.search(part, k=50, exact=True) for part in (TEXT, image)]
    rankings = [hits.assign(query_id="q")[list(RANKING_COLUMNS)] for hits in answers]
    expected = fuse(how, rankings, [0.25, 0.75]).head(6)
    hits = hybrid(retriever, TEXT, image, weight=0.25, how=how, k=6, depth=50, exact=True)
    assert hits["item_id"].tolist() == expected["item_id"].tolist()
    assert hits["score"].tolist() == pytest.approx(expected["score"].tolist())
    by_rule = fuse(how, rankings, weights_by_confidence(rankings)).head(6)
    chosen = hybrid(retriever, TEXT, image, weight="confidence", how=how, k=6, depth=50, exact=True)
    assert chosen["item_id"].tolist() == by_rule["item_id"].tolist()


@pytest.mark.parametrize("systems", [1, 2])
def test_equal_shares_are_plain_reciprocal_rank_fusion(collection, image: Path, systems: int) -> None:
    retriever = collection.retriever
    answers = [retriever.search(part, k=50, exact=True) for part in (TEXT, image)] * systems
    expected = rrf([hits.assign(query_id="q")[list(RANKING_COLUMNS)] for hits in answers]).head(9)
    asked = [retriever] * systems if systems > 1 else retriever
    hits = hybrid(asked, TEXT, image, how="rrf", k=9, depth=50, exact=True)
    assert hits["item_id"].tolist() == expected["item_id"].tolist()
    assert hits["score"].tolist() == pytest.approx(expected["score"].tolist())


def test_systems_are_weighed_by_their_shares_and_may_be_one_retriever_for_each_side(
    collection, image: Path
) -> None:
    retriever, other = collection.retriever, turned(collection.retriever)
    both = [{"text": retriever, "image": other}, {"text": other, "image": retriever}]
    hits = hybrid(both, TEXT, image, 0.3, "weighted_sum", k=6, depth=40, exact=True, shares=[0.8, 0.2])
    answers = [one.search(part, k=40, exact=True) for one, part in
               ((retriever, TEXT), (other, image), (other, TEXT), (retriever, image))]  # fmt: skip
    rankings = [found.assign(query_id="q")[list(RANKING_COLUMNS)] for found in answers]
    expected = weighted_sum(rankings, [0.8 * 0.3, 0.8 * 0.7, 0.2 * 0.3, 0.2 * 0.7]).head(6)
    assert hits["item_id"].tolist() == expected["item_id"].tolist()
    assert hits["score"].tolist() == pytest.approx(expected["score"].tolist())
    with pytest.raises(ValueError, match="shares: expected one for each of 2 systems, adding up to 1; found"):
        hybrid(both, TEXT, image, how="rrf", shares=[1.0])
    with pytest.raises(ValueError, match=r"shares: expected to add up to 1, found 1\.5"):
        hybrid(both, TEXT, image, how="rrf", shares=[0.8, 0.7])


def turned(retriever: Retriever) -> Retriever:
    """The same model with its texts written backwards."""

    class Backwards:
        space = retriever.model.space

        def embed_queries(self, texts):
            return retriever.model.embed_queries([text[::-1] for text in texts])

        def embed_images(self, images):
            return retriever.model.embed_images([image.rotate(90) for image in images])

    return Retriever(retriever.index, Backwards())


@pytest.mark.parametrize("how", ["early", *FUSIONS])
def test_vectors_ask_as_what_they_were_embedded_from(collection, image: Path, how: str) -> None:
    retriever = collection.retriever
    by_vectors = hybrid(retriever, retriever.embed(TEXT), retriever.embed(image), 0.3, how, k=7)
    plain = hybrid(retriever, TEXT, image, 0.3, how, k=7)
    assert by_vectors.columns.tolist() == plain.columns.tolist()
    assert by_vectors["item_id"].tolist() == plain["item_id"].tolist()
    assert by_vectors["score"].tolist() == pytest.approx(plain["score"].tolist(), abs=1e-6)


def test_more_than_there_are_is_the_error_that_a_search_gives(collection, image: Path) -> None:
    held = collection.retriever.index.count("image")
    for ask in (
        lambda k: collection.retriever.search(TEXT, k=k),
        lambda k: hybrid(collection.retriever, TEXT, image, how="rrf", k=k),
        lambda k: hybrid(collection.retriever, TEXT, image, k=k),
    ):
        assert len(ask(held)) == held
        with pytest.raises(ValueError, match=f"k = {held + 1} is more than the {held} image items"):
            ask(held + 1)


def test_every_example_can_be_asked(collection, image: Path) -> None:
    examples = hybrid_examples(collection.retriever)
    found = {name: hybrid(collection.retriever, TEXT, image, k=20, **how) for name, how in examples.items()}
    assert "weighted_sum, text 20%" in found
    assert len({tuple(hits["item_id"]) for hits in found.values()}) > 4


def test_all_the_weight_on_one_side_is_that_side(collection, image: Path) -> None:
    retriever = collection.retriever
    for weight, part in ((1, TEXT), (0, image)):
        expected = retriever.search(part, k=5, exact=True)["item_id"].tolist()
        for how in ("early", "weighted_sum"):
            assert (
                hybrid(retriever, TEXT, image, weight, how, k=5, exact=True)["item_id"].tolist() == expected
            )


def test_several_retrievers_are_fused_with_equal_shares(collection, image: Path) -> None:
    one = hybrid(collection.retriever, TEXT, image, how="weighted_sum", k=5, exact=True)
    twice = hybrid([collection.retriever] * 2, TEXT, image, how="weighted_sum", k=5, exact=True)
    assert twice["item_id"].tolist() == one["item_id"].tolist()
    assert twice["score"].tolist() == pytest.approx(one["score"].tolist())
    assert hybrid_ways(collection.retriever) == ("early", "weighted_sum", "rrf", "dbsf")


def test_what_does_not_fit_is_refused(collection, image: Path) -> None:
    retriever = collection.retriever
    with pytest.raises(ValueError, match="how: expected one of early, weighted_sum, rrf, dbsf, found 'sum'"):
        hybrid(retriever, TEXT, image, how="sum")
    with pytest.raises(ValueError, match="the text's share from 0 to 1, or 'confidence'; found 2"):
        hybrid(retriever, TEXT, image, weight=2)
    with pytest.raises(ValueError, match="early fusion mixes vectors of one space, found several models"):
        hybrid([retriever, retriever], TEXT, image)
    with pytest.raises(ValueError, match="choose a late fusion"):
        hybrid(retriever, TEXT, image, weight="confidence", how="early")
