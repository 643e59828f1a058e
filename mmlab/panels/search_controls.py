"""The controls of how a question is answered; two sets of them stand side by side in the compare panel."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from mmlab.panels import controls
from mmlab.panels.filters import chosen_by, filter_controls, filter_fields, where_of
from mmlab.retrieve import Query
from mmlab.retrieve.query.search import CalibrationsBySystem
from mmlab.retrieve.query.spec import NONE
from mmlab.retrieve.query.systems import Systems, filterable_fields, fusion_options, retrievers_of

NAMES = ("models", "k", "fusion", "calibration", "rerank", "exact")
MOST = 50  # hits, and hits that are ranked again


class Settings:
    """Model, number, fusion, calibration, exact or not, filters: `values` is what they say now.

    first: the name of the system that is chosen at the beginning. Rankings that are written leave only the system and
    the number to choose.
    """

    def __init__(
        self,
        systems: Systems,
        items: pd.DataFrame,
        k: int,
        calibrations: CalibrationsBySystem,
        matching: bool = False,
        first: str | None = None,
        exact: bool = False,
    ) -> None:
        self.known, self.calibrations, self.matching = systems, calibrations, matching
        self.live, self.quiet = bool(retrievers_of(systems)), False
        self.models = controls.several(list(systems), "Model")
        self.models.value = (next(iter(systems)) if first is None else first,)
        self.k = controls.number(min(k, MOST), 1, MOST, "How many")
        self.fusion = controls.choice(fusion_options(systems, self.models.value), "Fusion")
        self.calibration = controls.choice([NONE], "Calibration")
        self.rerank = controls.number(0, 0, MOST, "Rerank first")
        self.exact = controls.tick(exact, "exact search, not the graph")
        self.fields = filter_fields(items, filterable_fields(systems))
        self.filters = filter_controls(self.fields)
        self.models.observe(lambda _: self.offer(), "value")
        self.offer()

    @property
    def ranking(self) -> list[Any]:
        """The controls of how it is ranked, those that there is a choice in."""
        systems = [self.models] if len(self.known) > 1 else []
        if not self.live:
            return systems
        calibration = [self.calibration] if any(self.calibrations.values()) else []
        return [*systems, self.fusion, *calibration, *([self.rerank] if self.matching else []), self.exact]

    @property
    def values(self) -> dict[str, Any]:
        """The fields of a `Query` that they stand for."""
        told = {name: getattr(self, name).value for name in NAMES}
        chosen = {name: control.value for name, control in self.filters.items()}
        models = tuple(told["models"]) if len(self.known) > 1 else ()
        return {**told, "models": models, "where": where_of(self.fields, chosen)}

    def offer(self) -> None:
        """Only what the chosen models can do: their ways to fuse, and the calibrations that were fitted on one."""
        names = self.models.value or tuple(self.known)
        kinds = self.calibrations.get(names[0], {}) if len(names) == 1 else {}
        self.quiet = True
        _offer(self.fusion, fusion_options(self.known, names))
        _offer(self.calibration, [NONE, *kinds])
        self.quiet = False

    def fill(self, question: Query) -> None:
        """Set the controls to a question's settings."""
        for name in NAMES:
            if name != "models" or question.models:
                getattr(self, name).value = getattr(question, name)
        for name, value in chosen_by(self.fields, question.where).items():
            self.filters[name].value = value

    def listen(self, changed: Callable[[], Any]) -> None:
        """Call `changed` when a control does."""
        for control in [*(getattr(self, name) for name in NAMES), *self.filters.values()]:
            control.observe(lambda _: None if self.quiet else changed(), "value")


def _offer(control: Any, options: Sequence[str]) -> None:
    """These options; what was chosen stays so where it is among them."""
    chosen = control.value
    control.options = list(options)
    control.value = chosen if chosen in options else options[0]
