import subprocess
import sys

import numpy as np
import pytest

from mmlab.items import Space, Vectors, unit_rows
from mmlab.runs.execute import NOTEBOOKS
from mmlab.runs.warm import WARM_UPS, compile_umap, warm_up


@pytest.mark.parametrize(
    ("notebook", "loaded"), [("02_embed", True), ("04_retrieve", True), ("01_ingest", False)]
)
def test_the_notebooks_that_embed_find_torch_loaded(notebook, loaded):
    code = f"import sys, mmlab.runs.warm as w; w.warm_up({notebook!r}); print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == f"{loaded}\n"


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
