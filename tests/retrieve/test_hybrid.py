"""A text and a picture as one question."""

from pathlib import Path

import pytest

from mmlab.items import RANKING_COLUMNS
from mmlab.retrieve import FUSIONS, hybrid, hybrid_ways, mix_vectors, weights_by_confidence

TEXT = "a red mug"


@pytest.fixture(scope="module")
def picture(collection) -> Path:
    items = collection.items
    return Path(items.loc[items["modality"] == "image", "image"].iloc[5])


def test_early_fusion_searches_with_the_mixed_vector(collection, picture: Path) -> None:
    retriever = collection.retriever
    mixed = mix_vectors([retriever.embed(TEXT), retriever.embed(picture)], [0.7, 0.3])
    expected = retriever.index.search(mixed, "image", 5, exact=True)
    hits = hybrid(retriever, TEXT, picture, weight=0.7, k=5, exact=True)
    assert hits["item_id"].tolist() == expected["item_id"].tolist()
    assert "label" in hits
    assert "query_id" not in hits


@pytest.mark.parametrize("how", FUSIONS)
def test_late_fusion_is_that_of_both_answers(collection, picture: Path, how: str) -> None:
    retriever = collection.retriever
    answers = [retriever.search(part, k=50, exact=True) for part in (TEXT, picture)]
    rankings = [hits.assign(query_id="q")[list(RANKING_COLUMNS)] for hits in answers]
    expected = FUSIONS[how](rankings, [0.25, 0.75]).head(6)
    hits = hybrid(retriever, TEXT, picture, weight=0.25, how=how, k=6, depth=50, exact=True)
    assert hits["item_id"].tolist() == expected["item_id"].tolist()
    assert hits["score"].tolist() == pytest.approx(expected["score"].tolist())
    by_rule = FUSIONS[how](rankings, weights_by_confidence(rankings)).head(6)
    chosen = hybrid(retriever, TEXT, picture, weight="confidence", how=how, k=6, depth=50, exact=True)
    assert chosen["item_id"].tolist() == by_rule["item_id"].tolist()


def test_all_the_weight_on_one_side_is_that_side(collection, picture: Path) -> None:
    retriever = collection.retriever
    for weight, part in ((1, TEXT), (0, picture)):
        expected = retriever.search(part, k=5, exact=True)["item_id"].tolist()
        for how in ("early", "weighted_sum"):
            assert (
                hybrid(retriever, TEXT, picture, weight, how, k=5, exact=True)["item_id"].tolist() == expected
            )


def test_several_retrievers_are_fused_with_equal_shares(collection, picture: Path) -> None:
    one = hybrid(collection.retriever, TEXT, picture, how="weighted_sum", k=5, exact=True)
    twice = hybrid([collection.retriever] * 2, TEXT, picture, how="weighted_sum", k=5, exact=True)
    assert twice["item_id"].tolist() == one["item_id"].tolist()
    assert twice["score"].tolist() == pytest.approx(one["score"].tolist())
    assert hybrid_ways(collection.retriever) == ("early", "weighted_sum", "rrf", "dbsf")


def test_what_does_not_fit_is_refused(collection, picture: Path) -> None:
    retriever = collection.retriever
    with pytest.raises(ValueError, match="how: expected one of early, weighted_sum, rrf, dbsf, found 'sum'"):
        hybrid(retriever, TEXT, picture, how="sum")
    with pytest.raises(ValueError, match="the text's share from 0 to 1, or 'confidence'; found 2"):
        hybrid(retriever, TEXT, picture, weight=2)
    with pytest.raises(ValueError, match="early fusion mixes vectors of one space, found several models"):
        hybrid([retriever, retriever], TEXT, picture)
    with pytest.raises(ValueError, match="choose a late fusion"):
        hybrid(retriever, TEXT, picture, weight="confidence", how="early")
