"""Build the demo model, a small CLIP, and train it from random weights: `python -m mmlab.demo.train`.

It draws a pool of train products, trains with the contrastive loss of CLIP, and writes an ordinary checkpoint with its
scores and model card, which AutoModel, AutoTokenizer and AutoProcessor load without mmlab. A training that was stopped
continues from its last state in the cache folder.
"""

import argparse
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from tqdm import tqdm
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor, CLIPTokenizer
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from mmlab.demo import CHECKPOINT
from mmlab.demo.drawing import draw_product, jpeg_bytes, map_processes
from mmlab.demo.products import STYLES, Product, Purpose, sample_product, write_caption
from mmlab.demo.score import score_checkpoint, write_card
from mmlab.items import replacing

STATE_EVERY = 100  # steps
MAX_LOGIT_SCALE = np.log(100.0)
PRODUCTS_PER_TASK = 500  # drawn by a process at a time
CAPTIONS_OF_STYLE = 2

Losses = dict[int, float]  # step -> mean loss of the steps since the one before


class Stateful(Protocol):
    """A model, an optimiser or a schedule: its state can be saved and loaded."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Continue from a state."""


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of a training; the same settings give the same model on the same machine."""

    products: int = 40_000
    steps: int = 2_000
    batch: int = 256
    rate: float = 1e-3
    warmup: int = 100
    decay: float = 0.05
    seed: int = 1


def train(settings: TrainingSettings, cache: Path, folder: Path, tested: int = 1000) -> None:
    """Train and write the checkpoint into `folder`, with its scores on `tested` products of the test split.

    The seconds written are those of this call, without an earlier one that was stopped.
    """
    started = time.perf_counter()
    pixels, captions = draw_pool(cache, settings.products, settings.seed)
    drawn = time.perf_counter()
    tokenizer = build_tokenizer(text for texts in captions for text in texts)
    model = build_model(tokenizer, settings.seed)
    losses = fit(model, tokenizer, pixels, captions, settings, cache / "state.pt")
    model.save_pretrained(folder)
    build_processor(tokenizer).save_pretrained(folder)
    figures = {
        "settings": asdict(settings),
        "side": INPUT_SIDE,
        "captions": len(captions[0]),
        "parameters": model.num_parameters(),
        "threads": torch.get_num_threads(),
        "seconds drawing": round(drawn - started),
        "seconds training": round(time.perf_counter() - drawn),
        "loss": losses,
        "scores": score_checkpoint(folder, tested),
    }
    write_card(folder, figures)


def draw_pool(folder: Path, products: int, seed: int) -> tuple[np.ndarray, list[list[str]]]:
    """Return pixels (N, 3, side, side) uint8 and captions of N train products, drawn once per folder."""
    pixels_path, captions_path = (folder / f"pool-{seed}-{products}{end}" for end in (".npy", ".json"))
    if not captions_path.exists():  # written last
        folder.mkdir(parents=True, exist_ok=True)
        starts = range(0, products, PRODUCTS_PER_TASK)
        tasks = [(seed, start, min(start + PRODUCTS_PER_TASK, products)) for start in starts]
        drawn = list(map_processes(_draw_part, tasks, "pool"))
        np.save(pixels_path, np.concatenate([pixels for pixels, _ in drawn]))
        with replacing(captions_path) as temporary:
            temporary.write_text(json.dumps([texts for _, captions in drawn for texts in captions]), "utf-8")
    return np.load(pixels_path, allow_pickle=False), json.loads(captions_path.read_text("utf-8"))


def image_pixels(image: Image.Image) -> np.ndarray:
    """Return the pixels (3, side, side) uint8 that the model receives, before they are normalised."""
    pixels = build_image_processor()(image, do_rescale=False, do_normalize=False)["pixel_values"]
    return np.asarray(pixels[0], dtype=np.uint8)


def pool_captions(product: Product) -> list[str]:
    """Write the captions of a product in the pool: CAPTIONS_OF_STYLE of every style."""
    rng = product.rng(Purpose.TRAINING)
    return [write_caption(product, style, rng) for style in STYLES for _ in range(CAPTIONS_OF_STYLE)]


def _draw_part(task: tuple[int, int, int]) -> tuple[np.ndarray, list[list[str]]]:
    seed, start, stop = task
    products = [sample_product(seed, "train", number) for number in range(start, stop)]
    images = (Image.open(BytesIO(jpeg_bytes(draw_product(product)))) for product in products)
    return np.stack([image_pixels(image) for image in images]), [pool_captions(p) for p in products]


def fit(
    model: CLIPModel,
    tokenizer: CLIPTokenizer,
    pixels: np.ndarray,
    captions: list[list[str]],
    settings: TrainingSettings,
    state: Path,
) -> Losses:
    """Train the model in place and return the mean loss of every STATE_EVERY steps."""
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=settings.rate, betas=(0.9, 0.98), weight_decay=settings.decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_share(step, settings))
    parts = (model, optimiser, schedule)
    losses = load_state(state, settings, parts)
    recent = []
    for step in tqdm(range(schedule.last_epoch, settings.steps), desc="train", mininterval=20):
        loss = model(**sample_batch(tokenizer, pixels, captions, settings, step), return_loss=True).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=MAX_LOGIT_SCALE)
        recent.append(loss.item())
        if (step + 1) % STATE_EVERY == 0:
            losses[step + 1] = round(float(np.mean(recent)), 3)
            recent = []
            save_state(state, settings, parts, losses)
    return losses


def sample_batch(
    tokenizer: CLIPTokenizer,
    pixels: np.ndarray,
    captions: list[list[str]],
    settings: TrainingSettings,
    step: int,
) -> dict[str, torch.Tensor]:
    """Return the inputs of a step: random images, each with one of its captions."""
    rng = np.random.default_rng([settings.seed, step])
    chosen = rng.choice(len(pixels), settings.batch, replace=False)
    texts = [captions[number][rng.integers(len(captions[number]))] for number in chosen]
    inputs = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    return {**inputs, "pixel_values": normalised(torch.from_numpy(pixels[chosen]))}


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    """Normalise pixels (N, 3, side, side) uint8 as the image processor does."""
    mean, spread = (torch.tensor(values)[:, None, None] for values in (OPENAI_CLIP_MEAN, OPENAI_CLIP_STD))
    return (pixels.float() / 255 - mean) / spread


def rate_share(step: int, settings: TrainingSettings) -> float:
    """Return the learning rate at a step as a share of the highest: a linear rise, then half a cosine down to 0."""
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    return 0.5 + 0.5 * float(np.cos(np.pi * (step - settings.warmup) / (settings.steps - settings.warmup)))


def save_state(path: Path, settings: TrainingSettings, parts: Sequence[Stateful], losses: Losses) -> None:
    """Save all that a stopped training needs to continue."""
    state = {"settings": asdict(settings), "parts": [part.state_dict() for part in parts], "losses": losses}
    with replacing(path) as temporary:
        torch.save(state, temporary)


def load_state(path: Path, settings: TrainingSettings, parts: Sequence[Stateful]) -> Losses:
    """Load the last saved state of these settings into the parts, if there is one; return its losses."""
    if not path.exists():
        return {}
    state = torch.load(path, weights_only=True)
    if state["settings"] != asdict(settings):
        return {}
    for part, values in zip(parts, state["parts"], strict=True):
        part.load_state_dict(values)
    return state["losses"]


def main() -> None:
    """Train the demo model and write its checkpoint."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument(
        "--cache", type=Path, required=True, help="folder for the drawn pool and the training's state"
    )
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT, help="folder to write")
    parser.add_argument("--steps", type=int, default=TrainingSettings.steps)
    parser.add_argument("--products", type=int, default=TrainingSettings.products)
    options = parser.parse_args()
    train(TrainingSettings(products=options.products, steps=options.steps), options.cache, options.checkpoint)


