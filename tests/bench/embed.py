"""Embedding against sentence-transformers at its defaults, on the same weights, each precision beside it; the cache.

The weights are random ones of the size of ViT-B/32, and for texts those of all-MiniLM-L6-v2 as well. Each round times
all runs one after the other, and the best round of each counts: other load can only make one slower.
"""

import hashlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd

from mmlab.embed import Model, embed_items, load_model
from mmlab.embed.encode import count_workers
from mmlab.items import ITEM_COLUMNS
from mmlab.items.files import file_hash
from mmlab.items.tables import item_id
from tests.bench.figures import Figure
from tests.bench.sentences import PHOTOS, find_minilm

ROUNDS, CACHED = 4, 20_000
COUNTS = {"cpu": (96, 480), "cuda": (1_000, 10_000)}  # images and texts
SIZES = ((640, 480), (500, 375))
COMPARED = "sentence-transformers"
EXPECTED = {"bfloat16": "at least 2", "int8": "at least 4"}  # times as fast


def images() -> list[Figure]:
    """From JPEG to vector: images per second, ratios, and the cosine of each precision to float32."""
    with TemporaryDirectory() as folder:
        paths, model = _photos(Path(folder), COUNTS[_device()][0]), _write_clip(Path(folder) / "clip")
        return _compare(_image_items(paths), model, lambda: _open_all(paths), "images")[0]


def texts() -> list[Figure]:
    """From caption to vector: random weights on captions of mixed length, real ones on those of 1,000 photos."""
    captions = _captions(COUNTS[_device()][1])
    with TemporaryDirectory() as folder:
        model = _write_clip(Path(folder) / "clip")
        figures, _ = _compare(_text_items(captions), model, lambda: captions, "texts")
    return figures + _real_texts()


def _real_texts() -> list[Figure]:
    """all-MiniLM-L6-v2: the speed on the first captions, and how often each of all 5,000 finds one of its photo."""
    if not PHOTOS.is_file():
        print(f"bench: {PHOTOS} is not on this machine", file=sys.stderr)
        return []
    with np.load(PHOTOS, allow_pickle=False) as parts:
        captions, owner = parts["captions"].tolist(), parts["caption_image"]
    timed = captions[: 2 * COUNTS[_device()][1]]
    figures, models = _compare(_text_items(timed), find_minilm(), lambda: timed, "MiniLM texts")
    shares = {
        name: _success(_embedding(_text_items(captions), model)(), owner) for name, model in models.items()
    }
    return figures + [
        Figure(
            f"MiniLM, {len(captions):,} captions, Success@1, {name}", share, "",
            *(() if name == "float32" else ("float32", f"within 0.003 of {shares['float32']:.3f}")),
        )
        for name, share in shares.items()
    ]  # fmt: skip


def _success(rows: np.ndarray, owner: np.ndarray) -> float:
    """The share of captions whose nearest other caption is of the same photo."""
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -1)
    return float((owner[cosines.argmax(axis=1)] == owner).mean())


