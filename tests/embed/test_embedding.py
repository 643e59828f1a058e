import os
import sqlite3
import time

import numpy as np
import pandas as pd
import pytest
import torch

from mmlab.embed import ModelError, embed_items, embedding
from mmlab.embed.embedding import embed_with_queries, encode_timed
from mmlab.items import open_image


def counted(embedded, modality):
    return (
        embedded.counts.set_index("modality")
        .loc[modality, ["items", "embedded", "cached", "failed"]]
        .tolist()
    )


def test_vectors_come_in_the_order_of_the_items(items, model):
    embedded = embed_items(items, model, batch_size=2, progress=False)
    assert embedded.vectors.ids.tolist() == items["item_id"].tolist()
    assert embedded.vectors.space == model.space
    for row, vector in zip(items.itertuples(), embedded.vectors.array, strict=True):
        alone = (
            model.embed_texts([row.text])
            if row.modality == "text"
            else model.embed_images([open_image(row.image)])
        )
        np.testing.assert_allclose(vector, alone[0], atol=1e-5)


def test_batch_size_changes_nothing(items, model):
    one, many = (embed_items(items, model, batch_size=size, progress=False) for size in (1, 64))
    np.testing.assert_allclose(one.vectors.array, many.vectors.array, atol=1e-5)


def test_the_same_content_is_embedded_once(items, model):
    embedded = embed_items(items, model, progress=False)
    assert counted(embedded, "image") == [5, 5, 0, 0]
    assert counted(embedded, "text") == [10, 9, 1, 0]


def test_the_second_time_nothing_is_embedded(items, model, tmp_path):
    first, second = (embed_items(items, model, tmp_path / "cache", progress=False) for _ in range(2))
    assert counted(second, "image") == [5, 0, 5, 0]
    assert counted(second, "text") == [10, 0, 10, 0]
    np.testing.assert_array_equal(first.vectors.array, second.vectors.array)


def test_only_new_items_are_embedded(items, model, tmp_path):
    embed_items(items.iloc[:7], model, tmp_path / "cache", progress=False)
    embedded = embed_items(items, model, tmp_path / "cache", progress=False)
    assert counted(embedded, "image") == [5, 2, 3, 0]
    assert counted(embedded, "text") == [10, 5, 5, 0]


def test_what_was_interrupted_goes_on_where_it_stopped(items, model, tmp_path):
    class Interrupted:
        """The model, until someone stops it in its third batch of texts."""

        def __getattr__(self, name):
            return getattr(model, name)

        def embed_texts(self, texts):
            if "image with number 4" in texts:  # longest first, in twos: the third batch
                raise KeyboardInterrupt
            return model.embed_texts(texts)

    with pytest.raises(KeyboardInterrupt):
        embed_items(items, Interrupted(), tmp_path / "cache", batch_size=2, progress=False)
    embedded = embed_items(items, model, tmp_path / "cache", batch_size=2, progress=False)
    assert counted(embedded, "image") == [5, 0, 5, 0]
    assert counted(embedded, "text") == [
        10,
        5,
        5,
        0,
    ]  # nine contents, four of them kept; one item shares its text
    whole = embed_items(items, model, batch_size=2, progress=False)
    np.testing.assert_array_equal(embedded.vectors.array, whole.vectors.array)


def test_vectors_are_mapped_from_a_file_that_is_gone(items, model, tmp_path):
    old, new = tmp_path / ".vectors-old", tmp_path / ".vectors-new"  # of processes that were killed
    for left in (old, new):
        left.mkdir()
    os.utime(old, (time.time() - 90_000, time.time() - 90_000))  # a day and an hour ago
    vectors = embed_items(items, model, tmp_path / "cache", progress=False).vectors
    assert not vectors.array.flags.owndata and not vectors.array.flags.writeable
    assert [path.name for path in tmp_path.glob(".vectors-*")] == [".vectors-new"]
    np.testing.assert_allclose(vectors.array[1], model.embed_texts([items["text"].iloc[1]])[0], atol=1e-5)


def test_vectors_that_leave_the_cache_meanwhile_are_an_error(items, model, tmp_path):
    def emptied(*arguments):
        yield from encode_timed(*arguments)
        with sqlite3.connect(tmp_path / "cache") as connection:
            connection.execute("DELETE FROM vectors")

    with pytest.raises(ValueError, match=r"cache: 5 vectors that were put there are gone"):
        embed_items(items.iloc[::3], model, tmp_path / "cache", progress=False, encode=emptied)


