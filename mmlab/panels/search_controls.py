"""The controls of how a query is answered; two sets of them stand side by side in the compare panel."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import ipywidgets as widgets
import pandas as pd

from mmlab.panels import controls
from mmlab.panels.panel_data import PanelData
from mmlab.retrieve import Query
from mmlab.retrieve.query.spec import BEST_SCORE, NONE, ROCCHIO, SUM_SCORES, describe_filter
from mmlab.retrieve.query.systems import filterable_fields, fusion_options
from mmlab.retrieve.scores.fuse import RRF_K

SETTINGS = (
    "models",
    "k",
    "fusion",
    "rrf_k",
    "calibration",
    "rerank",
    "recommend",
    "exact",
)  # fields of a query
PAIRS = "pairs"  # the first wanted example with the first unwanted one, and so on
MAX_HITS, MAX_RERANKED = 200, 50
MAX_RRF_K = 10_000
CHOICE, RANGE, YES_NO = "choice", "range", "yes or no"
MAX_VALUES = 2000  # of a field to choose from, the most frequent
NOT_FILTERED = {"modality", "duplicate_of", "pair_id"}  # which has a control of its own, and which are ids
ANY, ANSWERS = "any", {"yes": True, "no": False}


class FilterControls:
    """A control for each field that items can be filtered by: `where` is what they say.

    `types`: keyword, integer, float or bool by field. `given`: a filter besides, which `clear filters` takes away too.
    """

    given: Mapping[str, Any] = {}

    def __init__(self, items: pd.DataFrame, types: Mapping[str, str]) -> None:
        self.filtered, self.listening = items, controls.Listening()
        self.fields = filter_fields(items, types)
        self.filters = filter_controls(self.fields)
        self.clear = controls.button(
            "clear filters", "let everything through again", self.clear_filters, "auto"
        )
        self.active = widgets.HTML()
        self.set_filters = controls.row(self.active, self.clear)
        self.set_filters.add_class("mmlab-set")
        self._changed: Callable[[], Any] = lambda: None
        self._counted: tuple[dict[str, Any], str] | None = None

    @property
    def where(self) -> dict[str, Any]:
        """The filter that the controls stand for, and the one given besides."""
        chosen = {name: one.value for name, one in self.filters.items()}
        return {**self.given, **filter_from_controls(self.fields, chosen)}

    def count(self, to: str) -> None:
        """Count what each value of each filter would find of modality `to`, and show which filters are set."""
        where = self.where
        if (where, to) == self._counted:
            return
        self._counted = where, to
        for name, counts in count_values(self.filtered, self.fields, where, to).items():
            self.filters[name].options = counts
        self.active.value = f"<b>Only {escape(describe_filter(where))}</b>" if where else ""
        self.set_filters.layout.display = "flex" if where else "none"

    def clear_filters(self) -> None:
        """Let everything through again, and call what listens."""
        self.given = {}
        with self.listening.silenced():
            for name, value in controls_from_filter(self.fields, {}).items():
                self.filters[name].value = value
        self._changed()

    def listen(self, changed: Callable[[], Any]) -> None:
        """Call `changed` whenever a person changes a filter."""
        self._changed = changed
        for control in self.filters.values():
            self.listening.watch(control, lambda _: changed())


class SearchControls(FilterControls):
    """Model, number of hits, fusion, calibration, exact or not, filters: `values` is what they say.

    first: the name of the system that is chosen at the beginning; the first unless given. exact: as the run's own
    answers unless given. Saved rankings leave only the system and the number to choose.
    """

    def __init__(self, data: PanelData, k: int, first: str | None = None, exact: bool | None = None) -> None:
        super().__init__(data.items, filterable_fields(data.systems))
        self.data = data
        self.models = controls.choose_many(list(data.systems), "Model")
        self.models.value = (next(iter(data.systems)) if first is None else first,)
        self.k = controls.number_field(min(k, MAX_HITS), 1, MAX_HITS, "How many")
        self.k.layout.width, self.k.style.description_width = "150px", "auto"
        self.fusion = controls.choose_one(fusion_options(data.systems, self.models.value), "Fusion")
        self.rrf_k = controls.number_field(RRF_K, 1, MAX_RRF_K, "RRF k")
        self.calibration = controls.choose_one([NONE], "Calibration")
        self.rerank = controls.slider(0, 0, MAX_RERANKED, "Rerank first")
        self.recommend = controls.choose_one([ROCCHIO, BEST_SCORE, SUM_SCORES, PAIRS], "Examples by")
        self.boost = BoostControls([name for name, one in self.fields.items() if one.kind == RANGE])
        self.exact = controls.checkbox(data.exact if exact is None else exact, "exact search, not the graph")
        self.models.observe(lambda _: self._offer(), "value")
        self.fusion.observe(lambda _: self._follow_fusion(), "value")
        self._offer()
        self._follow_fusion()
        self.count("image")

    @property
    def ranking(self) -> list[widgets.Widget]:
        """The controls of how hits are ranked, those that there is a choice in."""
        models = [self.models] if len(self.data.systems) > 1 else []
        if not self.data.live:
            return models
        calibration = [self.calibration] if any(self.data.calibrations.values()) else []
        rerank = [self.rerank] if self.data.match else []
        more = [self.recommend, *self.boost.rows, self.exact]
        return [*models, self.fusion, self.rrf_k, *calibration, *rerank, *more]

    @property
    def values(self) -> dict[str, Any]:
        """The fields of a `Query` that the controls stand for."""
        values = {name: getattr(self, name).value for name in SETTINGS}
        if len(self.data.systems) == 1:
            values["models"] = ()
        if self.rrf_k.disabled:
            values["rrf_k"] = RRF_K
        if values["recommend"] == PAIRS:  # which are the context of a query
            values["recommend"] = ROCCHIO
        return {**values, "where": self.where, "boost": self.boost.value}

    def fill(self, query: Query) -> None:
        """Set the controls to the settings of a query, without asking it."""
        self.given = {name: wanted for name, wanted in query.where.items() if name not in self.fields}
        with self.listening.silenced():
            for name in SETTINGS:
                control, wanted = getattr(self, name), getattr(query, name)
                if name != "recommend" or wanted in control.options:  # feedback is asked for by marks
                    control.value = wanted if name != "models" or query.models else control.value
            self.boost.value = query.boost
            for name, value in controls_from_filter(self.fields, query.where).items():
                self.filters[name].value = value

    def listen(self, changed: Callable[[], Any]) -> None:
        """Call `changed` whenever a person changes a setting."""
        super().listen(changed)
        for control in (*(getattr(self, name) for name in SETTINGS), self.boost.field, self.boost.weight):
            self.listening.watch(control, lambda _: changed())

    def _offer(self) -> None:
        """Offer only the fusions and the calibrations that the chosen models can do."""
        names = self.models.value or tuple(self.data.systems)
        with self.listening.silenced():
            _offer_options(self.fusion, fusion_options(self.data.systems, names))
            _offer_options(self.calibration, (NONE, *self.data.calibration_kinds(names)))

    def _follow_fusion(self) -> None:
        """Let the k of reciprocal rank fusion be set only where it is chosen."""
        self.rrf_k.disabled = self.fusion.value != "rrf"


class BoostControls:
    """A field of numbers and its weight: what is added to the score of a hit."""

    def __init__(self, fields: Sequence[str]) -> None:
        self.field = controls.choose_one([NONE, *fields], "Boost by")
        self.weight = widgets.FloatText(0.0, step=0.01, **controls.common_options("times"))

    @property
    def rows(self) -> list[widgets.Widget]:
        """The controls, where there is a field to choose."""
        return [self.field, self.weight] if len(self.field.options) > 1 else []

    @property
    def value(self) -> dict[str, float]:
        """The boost of a query, such as {"price": -0.01}; empty without a field or a weight."""
        chosen = self.field.value != NONE and self.weight.value
        return {self.field.value: self.weight.value} if chosen else {}

    @value.setter
    def value(self, boost: Mapping[str, float]) -> None:
        name, weight = next(iter(boost.items()), (NONE, 0.0))
        self.field.value, self.weight.value = (name, weight) if name in self.field.options else (NONE, 0.0)


def _offer_options(control: widgets.Dropdown, options: Sequence[str]) -> None:
    """Offer these options; what was chosen stays chosen where it is among them."""
    chosen = control.value
    control.options = list(options)
    control.value = chosen if chosen in options else options[0]


@dataclass(frozen=True)
class Filter:
    """How one field is limited, and its values: all of them, the most frequent first, or the lowest and the highest."""

    kind: str
    known: tuple[Any, ...]


def filter_fields(items: pd.DataFrame, types: Mapping[str, str]) -> dict[str, Filter]:
    """Return a filter for each field that can be filtered by and in which the items differ.

    `types`: keyword, integer, float or bool by field, see `filterable_fields`. Keywords are ticked in a list, the 2,000
    most frequent; numbers get a range.
    """
    found = {}
    for name, kind in types.items():
        values = (
            items[name].dropna() if name in items and name not in NOT_FILTERED else pd.Series(dtype=object)
        )
        if values.nunique() > 1:
            found[name] = _filter(values, kind)
    return found


def filter_controls(fields: Mapping[str, Filter]) -> dict[str, widgets.Widget]:
    """Make a control for each field."""
    return {name: _control(one, name) for name, one in fields.items()}


def filter_from_controls(fields: Mapping[str, Filter], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return the filter that the values of the controls stand for; what lets everything through is left out.

    >>> fields = {"label": Filter(CHOICE, ("mug", "cup")), "price": Filter(RANGE, (1, 9))}
    >>> filter_from_controls(fields, {"label": ["mug"], "price": (1, 9)})
    {'label': ['mug']}
    """
    where: dict[str, Any] = {}
    for name, value in chosen.items():
        one = fields[name]
        if one.kind == RANGE:
            if tuple(value) != one.known:
                where[name] = {"gte": value[0], "lte": value[1]}
        elif one.kind == YES_NO:
            if value != ANY:
                where[name] = ANSWERS[value]
        elif value:
            where[name] = list(value)
    return where


