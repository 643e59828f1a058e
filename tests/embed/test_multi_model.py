from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
import torch

from mmlab.embed import ModelError, embed_items, embed_with_models, load_model, multi_model
from mmlab.embed.embedding import VectorCache, embed_with_queries
from mmlab.embed.multi_model import (
    cosines_to_float32,
    describe_rows,
    describe_spaces,
    describe_work,
    free_memory,
    measure_peak_memory,
    sweep_batches,
    used_memory,
)
from tests.embed.checkpoints import guide_pair

MB = 1_000_000
needs_openvino = pytest.mark.skipif(not find_spec("openvino"), reason="the extra [openvino] is not installed")


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
    with pytest.raises(ValueError, match=r"models: expected different ones, found '.*tiny-mpnet/' twice"):
        embed_with_models(items, [pair[0], f"{pair[0]}/"], progress=False)
    for models in ([pair[0], pair[0]], [], "demo"):
        with pytest.raises(ValueError, match="parameter models: expected a list of 1 to 20 different values"):
            embed_with_models(items, models, progress=False)


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


@pytest.mark.parametrize("block", [16_384, 3])
def test_the_table_of_rows(block, items, results, monkeypatch):
    monkeypatch.setattr("mmlab.items.vector_files.ROWS_PER_BLOCK", block)
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


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """The data folder in which a network that was converted once is found again."""
    return tmp_path_factory.mktemp("converted")


@needs_openvino
@pytest.mark.slow
@pytest.mark.parametrize(("good", "expected"), [(0.99, "int8"), (1.01, "float32")])
def test_auto_is_int8_where_it_gains_and_is_near_enough(
    good, expected, items, clip_folder, converted, monkeypatch, logged
):
    monkeypatch.setenv("MMLAB_DATA", str(converted))
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_vnni": True})
    monkeypatch.setattr(multi_model, "GOOD_COSINE", good)
    (found,) = embed_with_models(items, [str(clip_folder)], precision="auto", progress=False)
    assert found.vectors.space.preprocessing == f"CLIPImageProcessorPil, 16 tokens, {expected}"
    assert ("precision auto leaves int8 alone: the least cosine to float32 is 0.99" in " ".join(logged)) == (
        expected == "float32"
    )


@needs_openvino
@pytest.mark.slow
def test_auto_says_why_a_network_is_not_in_int8(items, folders, monkeypatch, logged):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_vnni": True})
    (found,) = embed_with_models(items, [str(folders("siglip2"))], precision="auto", progress=False)
    assert found.vectors.space.preprocessing.endswith("float32")
    assert "cannot be converted to int8 (it would give other vectors)" in " ".join(logged)


def test_texts_have_a_second_vector_where_queries_have_a_prompt_of_their_own(items, models):
    texts, model = items[items["modality"] == "text"], models("bge")
    embedded = embed_with_queries(texts, model, progress=False)
    queries = embedded.vectors.queries
    assert queries.ids.tolist() == embedded.vectors.ids.tolist() == texts["item_id"].tolist()
    np.testing.assert_allclose(queries.array, model.embed_queries(texts["text"].tolist()), atol=1e-5)
    np.testing.assert_allclose(embedded.vectors.array, model.embed_texts(texts["text"].tolist()), atol=1e-5)
    assert queries.space == embedded.vectors.space
    work = describe_work([embedded])
    assert work[["side", "items", "embedded", "cached"]].to_numpy().tolist() == [
        ["document", 10, 9, 1],
        ["query", 10, 9, 1],
    ]
    assert describe_spaces([embedded])[model.space.key].iloc[-1] == "as queries"


def test_where_both_prompts_are_the_same_nothing_is_embedded_twice(results):
    assert [result.vectors.queries for result in results] == [None, None]
    assert set(describe_work(results)["side"]) == {"both"}
    assert describe_spaces(results).iloc[-1].tolist() == [
        "texts that ask",
        "as they are found",
        "as they are found",
    ]


def test_the_cache_keeps_both_sides_apart_and_goes_on_where_it_was_stopped(items, models, tmp_path):
    texts, model, cache = items[items["modality"] == "text"], models("bge"), tmp_path / "cache"
    whole = embed_with_queries(texts, model, progress=False)
    embed_items(texts, model, cache, progress=False)  # stopped after the documents
    embed_items(texts.iloc[:4], model, cache, progress=False, as_queries=True)  # and within the queries
    resumed = embed_with_queries(texts, model, cache, progress=False)
    assert resumed.counts["embedded"].tolist() == [0, 9 - texts["content"].iloc[:4].nunique()]
    np.testing.assert_allclose(resumed.vectors.array, whole.vectors.array, atol=1e-5)
    np.testing.assert_allclose(resumed.vectors.queries.array, whole.vectors.queries.array, atol=1e-5)
    assert embed_with_queries(texts, model, cache, progress=False).counts["embedded"].tolist() == [0, 0]
    with VectorCache(cache) as opened:
        found, rows = opened.get(texts["content"].tolist(), model.space)
    assert found.all()
    np.testing.assert_allclose(rows, whole.vectors.array, atol=1e-5)


