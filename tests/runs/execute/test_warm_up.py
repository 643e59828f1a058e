import subprocess
import sys

import numpy as np
import pytest

from mmlab.items import Space, Vectors, unit_rows
from mmlab.runs import find_notebook
from mmlab.runs.execute.warm_up import WARM_UPS, compile_umap, draw_figure, find_warm_ups


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("01_ingest", ["draw_figure"]),
        ("02_embed", ["load_transformers", "draw_figure"]),
        ("03_index", ["draw_figure"]),
        ("04_retrieve", ["load_transformers", "draw_figure"]),
        ("05_evaluate", ["draw_figure"]),
        ("06_visualize", ["compile_umap", "draw_figure"]),
        ("07_tune", ["load_transformers", "draw_figure"]),
    ],
)
def test_what_a_notebook_calls_is_what_its_kernel_does_ahead(name, expected):
    assert find_warm_ups(find_notebook(name)) == expected


def test_a_notebook_that_calls_nothing_of_it_waits_for_nothing(tmp_path):
    (tmp_path / "06_visualize.ipynb").write_text("{}")
    assert find_warm_ups(tmp_path / "06_visualize.ipynb", tmp_path / "none.ipynb") == []
    both = find_warm_ups(find_notebook("06_visualize"), find_notebook("04_retrieve"))
    assert sorted(both) == sorted(WARM_UPS)


def test_what_is_warmed_up_is_loaded():
    code = "import sys, mmlab.runs.execute.warm_up as w; w.warm_up('load_transformers', 'draw_figure'); "
    code += "print({'torch', 'matplotlib.pyplot'} <= set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "True\n"


def test_drawing_ahead_leaves_no_figure_and_changes_none(tmp_path):
    import matplotlib.pyplot as plt

    from mmlab.visualize import bars, figure

    images = []
    for prepare in (lambda: None, draw_figure):
        prepare()
        assert plt.get_fignums() == []
        fig, (ax,) = figure()
        bars(ax, ["mug"], [1], "items")
        fig.savefig(tmp_path / "figure.png", metadata={"Software": None})
        plt.close(fig)
        images.append((tmp_path / "figure.png").read_bytes())
    assert images[0] == images[1]


def test_warming_up_changes_no_map():
    from mmlab.visualize import map_umap

    rows = unit_rows(np.random.default_rng(1).standard_normal((60, 8)))
    vectors = Vectors([str(row) for row in range(60)], rows, Space("m", "", "", "", "", 8))
    before = map_umap(vectors, seed=3)
    compile_umap()
    assert (map_umap(vectors, seed=3) == before).all()
