"""What makes figures comparable: the rules that they were measured by, and published results beside them."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mmlab.evaluate.measures.qrels import qrels_from_pairs
from mmlab.items import DIRECTIONS, Vectors, check_columns, is_among
from mmlab.items.tables import NEGATIVE

TIE_RULE = "equal scores count against the system"
INTERVAL = "95%, Clopper-Pearson with the design effect of pairs"
SIBLINGS_LEFT_OUT, SIBLINGS_KEPT = "left out", "kept: they answer and vote"
PUBLISHED_CSV = Path(__file__).parent / "published.csv"
MAX_NEAR_DIFFERENCE = 0.005  # half a point
MAX_SHOWN_CHARS = 60  # of an item in a message
PUBLISHED_KEYS = ["checkpoint", "model", "pretrained", "dataset", "images", "captions_per_image", "source"]
COMPARED_COLUMNS = ["direction", "measure", "value", "published", "difference", "near", "source", "reasons"]
COMMON_REASONS = (
    "one caption per image instead of all",
    "another prompt around the captions",
    "images resized or cropped in another way",
    "equal scores counted for the system instead of against it",
)


def protocol_card(
    by_modality: Mapping[str, Vectors],
    items: pd.DataFrame,
    qrels: Mapping[str, pd.DataFrame],
    rankings: Mapping[str, pd.DataFrame],
    split: str = "all",
    rules: Mapping[str, Mapping[str, str]] | None = None,
    answering: Mapping[str, Sequence[Vectors]] | None = None,
) -> pd.DataFrame:
    """Return the rules of an evaluation, one row per direction ("text-to-image", "image-to-text").

    `by_modality`: "text" and "image" -> the vectors of the split that is judged. `qrels`, `rankings`: direction ->
    table. `split`: its name, "all" where all items are one gallery. `rules`: direction -> further rules by name, as
    what was fitted on which other queries. `answering`: direction -> the vectors of each model that answers, those of
    `by_modality` unless given. Columns: direction, split, queries (those that are judged), not judged (those without a
    right answer, that something was fitted on, or that were not drawn), gallery (items that can be found), captions
    per image (mean over the images that have one), right answers per query, ranks kept, wrong captions in the gallery
    (made to be wrong for an image; only where there are some), the further rules, tie rule, interval, model and prompt
    of the queries' vectors, side of texts (whether they ask as queries, answer as documents, or are embedded alike),
    split hash (`split_hash` of all items judged).
    """
    judged = items[is_among(items["item_id"], [*by_modality["text"].ids, *by_modality["image"].ids])]
    captions = qrels_from_pairs(judged, "image", "text").groupby("query_id").size()
    of_all = {"split hash": split_hash(judged)}
    held = ", ".join(sorted(judged["split"].dropna().astype(str).unique()))
    rows = []
    for direction, right in qrels.items():
        asked, gallery = (by_modality[modality] for modality in DIRECTIONS[direction])
        queries = right["query_id"].nunique()
        counts = {
            "direction": direction,
            "split": f"{split}: {held}" if split == "all" and held else split,
            "queries": queries,
            "not judged": len(asked) - queries,
            "gallery": len(gallery),
            "captions per image": float(captions.mean()) if len(captions) else 0.0,
            "right answers per query": len(right) / max(queries, 1),
            "ranks kept": int(rankings[direction]["rank"].max()) if len(rankings[direction]) else 0,
        }
        counts |= _count_wrong(judged, gallery)
        always = {"tie rule": TIE_RULE, "interval": INTERVAL}
        further = (rules or {}).get(direction, {})
        space = _spaces((answering or {}).get(direction) or [asked], direction)
        rows.append({**counts, **further, **always, **space, **of_all})
    return pd.DataFrame(rows)


def _count_wrong(judged: pd.DataFrame, gallery: Vectors) -> dict[str, int]:
    """Return how many texts of the gallery were made to be wrong, nothing where none of all items was."""
    wrong = judged["item_id"][judged["origin"] == NEGATIVE]
    return {"wrong captions in the gallery": int(is_among(gallery.ids, wrong).sum())} if len(wrong) else {}


def _spaces(answering: Sequence[Vectors], direction: str) -> dict[str, str]:
    """Return model, prompt and side of texts, of several models one after the other."""
    parts = {
        "model": [one.space.model for one in answering],
        "prompt": [one.space.prompt or "none" for one in answering],
        "side of texts": [_side_of_texts(one, direction) for one in answering],
    }
    return {name: " + ".join(values) for name, values in parts.items()}


def _side_of_texts(vectors: Vectors, direction: str) -> str:
    if vectors.queries is None:
        return "queries and documents alike"
    return "queries" if DIRECTIONS[direction][0] == "text" else "documents"


def transpose_card(protocol: pd.DataFrame) -> pd.DataFrame:
    """Return the card in a form to read: a row per rule, a column per direction, all as text."""
    transposed = protocol.set_index("direction").map(_as_text).T
    return transposed.rename_axis(index="rule", columns=None).reset_index()


def split_hash(items: pd.DataFrame) -> str:
    """Return 12 hex digits that identify the items, whatever their order."""
    ids = "\n".join(sorted(items["item_id"]))
    return hashlib.sha256(ids.encode()).hexdigest()[:12]


def _as_text(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if value == int(value) and not isinstance(value, float) else f"{value:,.2f}"


def check_same_items(items: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the items of the first run if all runs are over the same items with the same splits.

    `items` holds the items of each run by its name. Raises ValueError where the items of a run or their splits differ
    from those of the first run; the message says how many, and names one.
    """
    first, *others = items
    for run in others:
        _check_items(first, items[first], run, items[run])
        _check_splits(first, items[first], run, items[run])
    return items[first]