def test_a_text_that_does_not_fit_as_a_query_is_skipped(items, models):
    class Short:
        """The model, with no memory for one query."""

        def __getattr__(self, name):
            return getattr(models("bge"), name)

        def embed_queries(self, texts):
            if lost["text"] in texts:
                raise MemoryError
            return models("bge").embed_queries(texts)

    texts = items[items["modality"] == "text"]
    lost = texts.drop_duplicates("content", keep=False).iloc[2]
    embedded = embed_with_queries(texts, Short(), progress=False)
    kept = texts.loc[texts["item_id"] != lost["item_id"], "item_id"].tolist()
    assert embedded.vectors.ids.tolist() == kept
    assert sorted(embedded.vectors.queries.ids) == sorted(kept)
    assert embedded.skipped["reason"].tolist() == ["out of memory"]


def test_a_query_longer_than_the_window_is_counted_within_its_own_prompt(items, models):
    texts = items[items["modality"] == "text"].copy()
    texts["text"] = "x" * 12  # 14 tokens of 16 with start and end; four letters of "find: " and a colon more
    counts = embed_with_queries(texts, models("bge"), progress=False).counts.set_index("side")
    assert counts["truncated"].to_dict() == {"document": 0, "query": 10}


@pytest.fixture
def one_worker(monkeypatch):
    monkeypatch.setattr(multi_model, "count_workers", lambda: 1)


def test_a_row_for_each_setting(items, clip_folder, one_worker):
    rows = sweep_batches(items, str(clip_folder), [4, 2], ["float32", "bfloat16"], rounds=1, device="cpu")
    settings = rows[["modality", "precision", "batch_size"]].to_numpy().tolist()
    assert settings == [
        [modality, precision, size]
        for precision in ("float32", "bfloat16")
        for modality in ("image", "text")
        for size in (2, 4)
    ]
    assert (rows["problem"] == "").all()
    assert (rows["items_per_second"] > 0).all()
    exact = rows["precision"] == "float32"
    np.testing.assert_allclose(rows.loc[exact, ["cosine_least", "cosine_mean"]], 1, atol=1e-5)
    assert rows.loc[~exact, "cosine_mean"].between(0.99, 0.99999).all()
    assert (rows["cosine_least"] <= rows["cosine_mean"] + 1e-6).all()


@needs_openvino
@pytest.mark.slow
def test_a_precision_that_a_network_has_not_is_rows_without_figures(items, folders, one_worker):
    rows = sweep_batches(items, str(folders("siglip2")), [2], ["int8"], rounds=1, device="cpu")
    assert rows["modality"].tolist() == ["image", "text"]
    assert rows["problem"].str.contains("cannot be converted to int8").all()
    assert rows["items_per_second"].isna().all()


def test_only_what_the_model_embeds_is_measured(items, folders, one_worker):
    rows = sweep_batches(items, str(folders("mpnet")), [2], ["float32"], rounds=1, device="cpu")
    assert rows["modality"].tolist() == ["text"]
    with pytest.raises(ModelError, match=r"embeds image only, found text"):
        sweep_batches(items[items["modality"] == "text"], str(folders("vit")), [2], device="cpu")


def test_a_size_that_the_items_do_not_fill_is_a_row_without_figures(items, clip_folder, one_worker):
    rows = sweep_batches(items, str(clip_folder), [5, 6], ["float32"], rounds=1, device="cpu")
    rows = rows[rows["modality"] == "image"].set_index("batch_size")
    assert rows["problem"].tolist() == ["", "too few items"]
    assert rows.loc[6, ["items_per_second", "memory_mb", "cosine_mean"]].isna().all()


def test_a_size_that_does_not_fit_is_a_row_without_figures(items, clip_folder, monkeypatch, one_worker):
    full = load_model(str(clip_folder), device="cpu")
    plain = full.embed_prepared

    def embed_prepared(modality, prepared):
        if modality == "image" and len(prepared["pixel_values"]) > 2:
            raise MemoryError
        return plain(modality, prepared)

    monkeypatch.setattr(full, "embed_prepared", embed_prepared)
    monkeypatch.setattr(multi_model, "load_model", lambda *_: full)
    rows = sweep_batches(items, "full", [1, 5], ["float32"], rounds=1)
    problems = rows.set_index(["modality", "batch_size"])["problem"]
    assert problems.to_dict() == {
        ("image", 1): "",
        ("image", 5): "out of memory",
        ("text", 1): "",
        ("text", 5): "",
    }


def test_a_size_that_would_not_fit_is_not_tried(items, clip_folder, monkeypatch, one_worker):
    monkeypatch.setattr(multi_model, "free_memory", lambda _: 0)
    monkeypatch.setattr(multi_model, "used_memory", lambda _: 0)
    rows = sweep_batches(items, str(clip_folder), [1, 2], ["float32"], rounds=1, device="cpu")
    assert rows["problem"].tolist() == ["", "out of memory"] * 2


def test_memory_that_was_given_back_counts_while_it_was_used():
    before = used_memory()
    total, peak = measure_peak_memory(lambda: np.ones(100 * MB, dtype=np.uint8).sum())
    assert total == 100 * MB
    assert 95 * MB < peak - before < 200 * MB
    assert used_memory() - before < 50 * MB


def test_there_is_free_memory():
    assert free_memory() > MB


def test_stored_vectors_that_are_truncated_are_those_of_the_model(items, folders):
    names = [str(folders("bge"))]
    (whole,) = embed_with_models(items, names, progress=False)
    (first,) = embed_with_models(items, names, progress=False, truncate_dim=8)
    own = whole.vectors.truncate(8)
    assert own.space == first.vectors.space
    assert own.queries.space == first.vectors.space
    np.testing.assert_allclose(own.array, first.vectors.array, atol=1e-6)
    np.testing.assert_allclose(own.queries.array, first.vectors.queries.array, atol=1e-6)
