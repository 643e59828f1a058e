"""The engines that keep points: Qdrant Edge in a folder, a Qdrant server by URL. Nothing else knows their libraries.

Edge reads two settings from the environment when it is first used; what the user has set there stays.
"""

import os

from mmlab.items.workers import count_cores

# Edge leaves one of this many cores free, so that on two cores it builds a graph with one thread: 1.6 times as long.
os.environ.setdefault("QDRANT_NUM_CPUS", str(count_cores() + 1))
# Edge maps each file of vectors twice, for reading in order and at random; once takes half the resident memory.
os.environ.setdefault("QDRANT_NO_MULTI_MMAP", "1")
