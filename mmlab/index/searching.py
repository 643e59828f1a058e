"""Searches one collection of an engine, and makes up by a scan what the graph has left out."""

from dataclasses import replace

import numpy as np

from mmlab.index.engine import Conditions, Engine, Hits, Search


def hits_for(engine: Engine, name: str, rows: np.ndarray, met: Conditions, asked: Search) -> list[Hits]:
    """The hits of every row (Q, D): `asked.k`, or as many as meet the conditions."""
    total = engine.count(name)
    if not total or not len(rows):
        return [[] for _ in rows]
    limit = min(asked.k, total)
    asked = replace(asked, k=limit, exact=asked.exact or limit == total)
    found = engine.search(name, rows, met, asked)
    # A walk through the graph can end before it has k points, where few pass the filter or k is near the
    # whole collection. A scan finds them.
    short = [] if asked.exact else [i for i, hits in enumerate(found) if len(hits) < limit]
    if short:
        scanned = engine.search(name, rows[short], met, replace(asked, exact=True))
        for i, hits in zip(short, scanned, strict=True):
            found[i] = hits
    return found
