import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel, SiglipModel

from mmlab.embed import load_model
from mmlab.embed.models.dual import pick_device

TEXTS = ["a red shoe", "dog", "", "the end of this text lies outside of the window", "größe 🐕"]


def unit(rows):
    return (rows / rows.norm(dim=1, keepdim=True)).numpy()


@torch.no_grad()
def test_text_vectors_equal_the_librarys_own_calls(model, clip_folder):
    tokens = AutoTokenizer.from_pretrained(clip_folder)(
        TEXTS, padding=True, truncation=True, max_length=16, return_tensors="pt"
    )
    network = CLIPModel.from_pretrained(clip_folder)
    pooled = network.text_model(**tokens).pooler_output
    np.testing.assert_allclose(model.embed_texts(TEXTS), unit(network.text_projection(pooled)), atol=1e-5)


@torch.no_grad()
def test_image_vectors_equal_the_librarys_own_calls(model, clip_folder, pictures):
    pixels = AutoImageProcessor.from_pretrained(clip_folder, backend="pil")(pictures, return_tensors="pt")
    network = CLIPModel.from_pretrained(clip_folder)
    pooled = network.vision_model(**pixels).pooler_output
    np.testing.assert_allclose(
        model.embed_images(pictures), unit(network.visual_projection(pooled)), atol=1e-5
    )


def test_vectors_do_not_depend_on_batch_order_or_padding(model, pictures):
    texts, images = model.embed_texts(TEXTS), model.embed_images(pictures)
    for place, text in enumerate(TEXTS):
        np.testing.assert_allclose(model.embed_texts([text])[0], texts[place], atol=1e-5)
        np.testing.assert_allclose(model.embed_images([pictures[place]])[0], images[place], atol=1e-5)
    np.testing.assert_allclose(model.embed_texts(TEXTS[::-1]), texts[::-1], atol=1e-5)


def test_rows_are_unit_float32_in_the_models_space(model, pictures):
    for rows in (model.embed_texts(TEXTS), model.embed_images(pictures)):
        assert rows.dtype == np.float32
        assert rows.shape == (5, model.space.dimension) == (5, 24)
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


def test_what_lies_outside_of_the_window_is_cut_and_counted(model):
    fits, longer = "x" * 14, "x" * 15  # start, 14 bytes, end: 16 tokens
    assert model.window == 16
    assert model.count_cut([fits, longer, "dog", longer + "y"]) == 2
    assert model.count_cut([]) == 0
    np.testing.assert_allclose(
        model.embed_texts([longer + "yyy"]), model.embed_texts([longer + "zzz"]), atol=1e-6
    )


@torch.no_grad()
def test_siglip_sees_texts_padded_to_the_window(siglip_folder, pictures):
    siglip, network = load_model(str(siglip_folder), device="cpu"), SiglipModel.from_pretrained(siglip_folder)
    tokens = AutoTokenizer.from_pretrained(siglip_folder)(
        TEXTS, padding="max_length", truncation=True, max_length=16, return_tensors="pt"
    )
    expected = unit(network.get_text_features(**tokens).pooler_output)
    np.testing.assert_allclose(siglip.embed_texts(TEXTS), expected, atol=1e-5)
    np.testing.assert_allclose(siglip.embed_texts(["dog"])[0], expected[1], atol=1e-5)
    assert siglip.embed_images(pictures).shape == (5, siglip.space.dimension)


def test_bfloat16_is_near_and_another_space(model, clip_folder, pictures):
    half = load_model(str(clip_folder), device="cpu", precision="bfloat16")
    assert half.space.preprocessing == "CLIPImageProcessorPil, 16 tokens, bfloat16"
    assert half.space.key != model.space.key
    assert (half.embed_images(pictures) * model.embed_images(pictures)).sum(axis=1).min() > 0.99


def test_the_device_must_be_there():
    assert pick_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match=r"expected auto or one of .*cpu, found 'abacus'"):
        pick_device("abacus")


def test_one_bright_pixel_changes_the_vector(model):
    dark = Image.new("RGB", (32, 32))
    lit = dark.copy()
    lit.putpixel((3, 4), (255, 255, 255))
    assert not np.allclose(model.embed_images([dark]), model.embed_images([lit]), atol=1e-6)
