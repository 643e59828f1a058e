"""Published results to hold a run against: one row per model and dataset in `published.csv`."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from mmlab.items import check_columns

TABLE = Path(__file__).parent / "published.csv"
NEAR = 0.005  # half a point
KEYS = ["checkpoint", "model", "pretrained", "dataset", "images", "captions_per_image", "source"]
COLUMNS = ["direction", "measure", "value", "published", "difference", "near", "source", "reasons"]
REASONS = (
    "one caption per image instead of all",
    "another prompt around the captions",
    "images resized or cropped in another way",
    "equal scores counted for the system instead of against it",
)


def read_published(path: str | Path = TABLE) -> pd.DataFrame:
    """One row per figure: checkpoint, model, pretrained, dataset, images, captions_per_image, source, direction,
    measure, published (a share in [0, 1]).

    The file has one line per model and dataset, with a column in percent for each figure, named as in
    "text-to-image Success@1". Raises ValueError where a column is missing or a figure is not in 0 to 100.
    """
    table = check_columns(pd.read_csv(path, comment="#"), KEYS, Path(path).name)
    figures = table.melt(KEYS, var_name="name", value_name="percent").dropna(subset="percent")
    parts = figures["name"].str.extract(r"^(?P<direction>\S+-to-\S+) (?P<measure>\S+)$")
    wrong = parts["measure"].isna() | ~figures["percent"].between(0, 100)
    if wrong.any():
        name, percent = figures.loc[wrong, ["name", "percent"]].iloc[0]
        raise ValueError(
            f"{Path(path).name}: expected columns like 'text-to-image Success@1' in percent, "
            f"found {name!r} with {percent}; correct the name or the figure"
        )
    return figures[KEYS].join(parts).assign(published=figures["percent"] / 100).reset_index(drop=True)


def beside_published(
    model: str,
    dataset: str,
    measures: pd.DataFrame,
    images: int | None = None,
    captions_per_image: float | None = None,
    published: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Own figures beside the published ones: direction, measure, value, published, difference, near, source, reasons.

    `model`: a Hugging Face id as a manifest names it, or "ViT-B-32/openai". `measures`: direction, measure, value
    (shares), any further columns are kept (low, high). `images` and `captions_per_image`: what the run had; where
    they are not the published ones, that is the first reason. near: within 0.5 points. reasons: what usually
    explains a gap, empty where it is near. No rows where nothing is published for this model and dataset.
    """
    check_columns(measures, ("direction", "measure", "value"), "measures")
    rows = read_published() if published is None else published
    named = (rows["checkpoint"] == model) | (rows["model"] + "/" + rows["pretrained"] == model)
    rows = rows[named & (rows["dataset"] == dataset)]
    both = measures.merge(rows, on=["direction", "measure"])
    both["difference"] = both["value"] - both["published"]
    both["near"] = both["difference"].abs().round(9) <= NEAR
    reasons = [
        "" if row["near"] else "; ".join([*_differing(row, images, captions_per_image), *REASONS])
        for row in both.to_dict("records")
    ]
    both["reasons"] = pd.array(reasons, dtype="str")
    kept = [name for name in measures.columns if name not in COLUMNS]
    return both[COLUMNS[:3] + kept + COLUMNS[3:]]


def benchmark_of(manifest: Mapping) -> str:
    """The name by which a run's dataset is published: the last part of what 01_ingest was given, without its ending."""
    record = manifest["steps"].get("01_ingest", {"parameters": {}})
    return Path(record["parameters"].get("dataset", "")).stem or "unknown"


def _differing(row: dict, images: int | None, captions_per_image: float | None) -> list[str]:
    had = {"images": images, "captions_per_image": captions_per_image}
    return [
        f"{name.replace('_', ' ')}: {own:g} here, {row[name]:g} published"
        for name, own in had.items()
        if own is not None and own != row[name]
    ]
