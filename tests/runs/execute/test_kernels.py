import sys
from contextlib import closing

import pytest

from mmlab.runs.execute.kernels import kernel_environment, kill_kernel, run_sync, start_kernels


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


def ask(kernel, code):
    """What an expression is in the kernel."""

    async def told():
        client = kernel.client()
        client.start_channels()
        await client.wait_for_ready(timeout=60)
        reply = await client.execute("", user_expressions={"it": code}, silent=False, reply=True, timeout=60)
        return reply["content"]["user_expressions"]["it"]["data"]["text/plain"]

    try:
        return run_sync(told)()
    finally:
        kernel.hang_up()


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


def test_kernels_are_offline_only_where_the_model_is_on_this_machine(notebooks, tmp_path):
    hub = "openai/clip-vit-base-patch32"
    given = (["demo"], [str(tmp_path), "demo"], [hub], ["demo", hub], [])
    offline = [kernel_environment(notebooks[0], models).get("HF_HUB_OFFLINE") for models in given]
    assert offline == ["1", "1", None, None, None]


def test_threads_that_wait_sleep_unless_the_user_says_otherwise(notebooks, monkeypatch):
    monkeypatch.setenv("OPENBLAS_THREAD_TIMEOUT", "20")
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    with closing(start_kernels(notebooks[:1])) as kernels:
        kernel = next(kernels)
        wait_until_ready(kernel)
        asked = "tuple(map(__import__('os').environ.get, ('OMP_WAIT_POLICY', 'OPENBLAS_THREAD_TIMEOUT')))"
        assert ask(kernel, asked) == "('PASSIVE', '20')"
