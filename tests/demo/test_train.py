import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from mmlab.demo import train as training
from mmlab.demo.drawing import draw_product
from mmlab.demo.products import sample_product
from mmlab.demo.train import (
    END,
    INPUT_SIDE,
    TrainingSettings,
    build_model,
    build_processor,
    build_tokenizer,
    draw_pool,
    fit,
    image_pixels,
    normalised,
    pool_captions,
    rate_share,
    train,
)

TINY = TrainingSettings(products=48, steps=4, batch=16, warmup=2, seed=3)


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return draw_pool(tmp_path_factory.mktemp("pool"), TINY.products, TINY.seed)


def fitted(pool, state):
    tokenizer = build_tokenizer(text for texts in pool[1] for text in texts)
    model = build_model(tokenizer, TINY.seed)
    fit(model, tokenizer, *pool, TINY, state)
    return model.state_dict()


def test_the_pool_is_drawn_once(tmp_path):
    pixels, captions = draw_pool(tmp_path, 3, seed=0)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again, same = draw_pool(tmp_path, 3, seed=0)
    assert (np.array_equal(pixels, again), captions) == (True, same)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_a_stopped_training_ends_as_an_unbroken_one(pool, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "STATE_EVERY", 3)
    unbroken = fitted(pool, tmp_path / "state.pt")
    assert torch.load(tmp_path / "state.pt", weights_only=True)["parts"][2]["last_epoch"] == 3
    resumed = fitted(pool, tmp_path / "state.pt")
    assert all(torch.allclose(unbroken[name], resumed[name], atol=1e-6) for name in unbroken)


def test_the_state_of_other_settings_is_not_used(pool, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "STATE_EVERY", 2)
    fitted(pool, tmp_path / "state.pt")
    assert training.load_state(tmp_path / "state.pt", replace(TINY, rate=1.0), []) == {}


def test_the_rate_rises_and_falls():
    settings = TrainingSettings(steps=100, warmup=10)
    assert rate_share(0, settings) == 0.1
    assert rate_share(10, settings) == 1.0
    assert rate_share(55, settings) == pytest.approx(0.5)
    assert rate_share(100, settings) == pytest.approx(0.0)


def test_a_training_writes_a_checkpoint_with_its_figures_and_card(tmp_path):
    train(TINY, tmp_path / "cache", tmp_path / "checkpoint", tested=20)
    figures = json.loads((tmp_path / "checkpoint" / "training.json").read_text())
    assert figures["settings"]["steps"] == 4
    assert figures["scores"]["all"]["products"] == 20
    card = (tmp_path / "checkpoint" / "README.md").read_text()
    assert "| all | 20 | " in card
    assert "demo model" in card


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
