"""How long the query panel takes to answer: over all the demo's products, model and store warm."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tests.bench.figures import Figure

TIMES = 20
EXPECTED = "<= 150"


def panels() -> list[Figure]:
    """Median and slowest time of an answer as the panel shows it, for each way to ask."""
    from mmlab.panels import answer_query
    from mmlab.retrieve import Query

    with TemporaryDirectory() as folder:
        data = _collection(Path(folder))
        image = Path(data.items.loc[data.items["modality"] == "image", "image"].iloc[0])
        ways = {
            "text": Query(text="a red mug", k=12),
            "image": Query(image=image, k=12),
            "both, early": Query(text="a red mug", image=image, k=12),
            "both, rrf": Query(text="a red mug", image=image, k=12, fusion="rrf"),
        }
        figures = []
        for name, query in ways.items():
            took = [_milliseconds(answer_query, data, query) for _ in range(TIMES)]
            figures.append(Figure(f"panel, {name}, median", float(np.median(took)), "ms", "limit", EXPECTED))
            figures.append(Figure(f"panel, {name}, slowest of {TIMES}", max(took), "ms"))
    return figures


def _milliseconds(function, *arguments) -> float:
    started = time.perf_counter()
    function(*arguments)
    return 1000 * (time.perf_counter() - started)


def _collection(folder: Path):
    """The demo's catalogue, embedded and indexed."""
    from mmlab.demo import draw_catalogue
    from mmlab.embed import embed_items, load_model
    from mmlab.index import build_index, open_store
    from mmlab.ingest import ingest_items
    from mmlab.panels import PanelData
    from mmlab.retrieve import Retriever

    model = load_model("demo")
    items = ingest_items(draw_catalogue(folder / "demo", progress=False), cache=folder, progress=False).items
    vectors = embed_items(items, model, progress=False).vectors
    index = build_index(open_store(folder / "store", keep_open=60), "demo", items, [vectors], progress=False)
    return PanelData(Retriever(index, model), items)
