import pytest

from mmlab.runs.kernels import kill_kernel
from mmlab.runs.sweep.workers import Workers


@pytest.fixture
def notebook(tmp_path):
    return tmp_path / "01_ingest.ipynb"


def test_a_kernel_that_died_is_replaced(notebook):
    with Workers(1, [notebook], ["demo"]) as workers:
        with workers.kernel(notebook) as first:
            kill_kernel(first)
            first.provisioner.process.wait(timeout=30)
        with workers.kernel(notebook) as second:
            assert second is not first
            assert second.provisioner.process.poll() is None
    assert not second.has_kernel


def test_after_a_stop_nothing_runs_and_nothing_is_started(notebook):
    with Workers(1, [notebook], ["demo"]) as workers:
        workers.stop()
        with pytest.raises(InterruptedError, match="the sweep was stopped"), workers.kernel(notebook):
            pass
