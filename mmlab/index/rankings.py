"""The hits of an engine as rankings, mmlab's table for what a search returns."""

import numpy as np
import pandas as pd

from mmlab.index.engine import Hits
from mmlab.items import RANKING_COLUMNS

TEXT = pd.StringDtype(na_value=np.nan)  # "str", which takes longer by its name


def rankings(query_ids: np.ndarray, found: list[Hits], in_order: bool = False) -> pd.DataFrame:
    """query_id, item_id, rank from 1, score float32; queries keep their order, equal scores go by id.

    `in_order`: the hits are ranked as they come, not by their score.
    """
    if not in_order:
        found = [sorted(hits, key=lambda hit: (-hit[1], hit[0])) for hits in found]
    hits = [hit for hits in found for hit in hits]
    lengths = [len(hits) for hits in found]
    columns = (
        pd.array(np.repeat(query_ids, lengths).tolist(), dtype=TEXT),
        pd.array([item for item, _ in hits], dtype=TEXT),
        np.concatenate([np.arange(1, length + 1) for length in lengths] or [np.empty(0, dtype=int)]),
        np.array([score for _, score in hits], dtype=np.float32),
    )
    index = pd.RangeIndex(len(hits))  # a third of the time, where pandas is left to find it out
    return pd.DataFrame(dict(zip(RANKING_COLUMNS, columns, strict=True)), index=index, copy=False)
