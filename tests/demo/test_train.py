import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from mmlab.demo import train as training
from mmlab.demo.model import build_model, build_tokenizer
from mmlab.demo.train import TrainingSettings, draw_pool, fit, rate_share, train

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
