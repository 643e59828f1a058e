"""Score the demo model on products it has never seen, and write its model card: `python -m mmlab.demo.score`.

Each product has one image and one caption. Every caption is ranked against every image and the other way round, by
exact dot products; a tie counts against the model.
"""

import argparse
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmlab.demo import CHECKPOINT
from mmlab.demo.drawing import draw_product, jpeg_bytes
from mmlab.demo.products import (
    BACKGROUNDS,
    CATEGORIES,
    COLOURS,
    COMPANIONS,
    PATTERNS,
    WITHHELD,
    Product,
    sample_product,
    write_captions,
)

BATCH_SIZE = 128
SEED = 1
DIRECTIONS = ("text to image", "image to text")  # as training.json spells them
MEASURES = {"Success@1": 1, "Success@10": 10}

Scores = dict[str, dict[str, Any]]  # group -> "products" -> their number, and direction -> measure -> value

CARD = """---
library_name: transformers
license: mit
language: en
tags: [clip, demo]
---

# mmlab demo model

A demo model: it knows drawings only. It is a small CLIP, trained from nothing on the product images that
`mmlab.demo` draws, so that the workbench can be tried, tested and taught without a network. It is of no use on
photographs; take a pretrained CLIP for those.

It is an ordinary `transformers` checkpoint: `AutoModel`, `AutoTokenizer` and `AutoProcessor` load it. Images are
scaled to {side} pixels by the processor that works with Pillow (`backend="pil"`).

## Data

{products:,} drawn products of the train split (seed {seed}), {captions} captions each: {categories} categories in
{colours} colours, {patterns} patterns and {backgrounds} backgrounds, {companions} kinds of things beside them, in four
styles of wording. {withheld} combinations of category and colour were withheld: only the test split shows them.

## Training

{parameters:,} parameters, contrastive loss, {steps:,} steps of {batch} pairs with AdamW (rate {rate}, warm-up of
{warmup} steps, then a cosine), fixed seed, float32. {minutes} minutes on {threads} CPU cores, and {drawing} minutes
to draw the pool. `python -m mmlab.demo.train --cache FOLDER` does it again; `training.json` holds the figures.

## Scores

{tested:,} products of the test split, never seen, one image and one caption each; exact search by dot product, ties
count against the model. Products of withheld combinations are ranked among all {tested:,}. By chance, Success@1
would be {chance:.3f}. `python -m mmlab.demo.score` prints this again.

{table}

## Limits

- It knows only the things, colours, patterns and places named above, drawn in one style; any other text or image
  gets a vector too, and that vector means nothing.
- Captions are written by templates: words outside of them are strange to it. English only.
- Things that share category, colour, pattern, background and companion are told apart by chance.
"""


def score_checkpoint(folder: Path, products: int = 1000, split: str = "test", seed: int = SEED) -> Scores:
    """Return Success@1 and Success@10 of both directions, for all products and for seen and withheld combinations.

    Products of withheld combinations are ranked among all `products`.
    """
    chosen = [sample_product(seed, split, number) for number in range(products)]
    withheld = np.array([product.withheld for product in chosen])
    images, texts = embed_products(folder, chosen)
    text_to_image, image_to_text = DIRECTIONS
    ranks = {text_to_image: tied_ranks(texts @ images.T), image_to_text: tied_ranks(images @ texts.T)}
    groups = {
        "all": np.full(products, True),
        "seen combinations": ~withheld,
        "withheld combinations": withheld,
    }
    return {
        name: {"products": int(group.sum())}
        | {direction: successes(of[group]) for direction, of in ranks.items()}
        for name, group in groups.items()
        if group.any()
    }


def embed_products(folder: Path, products: list[Product]) -> tuple[np.ndarray, np.ndarray]:
    """Return unit rows (N, D) of the images of the products and of their first captions."""
    import torch
    from transformers import AutoModel, AutoProcessor

    model = AutoModel.from_pretrained(folder, local_files_only=True, attn_implementation=None).eval()
    processor = AutoProcessor.from_pretrained(folder, local_files_only=True, backend="pil")
    rows = []
    for start in range(0, len(products), BATCH_SIZE):
        batch = products[start : start + BATCH_SIZE]
        inputs = processor(
            images=[Image.open(BytesIO(jpeg_bytes(draw_product(product)))) for product in batch],
            text=[write_captions(product)[0] for product in batch],
            padding=True,
            truncation=True,
            return_tensors="pt",
        )
        with torch.inference_mode():
            output = model(**inputs)  # its embeddings have unit rows
        rows.append((output.image_embeds.numpy(), output.text_embeds.numpy()))
    images, texts = zip(*rows, strict=True)
    return np.concatenate(images), np.concatenate(texts)


def tied_ranks(scores: np.ndarray) -> np.ndarray:
    """Return the ranks, from 1, of the right answers on the diagonal of scores (N, N); a tie counts against them."""
    return (scores >= np.diag(scores)[:, None]).sum(axis=1)


def successes(ranks: np.ndarray) -> dict[str, float]:
    """Return the shares of the queries whose right answer is the first, or among the first ten."""
    return {measure: round(float((ranks <= k).mean()), 3) for measure, k in MEASURES.items()}


def write_card(folder: Path, figures: dict[str, Any]) -> None:
    """Write training.json and the model card, README.md, into the folder of a checkpoint.

    `figures` holds "settings", "side", "parameters", "threads", "captions", "seconds drawing", "seconds training" and
    "scores".
    """
    (folder / "training.json").write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    scores = figures["scores"]
    text = CARD.format(
        **figures["settings"],
        parameters=figures["parameters"],
        threads=figures["threads"],
        captions=figures["captions"],
        side=figures["side"],
        minutes=round(figures["seconds training"] / 60),
        drawing=round(figures["seconds drawing"] / 60),
        categories=len(CATEGORIES),
        colours=len(COLOURS),
        patterns=len(PATTERNS),
        backgrounds=len(BACKGROUNDS),
        companions=len(COMPANIONS),
        withheld=len(WITHHELD),
        tested=scores["all"]["products"],
        chance=1 / scores["all"]["products"],
        table=_tabulate_scores(scores),
    )
    (folder / "README.md").write_text(text, "utf-8")


def _tabulate_scores(scores: Scores) -> str:
    """Return the scores as a Markdown table with a row for each group of products."""
    columns = [(direction, measure) for direction in DIRECTIONS for measure in MEASURES]
    head = ["products of", "number", *(f"{direction}, {measure}" for direction, measure in columns)]
    rows = [
        [
            name,
            str(group["products"]),
            *(f"{group[direction][measure]:.3f}" for direction, measure in columns),
        ]
        for name, group in scores.items()
    ]
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *rows))


def main() -> None:
    """Print the scores of a checkpoint as JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--products", type=int, default=1000)
    parser.add_argument("--split", default="test")
    options = parser.parse_args()
    print(json.dumps(score_checkpoint(options.checkpoint, options.products, options.split), indent=1))  # noqa: T201


if __name__ == "__main__":
    main()
