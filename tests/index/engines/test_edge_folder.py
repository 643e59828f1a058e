"""One owner at a time: real processes that take turns, wait, give up and are killed."""

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

import mmlab.index.engines.edge_folder as module
from mmlab.index import StoreTaken, open_store
from mmlab.index.store.schema import Schema
from mmlab.items import Space, Vectors
from tests.index.conftest import upsert

SPACE = Space("mmlab/toy", "1", "projected", "", "none", 2)
HOLDER = """
import sys, time
from mmlab.index import open_store
with open_store(sys.argv[1]).session():
    print("held", flush=True)
    sys.stdin.readline()
"""
TURNS = """
import sys
import pandas as pd
from mmlab.index import open_store
from mmlab.index.store.schema import Schema
from mmlab.items import Space, Vectors
from tests.index.conftest import upsert
folder, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
space = Space("mmlab/toy", "1", "projected", "", "none", 2)
store = open_store(folder)
store.create("demo", Schema(space, {"writer": "integer"}))
for i in range(count):
    ids = [f"00000000-0000-0000-0000-{first + i:012d}"]
    upsert(store, "demo", Vectors(ids, [[1, 0]], space), pd.DataFrame({"item_id": ids, "writer": first}))
    assert store.count("demo", {"writer": first}) == i + 1
    print(store.count("demo"), flush=True)
"""


COUNT = """
import sys, time
from mmlab.index import open_store
started = time.monotonic()
counts = [open_store(sys.argv[1], keep_open=60).count("demo") for _ in range(2)]
print(counts, time.monotonic() - started, flush=True)
"""


def filled(folder: Path, points: int) -> None:
    """A store with a collection of so many points."""
    store = open_store(folder)
    store.create("demo", Schema(SPACE))
    ids = [f"00000000-0000-0000-0000-{i:012d}" for i in range(points)]
    upsert(store, "demo", Vectors(ids, [[1, 0]] * points, SPACE), pd.DataFrame({"item_id": ids}))


def is_held(folder: Path) -> bool:
    return (folder / ".holder.json").exists()


