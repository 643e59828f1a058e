"""One or many queries of a run, answered by the models and the index that it has."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mmlab.items import Vectors
from mmlab.items.rankings import opposite_modality
from mmlab.retrieve import Query, Retriever, SearchResult, search
from mmlab.retrieve.query.known_queries import add_pair_columns, find_right_answers
from mmlab.retrieve.query.systems import crop_matcher
from mmlab.retrieve.studies.query_trials import time_queries
from mmlab.workbench.hits import Hits
from mmlab.workbench.result import Result
from mmlab.workbench.run_data import RunData
from mmlab.workbench.studies import CalibrationStudy

if TYPE_CHECKING:
    from PIL.Image import Image

    Asked = str | Path | Image

NONE = "none"


def search_run(
    data: RunData,
    calibrate: Callable[[], CalibrationStudy],
    query: "Asked | Sequence[Asked] | Vectors | None",
    *,
    image: "Path | Image | None",
    to: str | None,
    models: str | Sequence[str],
    exact: bool | None,
    **settings: Any,
) -> Hits:
    """Answer the query of `Run.search`; `calibrate` gives the calibrations when they are first needed."""
    exact = bool(data.parameters.get("exact", True)) if exact is None else exact
    if query is None and image is None:
        raise ValueError("the query is empty: give a text, an image, or both")
    if _asks_many(query):
        return _search_many(data, query, to, exact, settings)
    if query is not None and not isinstance(query, str):
        query, image = "", cast("Path | Image", query)
    target = to or ("image" if query else "text")
    if settings["fusion"] is None:
        joint = data.retrievers["text"].model.space == data.retrievers["image"].model.space
        settings["fusion"] = "early" if joint and not models else "rrf"
    settings |= {"where": dict(settings["where"] or {})}
    settings |= {name: tuple(settings[name]) for name in ("plus", "minus")}
    asked = Query(
        text=query or "", image=image, to=target, exact=exact, models=_names(data, models), **settings
    )
    return _search_one(data, calibrate, asked)


def _search_one(data: RunData, calibrate: Callable[[], CalibrationStudy], asked: Query) -> Hits:
    systems = data.systems if asked.models else {"": data.retrievers}
    calibrations = {name: calibrate().fitted for name in systems} if asked.calibration != NONE else {}
    match = crop_matcher(systems) if asked.rerank else None
    found = search(systems, asked, calibrations, match)
    right = find_right_answers(data.embedded_items, asked)
    return _hits(data, found, asked.describe(), None if right is None else frozenset(right), asked.text)


def _search_many(data: RunData, query: Any, to: str | None, exact: bool, settings: Mapping[str, Any]) -> Hits:
    alone = {name: settings[name] for name in ("k", "where", "plus", "minus", "diversity", "group_by_pair")}
    source = _source_of(data, query)
    found = data.retrievers[source].search(query, to or opposite_modality(source), exact=exact, **alone)
    count = found.table["query_id"].nunique()
    return _hits(data, found, f"{count} queries", None, "")


def _hits(data: RunData, found: SearchResult, query: str, right: frozenset[str] | None, text: str) -> Hits:
    table = add_pair_columns(found.table, data.items)
    return Hits(data, table, found.timings, tuple(found.skipped), query, right, text)


def _asks_many(query: Any) -> bool:
    single = isinstance(query, str) or query is None or hasattr(query, "convert")
    return not single and not (isinstance(query, Path) and not query.is_dir())


def _source_of(data: RunData, query: Any) -> str:
    """Return the modality of the queries: by their space for vectors, else by the first of them."""
    if isinstance(query, Vectors):
        return next((side for side, one in data.retrievers.items() if one.model.space == query.space), "text")
    first = query if isinstance(query, Path) else next(iter(query), "")
    return "text" if isinstance(first, str) else "image"


def _names(data: RunData, models: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names of the systems that answer with these models, each given by its id or its space's key."""
    wanted = [models] if isinstance(models, str) else models
    return tuple(_name_of(data, model) for model in wanted)


def _name_of(data: RunData, model: str) -> str:
    for name, system in data.systems.items():
        spaces = [retriever.model.space for retriever in system.values()]
        if model == name or any(model in (space.model, space.key) for space in spaces):
            return name
    raise ValueError(f"models: expected some of {', '.join(data.systems)}, found {model!r}")


def time_run(data: RunData, texts: Sequence[str], k: int) -> Result:
    """Time the parts of an answer to each text, just opened and warm."""
    retriever: Retriever = data.retrievers["text"]
    table = time_queries(retriever, texts, k=k, samples=10)
    warm = table.set_index(["state", "of"]).loc[("warm", "p50")]
    sentence = (
        f"One text, by the median: {warm['embed_ms']:.0f} ms to embed, {warm['search_ms']:.1f} ms to search, "
        f"{warm['payload_ms']:.1f} ms to read the payload."
    )
    return Result(table, sentence, digits=1)
