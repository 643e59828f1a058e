"""Searches one collection of an engine, and makes up by a scan what the graph has left out."""

from dataclasses import replace

import numpy as np

from mmlab.index.store.engine import Conditions, Engine, Hits, Search


def hits_for(engine: Engine, name: str, rows: np.ndarray, met: Conditions, asked: Search) -> list[Hits]:
    """The hits of every row (Q, D): `asked.k`, or as many as meet the conditions."""
    found = engine.search(name, rows, met, asked)
    short = [i for i, hits in enumerate(found) if len(hits.ids) < asked.k]
    if not short or asked.exact or not engine.count(name):
        return found
    # A walk through the graph can end before it has k points, where few pass the filter or k is near the
    # whole collection. A scan finds them.
    scanned = engine.search(name, rows[short], met, replace(asked, exact=True))
    for i, hits in zip(short, scanned, strict=True):
        found[i] = hits
    return found
