"""Workers: the cores of this machine, and a cluster of two nodes (marked `ray`)."""

import os

import pytest

from mmlab.items.workers import RayCluster, WorkerError, check_seen, count_cores


def test_the_cores_are_those_that_this_process_may_use():
    assert 1 <= count_cores() <= os.cpu_count()


def test_a_file_that_only_this_machine_can_read_is_an_error(tmp_path):
    (tmp_path / "a.png").touch()
    check_seen([str(tmp_path / "gone.png")], "10.0.0.7")
    with pytest.raises(
        WorkerError, match=r"worker 10.0.0.7 cannot read .*a.png, which can be read here: put"
    ):
        check_seen([str(tmp_path / "gone.png"), str(tmp_path / "a.png")], "10.0.0.7")


@pytest.mark.ray
def test_each_chunk_comes_back_once(cluster):
    chunks = [[number, 1] for number in range(20)]
    with RayCluster() as own:
        done = list(own.map(sum, iter(chunks)))
    assert sorted(one.chunk for one in done) == chunks
    assert all(one.result == one.chunk[0] + 1 and one.node for one in done)


@pytest.mark.ray
def test_a_failure_of_a_worker_is_one_line_that_says_what_to_do(cluster):
    with (
        RayCluster() as own,
        pytest.raises(RuntimeError, match=r"^engine ray: TypeError: .*\. Each node needs Ray"),
    ):
        list(own.map(sum, [["a", "b"]]))
