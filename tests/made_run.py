"""A run's folder made from vectors alone: what 01, 02 and 04 would have written, for 05 and 06 to read."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from mmlab.evaluate import qrels_from_pairs, score_queries, vectors_by_modality
from mmlab.evaluate.measures.geometry import share_space
from mmlab.items import (
    DIRECTIONS,
    ITEM_COLUMNS,
    Space,
    Vectors,
    exact_search,
    read_table,
    unit_rows,
    write_items,
    write_table,
)
from mmlab.items.files import file_hash
from mmlab.items.tables import item_id
from mmlab.runs import run_folder, start_step

QUERIES_PER_LOSS = 40  # of so many queries one loses its best hit in the step "index"


def make_run(
    name: str, items: pd.DataFrame, vectors: Sequence[Vectors], dataset: str = "vectors", depth: int = 100
) -> Path:
    """Write items, vectors and rankings (steps exact and index) with their manifest; return the run's folder."""
    step = start_step("01_ingest", name, dataset=dataset)
    write_items(items, step.write("items.parquet"))
    step.finish(f"{len(items)} items")
    step = start_step("02_embed", name, models=[own.space.model for own in vectors])
    step.read("items.parquet")
    for own in vectors:
        own.save(step.write(f"vectors/{own.space.key}.arrow"))
    step.finish(f"{len(vectors)} spaces")
    step = start_step("04_retrieve", name, depth=depth)
    step.read("items.parquet")
    step.read_all("vectors/*.arrow")
    for queries, gallery in DIRECTIONS.values():
        exact = rank_exactly(items, vectors, queries, gallery, depth)
        for file, rankings in (("/exact", exact), ("/index", lose_some(exact)), ("", exact)):
            write_table(rankings, step.write(f"rankings/{queries}-to-{gallery}{file}.parquet"))
    step.finish("ranked")
    return run_folder(name)


def rank_exactly(
    items: pd.DataFrame, vectors: Sequence[Vectors], queries: str, gallery: str, depth: int
) -> pd.DataFrame:
    """By cosine; where queries and gallery lie in two spaces, through the pairs of the queries' own modality."""
    by_modality = vectors_by_modality(vectors, items)
    if share_space(by_modality):
        return exact_search(by_modality[queries], by_modality[gallery], depth)
    near = exact_search(by_modality[queries], by_modality[queries], depth)
    pairs = items.set_index("item_id")["pair_id"]
    answers = items.loc[items["modality"] == gallery, ["item_id", "pair_id"]]
    hits = (
        near.assign(pair_id=near["item_id"].map(pairs)).drop(columns="item_id").merge(answers, on="pair_id")
    )
    best = hits.sort_values(["query_id", "rank"], kind="stable").drop_duplicates(["query_id", "item_id"])
    best["rank"] = best.groupby("query_id").cumcount() + 1
    return best.loc[best["rank"] <= depth, ["query_id", "item_id", "rank", "score"]].reset_index(drop=True)


def lose_some(rankings: pd.DataFrame) -> pd.DataFrame:
    """The rankings as an index with gaps would give them."""
    lost = (pd.factorize(rankings["query_id"])[0] % QUERIES_PER_LOSS == 0) & (rankings["rank"] == 1)
    kept = rankings[~lost].copy()
    kept["rank"] = kept.groupby("query_id").cumcount() + 1
    return kept.reset_index(drop=True)


def read_photos(path: Path) -> tuple[pd.DataFrame, Vectors]:
    """The vectors of 1,000 photos and their 5,000 captions, with whole items whose image files are not there."""
    with np.load(path, allow_pickle=False) as parts:
        names, captions = parts["image_names"].tolist(), parts["captions"].tolist()
        owner = parts["caption_image"]
        arrays = [unit_rows(parts[name].astype("f4")) for name in ("image_vectors", "caption_vectors")]
    items = whole_items(names, captions, owner)
    space = Space("photo-vectors", "1", "", "", "", arrays[0].shape[1])
    return items, Vectors(items["item_id"], np.concatenate(arrays), space)


def whole_items(names: list[str], captions: list[str], owner: np.ndarray) -> pd.DataFrame:
    """Images and texts with all columns of items; caption n belongs to image `owner[n]`; no file is there."""
    images = pd.DataFrame({"modality": "image", "pair_id": names, "origin": "image"})
    images["image"] = "/nowhere/" + images["pair_id"]
    texts = pd.DataFrame({"modality": "text", "pair_id": np.array(names)[owner], "text": captions})
    items = pd.concat([images, texts.assign(origin="caption")], ignore_index=True).assign(split="test")
    items["item_id"] = [f"{kind}{number}" for number, kind in enumerate(items["modality"])]
    return items.assign(content=items["item_id"]).reindex(columns=ITEM_COLUMNS)


def make_judged_run(
    run: str, noise: float, pairs: int = 30, test: int | None = None, folder: Path | None = None
) -> None:
    """A run up to 05 over drawn items, whose texts lie the further from their images the more noise there is.

    `test`: how many pairs are the test split, which is judged; the others are for training. Without it there is none.
    `folder`: where the image files are drawn; without it they are nowhere.
    """
    rng = np.random.default_rng(0)
    names = [f"{number}.jpg" for number in range(pairs)]
    rows = [("image", name, None, f"/none/{name}") for name in names]
    rows += [("text", name, f"<b>{name}</b>", None) for name in names]
    items = pd.DataFrame(rows, columns=["modality", "pair_id", "text", "image"])
    items["item_id"] = [item_id(row.modality, row.pair_id, str(row.text)) for row in items.itertuples()]
    images = unit_rows(rng.standard_normal((pairs, 8)))
    texts = unit_rows(images + noise * rng.standard_normal((pairs, 8)))
    space = Space(run, "1", "projected", "", "", 8)
    spaces = [Vectors(items["item_id"], np.vstack([images, texts]), space)]
    items = items.assign(content="c", origin="caption").reindex(columns=ITEM_COLUMNS)
    if folder is not None:
        items.loc[: pairs - 1, "image"] = [
            draw_plain(folder / name, number) for number, name in enumerate(names)
        ]
        items.loc[: pairs - 1, "content"] = [file_hash(folder / name) for name in names]
    if test is not None:
        items["split"] = np.where(items["pair_id"].isin(names[:test]), "test", "train")
    make_run(run, items, spaces)
    items = items[items["split"].isin(["test"])] if test else items
    step = start_step("03_index", run, ef=50)
    judged = pd.DataFrame({"search": ["HNSW ef=50"], "recall": [1.0], "p50_ms": [1 + noise]})
    write_table(judged, step.write("index.parquet"))
    step.finish("")
    step = start_step("05_evaluate", run)
    for a, b in (("text", "image"), ("image", "text")):
        ranked = read_table(step.read(f"rankings/{a}-to-{b}.parquet"))
        scores = score_queries(ranked, qrels_from_pairs(items, a, b), ["Success@1", "RR"])
        write_table(scores, step.write(f"per_query/{a}-to-{b}.parquet"))
    step.finish("")


def draw_plain(path: Path, number: int) -> str:
    """Draw an image of a colour of its own; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 32), (7 * number % 256, 128, 255 - 5 * number % 256)).save(path)
    return str(path)
