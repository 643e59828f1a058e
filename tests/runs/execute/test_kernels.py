import pytest

import mmlab
from mmlab.runs.execute.kernels import empty_kernel, kernel_environment, shut_down, start_kernel, work_ahead
from mmlab.runs.execute.notebooks import find_notebooks
from mmlab.runs.record.parameters import complete_parameters
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
    assert [name for name, found in code.items() if not found] == ["01_ingest", "03_index", "05_evaluate"]


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