def test_many_items_are_read_in_blocks(items, model, tmp_path, monkeypatch):
    whole = embed_items(items, model, tmp_path / "cache", progress=False)
    monkeypatch.setattr(embedding, "ITEMS_PER_BLOCK", 4)
    found = embed_items(items, model, tmp_path / "cache", progress=False)
    np.testing.assert_array_equal(found.vectors.array, whole.vectors.array)
    assert found.vectors.ids.tolist() == items["item_id"].tolist()
    assert found.counts["truncated"].tolist() == whole.counts["truncated"].tolist() == [0, 5]


def test_truncated_texts_are_counted(items, model):
    counts = embed_items(items, model, progress=False).counts.set_index("modality")
    assert counts["truncated"].to_dict() == {"image": 0, "text": 5}  # 16 letters, start, end: 18 of 16 tokens


def test_an_image_that_is_gone_is_a_skipped_row(items, model, tmp_path):
    (tmp_path / "2.png").unlink()
    embedded = embed_items(items, model, progress=False)
    assert counted(embedded, "image") == [5, 4, 0, 1]
    skipped = embedded.skipped.iloc[0]
    assert len(embedded.skipped) == 1
    assert skipped[["source", "reason", "detail"]].tolist() == [
        "2.png",
        "missing file",
        str(tmp_path / "2.png"),
    ]
    assert len(embedded.vectors) == 14
    gone = items.loc[items["image"] == str(tmp_path / "2.png"), "item_id"]
    assert not set(gone) & set(embedded.vectors.ids)


def test_a_changed_image_does_not_enter_the_cache(items, model, tmp_path):
    (tmp_path / "2.png").write_bytes((tmp_path / "1.png").read_bytes())
    embedded = embed_items(items, model, tmp_path / "cache", progress=False)
    assert embedded.skipped["reason"].tolist() == ["changed file"]


def test_items_that_no_model_can_take(items, model):
    with pytest.raises(ValueError, match=r"batch_size: expected a whole number from 1 to 10,000, found 0"):
        embed_items(items, model, batch_size=0)
    with pytest.raises(
        ValueError, match=r"batch_size: expected a whole number from 1 to 10,000, found 'big'"
    ):
        embed_items(items, model, batch_size="big")
    with pytest.raises(ValueError, match=r"items: expected at least one"):
        embed_items(items.iloc[:0], model)


def test_a_model_of_texts_alone_refuses_images(items, models):
    with pytest.raises(ValueError, match=r"embeds text only, found image: give a model of texts and images"):
        embed_items(items, models("mpnet"))


def test_an_item_that_does_not_fit_into_memory_is_a_skipped_row(items, model):
    class Small:
        """The model, on a device with memory for two images at a time, none of them the third one."""

        def __getattr__(self, name):
            return getattr(model, name)

        def embed_prepared(self, modality, prepared):
            pixels = prepared["pixel_values"]
            if len(pixels) > 2 or any(torch.equal(row, third) for row in pixels):
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
            return model.embed_prepared(modality, prepared)

    images = items[items["modality"] == "image"]
    third = model.prepare_images([open_image(images["image"].iloc[2])])["pixel_values"][0]
    embedded = embed_items(images, Small(), batch_size=5, progress=False)
    assert embedded.skipped[["source", "reason"]].to_numpy().tolist() == [["2.png", "out of memory"]]
    whole = embed_items(images, model, progress=False).vectors.array
    np.testing.assert_allclose(embedded.vectors.array, whole[[0, 1, 3, 4]], atol=1e-5)


def test_the_items_are_left_as_they_were(items, model):
    before = items.copy(deep=True)
    embed_items(items, model, progress=False)
    pd.testing.assert_frame_equal(items, before)


