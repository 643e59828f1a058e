import numpy as np
import pytest
import torch

from mmlab.demo.drawing import draw_product
from mmlab.demo.model import END, INPUT_SIDE, build_model, build_processor, build_tokenizer
from mmlab.demo.products import sample_product
from mmlab.demo.train import image_pixels, normalised, pool_captions


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(text for n in range(200) for text in pool_captions(sample_product(0, "train", n)))


def test_known_words_are_one_token(tokenizer):
    assert tokenizer.tokenize("A Red mug") == ["a</w>", "red</w>", "mug</w>"]


@pytest.mark.parametrize("text", ["Zebra xylophone 42", "ça alors", "日本語", "🦆!"])
def test_any_text_has_tokens_and_ends_only_once(tokenizer, text):
    numbers = tokenizer(text)["input_ids"]
    assert len(numbers) > 3
    assert numbers.count(tokenizer.eos_token_id) == 1


def test_the_end_token_is_not_the_one_with_another_meaning(tokenizer):
    config = build_model(tokenizer, seed=0).config.text_config
    assert tokenizer.eos_token == END
    assert config.eos_token_id == tokenizer.eos_token_id != 2


def test_a_text_is_pooled_at_its_end_whatever_follows(tokenizer):
    model = build_model(tokenizer, seed=0).eval()
    alone = tokenizer(["a red mug"], return_tensors="pt")
    padded = tokenizer(["a red mug", "a blue mug " * 9], padding=True, return_tensors="pt")
    with torch.inference_mode():
        one, two = (model.get_text_features(**inputs).pooler_output[0] for inputs in (alone, padded))
        hidden = model.text_model(**alone).last_hidden_state[0]
        expected = model.text_projection(hidden[alone["input_ids"].shape[1] - 1])
    assert torch.allclose(one, two, atol=1e-5)
    assert torch.allclose(one, expected, atol=1e-5)


def test_the_same_seed_makes_the_same_model(tokenizer):
    first, again, other = (build_model(tokenizer, seed).visual_projection.weight for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_training_sees_the_pixels_that_the_processor_makes(tokenizer):
    image = draw_product(sample_product(0, "train", 0))
    expected = build_processor(tokenizer).image_processor(image, return_tensors="np")["pixel_values"][0]
    pixels = image_pixels(image)
    assert (pixels.dtype, pixels.shape) == (np.uint8, (3, INPUT_SIDE, INPUT_SIDE))
    assert np.allclose(normalised(torch.from_numpy(pixels)).numpy(), expected, atol=1e-5)
