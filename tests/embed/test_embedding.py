import numpy as np
import pandas as pd
import pytest
import torch

from mmlab.embed import embed_items
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
