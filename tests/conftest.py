"""What several rooms' tests share: a drawn catalogue, embedded and indexed, and one real run of the six notebooks.

Each is made once for all workers of a test session; a test that changes something takes a copy.
"""

import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
from filelock import FileLock
from psutil import virtual_memory

import mmlab
from mmlab.demo import draw_catalogue
from mmlab.items import Vectors, data
from mmlab.items.workers import count_cores
from mmlab.runs.execute.kernels import KERNEL_SETTINGS
from tests.forked_kernels import forked_kernels

SECRET = "the-planted-secret"  # noqa: S105 - what the environment holds while notebooks run, and no file may
KEYS = ("QDRANT_API_KEY", "HF_TOKEN")
MEMORY, MEMORY_BYTES = Path("/dev/shm"), 8 * 1024**3  # noqa: S108 - Linux has it; all tests together write 4 GB
SLOW_FILES = (  # longest first, those that need no shared run behind the first of them, which makes it
    "test_notebooks_again", "test_small_sets", "test_notebooks_datasets", "test_browser", "test_notebooks",
    "test_weights", "test_build", "test_balance", "test_multi_model", "test_int8", "test_installed",
    "test_notebooks_hostile", "test_notebooks_tune", "test_notebooks_studies", "test_run_commands",
    "test_notebooks_vectors", "test_notebooks_sentences", "test_examples", "test_train", "test_run",
)  # fmt: skip
RAY_NODE = {"num_cpus": 1, "object_store_memory": 80_000_000}


