"""What several rooms' tests share: a small drawn catalogue, embedded by the demo model and indexed."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from mmlab.demo import draw_catalogue
from mmlab.items import Vectors, data


def pytest_configure() -> None:
    """Tests interrupt processes; where this one was started in the background, they would inherit a deaf ear."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Where the browser's images are, if it was driven; here, for the workers of pytest-xdist cannot say it."""
    if any("tests/browser/" in report.nodeid for report in terminalreporter.getreports("passed")):
        terminalreporter.write_line(f"screenshots: {data() / 'screens'}")


class Collection(NamedTuple):
    """Items with their vectors, and the retriever over the collection that holds them."""

    items: pd.DataFrame
    vectors: Vectors
    retriever: object


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 drawn products with their planted faults."""
    return draw_catalogue(tmp_path_factory.mktemp("demo") / "catalogue", products=120, progress=False)


@pytest.fixture(scope="session")
def collection(catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """The catalogue, ingested, embedded by the demo model and put into a store of its own."""
    from mmlab.embed import embed_items, load_model
    from mmlab.index import build_index, open_store
    from mmlab.ingest import ingest_items
    from mmlab.retrieve import Retriever

    model = load_model("demo")
    items = ingest_items(catalogue, cache=tmp_path_factory.mktemp("cache"), progress=False).items
    vectors = embed_items(items, model, progress=False).vectors
    store = open_store(tmp_path_factory.mktemp("store"))
    index = build_index(store, "demo", items, [vectors], progress=False)
    return Collection(items, vectors, Retriever(index, model))


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this test session have in common; what is dear to make is made there once."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def demo_data(shared_folder: Path) -> Path:
    """A data folder with the run `demo`: the six notebooks on 120 drawn products, executed once. Only read from it."""
    from filelock import FileLock

    from mmlab.runs import run_notebooks, write_report

    folder = shared_folder / "data"
    with FileLock(shared_folder / "demo.lock"), data_in(folder):
        if not (folder / "runs" / "demo" / "index.html").is_file():
            catalogue = draw_catalogue(folder / "demo", products=120, progress=False)
            run_notebooks("demo", {"dataset": str(catalogue), "sample": 60}, progress=False)
            write_report("demo")
    return folder


@pytest.fixture
def demo_run(demo_data: Path, monkeypatch: pytest.MonkeyPatch):
    """The run `demo`, opened."""
    import mmlab

    monkeypatch.setenv("MMLAB_DATA", str(demo_data))
    return mmlab.open_run("demo")


@contextmanager
def data_in(folder: Path) -> Iterator[None]:
    """Everything that runs in the block, and in the kernels that it starts, is made in this folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMLAB_DATA", str(folder))
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield
