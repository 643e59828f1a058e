import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest

from mmlab.items import Space, Vectors, unit_rows
from mmlab.runs.execute import kernels
from mmlab.runs.execute.kernels import (
    WARM_UPS,
    KernelPool,
    compile_umap,
    empty_kernel,
    find_warm_ups,
    kernel_environment,
    kill_kernel,
    shut_down,
    start_kernel,
    start_kernels,
)
from mmlab.runs.record.run_files import NOTEBOOKS
from tests.runs.execute.kernel_client import alive, ask, wait_until_ready


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


def test_two_kernels_take_turns_and_the_third_notebook_finds_no_name_of_the_first(notebooks):
    with closing(start_kernels(notebooks, ["demo"])) as kernels:
        first = next(kernels)
        wait_until_ready(first)
        assert ask(first, "globals().update(left=1) or left") == "1"
        second = next(kernels)
        assert second is not first
        assert second.provisioner.process.args[0] == sys.executable
        third = next(kernels)
        assert third is first
        assert ask(third, "'left' in globals()") == "False"
        assert ask(third, "__import__('os').environ['MMLAB_NOTEBOOK']") == "'2.ipynb'"
    assert not any(map(alive, (first, second)))


def test_a_kernel_that_died_is_replaced(notebooks):
    with closing(start_kernels(notebooks, ["demo"])) as kernels:
        first = next(kernels)
        wait_until_ready(first)
        kill_kernel(first)
        first.provisioner.process.wait(timeout=60)
        next(kernels)
        third = next(kernels)
        assert third is not first
        wait_until_ready(third)
        assert alive(third)


@pytest.fixture
def notebook(tmp_path):
    return tmp_path / "01_ingest.ipynb"


def test_a_kernel_of_a_pool_that_died_is_replaced(notebook):
    with KernelPool(1, [notebook], ["demo"]) as pool:
        with pool.kernel(notebook) as first:
            kill_kernel(first)
            first.provisioner.process.wait(timeout=30)
        with pool.kernel(notebook) as second:
            assert second is not first
            assert second.provisioner.process.poll() is None
    assert not second.has_kernel


def test_after_a_stop_nothing_runs_and_nothing_is_started(notebook):
    with KernelPool(1, [notebook], ["demo"]) as pool:
        pool.stop()
        with pytest.raises(InterruptedError, match="the sweep was stopped"), pool.kernel(notebook):
            pass


def test_the_kernel_used_last_is_used_next_and_as_many_work_as_there_are(notebooks, monkeypatch):
    monkeypatch.setattr(kernels, "empty_kernel", lambda kernel, notebook: None)
    with KernelPool(2, notebooks, ["demo"]) as pool:
        with pool.kernel(notebooks[0]) as first, pool.kernel(notebooks[1]) as second:
            assert first is not second
        with pool.kernel(notebooks[2]) as again:
            assert again is first


def test_only_the_kernel_that_begins_does_not_warm_up(notebooks, monkeypatch):
    started, start = [], kernels.start_kernel

    def note(notebook, models, warm_for):
        started.append(list(warm_for))
        return start(notebook, models, warm_for)

    monkeypatch.setattr(kernels, "start_kernel", note)
    with KernelPool(2, notebooks, ["demo"]):
        assert started == [[notebooks[1]], []]


def test_a_kernel_that_cannot_be_emptied_is_given_back_all_the_same(notebook, monkeypatch):
    with KernelPool(1, [notebook], ["demo"]) as pool:
        with monkeypatch.context() as patch:
            patch.setattr(kernels, "empty_kernel", refuse)
            with pytest.raises(OSError, match="no socket is left"), pool.kernel(notebook):
                pass
        with pool.kernel(notebook) as kernel:
            assert alive(kernel)


def refuse(kernel, notebook):
    raise OSError("no socket is left")
