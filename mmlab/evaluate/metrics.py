"""metrics.json: the figures of a run, for reports and for comparing runs."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from mmlab.items import replacing


def write_metrics(
    path: str | Path, means: pd.DataFrame, protocol: pd.DataFrame, **more: pd.DataFrame
) -> Path:
    """Write tables as JSON, a list of rows each; what is NaN or missing becomes null.

    measures: means (direction, measure, value, low, high, queries); protocol: `protocol_card`; `more` under their
    names, as losses and space.
    """
    tables = {"measures": means, "protocol": protocol, **more}
    records = {name: [_plain(row) for row in table.to_dict("records")] for name, table in tables.items()}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(records, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return Path(path)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: None if pd.isna(value) else value for name, value in row.items()}
