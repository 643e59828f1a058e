import subprocess
import sys

import numpy as np
import pytest

from mmlab.items import Space, Vectors, unit_rows
from mmlab.runs.execute.kernels import (
    WARM_UPS,
    compile_umap,
    empty_kernel,
    find_warm_ups,
    kernel_environment,
    shut_down,
    start_kernel,
)
from mmlab.runs.record.run_files import NOTEBOOKS
from tests.runs.execute.kernel_client import ask


@pytest.fixture
def notebooks(tmp_path):
    return [tmp_path / f"{number}.ipynb" for number in range(3)]


def test_kernels_are_offline_only_where_the_model_is_on_this_machine(notebooks, tmp_path):
    hub = "openai/clip-vit-base-patch32"
    given = (["demo"], [str(tmp_path), "demo"], [hub], ["demo", hub], [])
    offline = [kernel_environment(notebooks[0], models).get("HF_HUB_OFFLINE") for models in given]
    assert offline == ["1", "1", None, None, None]


def test_threads_that_wait_sleep_unless_the_user_says_otherwise(notebooks, monkeypatch):
    monkeypatch.setenv("OPENBLAS_THREAD_TIMEOUT", "20")
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    kernel = start_kernel(notebooks[0], [])
    try:
        asked = "tuple(map(__import__('os').environ.get, ('OMP_WAIT_POLICY', 'OPENBLAS_THREAD_TIMEOUT')))"
        assert ask(kernel, asked) == "('PASSIVE', '20')"
    finally:
        shut_down(kernel)


def test_a_kernel_warms_up_for_the_notebooks_that_come(tmp_path):
    coming = tmp_path / "02_embed.ipynb"
    kernel = start_kernel(tmp_path / "01_ingest.ipynb", [])
    try:
        assert ask(kernel, "'torch' in __import__('sys').modules") == "False"
        empty_kernel(kernel, coming, warm_for=[coming])
        assert ask(kernel, "'torch' in __import__('sys').modules") == "True"
    finally:
        shut_down(kernel)


def test_a_kernel_warms_up_for_what_its_notebooks_wait_for(tmp_path):
    found = {name: find_warm_ups(tmp_path / f"{name}.ipynb") for name in NOTEBOOKS}
    assert found == {
        "01_ingest": [],
        "02_embed": ["load_transformers"],
        "03_index": [],
        "04_retrieve": ["load_transformers"],
        "05_evaluate": [],
        "06_visualize": ["compile_umap"],
    }
    assert find_warm_ups(tmp_path / "06_visualize.ipynb", tmp_path / "04_retrieve.ipynb") == list(WARM_UPS)
    assert find_warm_ups() == []


def test_what_is_warmed_up_is_loaded():
    code = "import sys, mmlab.runs.execute.kernels as k; k.warm_up('load_transformers'); "
    code += "print({'torch', 'transformers.models.clip.modeling_clip'} <= set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "True\n"


def test_warming_up_changes_no_map():
    from mmlab.visualize import map_umap

    rows = unit_rows(np.random.default_rng(1).standard_normal((60, 8)))
    vectors = Vectors([str(row) for row in range(60)], rows, Space("m", "", "", "", "", 8))
    before = map_umap(vectors, seed=3)
    compile_umap()
    assert (map_umap(vectors, seed=3) == before).all()
