import base64
import io
import re
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mmlab.runs import read_manifest, start_step
from mmlab.runs.report.sections import (
    allow_scripts,
    draw_runs,
    read_figures,
    read_galleries,
    read_map,
    shrink_figures,
    title_of,
)


@pytest.mark.parametrize(
    ("stem", "title"),
    [
        ("05_similarity_histogram", "Similarity histogram"),
        ("umap", "Umap"),
        ("05", "05"),
        ("06_t-sne", "T sne"),
    ],
)
def test_a_figures_title_is_its_file_name_as_words(stem, title):
    assert title_of(stem) == title


def test_scripts_are_allowed_by_their_hashes():
    # the hash that the specification of content policies gives for this text
    assert allow_scripts("<script>alert('Hello, world.');</script>") == (
        "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"
    )
    assert allow_scripts("<p>no script</p>") == ""
    assert allow_scripts('<script type="application/json">[1]</script>') == ""
    assert allow_scripts("<script>a</script><script>b</script><script>a</script>").count("sha256-") == 2


def runs(*rows: tuple) -> pd.DataFrame:
    columns = ["name", "dataset", "measure", "value", "low", "high", "latency_ms", "front"]
    return pd.DataFrame(rows, columns=columns)


def test_runs_of_one_dataset_are_drawn_over_cost_and_quality():
    """0.1 and 10 ms are the ends of the axis, and 1 ms lies in its middle: it is logarithmic."""
    some = [
        ("a", "/data/photos", "Success@1", 0.8, 0.7, 0.9, 10.0, True),
        ("b", "/data/photos", "Success@1", 0.5, 0.5, 0.5, 1.0, False),
        ("c", "/data/photos", "Success@1", 0.6, None, None, 0.1, True),
        ("alone", "/data/other", "Success@1", 0.6, 0.5, 0.7, 0.1, True),
        ("unmeasured", "/data/photos", "", None, None, None, 1.0, False),
    ]
    (drawing,) = draw_runs(runs(*some))
    assert (drawing.title, drawing.measure) == ("photos", "Success@1")
    points = {point.name: point for point in drawing.points}
    assert points["c"].x < points["b"].x < points["a"].x
    assert points["b"].x == pytest.approx((points["a"].x + points["c"].x) / 2, abs=0.1)
    assert points["a"].high < points["a"].y < points["a"].low  # downwards
    assert points["c"].low == points["c"].high == points["c"].y
    assert [label for _, label in drawing.x_ticks] == ["0.10 ms", "10 ms"]
    assert {name for name, point in points.items() if point.front} == {"a", "c"}


def test_names_of_runs_that_lie_together_do_not_stand_on_each_other():
    same = [(name, "d", "Success@1", 0.8, 0.8, 0.8, 1.0, True) for name in "abcd"]
    labels = sorted(point.label for point in draw_runs(runs(*same))[0].points)
    assert all(later - earlier >= 14 for earlier, later in pairwise(labels))


def test_a_figure_becomes_a_smaller_image_of_the_same_size():
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8))
    stored = io.BytesIO()
    noise.save(stored, "PNG")
    page = f'<img src="data:image/png;base64,{base64.b64encode(stored.getvalue()).decode()}"><p>text</p>'
    smaller = shrink_figures(page)
    kind, data = re.search(r'src="data:image/(\w+);base64,([^"]+)"', smaller).groups()
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert (kind, image.size) == ("webp", (60, 40))
    assert len(smaller) < len(page)
    assert smaller.endswith("<p>text</p>")
    damaged = '<img src="data:image/png;base64,iVBORw0KGgo=">'
    assert shrink_figures(damaged) == damaged


@pytest.mark.parametrize(
    ("file", "read"),
    [
        ("map.html", read_map),
        ("galleries/05_worst.html", read_galleries),
        ("figures/06_map.png", read_figures),
    ],
)
def test_a_damaged_file_is_named(file, read):
    step = start_step("06_visualize", "r")
    step.write(file).write_bytes(b"\xff\xfe\x00 no text, and no image")
    step.finish("")
    with pytest.raises(ValueError, match=rf"{file} is damaged \(.*\): run the notebook that writes it again"):
        read(read_manifest("r"))
