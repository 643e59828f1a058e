import numpy as np
import pytest

from mmlab.embed import ModelError, benchmark, load_model
from mmlab.embed.benchmark import free_memory, measure_peak_memory, sweep_batches, used_memory

MB = 1_000_000


@pytest.fixture(autouse=True)
def one_worker(monkeypatch):
    monkeypatch.setattr(benchmark, "count_workers", lambda: 1)


def test_a_row_for_each_setting(items, clip_folder):
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


def test_only_what_the_model_embeds_is_measured(items, folders):
    rows = sweep_batches(items, str(folders("mpnet")), [2], ["float32"], rounds=1, device="cpu")
    assert rows["modality"].tolist() == ["text"]
    with pytest.raises(ModelError, match=r"embeds image only, found text"):
        sweep_batches(items[items["modality"] == "text"], str(folders("vit")), [2], device="cpu")


def test_a_size_that_the_items_do_not_fill_is_a_row_without_figures(items, clip_folder):
    rows = sweep_batches(items, str(clip_folder), [5, 6], ["float32"], rounds=1, device="cpu")
    rows = rows[rows["modality"] == "image"].set_index("batch_size")
    assert rows["problem"].tolist() == ["", "too few items"]
    assert rows.loc[6, ["items_per_second", "memory_mb", "cosine_mean"]].isna().all()


def test_a_size_that_does_not_fit_is_a_row_without_figures(items, clip_folder, monkeypatch):
    full = load_model(str(clip_folder), device="cpu")
    plain = full.embed_prepared

    def embed_prepared(modality, prepared):
        if modality == "image" and len(prepared["pixel_values"]) > 2:
            raise MemoryError
        return plain(modality, prepared)

    monkeypatch.setattr(full, "embed_prepared", embed_prepared)
    monkeypatch.setattr(benchmark, "load_model", lambda *_: full)
    rows = sweep_batches(items, "full", [1, 5], ["float32"], rounds=1)
    problems = rows.set_index(["modality", "batch_size"])["problem"]
    assert problems.to_dict() == {
        ("image", 1): "",
        ("image", 5): "out of memory",
        ("text", 1): "",
        ("text", 5): "",
    }


def test_a_size_that_would_not_fit_is_not_tried(items, clip_folder, monkeypatch):
    monkeypatch.setattr(benchmark, "free_memory", lambda _: 0)
    monkeypatch.setattr(benchmark, "used_memory", lambda _: 0)
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
