"""Read a source into one table of rows, as written: nothing is cleaned, opened or refused here."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from mmlab.items import ITEM_COLUMNS, check_columns

CAPTIONS = "captions.csv"
FROM_SOURCE = ("image", "label", "split")  # the items columns that a source may fill


def read_folder(folder: Path) -> pd.DataFrame:
    """The rows of captions.csv, indexed by `row` from 1: image, caption, label, split, the user's columns.

    Every cell is text; an empty one is missing, except in image and caption, where it is "". A column of the
    user's that has the name of an items column comes back as `source_<name>`.
    Raises FileNotFoundError or ValueError that say what was expected, what was found and what to do.
    """
    if not folder.is_dir():
        found = "a file" if folder.is_file() else "nothing"
        raise FileNotFoundError(f"dataset {folder}: expected a folder with a {CAPTIONS}, found {found} there")
    if not (folder / CAPTIONS).is_file():
        found = sorted(entry.name for entry in folder.iterdir())[:10] or "an empty folder"
        raise FileNotFoundError(
            f"dataset {folder}: expected {CAPTIONS} (columns image, caption), found {found}"
        )
    cells = check_columns(_read_csv(folder / CAPTIONS), ("image", "caption"), str(folder / CAPTIONS))
    if cells.empty:
        raise ValueError(f"{folder / CAPTIONS} has a header but no rows: add one row per caption")
    return _as_rows(cells)


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        cells = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8 ({error.reason} at byte {error.start}): save it as UTF-8"
        ) from error
    except pd.errors.EmptyDataError as error:
        raise ValueError(f"{path} is empty: expected a header with the columns image and caption") from error
    except pd.errors.ParserError as error:
        advice = "quote captions that hold commas, line breaks or quotes"
        raise ValueError(
            f"{path} is not a sound comma-separated table ({str(error).strip()}): {advice}"
        ) from error
    if type(cells.index) is not pd.RangeIndex:  # pandas takes surplus first fields for an index
        raise ValueError(f"{path}: the rows have more fields than the header: name every column")
    return cells.set_axis(_free_names(cells.columns), axis=1).fillna("")  # rows may end early


def _free_names(names: Iterable[str]) -> list[str]:
    taken = set(ITEM_COLUMNS) - set(FROM_SOURCE)
    free = []
    for name in names:
        name = name.strip()
        while name in taken:
            name = f"source_{name}"
        taken.add(name)
        free.append(name)
    return free


def _as_rows(cells: pd.DataFrame) -> pd.DataFrame:
    required = cells[["image", "caption"]]
    others = cells.drop(columns=required.columns).replace("", None)
    others = others.reindex(columns=list(dict.fromkeys(("label", "split", *others.columns)))).astype("str")
    rows = required.join(others)
    return rows.set_axis(pd.RangeIndex(1, len(rows) + 1, name="row"))
