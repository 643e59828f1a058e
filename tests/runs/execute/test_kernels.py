import sys
from contextlib import closing
from threading import Event

import pytest
from jupyter_client.provisioning import local_provisioner

import mmlab
from mmlab.runs.execute import kernels as kernels_module
from mmlab.runs.execute.kernels import (
    KernelPool,
    empty_kernel,
    kernel_environment,
    kill_kernel,
    shut_down,
    start_kernel,
    start_kernels,
    work_ahead,
)
from mmlab.runs.execute.notebooks import find_notebooks
from mmlab.runs.record.parameters import complete_parameters
from mmlab.runs.record.run_files import NOTEBOOKS
from tests.forked_kernels import START
from tests.runs.execute.kernel_client import alive, ask, wait_until_ready


@pytest.fixture(autouse=True)
def _begun_anew(monkeypatch):
    """Kernels begin here as a user's do."""
    monkeypatch.setattr(local_provisioner, "launch_kernel", START)


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


def test_a_kernel_works_ahead_for_the_notebook_that_comes_and_leaves_no_name(tmp_path):
    coming = tmp_path / "02_embed.ipynb"
    kernel = start_kernel(tmp_path / "01_ingest.ipynb", [])
    try:
        assert ask(kernel, "'torch' in __import__('sys').modules") == "False"
        empty_kernel(kernel, coming, work_ahead(coming, {"name": "demo"}))
        assert ask(kernel, "'torch' in __import__('sys').modules") == "True"
        assert ask(kernel, "{'torch', 'name'} & set(globals())") == "set()"
    finally:
        shut_down(kernel)


def test_a_new_kernel_works_ahead_too(tmp_path):
    kernel = start_kernel(tmp_path / "01_ingest.ipynb", [], "exec('import colorsys', {})")
    try:
        assert ask(kernel, "'colorsys' in __import__('sys').modules") == "True"
    finally:
        shut_down(kernel)


def test_ahead_of_the_notebooks_that_wait_for_a_model_it_is_loaded(tmp_path):
    code = {name: work_ahead(tmp_path / f"{name}.ipynb", {}) for name in NOTEBOOKS}
    assert [name for name, found in code.items() if "transformers" in found] == ["02_embed", "04_retrieve"]
    assert all("mmlab.workbench" in found for found in code.values())
    assert not work_ahead(tmp_path / "07_tune.ipynb", {})


def test_the_maps_that_06_waits_for_are_laid_out_with_its_parameters(demo_copy, monkeypatch):
    from mmlab.visualize import map_layout

    def refuse(*given, **settings):
        raise AssertionError("it is laid out a second time")

    monkeypatch.setenv("MMLAB_DATA", str(demo_copy.parents[1]))
    notebook = find_notebooks()[-1]
    given = {"name": "demo", "sample": 30, "umap_neighbours": 5, "perplexity": 4.0, "seed": 3}
    exec(work_ahead(notebook, complete_parameters(notebook, given)), {})  # noqa: S102 - as a kernel does
    maps = mmlab.open_run("demo").map(30, "label", umap_neighbours=5, perplexity=4.0, seed=3)
    for layout in ("map_umap", "map_tsne"):
        monkeypatch.setattr(map_layout, layout, refuse)
    assert {name: points.shape for name, points in maps.points.items()} == {"UMAP": (60, 2), "t-SNE": (60, 2)}


def test_two_kernels_take_turns_and_the_third_notebook_finds_no_name_of_the_first(notebooks):
    with closing(start_kernels(notebooks, [{}] * 3, ["demo"])) as kernels:
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


