"""Scores the demo model on products it has never seen: `python -m mmlab.demo.score`.

Each product has one image and one caption; every caption is ranked against every image and the other way
round, by exact dot products, and a tie counts against the model.
"""

import argparse
import json
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from mmlab.demo import CHECKPOINT
from mmlab.demo.attributes import Product, sample_product
from mmlab.demo.captions import write_captions
from mmlab.demo.drawing import draw_product, jpeg_bytes

BATCH = 128
SEED = 1


def score_checkpoint(folder: Path, products: int = 1000, split: str = "test", seed: int = SEED) -> dict:
    """Returns Success@1 and Success@10 of both directions for all products, seen and withheld combinations.

    Products of withheld combinations are ranked among all `products`.
    """
    chosen = [sample_product(seed, split, number) for number in range(products)]
    withheld = np.array([product.withheld for product in chosen])
    images, texts = embed_products(folder, chosen)
    ranks = {"text to image": tied_ranks(texts @ images.T), "image to text": tied_ranks(images @ texts.T)}
    groups = {
        "all": np.full(products, True),
        "seen combinations": ~withheld,
        "withheld combinations": withheld,
    }
    return {
        name: {"products": int(group.sum())} | {way: successes(found[group]) for way, found in ranks.items()}
        for name, group in groups.items()
        if group.any()
    }


def embed_products(folder: Path, products: list[Product]) -> tuple[np.ndarray, np.ndarray]:
    """Returns unit rows (N, D) of the products' images and of their first captions."""
    import torch
    from transformers import AutoModel, AutoProcessor

    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    processor = AutoProcessor.from_pretrained(folder, local_files_only=True, backend="pil")
    rows = []
    for start in range(0, len(products), BATCH):
        batch = products[start : start + BATCH]
        inputs = processor(
            images=[Image.open(BytesIO(jpeg_bytes(draw_product(product)))) for product in batch],
            text=[write_captions(product)[0] for product in batch],
            padding=True,
            truncation=True,
            return_tensors="pt",
        )
        with torch.inference_mode():
            output = model(**inputs)  # its embeddings are unit rows already
        rows.append((output.image_embeds.numpy(), output.text_embeds.numpy()))
    images, texts = zip(*rows, strict=True)
    return np.concatenate(images), np.concatenate(texts)


def tied_ranks(scores: np.ndarray) -> np.ndarray:
    """Ranks (from 1) of the right answers, those on the diagonal of (Q, N) scores; equals rank before them."""
    return (scores >= np.diag(scores)[:, None]).sum(axis=1)


def successes(ranks: np.ndarray) -> dict[str, float]:
    """Shares of the queries whose right answer is the first, or among the first ten."""
    return {f"Success@{k}": round(float((ranks <= k).mean()), 3) for k in (1, 10)}


def main() -> None:
    """Prints the scores of a checkpoint as JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--products", type=int, default=1000)
    parser.add_argument("--split", default="test")
    options = parser.parse_args()
    print(json.dumps(score_checkpoint(options.checkpoint, options.products, options.split), indent=1))  # noqa: T201


if __name__ == "__main__":
    main()
