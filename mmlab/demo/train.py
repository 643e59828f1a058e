"""Trains the demo model from nothing: `python -m mmlab.demo.train`.

It draws its pool of train products, learns with CLIP's contrastive loss, and writes an ordinary checkpoint with its
scores and model card. A run that was stopped goes on from its last state in the cache folder.
"""

import argparse
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm
from transformers import CLIPModel, CLIPTokenizer

from mmlab.demo import CHECKPOINT
from mmlab.demo.card import write_card
from mmlab.demo.model import SIDE, build_model, build_processor, build_tokenizer
from mmlab.demo.pool import draw_pool
from mmlab.demo.score import score_checkpoint

STATE_EVERY = 100  # steps
LARGEST_SCALE = np.log(100.0)


@dataclass(frozen=True)
class Recipe:
    """What a training is made of; the same recipe gives the same model on the same machine."""

    products: int = 40_000
    steps: int = 2_000
    batch: int = 256
    rate: float = 1e-3
    warmup: int = 100
    decay: float = 0.05
    seed: int = 1


def train(recipe: Recipe, cache: Path, folder: Path, tested: int = 1000) -> None:
    """Trains by a recipe and writes the checkpoint into a folder, with its scores on a number of test products.

    The times it notes are those of this call, not of an earlier one that was stopped.
    """
    started = time.perf_counter()
    pixels, captions = draw_pool(cache, recipe.products, recipe.seed)
    drawn = time.perf_counter()
    tokenizer = build_tokenizer(text for texts in captions for text in texts)
    model = build_model(tokenizer, recipe.seed)
    losses = fit(model, tokenizer, pixels, captions, recipe, cache / "state.pt")
    model.save_pretrained(folder)
    build_processor(tokenizer).save_pretrained(folder)
    figures = {
        "recipe": asdict(recipe),
        "side": SIDE,
        "captions": len(captions[0]),
        "parameters": model.num_parameters(),
        "threads": torch.get_num_threads(),
        "seconds drawing": round(drawn - started),
        "seconds training": round(time.perf_counter() - drawn),
        "loss": losses,
        "scores": score_checkpoint(folder, tested),
    }
    write_card(folder, figures)


def fit(
    model: CLIPModel,
    tokenizer: CLIPTokenizer,
    pixels: np.ndarray,
    captions: list[list[str]],
    recipe: Recipe,
    state: Path,
) -> dict[int, float]:
    """Trains the model in place and returns the mean loss of every STATE_EVERY steps."""
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=recipe.rate, betas=(0.9, 0.98), weight_decay=recipe.decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_share(step, recipe))
    losses = load_state(state, recipe, model, optimiser, schedule)
    recent = []
    for step in tqdm(range(schedule.last_epoch, recipe.steps), desc="train", mininterval=20):
        loss = model(**choose_batch(tokenizer, pixels, captions, recipe, step), return_loss=True).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=LARGEST_SCALE)
        recent.append(loss.item())
        if (step + 1) % STATE_EVERY == 0:
            losses[step + 1] = round(float(np.mean(recent)), 3)
            recent = []
            save_state(state, recipe, model, optimiser, schedule, losses)
    return losses


def choose_batch(
    tokenizer: CLIPTokenizer, pixels: np.ndarray, captions: list[list[str]], recipe: Recipe, step: int
) -> dict[str, torch.Tensor]:
    """Returns the inputs of a step: images drawn by lot, each with one of its captions."""
    rng = np.random.default_rng([recipe.seed, step])
    chosen = rng.choice(len(pixels), recipe.batch, replace=False)
    texts = [captions[number][rng.integers(len(captions[number]))] for number in chosen]
    inputs = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    return {**inputs, "pixel_values": normalised(torch.from_numpy(pixels[chosen]))}


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    """Turns bytes into what the image processor gives the model."""
    from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

    mean, spread = (torch.tensor(values)[:, None, None] for values in (OPENAI_CLIP_MEAN, OPENAI_CLIP_STD))
    return (pixels.float() / 255 - mean) / spread


def rate_share(step: int, recipe: Recipe) -> float:
    """Learning rate at a step as a share of the highest: a linear rise, then half a cosine down to 0."""
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    return 0.5 + 0.5 * float(np.cos(np.pi * (step - recipe.warmup) / (recipe.steps - recipe.warmup)))


def save_state(path: Path, recipe: Recipe, *parts: object) -> None:
    """Keeps all that a stopped training needs to go on."""
    *modules, losses = parts
    state = {"recipe": asdict(recipe), "parts": [part.state_dict() for part in modules], "losses": losses}
    torch.save(state, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def load_state(path: Path, recipe: Recipe, *parts: object) -> dict[int, float]:
    """Brings the parts to the last state kept of this recipe, if there is one; returns its losses."""
    if not path.exists():
        return {}
    state = torch.load(path, weights_only=True)
    if state["recipe"] != asdict(recipe):
        return {}
    for part, values in zip(parts, state["parts"], strict=True):
        part.load_state_dict(values)
    return state["losses"]


def main() -> None:
    """Trains the demo model and writes its checkpoint."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument(
        "--cache", type=Path, required=True, help="folder for the drawn pool and the training's state"
    )
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT, help="folder to write")
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--products", type=int, default=Recipe.products)
    options = parser.parse_args()
    train(Recipe(products=options.products, steps=options.steps), options.cache, options.checkpoint)


if __name__ == "__main__":
    main()
