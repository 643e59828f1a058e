import pytest

from mmlab.runs.execute import kernel_pool as workers
from mmlab.runs.execute.kernel_pool import KernelPool
from mmlab.runs.execute.kernels import kill_kernel


@pytest.fixture
def notebook(tmp_path):
    return tmp_path / "01_ingest.ipynb"


def test_a_kernel_that_died_is_replaced(notebook):
    with KernelPool(1, [notebook], ["demo"]) as workers:
        with workers.kernel(notebook) as first:
            kill_kernel(first)
            first.provisioner.process.wait(timeout=30)
        with workers.kernel(notebook) as second:
            assert second is not first
            assert second.provisioner.process.poll() is None
    assert not second.has_kernel


def test_after_a_stop_nothing_runs_and_nothing_is_started(notebook):
    with KernelPool(1, [notebook], ["demo"]) as workers:
        workers.stop()
        with pytest.raises(InterruptedError, match="the sweep was stopped"), workers.kernel(notebook):
            pass


def test_the_kernel_that_began_cold_goes_below_the_others_and_warms_up(tmp_path, monkeypatch):
    notebooks = [tmp_path / f"{name}.ipynb" for name in ("01_ingest", "02_embed", "06_visualize")]
    warmed = []

    def note(kernel, notebook, warm=()):
        warmed.extend((kernel, path.stem) for path in warm)

    monkeypatch.setattr(workers, "empty_kernel", note)
    with KernelPool(2, notebooks, ["demo"]) as both:
        with both.kernel(notebooks[0]) as first:
            assert warmed == []
        assert warmed == [(first, "01_ingest"), (first, "02_embed"), (first, "06_visualize")]
        with both.kernel(notebooks[1]) as second:
            assert second is not first
            with both.kernel(notebooks[2]) as third:
                assert third is first
        with both.kernel(notebooks[2]) as again:
            assert again is second  # the one used last
    assert len(warmed) == 3


def test_a_kernel_that_cannot_warm_up_is_given_back_all_the_same(notebook, monkeypatch):
    def refuse(kernel, notebook, warm=()):
        if warm:
            raise OSError("no socket is left")

    monkeypatch.setattr(workers, "empty_kernel", refuse)
    with KernelPool(2, [notebook], ["demo"]) as both:
        with pytest.raises(OSError, match="no socket is left"), both.kernel(notebook):
            pass
        with both.kernel(notebook) as first, both.kernel(notebook) as second:
            assert first is not second