def start(script: str, *arguments: object, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def test_two_processes_take_turns(tmp_path):
    writers = [start(TURNS, tmp_path, first, 10) for first in (1000, 2000)]
    counts = [[int(line) for line in writer.communicate(timeout=60)[0].split()] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert open_store(tmp_path).count("demo") == 20
    # Both were at work at once: neither saw only its own points until it was done.
    assert any(seen[-1] > 10 for seen in counts)
    assert any(seen[5] > 6 for seen in counts)


def test_a_store_that_is_taken_says_who_has_it_and_opens_once_the_holder_is_killed(tmp_path):
    with start(HOLDER, tmp_path, MMLAB_NOTEBOOK="03_index.ipynb") as holder:
        assert holder.stdout.readline() == "held\n"
        store = open_store(tmp_path, wait=0.2)
        message = (
            rf"is in use by pid {holder.pid}, '03_index.ipynb', since 20.*waited 0.2 s.*shut that kernel"
        )
        with pytest.raises(StoreTaken, match=message):
            store.create("demo", Schema(SPACE))
        holder.kill()
    assert (tmp_path / ".holder.json").exists()
    store.create("demo", Schema(SPACE))
    assert store.collections() == ["demo"]


def test_a_kernel_waits_for_the_holder_to_finish(tmp_path):
    with start(HOLDER, tmp_path) as holder:
        holder.stdout.readline()
        timer = threading.Timer(0.3, lambda: holder.communicate("done\n"))
        timer.start()
        started = time.monotonic()
        open_store(tmp_path, wait=20).create("demo", Schema(SPACE))
        assert 0.2 < time.monotonic() - started < 10
        timer.join()


@pytest.mark.parametrize(
    "left",
    [
        "",
        "[]",
        '{"pid": "x"}',
        json.dumps({"pid": 2**40, "started": 0, "what": "?", "since": 0}),
        json.dumps({"pid": os.getpid(), "started": 0, "what": "an older process", "since": 0}),
    ],
    ids=["empty", "no details", "no number", "no such process", "a process started later"],
)
def test_stale_or_damaged_details_are_not_believed(tmp_path, left):
    with start(HOLDER, tmp_path) as holder:
        holder.stdout.readline()
        (tmp_path / ".holder.json").write_text(left)
        with pytest.raises(StoreTaken, match="in use by another process; waited 0 s"):
            open_store(tmp_path, wait=0).create("demo", Schema(SPACE))
        holder.communicate("done\n")


def test_two_stores_of_one_process_share_the_folder(tmp_path):
    first, second = open_store(tmp_path, wait=0), open_store(str(tmp_path), wait=0)
    ids = ["00000000-0000-0000-0000-000000000001"]
    with first.session():
        first.create("demo", Schema(SPACE))
        upsert(second, "demo", Vectors(ids, [[1, 0]], SPACE), pd.DataFrame({"item_id": ids}))
        assert first.count("demo") == second.count("demo") == 1


def test_threads_queue_up(tmp_path):
    store = open_store(tmp_path, wait=20)
    store.create("demo", Schema(SPACE))
    failures: list[BaseException] = []

    def work(number: int) -> None:
        ids = [f"00000000-0000-0000-0000-{number:012d}"]
        try:
            upsert(store, "demo", Vectors(ids, [[1, 0]], SPACE), pd.DataFrame({"item_id": ids}))
        except RuntimeError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert store.count("demo") == 8


def test_a_thread_that_waited_too_long_says_so(tmp_path):
    store = open_store(tmp_path, wait=0.1)
    raised: list[StoreTaken] = []

    def ask() -> None:
        try:
            store.create("demo", Schema(SPACE))
        except StoreTaken as error:
            raised.append(error)

    with store.session():
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
    assert "another thread of this process" in str(raised[0])


def test_nothing_is_left_behind(tmp_path: Path):
    with open_store(tmp_path).session():
        assert (tmp_path / ".holder.json").exists()
    assert sorted(file.name for file in tmp_path.iterdir()) == [".line", ".lock"]


def test_a_store_that_is_kept_open_is_given_to_another_process_at_once_and_at_exit(tmp_path):
    filled(tmp_path, 3)
    store = open_store(tmp_path, keep_open=60)
    assert not is_held(tmp_path)
    assert (store.count("demo"), is_held(tmp_path)) == (3, True)
    with start(COUNT, tmp_path) as other:
        counts, seconds = other.stdout.readline().rsplit(" ", 1)
    assert counts == "[3, 3]"
    assert float(seconds) < 5  # of the 60 that it is kept
    assert not is_held(tmp_path)
    assert store.count("demo") == 3
    store.close()
    assert not is_held(tmp_path)


def test_it_is_closed_when_its_time_is_over_and_after_a_write(tmp_path):
    filled(tmp_path, 3)
    store = open_store(tmp_path, keep_open=0.3)
    assert (store.count("demo"), is_held(tmp_path)) == (3, True)
    deadline = time.monotonic() + 20
    while is_held(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_held(tmp_path)
    store.count("demo")
    store.delete("demo", ["00000000-0000-0000-0000-000000000001"])
    assert not is_held(tmp_path)
    store.count("demo")
    assert open_store(tmp_path).count("demo") == 2  # another store of this process, which keeps nothing
    assert not is_held(tmp_path)


def test_a_folder_that_was_replaced_is_opened_anew(tmp_path):
    filled(tmp_path / "store", 3)
    filled(tmp_path / "other", 5)
    store = open_store(tmp_path / "store", keep_open=60)
    assert store.count("demo") == 3
    (tmp_path / "store").rename(tmp_path / "away")
    (tmp_path / "other").rename(tmp_path / "store")
    assert store.count("demo") == 5
    (tmp_path / "store").rename(tmp_path / "other")
    store.close()
    assert not (tmp_path / "store").exists()


def test_threads_share_a_store_that_opens_and_closes_all_the_time(tmp_path):
    filled(tmp_path, 3)
    stores = [open_store(tmp_path, keep_open=seconds) for seconds in (0.0, 0.001, 0.06, 1.0)]
    with ThreadPoolExecutor(4) as threads:
        counts = threads.map(lambda i: stores[i % 4].count("demo"), range(60))
        assert set(counts) == {3}
    stores[0].close()


def test_a_search_sees_soon_that_its_folder_was_replaced(tmp_path):
    for name, count in (("store", 3), ("other", 5)):
        filled(tmp_path / name, count)
    store, asked = open_store(tmp_path / "store", keep_open=60), Vectors(["query"], [[1, 0]], SPACE)
    assert len(store.search("demo", asked, 10)) == 3
    (tmp_path / "store").rename(tmp_path / "away")
    (tmp_path / "other").rename(tmp_path / "store")
    deadline = time.monotonic() + 20
    while len(store.search("demo", asked, 10)) == 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(store.search("demo", asked, 10)) == 5
    store.close()


def test_a_loop_of_searches_gives_another_process_its_turn(tmp_path):
    filled(tmp_path, 3)
    store, asked = open_store(tmp_path, keep_open=60), Vectors(["query"], [[1, 0]], SPACE)
    with start(COUNT, tmp_path) as other:
        while other.poll() is None:
            assert len(store.search("demo", asked, 10)) == 3
        counts, seconds = other.stdout.readline().rsplit(" ", 1)
    assert counts == "[3, 3]"
    assert float(seconds) < 5
    store.close()


def test_a_kept_store_is_not_looked_at_after_every_session(tmp_path, monkeypatch):
    """A look takes as long as a part of a search: the keeper has it, and what may write looks at the folder alone."""
    monkeypatch.setattr(module, "KEEPER_SECONDS", 3600)
    lock, looks = module.FolderLock(tmp_path / "store", lambda: None), []
    monkeypatch.setattr(lock, "_is_wanted", lambda: looks.append("line"))
    monkeypatch.setattr(lock, "_was_replaced", lambda: looks.append("folder"))
    for look in (False, True):
        for _ in range(20):
            lock.take(wait=1, look=look)
            lock.leave(keep=60)
        assert looks == ["folder"] * (20 if look else 0)
    lock.release()
