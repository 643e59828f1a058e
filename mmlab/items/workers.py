"""Workers: the cores of this machine, and a cluster of Ray that is joined or started when there is something to do.

The extra [ray] brings Ray. Each node needs mmlab as it is here, and the files at the paths where they lie here.
"""

import logging
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Generic, NamedTuple, Self, TypeVar

import mmlab

C = TypeVar("C")
R = TypeVar("R")

ADDRESS = "RAY_ADDRESS"
SECONDS_TO_ANSWER = 10
OBJECT_STORE_BYTES = 256 << 20
# Chunks of each CPU that are pending: the next one is there when it has done one.
CHUNKS_AT_ONCE = 2
# Why a file could not be read, where another machine may read it.
UNSEEN = ("missing file", "unreadable file")
NO_RAY = 'engine: "ray" needs Ray: pip install "mmlab[ray]" here and on each node of the cluster, or give engine local'
LOGS = "/tmp/ray/session_latest/logs"  # noqa: S108 - where Ray writes them
NO_ANSWER = (
    "no cluster can be joined at RAY_ADDRESS={} ({}). Check that it is the host:port of a running one (ray status), of "
    "which this machine is a node, or unset RAY_ADDRESS to start one here"
)
NO_START = (
    f"Ray did not start here ({{}}). Its logs lie in {LOGS}; on a busy machine it may take longer than Ray waits. Run "
    "this again, or start it by hand (ray start --head) and set RAY_ADDRESS=auto"
)
GO_ON = "What is done lies in the cache: run this again to go on"


def count_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class WorkerError(RuntimeError):
    """A worker of a cluster lacks what this machine has: the model, or a file."""


class Done(NamedTuple, Generic[C, R]):
    """A chunk of work, what came of it, and the address of the node that did it."""

    chunk: C
    result: R
    node: str


class RayCluster:
    """A cluster, joined or started when there is something to do, and left at the end of a `with`.

    It is that of the environment variable RAY_ADDRESS, `host:port`, which this machine is a node of; without it one is
    started on this machine alone, and ended.

    Raises ModuleNotFoundError where Ray is not installed.
    """

    def __init__(self) -> None:
        if not find_spec("ray"):
            raise ModuleNotFoundError(NO_RAY)
        self._joined = False

    def map(self, work: Callable[[C], R], chunks: Iterable[C]) -> Iterator[Done[C, R]]:
        """Yield what `work`, a function of a module, returns for each chunk, as soon as it is done, in any order.

        The chunks of a worker that is lost are done again by others. Raises ConnectionError where the cluster of
        RAY_ADDRESS does not answer or none can be started, RuntimeError where Ray fails otherwise.

        Example: `cluster.map(measure_files, [["a.png", "b.png"], ["c.png"]])`.
        """
        task, pending = ray().remote(num_cpus=1)(_on_node), dict[Any, C]()
        with failures_named():
            for chunk in chunks:
                self.join()
                pending[task.remote(work, chunk)] = chunk
                if len(pending) >= CHUNKS_AT_ONCE * ray().cluster_resources().get("CPU", 1):
                    yield from _finished(pending)
            while pending:
                yield from _finished(pending)

    def join(self) -> None:
        """Join the cluster, or start one, unless that is done; raise ConnectionError where that fails."""
        if ray().is_initialized():
            return
        address = os.environ.get(ADDRESS, "")
        own: dict[str, Any] = {"num_cpus": count_cores(), "include_dashboard": False}
        own |= {"object_store_memory": OBJECT_STORE_BYTES}
        # Else Ray tells its makers of each cluster that is started.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            _check_answers(address)
            ray().init(
                address or "local",
                log_to_driver=False,
                logging_level=logging.ERROR,
                **({} if address else own),
            )
        except Exception as error:
            ray().shutdown()
            why = _last_line(error)
            problem = NO_ANSWER.format(address, why) if address else NO_START.format(why)
            raise ConnectionError(f"engine ray: {problem}") from error
        self._joined = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._joined:
            ray().shutdown()


def ray() -> Any:
    """Return the library, with its data sets."""
    import ray
    import ray.data

    return ray


@contextmanager
def failures_named() -> Iterator[None]:
    """Turn what Ray raises while it works into one error that says what to do."""
    try:
        yield
    except (WorkerError, ConnectionError):
        raise
    except Exception as error:
        raise RuntimeError(
            f"engine ray: {_last_line(error)}. Each node needs Ray, Python, mmlab {mmlab.__version__} and its extras "
            f"as they are here; Ray's logs lie in {LOGS} of each node. {GO_ON}"
        ) from error


def check_seen(paths: Sequence[str], node: str) -> None:
    """Raise WorkerError where one of the files that a node could not read can be read here."""
    here = [path for path in paths if os.access(path, os.R_OK)]
    if here:
        raise WorkerError(
            f"engine ray: worker {node} cannot read {here[0]}, which can be read here: put the images on a disk that "
            f"all nodes mount at the same path. {GO_ON}"
        )


def _on_node(work: Callable[[C], R], chunk: C) -> tuple[R, str]:
    return work(chunk), str(ray().util.get_node_ip_address())


def _finished(pending: dict[Any, C]) -> Iterator[Done[C, R]]:
    """Wait until a chunk is done; yield it, and take it out of those that are pending."""
    done, _ = ray().wait(list(pending))
    for one in done:
        yield Done(pending.pop(one), *ray().get(one))


def _check_answers(address: str) -> None:
    """Raise OSError where nothing listens at a host and port: Ray would ask for minutes."""
    host, _, port = address.rpartition(":")
    if port.isdecimal():
        socket.create_connection((host.rpartition("/")[2], int(port)), timeout=SECONDS_TO_ANSWER).close()


def _last_line(error: Exception) -> str:
    """Return what an error says, without the traceback of a worker before it."""
    return str(error).strip().rpartition("\n")[2].strip(" .") or type(error).__name__
