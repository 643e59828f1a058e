"""One or many queries of a run, answered by the models and the index that it has."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mmlab.items import MODALITIES, Vectors
from mmlab.items.rankings import opposite_modality
from mmlab.items.tables import TooFew
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
ANY_PHOTO = "a photo"  # what a collection without texts is asked with
NO_TEXT = f"The collection has no text of its own: “{ANY_PHOTO}” stands in for a query of yours."


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
    settings |= {"where": dict(settings["where"] or {})}
    settings |= {name: tuple(one for one in settings[name] if one is not None) for name in ("plus", "minus")}
    if _asks_many(query):
        return _search_many(data, query, to, exact, settings)
    if query is not None and not isinstance(query, str):
        query, image = "", cast("Path | Image", query)
    if query is None and image is None:
        return _nothing_asked(data)
    source = "image" if query in ("", None) and image is not None else "text"
    if missing := [
        one for one, given in (("text", query), ("image", image)) if given and one not in data.retrievers
    ]:
        return no_hits(
            data, f"no model of this run embeds {missing[0]}s, so none can ask; give 02_embed one that does"
        )
    if settings["fusion"] is None:
        joint = len({one.model.space for one in data.retrievers.values()}) == 1
        settings["fusion"] = "early" if joint and not models else "rrf"
    target = to or _target(data, source)
    asked = Query(
        text=query or "", image=image, to=target, exact=exact, models=_names(data, models), **settings
    )
    return _search_one(data, calibrate, asked)


def _target(data: RunData, source: str) -> str:
    """Return what a query of this modality finds: the other one, or its own where no item is of the other."""
    other = opposite_modality(source)
    return other if (data.embedded_items["modality"] == other).any() else source


def _nothing_asked(data: RunData) -> Hits:
    """Return no hits where `Run.sample` found nothing to ask with; raise ValueError for a query that was left out."""
    if set(MODALITIES) <= set(data.embedded_items["modality"]):
        raise ValueError("the query is empty: give a text, an image, or both")
    return no_hits(
        data, f"{data.held}: there is none to ask with; give a text, or the path of an image of your own"
    )


def no_hits(data: RunData, reason: str) -> Hits:
    """Return hits without any, which say why."""
    columns = ["item_id", "rank", "score", *data.items.columns.drop("item_id"), "pair_image", "words"]
    table = data.items.head(0).reindex(columns=columns)
    timings = dict.fromkeys(("embed_ms", "search_ms", "payload_ms"), 0.0)
    return Hits(data, table, timings, (), "", note=f"{reason[:1].upper()}{reason[1:]}.")


def _search_one(data: RunData, calibrate: Callable[[], CalibrationStudy], asked: Query) -> Hits:
    systems = data.systems if asked.models else {"": data.retrievers}
    calibrations = {name: calibrate().fitted for name in systems} if asked.calibration != NONE else {}
    match = crop_matcher(systems) if asked.rerank else None
    held = int((data.embedded_items["modality"] == asked.to).sum())
    asked, note = asked.limited_to(held), ""
    try:
        found = search(systems, asked, calibrations, match)
    except TooFew as error:  # a calibration that could not be fitted
        found, note = (
            search(systems, replace(asked, calibration=NONE), None, match),
            f"No probabilities: {error}.",
        )
    right = find_right_answers(data.embedded_items, asked)
    hits = _hits(data, found, asked.describe(), None if right is None else frozenset(right), asked.text)
    stands_in = asked.text == ANY_PHOTO and not (data.items["modality"] == "text").any()
    return replace(hits, note=f"{NO_TEXT if stands_in else ''} {note}".strip())


def _search_many(data: RunData, query: Any, to: str | None, exact: bool, settings: Mapping[str, Any]) -> Hits:
    if not isinstance(query, Vectors | Path) and not len(query):
        return _nothing_asked(data)
    alone = {name: settings[name] for name in ("where", "plus", "minus", "diversity", "group_by_pair")}
    source = _source_of(data, query)
    target = to or _target(data, source)
    held = int((data.embedded_items["modality"] == target).sum())
    k = min(settings["k"], max(held, 1))
    found = data.retrievers[source].search(query, target, k, exact=exact, **alone)
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
    if "text" not in data.retrievers:
        raise TooFew("no model of this run embeds texts, so no text query can be timed")
    retriever: Retriever = data.retrievers["text"]
    target = _target(data, "text")
    k = min(k, int((data.embedded_items["modality"] == target).sum()))
    table = time_queries(retriever, texts, target, k=k, samples=10)
    warm = table.set_index(["state", "of"]).loc[("warm", "p50")]
    sentence = (
        f"One text, by the median: {warm['embed_ms']:.0f} ms to embed, {warm['search_ms']:.1f} ms to search, "
        f"{warm['payload_ms']:.1f} ms to read the payload."
    )
    return Result(table, sentence, digits=1)
