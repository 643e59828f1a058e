import sys
from contextlib import closing

import pytest

from mmlab.runs.execute import kernel_pool
from mmlab.runs.execute.kernel_pool import KernelPool, start_kernels
from mmlab.runs.execute.kernels import kill_kernel, work_ahead
from tests.runs.execute.kernel_client import alive, ask, wait_until_ready


@pytest.fixture
def notebooks(tmp_path):
    return [tmp_path / f"{number}.ipynb" for number in range(3)]


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


def test_after_a_stop_nothing_runs_and_nothing_is_started(notebook):
    with KernelPool(1, [notebook], ["demo"]) as pool:
        pool.stop()
        with pytest.raises(InterruptedError, match="the sweep was stopped"), pool.kernel(notebook):
            pass


def test_the_kernel_used_last_is_used_next_and_as_many_work_as_there_are(notebooks, monkeypatch):
    monkeypatch.setattr(kernel_pool, "empty_kernel", lambda kernel, notebook: None)
    with KernelPool(2, notebooks, ["demo"]) as pool:
        with pool.kernel(notebooks[0]) as first, pool.kernel(notebooks[1]) as second:
            assert first is not second
        with pool.kernel(notebooks[2]) as again:
            assert again is first


def test_only_the_kernel_that_begins_does_not_work_ahead(notebook, monkeypatch):
    started, start = [], kernel_pool.start_kernel

    def note(notebook, models, ahead):
        started.append(ahead)
        return start(notebook, models, ahead)

    monkeypatch.setattr(kernel_pool, "start_kernel", note)
    coming = notebook.with_name("02_embed.ipynb")
    with KernelPool(2, [notebook, coming], ["demo"]):
        assert started == [work_ahead(coming, {}), ""]


def test_a_kernel_that_cannot_be_emptied_is_given_back_all_the_same(notebook, monkeypatch):
    with KernelPool(1, [notebook], ["demo"]) as pool:
        with monkeypatch.context() as patch:
            patch.setattr(kernel_pool, "empty_kernel", refuse)
            with pytest.raises(OSError, match="no socket is left"), pool.kernel(notebook):
                pass
        with pool.kernel(notebook) as kernel:
            assert alive(kernel)


def refuse(kernel, notebook):
    raise OSError("no socket is left")
