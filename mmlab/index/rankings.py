"""The hits of an engine as rankings, mmlab's table for what a search returns."""

import numpy as np
import pandas as pd

from mmlab.index.engine import Hits
from mmlab.items import RANKING_COLUMNS


def rankings(query_ids: np.ndarray, found: list[Hits]) -> pd.DataFrame:
    """query_id, item_id, rank from 1, score float32; queries keep their order, equal scores go by id."""
    hits = [hit for hits in found for hit in sorted(hits, key=lambda hit: (-hit[1], hit[0]))]
    lengths = [len(hits) for hits in found]
    columns = (
        pd.array(np.repeat(query_ids.astype(object), lengths), dtype="str"),
        pd.array([item for item, _ in hits], dtype="str"),
        np.concatenate([np.arange(1, length + 1) for length in lengths] or [np.empty(0, dtype=int)]),
        np.array([score for _, score in hits], dtype=np.float32),
    )
    return pd.DataFrame(dict(zip(RANKING_COLUMNS, columns, strict=True)), copy=False)
