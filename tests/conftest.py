"""What several rooms' tests share: a small drawn catalogue, embedded by the demo model and indexed."""

import signal
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