if __name__ == "__main__":
    main()


INPUT_SIDE = 64  # pixels of an image that the model receives
MAX_TOKENS = 64  # of a text
MERGES = 900  # byte pairs
START, END = "<|startoftext|>", "<|endoftext|>"


def build_model(tokenizer: CLIPTokenizer, seed: int) -> CLIPModel:
    """Return an untrained model for a tokenizer; the same seed gives the same weights."""
    torch.manual_seed(seed)
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "hidden_act": "gelu",
        "max_position_embeddings": MAX_TOKENS,
        # Not 2: with 2 as end token transformers pools at the highest token id, not at the end of the text.
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {
        "image_size": INPUT_SIDE,
        "patch_size": 8,
        "hidden_size": 192,
        "intermediate_size": 384,
        "num_hidden_layers": 4,
        "num_attention_heads": 3,
        "hidden_act": "gelu",
    }
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=128))


def build_processor(tokenizer: CLIPTokenizer) -> CLIPProcessor:
    """Join the tokenizer with the image processor."""
    return CLIPProcessor(image_processor=build_image_processor(), tokenizer=tokenizer)


def build_image_processor() -> CLIPImageProcessorPil:
    """Return the image processor that works with Pillow, so that pixels are the same on every machine."""
    return CLIPImageProcessorPil(
        size={"shortest_edge": INPUT_SIDE}, crop_size={"height": INPUT_SIDE, "width": INPUT_SIDE}
    )


def build_tokenizer(captions: Iterable[str]) -> CLIPTokenizer:
    """Learn byte pair merges from captions. Every byte is a token, so any text can be encoded."""
    original = CLIPTokenizer().backend_tokenizer
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer, learner.pre_tokenizer = original.normalizer, original.pre_tokenizer
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + MERGES,
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    learner.train_from_iterator(captions, trainer)
    merges = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    merged = ("".join(pair) for pair in merges)
    tokens = dict.fromkeys([START, END, *alphabet, *(byte + "</w>" for byte in alphabet), *merged])
    vocab = {token: number for number, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=MAX_TOKENS)
