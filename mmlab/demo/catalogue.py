"""Draws the demo catalogue into a folder: images, captions.csv, and the truth about both.

- `captions.csv`: image, caption, label, split, colour, pattern; a row per caption, what a user's dataset looks like.
- `truth.csv`: what each image shows, and whether its combination is withheld from training.
- `faults.csv`: every planted fault, with the row of captions.csv (from 1) that it is in and what belongs there.
- `catalogue.json`: the parameters; it says "finished" only when all the rest is there.
"""

import json
import shutil
from pathlib import Path

import pandas as pd

from mmlab.demo.faults import MISSING
from mmlab.demo.files import ImageFile, write_files
from mmlab.demo.listing import Listing, list_catalogue
from mmlab.demo.parallel import map_processes

MAKER = "mmlab.demo"
VERSION = 1  # of the drawings and words; another version is drawn anew
SHARE = 50  # images drawn by a process at a time
TABLES = ("captions.csv", "truth.csv", "faults.csv")


def draw_catalogue(folder: str | Path, products: int = 1500, seed: int = 0, progress: bool = True) -> Path:
    """Draws a catalogue of a number of products and returns its folder; if it is there already, draws nothing.

    A catalogue of fewer products of the same seed holds the beginning of this one. A catalogue of other parameters in
    the folder is replaced. Several processes draw, so a script calls this under `if __name__ == "__main__":`.
    Raises ValueError for a number or a seed that is not possible, and FileExistsError for a folder that holds
    something else.
    """
    if products < 1 or seed < 0:
        raise ValueError(f"products must be at least 1 and seed at least 0, found {products} and {seed}")
    folder = Path(folder)
    parameters = {"made_by": MAKER, "version": VERSION, "products": products, "seed": seed}
    found = _read_parameters(folder)
    if found == parameters | {"finished": True}:
        return folder
    _empty(folder, found)
    _write_parameters(folder, parameters | {"finished": False})
    listings = list_catalogue(products, seed)
    _write_images(folder, listings, progress)
    for name, table in zip(
        TABLES, (list_captions(listings), list_truth(listings), list_faults(listings)), strict=True
    ):
        table.to_csv(folder / name, index=False, lineterminator="\n")
    _write_parameters(folder, parameters | {"finished": True})
    return folder


def list_captions(listings: list[Listing]) -> pd.DataFrame:
    """Returns captions.csv: a row for each caption."""
    rows = [
        (listing.image, caption, product.category, product.split, product.colour, product.pattern)
        for listing in listings
        for product in [listing.product]
        for caption in listing.captions
    ]
    return pd.DataFrame(rows, columns=["image", "caption", "label", "split", "colour", "pattern"])


def list_truth(listings: list[Listing]) -> pd.DataFrame:
    """Returns truth.csv: a row for each image, with all that it shows."""
    told = (
        "split",
        "category",
        "colour",
        "pattern",
        "background",
        "companion",
        "size",
        "light",
        "angle",
        "withheld",
    )
    rows = [
        {"image": listing.image} | {name: getattr(listing.product, name) for name in told}
        for listing in listings
    ]
    return pd.DataFrame(rows, columns=["image", *told])


def list_faults(listings: list[Listing]) -> pd.DataFrame:
    """Returns faults.csv: a row for each faulty caption and each faulty file."""
    rows, first = [], 1
    for listing in listings:
        for flaw in listing.flaws:
            row = None if flaw.caption is None else first + flaw.caption
            rows.append((flaw.fault, listing.image, row, flaw.original, flaw.detail))
        first += len(listing.captions)
    faults = pd.DataFrame(rows, columns=["fault", "image", "row", "original", "detail"])
    return faults.astype({"row": "Int64"})


def _write_images(folder: Path, listings: list[Listing], progress: bool) -> None:
    (folder / "images").mkdir()
    files = [
        ImageFile(folder / listing.image, listing.product, listing.fault)
        for listing in listings
        if listing.fault != MISSING
    ]
    shares = [files[start : start + SHARE] for start in range(0, len(files), SHARE)]
    for _ in map_processes(write_files, shares, "catalogue", progress):
        pass


def _read_parameters(folder: Path) -> dict | None:
    """Returns what catalogue.json says, or None if there is none of ours."""
    try:
        parameters = json.loads((folder / "catalogue.json").read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return parameters if isinstance(parameters, dict) and parameters.get("made_by") == MAKER else None


def _empty(folder: Path, found: dict | None) -> None:
    """Makes the folder ready: removes an earlier catalogue's files, and nothing but those."""
    folder.mkdir(parents=True, exist_ok=True)
    if found is None and any(folder.iterdir()):
        raise FileExistsError(
            f"expected an empty folder or an earlier catalogue at {folder}, found other files;"
            " choose another folder, or move them away"
        )
    if (folder / "images").exists():
        shutil.rmtree(folder / "images")
    for name in TABLES:
        (folder / name).unlink(missing_ok=True)


def _write_parameters(folder: Path, parameters: dict) -> None:
    new = folder / "catalogue.json.new"
    new.write_text(json.dumps(parameters, indent=1) + "\n", "utf-8")
    new.replace(folder / "catalogue.json")
