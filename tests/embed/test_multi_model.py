import numpy as np
import pandas as pd
import pytest

from mmlab.embed import ModelError, embed_items, embed_with_models, load_model
from mmlab.embed.multi_model import cosines_to_float32, describe_rows, describe_spaces, describe_work
from tests.embed.checkpoints import guide_pair


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return guide_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture
def results(items, pair):
    return embed_with_models(items, pair, progress=False)


def test_each_model_embeds_what_it_can(items, pair, results):
    texts = items[items["modality"] == "text"]
    for name, result, chosen in zip(pair, results, (texts, items), strict=True):
        alone = embed_items(chosen, load_model(name), progress=False).vectors
        assert result.vectors.space == alone.space
        assert result.vectors.ids.tolist() == chosen["item_id"].tolist()
        np.testing.assert_allclose(result.vectors.array, alone.array, atol=1e-6)


def test_all_share_one_cache(items, pair, tmp_path):
    for embedded in (9 + 9 + 5, 0):  # nine different texts for each, five images for one
        results = embed_with_models(items, pair, cache=tmp_path / "cache", progress=False)
        assert describe_work(results)["embedded"].sum() == embedded


def test_the_same_model_twice_is_refused(items, pair):
    with pytest.raises(ValueError, match=r"models: expected different ones, found '.*tiny-mpnet' twice"):
        embed_with_models(items, [pair[0], pair[0]], progress=False)
    with pytest.raises(ValueError, match="models: expected at least one"):
        embed_with_models(items, [], progress=False)


def test_a_model_that_embeds_none_of_the_items_is_refused(items, folders):
    texts = items[items["modality"] == "text"]
    with pytest.raises(ModelError, match="embeds image only, found text"):
        embed_with_models(texts, [str(folders("vit"))], progress=False)


def test_the_table_of_spaces_has_a_column_each(results):
    table = describe_spaces(results).set_index("part")
    assert table.columns.tolist() == [result.vectors.space.key for result in results]
    assert table.loc["dimension"].tolist() == [32, 24]


def test_the_table_of_work_has_a_row_for_each_modality(results):
    table = describe_work(results)
    assert table["modality"].tolist() == ["text", "image", "text"]
    assert table["items"].tolist() == [10, 5, 10]
    assert table["embedded"].tolist() == [9, 5, 9]
    assert table["cached"].tolist() == [1, 0, 1]


def test_a_failed_image_is_counted_and_the_others_have_their_vectors(items, pair):
    (broken,) = items.loc[items["modality"] == "image", "image"].iloc[:1]
    with open(broken, "wb"):
        pass
    text, both = embed_with_models(items, pair, progress=False)
    assert describe_work([text, both])["failed"].tolist() == [0, 1, 0]
    assert both.skipped["reason"].tolist() == ["empty file"]
    assert len(both.vectors) == len(items) - 1


def test_the_table_of_rows(items, results):
    table = describe_rows(results, items)
    assert table["modality"].tolist() == ["text", "image", "text"]
    np.testing.assert_allclose(table[["smallest norm", "largest norm"]], 1, atol=1e-6)
    texts = results[0].vectors.array
    assert table["norm of the mean"].iloc[0] == pytest.approx(np.linalg.norm(texts.mean(axis=0)))
    assert table["least cosine to float32"].tolist() == [1, 1, 1]


def test_the_cosine_to_float32_is_measured_on_a_sample(items, pair):
    exact, half = (
        embed_with_models(items, pair[1:], ["a {}", "{}"], precision, progress=False)[0].vectors
        for precision in ("float32", "bfloat16")
    )
    cosines = cosines_to_float32(half, items, sample_size=3)
    assert len(cosines) == 6  # three images, three texts
    expected = (half.array * exact.array).sum(axis=1)
    expected = pd.Series(expected, index=half.ids)[cosines.index]
    np.testing.assert_allclose(cosines, expected, atol=1e-6)
    assert cosines.between(0.99, 0.999999).all()
