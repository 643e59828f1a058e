"""The controls of how a question is answered; two sets of them stand side by side in the compare panel."""

from collections.abc import Callable, Sequence
from typing import Any

from mmlab.panels import controls
from mmlab.panels.question import FUSED, NONE, Question

NAMES = ("systems", "fusion", "calibration", "rerank", "exact")
MOST = 50  # hits that are ranked again


class Settings:
    """Models, fusion, calibration, exact or not: `row` are its widgets, `values` what they say now."""

    def __init__(
        self,
        systems: Sequence[str],
        calibrations: Sequence[str] = (),
        matching: bool = False,
        first: str = "",
    ) -> None:
        self.systems = controls.several(list(systems), "Models")
        self.systems.value = (first,) if first else ()
        self.fusion = controls.choice(list(FUSED), "Fusion")
        self.calibration = controls.choice([NONE, *calibrations], "Calibration")
        self.rerank = controls.number(0, 0, MOST, "Rerank first")
        self.matching = matching
        self.exact = controls.tick(False, "exact search, not the graph")

    @property
    def widgets(self) -> list[Any]:
        """All controls that there is a choice in."""
        systems = [self.systems] if len(self.systems.options) > 1 else []
        calibration = [self.calibration] if len(self.calibration.options) > 1 else []
        return [*systems, self.fusion, *calibration, *([self.rerank] if self.matching else []), self.exact]

    @property
    def values(self) -> dict[str, Any]:
        """The fields of a `Question` that they stand for."""
        told = {name: getattr(self, name).value for name in NAMES}
        return {**told, "systems": tuple(told["systems"])}

    def fill(self, question: Question) -> None:
        """Set the controls to a question's settings."""
        for name in NAMES:
            getattr(self, name).value = getattr(question, name)

    def listen(self, changed: Callable[[], Any]) -> None:
        """Call `changed` when a control does."""
        for name in NAMES:
            getattr(self, name).observe(lambda _: changed(), "value")
