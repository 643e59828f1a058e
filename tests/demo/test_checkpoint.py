import json

import pytest
import torch
from transformers import AutoModel, AutoProcessor, AutoTokenizer, CLIPModel, CLIPProcessor

from mmlab.demo import CHECKPOINT
from mmlab.demo.score import DIRECTIONS, score_checkpoint


@pytest.fixture(scope="module")
def figures():
    return json.loads((CHECKPOINT / "training.json").read_text("utf-8"))


def test_it_is_small_and_holds_nothing_but_plain_files():
    assert (CHECKPOINT / "model.safetensors").stat().st_size <= 12_000_000
    assert {path.suffix for path in CHECKPOINT.iterdir()} == {".json", ".md", ".safetensors"}


def test_it_loads_as_an_ordinary_clip(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    model = AutoModel.from_pretrained(CHECKPOINT, trust_remote_code=False)
    processor = AutoProcessor.from_pretrained(CHECKPOINT, backend="pil")
    tokenizer = AutoTokenizer.from_pretrained(CHECKPOINT)
    assert isinstance(model, CLIPModel)
    assert isinstance(processor, CLIPProcessor)
    assert model.config.text_config.eos_token_id == tokenizer.eos_token_id != 2
    assert tokenizer("mug")["input_ids"] == processor.tokenizer("mug")["input_ids"]


def test_both_modalities_meet_in_one_space():
    model = AutoModel.from_pretrained(CHECKPOINT).eval()
    tokenizer = AutoTokenizer.from_pretrained(CHECKPOINT)
    side = model.config.vision_config.image_size
    with torch.inference_mode():
        text = model.get_text_features(**tokenizer(["a red mug"], return_tensors="pt")).pooler_output
        image = model.get_image_features(pixel_values=torch.zeros(1, 3, side, side)).pooler_output
    assert text.shape == image.shape == (1, model.config.projection_dim)


def test_it_finds_fresh_products_of_the_test_split(figures):
    # In a gallery of 200 a rank is at most what it is among the 1,000 of the card; the margin is for the smaller
    # sample: four standard errors.
    scores = score_checkpoint(CHECKPOINT, products=200, seed=77)
    for direction in DIRECTIONS:
        for measure in ("Success@1", "Success@10"):
            known = figures["scores"]["all"][direction][measure]
            assert scores["all"][direction][measure] >= known - 4 * (known * (1 - known) / 200) ** 0.5


def test_the_card_gives_the_scores_and_that_it_is_a_demo_model(figures):
    card = (CHECKPOINT / "README.md").read_text("utf-8")
    assert "A demo model: it knows drawings only." in card
    for group in figures["scores"].values():
        for direction in DIRECTIONS:
            assert f"{group[direction]['Success@1']:.3f} | {group[direction]['Success@10']:.3f}" in card


def test_the_goal_is_met(figures):
    for direction in DIRECTIONS:
        assert figures["scores"]["all"][direction]["Success@1"] >= 0.80
        assert figures["scores"]["all"][direction]["Success@10"] >= 0.98
