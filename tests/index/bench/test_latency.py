"""What an answer takes, part by part: rows that can be counted, shares that can be worked out."""

import numpy as np
import pandas as pd
import pytest

from mmlab.index import Store, build_index, open_index, open_store, summarize_parts, time_parts
from mmlab.index.edge.edge_engine import EdgeEngine
from tests.index.pairs import make_pairs

PAIRS = make_pairs(40)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    store = open_store(tmp_path_factory.mktemp("latency"))
    return build_index(
        store, "demo", PAIRS.items, [PAIRS.both], quantization="none", on_disk=True, progress=False
    )


def test_median_and_95th_percentile_of_each_part_and_of_the_whole(index):
    cold = [{"opening_ms": 10.0, "search_ms": float(i)} for i in range(101)]
    warm = [{"search_ms": 2.0}]
    expected = pd.DataFrame(
        {
            "vectors": "on disk",
            "state": ["just opened"] * 2 + ["warm"] * 2,
            "samples": [101, 101, 1, 1],
            "of": ["p50", "p95"] * 2,
            "opening_ms": [10, 10, np.nan, np.nan],
            "search_ms": [50.0, 95, 2, 2],
            "whole_ms": [60.0, 105, 2, 2],
        }
    )
    pd.testing.assert_frame_equal(summarize_parts(index, {"just opened": cold, "warm": warm}), expected)


def test_every_part_is_timed_and_only_the_cold_ones_open(index):
    table = time_parts(index, PAIRS.ask_both, "image", 5, samples=4).set_index(["state", "of"])
    assert table["samples"].tolist() == [4, 4, 4, 4]
    assert (table[["search_ms", "payload_ms", "whole_ms"]] > 0).all(axis=None)
    assert (table.loc["just opened", "opening_ms"] > 0).all()
    assert table.loc["warm", "opening_ms"].isna().all()
    assert table.loc[("just opened", "p50"), "whole_ms"] > table.loc[("warm", "p50"), "whole_ms"]


class Counting(EdgeEngine):
    """Remembers what it opened from its files."""

    opened = 0

    def _opened(self, name):
        self.opened += name not in self._shared.open
        return super()._opened(name)


def test_the_store_is_opened_anew_for_each_cold_sample(index):
    engine = Counting(index.store._engine.folder, wait=1.0)
    counted = open_index(Store(engine), "demo")
    engine.opened = 0
    time_parts(counted, PAIRS.ask_both, "image", 5, samples=4)
    assert engine.opened == 4 + 1  # and once for the warm ones
