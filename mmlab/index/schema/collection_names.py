"""Names of collections and ids of points: which are valid, and rows found for them put in the order asked."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

COLLECTION_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
ITEM_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def named(collection: str) -> str:
    """The collection's name if it is a valid one, else ValueError."""
    if not isinstance(collection, str) or not COLLECTION_NAME.fullmatch(collection):
        raise ValueError(
            "a collection is named by 1 to 63 of a-z, 0-9, '-' and '_', a letter or digit first; "
            f"found {collection!r}"
        )
    return collection


def collection_name(run: str, layout: str, *more: str) -> str:
    """The collection of a run in a layout, such as "demo-unified"; names that make no valid one are hashed."""
    plain = "-".join((run, layout, *more))
    if COLLECTION_NAME.fullmatch(plain):
        return plain
    digest = hashlib.sha256("/".join((run, *more)).encode()).hexdigest()[:8]
    end = "-".join((digest, layout, *(part[-8:] for part in more)))
    return f"{_head(run, len(end))}-{end}"


def may_be_of(collection: str, run: str, layout: str) -> bool:
    """Whether `collection_name` may have given this name to a collection of the run in the layout.

    For one whose schema cannot be read: its name is all that is known of it.
    """
    further = {"unified": "(-.*)?", "separate": "(-.*)?-(image|text)", "named": ""}[layout]
    if re.fullmatch(re.escape(f"{run}-{layout}") + further, collection):
        return True
    hashed = re.fullmatch(rf"(?P<head>.+)-[0-9a-f]{{8}}-{layout}{further}", collection)
    return bool(hashed) and _head(run, len(collection) - hashed.end("head") - 1) == hashed["head"]


def _head(run: str, end: int) -> str:
    """What a hashed name begins with, where its end has so many characters."""
    return re.sub(r"[^a-z0-9_-]", "-", f"r-{run.lower()}")[: min(40, 62 - end)]


def uuids(ids: Sequence[str] | np.ndarray) -> list[str]:
    """The ids if all are item ids, else ValueError: engines would give other spellings back changed."""
    ids = [str(item) for item in ids]
    wrong = [item for item in ids if not ITEM_ID.fullmatch(item)]
    if wrong:
        raise ValueError(
            f"an item_id is a lower-case uuid as mmlab.items.item_id makes it; found {wrong[0]!r}"
        )
    return ids


def unique_uuids(ids: Sequence[str]) -> list[str]:
    """The different ones of the ids that an engine can be asked for."""
    return [item for item in dict.fromkeys(map(str, ids)) if ITEM_ID.fullmatch(item)]


def in_order(ids: Sequence[str], found: Mapping[str, Any], collection: str) -> list[Any]:
    """What was found for each id, in the order asked; KeyError names the first that was not."""
    missing = [item for item in ids if item not in found]
    if missing:
        raise KeyError(
            f"{len(missing)} of {len(ids)} ids are not in collection {collection!r}, first {missing[0]}"
        )
    return [found[item] for item in ids]