def test_the_maps_have_a_kernel_of_their_own_from_the_third_notebook_on(tmp_path, monkeypatch):
    notebooks = [tmp_path / f"{name}.ipynb" for name in NOTEBOOKS]
    started = []

    def start(notebook, models, ahead):
        started.append(notebook.stem)
        return len(started)

    monkeypatch.setattr(kernels_module, "start_kernel", start)
    monkeypatch.setattr(kernels_module, "empty_kernel", lambda *given: None)
    monkeypatch.setattr(kernels_module, "shut_down", lambda kernel: None)
    monkeypatch.setattr(kernels_module, "work_ahead", lambda notebook, parameters: notebook.stem)
    seen = [(kernel, list(started)) for kernel in start_kernels(notebooks, [{}] * 6)]
    assert [kernel for kernel, _ in seen] == [1, 2, 1, 2, 1, 3]
    assert seen[1][1] == ["01_ingest", "02_embed"]
    assert started == ["01_ingest", "02_embed", "06_visualize"]
    assert list(start_kernels(notebooks[3:], [{}] * 3)) == [4, 5, 4]


def test_a_notebook_does_not_wait_for_the_kernel_of_the_notebook_before_to_be_emptied(tmp_path, monkeypatch):
    notebooks = [tmp_path / f"{number}.ipynb" for number in range(4)]
    emptied, begun = Event(), []

    def wait(kernel, notebook, ahead):
        begun.append(notebook.stem)
        assert emptied.wait(timeout=60)

    monkeypatch.setattr(kernels_module, "start_kernel", lambda notebook, models, ahead: notebook.stem)
    monkeypatch.setattr(kernels_module, "empty_kernel", wait)
    monkeypatch.setattr(kernels_module, "shut_down", lambda kernel: None)
    kernels = start_kernels(notebooks, [{}] * 4)
    assert [next(kernels), next(kernels)] == ["0", "1"]
    emptied.set()
    assert list(kernels) == ["0", "1"]
    assert begun == ["2", "3"]


def test_a_kernel_that_died_is_replaced(notebooks):
    with closing(start_kernels(notebooks, [{}] * 3, ["demo"])) as kernels:
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


def test_a_kernel_that_holds_much_after_it_was_emptied_is_replaced(notebook, monkeypatch):
    with KernelPool(1, [notebook], ["demo"]) as pool:
        with pool.kernel(notebook) as first:
            pass
        with pool.kernel(notebook) as second:
            assert second is first
        monkeypatch.setattr(kernels_module, "MAX_LEFT_BYTES", 1 << 20)
        with pool.kernel(notebook) as third:
            assert third is not first
            assert alive(third) and first.provisioner.process.wait(timeout=30) is not None


def test_after_a_stop_nothing_runs_and_nothing_is_started(notebook):
    with KernelPool(1, [notebook], ["demo"]) as pool:
        pool.stop()
        with pytest.raises(InterruptedError, match="the sweep was stopped"), pool.kernel(notebook):
            pass


def test_the_kernel_used_last_is_used_next_and_as_many_work_as_there_are(notebooks, monkeypatch):
    monkeypatch.setattr(kernels_module, "empty_kernel", lambda kernel, notebook: None)
    with KernelPool(2, notebooks, ["demo"]) as pool:
        with pool.kernel(notebooks[0]) as first, pool.kernel(notebooks[1]) as second:
            assert first is not second
        with pool.kernel(notebooks[2]) as again:
            assert again is first


def test_only_the_kernel_that_begins_does_not_work_ahead(notebook, monkeypatch):
    started, start = [], kernels_module.start_kernel

    def note(notebook, models, ahead):
        started.append(ahead)
        return start(notebook, models, ahead)

    monkeypatch.setattr(kernels_module, "start_kernel", note)
    coming = notebook.with_name("02_embed.ipynb")
    with KernelPool(2, [notebook, coming], ["demo"]):
        assert started == [work_ahead(coming, {}), ""]


def test_a_kernel_that_cannot_be_emptied_is_given_back_all_the_same(notebook, monkeypatch):
    with KernelPool(1, [notebook], ["demo"]) as pool:
        with monkeypatch.context() as patch:
            patch.setattr(kernels_module, "empty_kernel", refuse)
            with pytest.raises(OSError, match="no socket is left"), pool.kernel(notebook):
                pass
        with pool.kernel(notebook) as kernel:
            assert alive(kernel)


def refuse(kernel, notebook):
    raise OSError("no socket is left")
