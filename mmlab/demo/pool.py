"""Draws the images and captions that the demo model learns from, and keeps them in a folder.

The pixels are those that the model's own image processor makes of the JPEG that a catalogue would hold.
"""

import json
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from mmlab.demo.attributes import TRAINING, Product, sample_product
from mmlab.demo.captions import STYLES, write_caption
from mmlab.demo.drawing import draw_product, jpeg_bytes
from mmlab.demo.parallel import map_processes

SHARE = 500  # products drawn by a process at a time
CAPTIONS_OF_A_STYLE = 2


def draw_pool(folder: Path, products: int, seed: int) -> tuple[np.ndarray, list[list[str]]]:
    """Returns the pixels (N, 3, side, side) uint8 and the captions of N train products, drawn once per folder."""
    pixels_path, captions_path = (folder / f"pool-{seed}-{products}{end}" for end in (".npy", ".json"))
    if not captions_path.exists():  # it is written last
        folder.mkdir(parents=True, exist_ok=True)
        shares = [(seed, start, min(start + SHARE, products)) for start in range(0, products, SHARE)]
        drawn = list(map_processes(_draw_share, shares, "pool"))
        np.save(pixels_path, np.concatenate([pixels for pixels, _ in drawn]))
        new = captions_path.with_suffix(".new")
        new.write_text(json.dumps([texts for _, captions in drawn for texts in captions]), "utf-8")
        new.replace(captions_path)
    return np.load(pixels_path, allow_pickle=False), json.loads(captions_path.read_text("utf-8"))


def image_pixels(image: Image.Image) -> np.ndarray:
    """Returns the pixels (3, side, side) uint8 that the model sees of an image, before they are normalised."""
    from mmlab.demo.model import build_image_processor

    pixels = build_image_processor()(image, do_rescale=False, do_normalize=False)["pixel_values"]
    return np.asarray(pixels[0], dtype=np.uint8)


def pool_captions(product: Product) -> list[str]:
    """Writes the captions of a product in the pool: some of every style."""
    rng = product.rng(TRAINING)
    return [write_caption(product, style, rng) for style in STYLES for _ in range(CAPTIONS_OF_A_STYLE)]


def _draw_share(share: tuple[int, int, int]) -> tuple[np.ndarray, list[list[str]]]:
    seed, start, stop = share
    products = [sample_product(seed, "train", number) for number in range(start, stop)]
    images = (Image.open(BytesIO(jpeg_bytes(draw_product(product)))) for product in products)
    return np.stack([image_pixels(image) for image in images]), [pool_captions(p) for p in products]
