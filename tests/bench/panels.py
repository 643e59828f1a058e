"""How long the query panel takes to answer: over all the demo's products, model and store warm."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tests.bench.figures import Figure

TIMES = 20
EXPECTED = "<= 300"
WARM = "<= 150"


def panels() -> list[Figure]:
    """Median and slowest time of an answer: by the plain call for each way to ask, and of the whole panel."""
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
            figures += _figures(f"panel, {name}", took, EXPECTED)
        return figures + _figures("panel, warm answer", _answers(data), WARM)


def _figures(name: str, took: list[float], expected: str) -> list[Figure]:
    return [
        Figure(f"{name}, median", float(np.median(took)), "ms", "limit", expected),
        Figure(f"{name}, slowest of {len(took)}", max(took), "ms"),
    ]


def _answers(data) -> list[float]:
    """Times from a text that arrives to the cards that leave for the browser; a new text, and new images, each time.

    What stands in for the panel in a saved notebook is made later, when the answer is there.
    """
    from mmlab.panels import query_panel

    panel = query_panel(data, "a red mug", k=12)
    panel.static_soon.work = lambda: None
    texts = (
        data.items.loc[data.items["modality"] == "text", "text"]
        .drop_duplicates()
        .sample(TIMES, random_state=0)
    )
    return [_milliseconds(setattr, panel.form.text, "value", text) for text in texts]


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
    index = build_index(open_store(folder / "store"), "demo", items, [vectors], progress=False)
    return PanelData(Retriever(index, model), items)
