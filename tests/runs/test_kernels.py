import sys
from contextlib import closing

import pytest

from mmlab.runs.kernels import kernel_environment, run_sync, start_kernels


@pytest.fixture
def notebooks(tmp_path):
    return [tmp_path / f"{number}.ipynb" for number in range(3)]


def alive(kernel):
    return run_sync(kernel.is_alive)()


def wait_until_ready(kernel):
    """As a notebook does: a kernel that has not started up yet may miss what it is told."""
    client = kernel.client()
    client.start_channels()
    run_sync(client.wait_for_ready)(timeout=60)
    client.stop_channels()


def test_the_next_kernel_is_started_while_one_works_and_all_are_stopped(notebooks):
    with closing(start_kernels(notebooks, ["demo"])) as kernels:
        first = next(kernels)
        wait_until_ready(first)
        second = next(kernels)
        first.provisioner.process.wait(timeout=60)
        assert alive(second)
        assert second.provisioner.process.args[0] == sys.executable
    assert not alive(second)


def test_kernels_are_stopped_when_their_notebooks_are_over(notebooks):
    kernels = list(start_kernels(notebooks, ["demo"]))
    assert len(kernels) == 3
    assert not any(map(alive, kernels))


def test_kernels_are_offline_only_where_the_model_is_on_this_machine(notebooks, tmp_path):
    hub = "openai/clip-vit-base-patch32"
    given = (["demo"], [str(tmp_path), "demo"], [hub], ["demo", hub], [])
    offline = [kernel_environment(notebooks[0], models).get("HF_HUB_OFFLINE") for models in given]
    assert offline == ["1", "1", None, None, None]
