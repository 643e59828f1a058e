"""What centring, CSLS, the inverted softmax and QB-Norm do to Success@1: on vectors without hubs, and of real photos.

Of the photos half, with their captions, serve to fit: they are the bank of reference queries, give the means of the
centring, and choose each temperature (the queries of their other pairs as the bank). The rest is judged.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from mmlab.evaluate import score_queries
from mmlab.evaluate.measures.geometry import count_occurrences, skewness
from mmlab.evaluate.resampling import bootstrap_intervals
from mmlab.items import Space, Vectors, unit_rows
from mmlab.items.files import project
from mmlab.items.rankings import rankings_from_scores
from mmlab.retrieve import RESCORINGS, csls, qb_norm
from mmlab.retrieve.scores.fuse import Centring
from mmlab.retrieve.scores.hubness import Rescored, choose_temperature, find_banks, inverted_softmax, rescore
from tests.bench.figures import Figure

FILE = project().parent / "shared" / "vectors" / "flickr8k-test.npz"
K = 10

Sides = dict[str, Vectors]  # "text" and "image"


def hubness() -> list[Figure]:
    """Success@1 and hubness before, and the change of Success@1 by each method, with 95 % intervals by image."""
    figures = isotropic()
    if not FILE.is_file():
        print(f"hubness: no vectors at {FILE}, nothing measured on photos")
        return figures
    fitting, evaluation = _halves(np.random.default_rng(0))
    for queries, gallery in (("text", "image"), ("image", "text")):
        figures += _direction(fitting, evaluation, queries, gallery)
    return figures


def isotropic(seeds: tuple[int, ...] = (0, 1, 2), images: int = 500, captions: int = 5) -> list[Figure]:
    """Unit vectors without hubs, where nothing can be gained: the change by each rescoring, with either bank."""
    figures = []
    for seed in seeds:
        texts, gallery, pairs = draw_isotropic(seed, images, captions)
        outside, _, others = draw_isotropic(seed + 100, images, captions, "other ")
        known = pd.concat([pairs, others])
        plain = _found_first(rescore(texts, gallery, pairs, "none", "text", 1), pairs)
        for name in RESCORINGS:
            for bank, references in (("of the gallery", None), ("outside the gallery", outside)):
                found = rescore(texts, gallery, known, name, "text", 1, seed, references=references)
                what = f"seed {seed}, plain {plain:.4f}, bank {bank}"
                change = _found_first(found, pairs) - plain
                figures.append(
                    Figure(f"isotropic, change by {name}", change, "", what, "less than 0.005 either way")
                )
    return figures


def draw_isotropic(
    seed: int, images: int, captions: int, prefix: str = "", dimension: int = 256, noise: float = 3.6
) -> tuple[Vectors, Vectors, pd.Series]:
    """Texts, images and their pairs: images in all directions alike, each text near its own."""
    rng, owner = np.random.default_rng(seed), np.repeat(np.arange(images), captions)
    array = unit_rows(rng.standard_normal((images, dimension)))
    apart = unit_rows(rng.standard_normal((len(owner), dimension)))
    text_ids = [f"{prefix}t{number}" for number in range(len(owner))]
    image_ids = [f"{prefix}i{number}" for number in range(images)]
    pairs = [f"{prefix}p{number}" for number in (*owner, *range(images))]
    space = Space("isotropic", "1", "", "", "", dimension)
    texts = Vectors(text_ids, unit_rows(array[owner] + noise * apart), space)
    return texts, Vectors(image_ids, array, space), pd.Series(pairs, index=text_ids + image_ids)


def _found_first(rescored: Rescored, pairs: pd.Series) -> float:
    first = rescored.rankings[rescored.rankings["rank"] == 1]
    return float((pairs[first["query_id"]].to_numpy() == pairs[first["item_id"]].to_numpy()).mean())


def _halves(rng: np.random.Generator) -> list[Sides]:
    with np.load(FILE, allow_pickle=False) as parts:
        images, texts = unit_rows(parts["image_vectors"]), unit_rows(parts["caption_vectors"])
        owner = parts["caption_image"]
    space = Space("flickr8k-test", "1", "projected", "", "none", images.shape[1])
    halves = np.split(rng.permutation(len(images)), 2)
    return [_sides(images, texts, owner, half, space) for half in halves]


def _sides(images: np.ndarray, texts: np.ndarray, owner: np.ndarray, kept: np.ndarray, space: Space) -> Sides:
    rows = np.flatnonzero(np.isin(owner, kept))
    return {
        "image": Vectors([f"{image:04d}" for image in kept], images[kept], space),
        "text": Vectors([f"{owner[row]:04d}-{row:04d}" for row in rows], texts[rows], space),
    }


def _direction(fitting: Sides, evaluation: Sides, queries: str, gallery: str) -> Iterator[Figure]:
    way = f"{queries} to {gallery}"
    plain = evaluation[queries].array @ evaluation[gallery].array.T
    before = _success(plain, evaluation[queries], evaluation[gallery])
    ranked = rankings_from_scores(plain, evaluation[queries].ids, evaluation[gallery].ids, K)
    skew = skewness(count_occurrences(ranked, evaluation[gallery].ids, K))
    yield Figure(f"hubness, {way}, Success@1 before", before.mean(), "", f"{len(before)} queries")
    yield Figure(f"hubness, {way}, skewness of {K}-occurrence", skew, "")
    bank = fitting[queries].array @ evaluation[gallery].array.T
    for name, scores in _methods(fitting, evaluation, queries, gallery, plain, bank):
        after = _success(scores, evaluation[queries], evaluation[gallery])
        image = [name[:4] for name in evaluation[queries].ids]
        low, high = bootstrap_intervals((after - before)[:, None], np.array(image))[0]
        compared = f"95 % [{low:+.3f}, {high:+.3f}]; Success@1 {after.mean():.3f}"
        yield Figure(f"hubness, {way}, change by {name}", (after - before).mean(), "", compared)


def _methods(
    fitting: Sides, evaluation: Sides, queries: str, gallery: str, plain: np.ndarray, bank: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    centring = Centring.fit(fitting["text"], fitting["image"])
    centred = [centring.apply(evaluation[side], side) for side in (queries, gallery)]
    yield "centring", centred[0].array @ centred[1].array.T
    yield f"CSLS, k {K}", csls(plain, bank, K)
    ids = [*fitting[queries].ids, *fitting[gallery].ids]
    pairs = pd.Series([name[:4] for name in ids], index=ids)
    for name, rescoring in (("inverted softmax", inverted_softmax), ("QB-Norm", qb_norm)):
        sides = fitting[queries], fitting[gallery]
        every = np.ones(len(sides[0]), dtype=bool)
        temperature = choose_temperature(*sides, pairs, rescoring.__name__, find_banks(*sides, pairs), every)
        yield f"{name}, T {temperature}", rescoring(plain, bank, temperature)


def _success(scores: np.ndarray, queries: Vectors, gallery: Vectors) -> np.ndarray:
    """Success@1 of each query, in the order of the queries; an id starts with the image that it belongs to."""
    items = pd.DataFrame({"item_id": gallery.ids, "image": [name[:4] for name in gallery.ids]})
    asked = pd.DataFrame({"query_id": queries.ids, "image": [name[:4] for name in queries.ids]})
    qrels = asked.merge(items, on="image").assign(relevance=1)
    ranked = rankings_from_scores(scores, queries.ids, gallery.ids, K)
    measured = score_queries(ranked, qrels, ["Success@1"]).set_index("query_id")
    return measured["Success@1"].loc[queries.ids].to_numpy()