def find_shared(path: str) -> Path:
    """A file or folder in the nearest `shared/` that holds it, in the project or above; or a path that is not there."""
    beside = [parent / "shared" / path for parent in Path(mmlab.__file__).parents]
    return next((found for found in beside if found.exists()), beside[0])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are cores: a third of the time a test waits, for a kernel, a browser, a server."""
    return count_cores() + 1


def pytest_configure() -> None:
    """Threads that wait for work sleep, in the workers and all that they start, as in the kernels of a run.

    What tests write lies in memory where there is enough of it: a disk takes most of a second for an index of ten
    points. Tests interrupt processes; where this one was started in the background, they would inherit a deaf ear.
    """
    os.environ |= KERNEL_SETTINGS | os.environ
    if MEMORY.is_dir() and min(shutil.disk_usage(MEMORY).free, virtual_memory().available) > MEMORY_BYTES:
        tempfile.tempdir = os.environ.setdefault("TMPDIR", str(MEMORY))
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.disable()  # until all tests are collected: nothing that is imported goes


def pytest_collection_finish() -> None:
    """The garbage collector, which takes half a second for all modules, passes over what is there now."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest come first, so that no worker is left with one of them at the end."""
    places = {name: place for place, name in enumerate(SLOW_FILES)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Where the browser's images are, if it was driven; here, for the workers of pytest-xdist cannot say it."""
    if any("tests/browser/" in report.nodeid for report in terminalreporter.getreports("passed")):
        terminalreporter.write_line(f"screenshots: {data() / 'screens'}")


@pytest.fixture(scope="session", autouse=True)
def _kernels() -> Iterator[None]:
    """All kernels that tests start are forked, but for those of the tests of how one starts."""
    with forked_kernels():
        yield


class Collection(NamedTuple):
    """Items with their vectors, and the retriever over the collection that holds them."""

    items: pd.DataFrame
    vectors: Vectors
    retriever: object


@pytest.fixture(scope="session")
def make_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """A function: a name and what fills a folder -> the folder, filled once for all workers of this test session."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    shared.mkdir(exist_ok=True)

    def make(name: str, fill: Callable[[Path], object]) -> Path:
        folder, made = shared / name, shared / f"{name}.made"
        with FileLock(shared / f"{name}.lock"):
            if not made.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed half-way
                folder.mkdir()
                fill(folder)
                made.touch()
        return folder

    return make


@pytest.fixture(scope="session")
def catalogue(make_once) -> Path:
    """120 drawn products with their planted faults. Only read from it."""
    return make_once("catalogue", lambda folder: draw_catalogue(folder, products=120, progress=False))


@pytest.fixture(scope="session")
def collection(catalogue: Path, make_once, tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """The catalogue, ingested, embedded by the demo model and put into a store of this worker's own."""
    from mmlab.embed import load_model
    from mmlab.index import open_index, open_store
    from mmlab.items import read_items
    from mmlab.items.files import copy_folder
    from mmlab.retrieve import Retriever

    made = make_once("collection", lambda folder: _make_collection(catalogue, folder))
    store = tmp_path_factory.mktemp("collection") / "store"
    copy_folder(made / "store", store)
    index = open_index(open_store(store), "demo")
    vectors = Vectors.load(made / "vectors.arrow")
    return Collection(read_items(made / "items.parquet"), vectors, Retriever(index, load_model("demo")))


def _make_collection(catalogue: Path, folder: Path) -> None:
    from mmlab.embed import embed_items, load_model
    from mmlab.index import build_index, open_store
    from mmlab.ingest import ingest_items
    from mmlab.items import write_items

    items = ingest_items(catalogue, cache=folder / "cache", progress=False).items
    vectors = embed_items(items, load_model("demo"), progress=False).vectors
    build_index(open_store(folder / "store"), "demo", items, [vectors], progress=False)
    write_items(items, folder / "items.parquet")
    vectors.save(folder / "vectors.arrow")


@pytest.fixture(scope="session")
def demo_data(catalogue: Path, make_once) -> Path:
    """A data folder with the run `demo`: the six notebooks on the drawn catalogue, with its report. Only read from it.

    The environment held a secret while they ran.
    """
    return make_once("data", lambda folder: _make_run(catalogue, folder))


def _make_run(catalogue: Path, folder: Path) -> None:
    from mmlab.runs import run_notebooks, write_report

    dataset = shutil.copytree(catalogue, folder / "demo")  # where `mmlab demo` has it
    with data_in(folder, **dict.fromkeys(KEYS, SECRET)):
        given = {"dataset": str(dataset), "sample": 60, "retrievers": ["dense", "bm25"]}  # as `mmlab demo`
        given |= {"queries": "queries.csv", "qrels": "qrels.csv"}
        run_notebooks("demo", given, progress=False)
        write_report("demo")


@pytest.fixture
def demo_run(demo_data: Path, monkeypatch: pytest.MonkeyPatch):
    """The run `demo`, opened. Only read from it."""
    monkeypatch.setenv("MMLAB_DATA", str(demo_data))
    return mmlab.open_run("demo")


@pytest.fixture(scope="module")
def demo_copy(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the run `demo` in a data folder that is this module's own, to change it."""
    from mmlab.items.files import copy_folder

    folder = tmp_path_factory.mktemp("copy") / "data"
    copy_folder(demo_data, folder)
    with data_in(folder, **dict.fromkeys(KEYS, SECRET)):
        yield folder / "runs" / "demo"


@pytest.fixture
def own_data(tmp_path: Path) -> Iterator[Path]:
    """An empty data folder for what this test runs."""
    with data_in(tmp_path / "data", **dict.fromkeys(KEYS, SECRET)):
        yield tmp_path / "data"


@pytest.fixture
def read_only() -> Iterator[Callable[[Path], None]]:
    """A function that takes from everybody the right to write in a folder, until the test is over."""
    folders: list[Path] = []

    def lock(folder: Path) -> None:
        folders.append(folder)
        if not is_root:
            for path in (folder, *folder.rglob("*")):
                path.chmod(path.stat().st_mode & ~0o222)
            return
        commands = (["mount", "--bind", folder, folder], ["mount", "-o", "remount,ro,bind", folder])
        if any(subprocess.run(command, check=False, capture_output=True).returncode for command in commands):
            pytest.skip("root may write everywhere, and nothing can be mounted here")

    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    yield lock
    for folder in folders:
        if is_root:
            subprocess.run(["umount", folder], check=False, capture_output=True)
        else:
            for path in (folder, *folder.rglob("*")):
                path.chmod(path.stat().st_mode | 0o200)


@pytest.fixture(scope="session")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which workers of a cluster write down what they begin."""
    return tmp_path_factory.mktemp("records")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory, records: Path):
    """Two nodes of one CPU each, at RAY_ADDRESS."""
    pytest.importorskip("ray", reason="the extra [ray] is not installed")
    from ray.cluster_utils import Cluster

    quick = tmp_path_factory.mktemp("quick")
    # jsonschema, which all processes of Ray import, takes what Jupyter brings for it: a grammar of four seconds
    (quick / "rfc3987_syntax.py").write_text("raise ImportError('not needed')\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(quick), *sys.path]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RECORDS", str(records))
        made = Cluster(initialize_head=True, head_node_args={**RAY_NODE, "include_dashboard": False})
        try:
            made.add_node(**RAY_NODE)
            patch.setenv("RAY_ADDRESS", made.address)
            yield made
        finally:
            made.shutdown()


@contextmanager
def data_in(folder: Path, **environment: str) -> Iterator[None]:
    """Everything that runs in the block, and in the kernels that it starts, is made in this folder."""
    with pytest.MonkeyPatch.context() as patch:
        given = {"MMLAB_DATA": str(folder), "HF_HUB_OFFLINE": "1", **environment}
        for name, value in given.items():
            patch.setenv(name, value)
        yield
