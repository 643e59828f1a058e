from mmlab.demo.parallel import map_processes


def test_results_come_in_order_from_several_processes():
    assert list(map_processes(abs, [-3, 1, -2], "test", progress=False)) == [3, 1, 2]


def test_a_single_task_and_none():
    assert list(map_processes(abs, [-3], "test", progress=False)) == [3]
    assert list(map_processes(abs, [], "test", progress=False)) == []