def controls_from_filter(fields: Mapping[str, Filter], where: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the controls that stand for a filter of `filter_from_controls`."""
    return {name: _value(one, where.get(name)) for name, one in fields.items()}


def count_values(
    items: pd.DataFrame, fields: Mapping[str, Filter], where: Mapping[str, Any], to: str
) -> dict[str, list[list[Any]]]:
    """Return [value, count] of each value of the fields to choose from, among the items that pass the other filters.

    >>> items = pd.DataFrame({"modality": "image", "label": ["mug", "cup", "mug"], "new": [True, True, False]})
    >>> fields = {"label": Filter(CHOICE, ("mug", "cup")), "new": Filter(YES_NO, ())}
    >>> count_values(items, fields, {"new": True, "label": ["cup"]}, "image")
    {'label': [['mug', 1], ['cup', 1]]}
    """
    held = items[items["modality"] == to]
    found = {}
    for name in [name for name, one in fields.items() if one.kind == CHOICE]:
        others = {field: wanted for field, wanted in where.items() if field != name}
        counts = held.loc[passing(held, others), name].astype(str).value_counts()
        found[name] = [[value, int(counts.get(value, 0))] for value in fields[name].known]
    return found


def passing(items: pd.DataFrame, where: Mapping[str, Any]) -> pd.Series:
    """Return which items pass a filter of `filter_from_controls`, bool, aligned with them.

    >>> passing(pd.DataFrame({"label": ["mug", "cup"]}), {"label": ["mug"]}).tolist()
    [True, False]
    """
    passed = pd.Series(True, items.index)
    for name, wanted in where.items():
        passed &= _passes(items[name], wanted)
    return passed


def _passes(values: pd.Series, wanted: Any) -> pd.Series:
    if isinstance(wanted, Mapping):
        return values.between(wanted["gte"], wanted["lte"])
    return values.astype(str).isin([str(one) for one in (wanted if isinstance(wanted, list) else [wanted])])


def _filter(values: pd.Series, kind: str) -> Filter:
    if kind == "bool":
        return Filter(YES_NO, ())
    if kind in ("integer", "float"):
        whole = int if kind == "integer" else float
        return Filter(RANGE, (whole(values.min()), whole(values.max())))
    return Filter(CHOICE, tuple(values.astype(str).value_counts().index[:MAX_VALUES]))


def _control(one: Filter, name: str) -> widgets.Widget:
    if one.kind == RANGE:
        low, high = one.known
        return controls.range_slider(low, high, name)
    if one.kind == YES_NO:
        return controls.choose_one([ANY, *ANSWERS], name)
    return controls.FacetList(label=name)


def _value(one: Filter, wanted: Any) -> Any:
    if one.kind == RANGE:
        bounds = wanted or {}
        return bounds.get("gte", one.known[0]), bounds.get("lte", one.known[1])
    if one.kind == YES_NO:
        return ANY if wanted is None else next(word for word, yes in ANSWERS.items() if yes == wanted)
    return [wanted] if isinstance(wanted, str) else list(wanted or ())
