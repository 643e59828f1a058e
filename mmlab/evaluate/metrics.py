"""metrics.json: the figures of a run, for reports and for comparing runs."""

import json
from pathlib import Path

import pandas as pd

from mmlab.items import replacing


def write_metrics(path: str | Path, means: pd.DataFrame, protocol: pd.DataFrame) -> Path:
    """Write means (direction, measure, value, low, high, queries) and protocol (one row per direction) as JSON."""
    records = {"measures": means.to_dict("records"), "protocol": protocol.to_dict("records")}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(records, indent=2) + "\n", encoding="utf-8")
    return Path(path)