def check_same_split(splits: Mapping[str, str]) -> str:
    """Return the split that all runs judge; raise ValueError, naming two runs, where they judge different ones.

    >>> check_same_split({"demo": "test", "graph": "test"})
    'test'
    """
    first, *others = splits
    for run in others:
        if splits[run] != splits[first]:
            raise ValueError(
                f"{first} judges {splits[first]} and {run} judges {splits[run]}, against its own gallery each: their "
                f"figures answer different questions; run 04_retrieve and 05_evaluate of {run} with -p split="
                f"{splits[first]}"
            )
    return splits[first]


def read_published(path: str | Path = PUBLISHED_CSV) -> pd.DataFrame:
    """Read published results, one row per figure.

    Returns checkpoint, model, pretrained, dataset, images, captions_per_image, source, direction, measure, published
    (a share in [0, 1]). The file has one line per model and dataset, with a column in percent for each figure, named
    as in "text-to-image Success@1". Raises ValueError where a column is missing or a figure is not in 0 to 100.
    """
    table = check_columns(pd.read_csv(path, comment="#"), PUBLISHED_KEYS, Path(path).name)
    figures = table.melt(PUBLISHED_KEYS, var_name="name", value_name="percent").dropna(subset="percent")
    parts = figures["name"].str.extract(r"^(?P<direction>\S+-to-\S+) (?P<measure>\S+)$")
    wrong = parts["measure"].isna() | ~figures["percent"].between(0, 100)
    if wrong.any():
        name, percent = figures.loc[wrong, ["name", "percent"]].iloc[0]
        raise ValueError(
            f"{Path(path).name}: expected columns like 'text-to-image Success@1' in percent, "
            f"found {name!r} with {percent}; correct the name or the figure"
        )
    figures = figures[PUBLISHED_KEYS].join(parts).assign(published=figures["percent"] / 100)
    return figures.reset_index(drop=True)


def compare_with_published(
    model: str,
    dataset: str,
    measures: pd.DataFrame,
    images: int | None = None,
    captions_per_image: float | None = None,
    published: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Compare figures with the published ones: direction, measure, value, published, difference, near, source, reasons.

    `model`: a Hugging Face id as a manifest names it, or "ViT-B-32/openai". `measures`: direction, measure, value
    (shares); further columns are kept (low, high). `images` and `captions_per_image`: what the run had; where
    they are not the published ones, that is the first reason. near: within 0.5 points. reasons: what usually
    explains a gap, empty where it is near. No rows where nothing is published for this model and dataset.
    """
    check_columns(measures, ("direction", "measure", "value"), "measures")
    rows = read_published() if published is None else published
    named = (rows["checkpoint"] == model) | (rows["model"] + "/" + rows["pretrained"] == model)
    both = measures.merge(rows[named & (rows["dataset"] == dataset)], on=["direction", "measure"])
    both["difference"] = both["value"] - both["published"]
    both["near"] = both["difference"].abs().round(9) <= MAX_NEAR_DIFFERENCE
    reasons = [
        "" if row["near"] else "; ".join([*_differing(row, images, captions_per_image), *COMMON_REASONS])
        for row in both.to_dict("records")
    ]
    both["reasons"] = pd.array(reasons, dtype="str")
    kept = [name for name in measures.columns if name not in COMPARED_COLUMNS]
    return both[COMPARED_COLUMNS[:3] + kept + COMPARED_COLUMNS[3:]]


def benchmark_name(manifest: Mapping[str, Any]) -> str:
    """Return the name by which a run's dataset is published: the last part of what 01_ingest was given."""
    record = manifest["steps"].get("01_ingest", {"parameters": {}})
    return Path(record["parameters"].get("dataset", "")).stem or "unknown"


def _differing(row: Mapping[Any, Any], images: int | None, captions_per_image: float | None) -> list[str]:
    found = {"images": images, "captions_per_image": captions_per_image}
    return [
        f"{name.replace('_', ' ')}: {own:g} here, {row[name]:g} published"
        for name, own in found.items()
        if own is not None and own != row[name]
    ]


def _check_items(first: str, mine: pd.DataFrame, run: str, theirs: pd.DataFrame) -> None:
    for name, table, other, other_table in ((first, mine, run, theirs), (run, theirs, first, mine)):
        only = table[~is_among(table["item_id"], other_table["item_id"])]
        if len(only):
            raise ValueError(
                f"{first} and {run} are over different items and cannot be compared: {len(only)} of {name} are not "
                f"in {other}, first {_describe(only.iloc[0])}; run both on the same dataset with the same 01_ingest"
            )


def _check_splits(first: str, mine: pd.DataFrame, run: str, theirs: pd.DataFrame) -> None:
    before, after = (
        table.set_index("item_id")["split"].astype("object").fillna("none") for table in (mine, theirs)
    )
    after = after.reindex(before.index)
    different = before[before != after].index
    if len(different):
        item = mine.set_index("item_id").loc[different[0]]
        raise ValueError(
            f"{first} and {run} have different splits and cannot be compared: {len(different)} items, first "
            f"{_describe(item)}, which is {before[different[0]]!r} in {first} and {after[different[0]]!r} in {run}"
        )


def _describe(item: pd.Series) -> str:
    words = item["text"] if item["modality"] == "text" else item["pair_id"]
    return f"the {item['modality']} {str(words)[:MAX_SHOWN_CHARS]!r}"
