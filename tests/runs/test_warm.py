import subprocess
import sys

import numpy as np
import pytest

from mmlab.items import Space, Vectors, unit_rows
from mmlab.runs.execute import NOTEBOOKS
from mmlab.runs.warm import WARM_UPS, compile_umap, draw_figure, warm_up


@pytest.mark.parametrize(
    ("notebook", "loaded"), [("02_embed", True), ("04_retrieve", True), ("01_ingest", False)]
)
def test_the_notebooks_that_embed_find_torch_loaded(notebook, loaded):
    code = f"import sys, mmlab.runs.warm as w; w.warm_up({notebook!r}); print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == f"{loaded}\n"


def test_every_notebook_finds_matplotlib_loaded():
    code = "import sys, mmlab.runs.warm as w; w.warm_up({!r}); print('matplotlib.pyplot' in sys.modules)"
    for notebook in ("01_ingest", "05_evaluate"):
        answer = subprocess.run(
            [sys.executable, "-c", code.format(notebook)], capture_output=True, text=True, check=True
        )
        assert answer.stdout == "True\n"


def test_drawing_ahead_leaves_no_figure_and_changes_none(tmp_path):
    import matplotlib.pyplot as plt

    from mmlab.visualize import bars, figure

    pictures = []
    for prepare in (lambda: None, draw_figure):
        prepare()
        assert plt.get_fignums() == []
        fig, (ax,) = figure()
        bars(ax, ["mug"], [1], "items")
        fig.savefig(tmp_path / "figure.png", metadata={"Software": None})
        plt.close(fig)
        pictures.append((tmp_path / "figure.png").read_bytes())
    assert pictures[0] == pictures[1]


def test_warming_up_changes_no_map():
    from mmlab.visualize import map_umap

    rows = unit_rows(np.random.default_rng(1).standard_normal((60, 8)))
    vectors = Vectors([str(row) for row in range(60)], rows, Space("m", "", "", "", "", 8))
    before = map_umap(vectors, seed=3)
    compile_umap()
    assert (map_umap(vectors, seed=3) == before).all()


def test_only_known_notebooks_are_warmed_up():
    assert set(WARM_UPS) <= set(NOTEBOOKS)
    assert warm_up("notes") is None