@pytest.mark.parametrize("family", ["splade", "inference_free", "colbert", "colpali", "colqwen2"])
def test_vectors_of_other_kinds_come_in_the_order_of_the_items_and_from_the_cache(
    family, items, models, tmp_path
):
    model = models(family)
    chosen = items[items["modality"].isin(model.modalities)]
    for new in (True, False):
        found = embed_with_queries(chosen, model, tmp_path / "cache", batch_size=3, progress=False)
        assert found.vectors.ids.tolist() == chosen["item_id"].tolist()
        texts = chosen[chosen["modality"] == "text"]
        pictures = chosen[chosen["modality"] == "image"]
        alone = model.embed_items("text", texts["item_id"], texts["text"])
        check_same(found.vectors.take(texts["item_id"]), alone)
        if len(pictures):
            opened = [open_image(path) for path in pictures["image"]]
            check_same(
                found.vectors.take(pictures["item_id"]),
                model.embed_items("image", pictures["item_id"], opened),
            )
        if family == "splade":
            assert found.vectors.queries is None  # texts ask as they are found
        else:  # and images do not ask
            check_same(found.vectors.queries, model.ask(texts["item_id"], texts["text"]))
        expected = {"splade": 9, "inference_free": 18, "colbert": 18}.get(family, 14)
        assert found.counts["embedded"].sum() == (expected if new else 0)


def test_token_rows_that_were_embedded_before_an_interruption_are_kept(items, models, tmp_path):
    model = models("colqwen2")
    images = items[items["modality"] == "image"]

    class Interrupted:
        """The model, until someone stops it at its third image."""

        batches = 0

        def __getattr__(self, name):
            return getattr(model, name)

        def embed_prepared(self, modality, prepared):
            self.batches += 1
            if self.batches == 3:
                raise KeyboardInterrupt
            return model.embed_prepared(modality, prepared)

    with pytest.raises(KeyboardInterrupt):
        embed_items(images, Interrupted(), tmp_path / "cache", batch_size=1, progress=False)
    found = embed_items(images, model, tmp_path / "cache", batch_size=1, progress=False)
    assert 0 < found.counts["cached"].sum() < 5
    whole = embed_items(images, model, batch_size=1, progress=False)
    np.testing.assert_array_equal(found.vectors.array, whole.vectors.array)


def check_same(found, expected):
    assert found.ids.tolist() == expected.ids.tolist()
    np.testing.assert_array_equal(found.offsets, expected.offsets)
    for part in found.parts:
        np.testing.assert_allclose(getattr(found, part), getattr(expected, part), atol=1e-5)


def test_a_page_that_fails_is_a_skipped_row(items, models, tmp_path):
    (tmp_path / "2.png").unlink()
    found = embed_with_queries(items, models("colqwen2"), progress=False)
    assert found.skipped["reason"].tolist() == ["missing file"]
    assert len(found.vectors) == 14


def test_the_bytes_of_an_item(items, models):
    texts = items[items["modality"] == "text"]
    dense, terms, tokens = (
        embed_items(texts, models(one), progress=False) for one in ("mpnet", "splade", "colbert")
    )
    assert dense.bytes_per_item == 4 * 32
    assert terms.bytes_per_item == 8 * len(terms.vectors.indices) / 10  # a number and a weight
    assert tokens.bytes_per_item == 4 * 24 * len(tokens.vectors.array) / 10
    with pytest.raises(ModelError, match=r"is a late model: expected one with one row for each item"):
        tokens.dense  # noqa: B018


class Slow:
    """The model, whose texts take a second each by the clock of the test, and ten the first time."""

    def __init__(self, model, monkeypatch):
        self.model, self.now, self.first = model, 0.0, 10
        monkeypatch.setattr(embedding.time, "perf_counter", self.clock)

    def __getattr__(self, name):
        return getattr(self.model, name)

    def clock(self):
        self.now += 1e-6
        return self.now

    def embed_texts(self, texts):
        self.now += len(texts) * self.first
        self.first = 1
        return self.model.embed_texts(texts)


@pytest.mark.parametrize(("count", "said"), [(68, 1), (67, 0), (15, 0)])
def test_a_model_that_takes_over_a_minute_says_so_before_it_starts(
    count, said, items, model, monkeypatch, logged, tmp_path
):
    texts = (
        items[items["modality"] == "text"].iloc[[0] * count].assign(content=[f"{n}" for n in range(count)])
    )
    texts = texts.assign(item_id=texts["content"])
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    slow = Slow(model, monkeypatch)
    found = embed_items(texts, slow, tmp_path / "cache", progress=False)
    assert found.counts["embedded"].tolist() == [count]
    assert len(found.vectors) == count
    lines = [line for line in logged if "takes" in line]
    assert len(lines) == said
    if said:
        assert lines[0].endswith("takes 1.0 s for one text on cpu: 60 texts more take about 1 min")
        embed_items(texts, slow, tmp_path / "cache", progress=False)  # all known: nothing to say
        assert [line for line in logged if "takes" in line] == lines