def cached() -> list[Figure]:
    """The demo model on 10,000 small images and 10,000 texts, twice on one cache."""
    from PIL import Image

    rng = np.random.default_rng(0)
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.png" for number in range(CACHED // 2)]
        for path in paths:
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
        items = pd.concat([_image_items(paths), _text_items(_captions(CACHED // 2))], ignore_index=True)
        model = load_model("demo", device="cpu")
        first, again = (
            _seconds(lambda: embed_items(items, model, Path(folder) / "cache", progress=False))
            for _ in range(2)
        )
    return [
        Figure(f"{CACHED:,} items, first run", CACHED / first, "items/s"),
        Figure(f"{CACHED:,} items, second run", CACHED / again, "items/s"),
        Figure("second run", first / again, "times", "first run", "at least 50"),
    ]


def workers() -> list[Figure]:
    """From JPEG and from caption to vector: a worker per core against one worker with all cores."""
    with TemporaryDirectory() as folder:
        model = load_model(str(_write_clip(Path(folder) / "clip")), _device())
        images, texts = COUNTS[_device()]
        items = {
            "images": _image_items(_photos(Path(folder), images)),
            "texts": _text_items(_captions(texts)),
        }
        return [figure for name, rows in items.items() for figure in _compare_workers(rows, model, name)]


def _compare_workers(items: pd.DataFrame, model: Model, name: str) -> list[Figure]:
    def run(count: int) -> float:
        with patch("mmlab.embed.encode.count_workers", lambda: count):
            return _seconds(_embedding(items, model))

    counts = (1, count_workers())
    best = pd.DataFrame([{count: run(count) for count in counts} for _ in range(ROUNDS)]).min()
    return [
        *(Figure(f"{name}, {count} workers", len(items) / best[count], f"{name}/s") for count in best.index),
        Figure(f"{name}, {counts[1]} workers", best[1] / best[counts[1]], "times", "1 worker"),
    ]


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _compare(
    items: pd.DataFrame, folder: Path, read: Callable[[], list[Any]], name: str
) -> tuple[list[Figure], dict[str, Model]]:
    """The figures of every precision beside sentence-transformers, and the models."""
    from sentence_transformers import SentenceTransformer

    plain = SentenceTransformer(str(folder), device=_device())
    models = {precision: load_model(str(folder), _device(), precision) for precision in _precisions()}
    runs = {COMPARED: lambda: plain.encode(read(), normalize_embeddings=True, show_progress_bar=False)}
    runs |= {precision: _embedding(items, model) for precision, model in models.items()}
    # To warm up, and for the cosines.
    rows = {label: run() for label, run in runs.items()}
    np.testing.assert_allclose(rows["float32"], rows[COMPARED], atol=1e-4 if _device() == "cpu" else 2e-3)
    seconds = pd.DataFrame([{label: _seconds(run) for label, run in runs.items()} for _ in range(ROUNDS)])
    best = seconds.min()
    figures = [Figure(f"{name}, {label}", rate, f"{name}/s") for label, rate in (len(items) / best).items()]
    for precision in models:
        ratio, cosine = (
            best[COMPARED] / best[precision],
            (rows[precision] * rows["float32"]).sum(axis=1).min(),
        )
        figures.append(Figure(f"{name}, {precision}", ratio, "times", COMPARED, EXPECTED.get(precision, "")))
        if precision != "float32":
            expected = "at least 0.999"
            figures.append(
                Figure(f"{name}, least cosine, {precision}", float(cosine), "", "float32", expected)
            )
    return figures, models


def _precisions() -> list[str]:
    """float32, and what this machine computes faster."""
    from mmlab.embed.models.adapter import pick_device, pick_precision
    from mmlab.embed.models.int8 import gains_from_int8

    faster = pick_precision("auto", pick_device(_device()))
    int8 = ["int8"] if _device() == "cpu" and gains_from_int8() else []
    return [*dict.fromkeys(["float32", faster]), *int8]


def _embedding(items: pd.DataFrame, model: Model) -> Callable[[], np.ndarray]:
    return lambda: embed_items(items, model, progress=False).vectors.array


def _seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def _write_clip(folder: Path) -> Path:
    """A CLIP of the size of ViT-B/32 with random weights, and the demo's tokenizer with a window of 77 tokens."""
    import torch
    from transformers import AutoTokenizer, CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor

    from mmlab.embed.models.checkpoint import find_checkpoint

    tokenizer = AutoTokenizer.from_pretrained(find_checkpoint("demo"), model_max_length=77)
    special = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    torch.manual_seed(0)
    network = CLIPModel(CLIPConfig(text_config={"vocab_size": len(tokenizer), **special}))
    network.save_pretrained(folder)
    CLIPProcessor(image_processor=CLIPImageProcessorPil(), tokenizer=tokenizer).save_pretrained(folder)
    return folder


def _photos(folder: Path, count: int) -> list[Path]:
    """JPEGs like photos in size of file: soft shapes and the noise of a camera."""
    from PIL import Image

    rng = np.random.default_rng(0)
    paths = [folder / f"{number:04}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        width, height = SIZES[number % 2]
        cells = rng.integers(0, 256, (height // 16, width // 16, 3), dtype=np.uint8)
        shapes = np.asarray(Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC))
        noisy = shapes + rng.normal(0, 6, shapes.shape)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=90)
    return paths


def _open_all(paths: list[Path]) -> list[Any]:
    from PIL import Image

    return [Image.open(path) for path in paths]


def _captions(count: int) -> list[str]:
    """Captions of different numbers of words, as people write them: many short ones, a few long ones."""
    rng = np.random.default_rng(0)
    words = (
        "a",
        "red",
        "blue",
        "small",
        "round",
        "shoe",
        "lamp",
        "with",
        "the",
        "wooden",
        "striped",
        "dotted",
    )
    lengths = rng.lognormal(2.3, 0.7, count).clip(1, 50).astype(int)
    return [f"{' '.join(rng.choice(words, length))} {number}" for number, length in enumerate(lengths)]


def _image_items(paths: list[Path]) -> pd.DataFrame:
    rows = [{"modality": "image", "image": str(path), "content": file_hash(path)} for path in paths]
    return _items(rows)


def _text_items(captions: list[str]) -> pd.DataFrame:
    hashes = [hashlib.sha256(text.encode()).hexdigest() for text in captions]
    rows = zip(captions, hashes, strict=True)
    return _items([{"modality": "text", "text": text, "content": content} for text, content in rows])


def _items(rows: list[dict[str, str]]) -> pd.DataFrame:
    known = [
        row | {"pair_id": str(number), "item_id": item_id(row["modality"], str(number), row["content"])}
        for number, row in enumerate(rows)
    ]
    return pd.DataFrame(known, columns=list(ITEM_COLUMNS))
