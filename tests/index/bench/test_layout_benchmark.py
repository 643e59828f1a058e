"""What layouts and placements cost: one row for each, from collections that were really built."""

from mmlab.index import compare_layouts, compare_placements
from tests.index.pairs import make_pairs

PAIRS = make_pairs(40)  # 32 images and 40 texts, 21 of which share a point in the named layout


def test_every_layout_has_its_row():
    table = compare_layouts(PAIRS.items, PAIRS.vectors, PAIRS.ask_both, "image", 5, quantization="none")
    assert table["layout"].tolist() == ["unified", "separate", "named"]
    assert table["collections"].tolist() == [2, 3, 1]
    assert table["points"].tolist() == [72 + 40, 72 + 40, 72 - 21]
    assert table["recall"].tolist() == [1, 1, 1]
    assert (table[["build_s", "disk_mb", "p50_ms"]] > 0).all(axis=None)


def test_a_placement_is_timed_just_opened_and_warm():
    table = compare_placements(
        PAIRS.items, [PAIRS.both], PAIRS.ask_both, "image", 5, samples=3, quantization="none"
    )
    states = [("just opened", 3), ("just opened", 3), ("warm", 3), ("warm", 3)]
    assert table["vectors"].tolist() == ["in memory"] * 4 + ["on disk"] * 4
    assert list(zip(table["state"], table["samples"], strict=True)) == states * 2
    median = table[table["of"] == "p50"].set_index(["vectors", "state"])["whole_ms"]
    for place in ("in memory", "on disk"):
        assert median[place, "just opened"] > median[place, "warm"] > 0
