import numpy as np

from mmlab.embed.memory import free_memory, used_memory, watch_memory

MB = 1_000_000


def test_memory_that_was_given_back_counts_while_it_was_used():
    before = used_memory()
    total, peak = watch_memory(lambda: np.ones(100 * MB, dtype=np.uint8).sum())
    assert total == 100 * MB
    assert 95 * MB < peak - before < 200 * MB
    assert used_memory() - before < 50 * MB


def test_free_memory_is_some():
    assert free_memory() > MB
