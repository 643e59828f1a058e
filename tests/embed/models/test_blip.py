import numpy as np
import pytest
import torch
from transformers import (
    AutoImageProcessor,
    AutoTokenizer,
    Blip2ForImageTextRetrieval,
    BlipForImageTextRetrieval,
)

from mmlab.embed import load_model

TEXTS = ["a red shoe", "dog", "the end of this text lies outside", "x", "three 3"]


@pytest.fixture(scope="module")
def plain(folders, images):
    """What the library makes of a family's texts and images: the network and all of its inputs."""

    def read(family, kind):
        tokenizer = AutoTokenizer.from_pretrained(folders(family))
        tokens = tokenizer(TEXTS, padding=True, truncation=True, max_length=16, return_tensors="pt")
        pixels = AutoImageProcessor.from_pretrained(folders(family), backend="pil")(
            images, return_tensors="pt"
        )
        read = {name: tokens[name] for name in ("input_ids", "attention_mask")}
        return kind.from_pretrained(folders(family)).eval(), {**read, **pixels}

    return read


@torch.no_grad()
def test_blips_products_are_its_contrastive_scores(models, plain, images):
    network, inputs = plain("blip", BlipForImageTextRetrieval)
    expected = network(**inputs, use_itm_head=False).itm_score.numpy()
    model = models("blip")
    np.testing.assert_allclose(model.embed_images(images) @ model.embed_texts(TEXTS).T, expected, atol=1e-5)


@torch.no_grad()
def test_blip_matches_with_its_head(models, plain, images):
    network, inputs = plain("blip", BlipForImageTextRetrieval)
    expected = network(**inputs).itm_score.softmax(dim=1)[:, 1].numpy()
    found = models("blip").match(TEXTS, images)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.ptp(found) > 1e-4


@torch.no_grad()
def test_blip2s_vectors_are_the_means_of_its_queries(models, plain, images):
    network, inputs = plain("blip2", Blip2ForImageTextRetrieval)
    output = network(**inputs, use_image_text_matching_head=False)
    mean = output.image_embeds.mean(dim=1)
    expected = (mean / mean.norm(dim=1, keepdim=True)).numpy()
    np.testing.assert_allclose(models("blip2").embed_images(images), expected, atol=1e-5)
    np.testing.assert_allclose(models("blip2").embed_texts(TEXTS), output.text_embeds.numpy(), atol=1e-5)
    assert models("blip2").space.pooling == "mean of 3 unit query projections"


@torch.no_grad()
def test_blip2_matches_with_its_head(models, plain, images):
    network, inputs = plain("blip2", Blip2ForImageTextRetrieval)
    logits = network(**inputs, use_image_text_matching_head=True).logits_per_image
    found = models("blip2").match(TEXTS, images)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, logits.softmax(dim=1)[:, 1].numpy(), atol=1e-5)
    assert np.ptp(found) > 1e-4


@pytest.mark.parametrize("family", ["blip", "blip2"])
def test_a_pair_is_matched_by_itself_and_without_prompts(family, models, folders, images):
    model = models(family)
    prompted = load_model(str(folders(family)), device="cpu", prompts=["a photo of {}"])
    together = model.match(TEXTS, images)
    np.testing.assert_allclose(prompted.match(TEXTS, images), together, atol=1e-6)
    for place, (text, image) in enumerate(zip(TEXTS, images, strict=True)):
        np.testing.assert_allclose(model.match([text], [image])[0], together[place], atol=1e-5)


def test_a_dual_encoder_has_no_matching_head(model):
    assert not hasattr(model, "match")
