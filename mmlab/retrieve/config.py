"""Which steps a run's answer takes."""

from dataclasses import dataclass

from mmlab.retrieve.scores.calibrate import CALIBRATIONS
from mmlab.retrieve.scores.fuse import FUSIONS, TOLERANCE
from mmlab.retrieve.scores.rescore import HOW, TEMPERED

NONE = "none"
EQUAL, LEARNED = "equal", "learned"


@dataclass(frozen=True)
class Recipe:
    """Which steps a run's answer takes; every one but the search may be "none" (0 for rerank).

    depth: items kept of each query; exact: by exact search, not the graph; fusion: over the run's models, of
    FUSIONS; weights: the models' in it, "equal", "learned" on validation, or numbers that add up to 1, as "0.7, 0.3";
    rescoring: "centring" or of RESCORINGS; calibration: of CALIBRATIONS; rerank: the first N.
    """

    depth: int = 100
    exact: bool = True
    fusion: str = NONE
    weights: str = EQUAL
    rescoring: str = NONE
    calibration: str = NONE
    rerank: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("fusion", FUSIONS), ("rescoring", HOW), ("calibration", CALIBRATIONS)):
            if getattr(self, name) not in (NONE, *known):
                raise ValueError(
                    f"{name}: expected one of {', '.join((NONE, *known))}, found {getattr(self, name)!r}"
                )
        if self.depth < 1 or self.rerank < 0:
            raise ValueError(
                f"depth is at least 1 and rerank at least 0, found {self.depth} and {self.rerank}"
            )
        if self.weights != EQUAL and self.fusion == NONE:
            raise ValueError(f"weights {self.weights!r}: there is no fusion to weigh for; choose a fusion")
        self.shares(len(self.weights.split(",")))

    def shares(self, models: int) -> tuple[float, ...] | None:
        """The weight of each of so many models; None for those that are equal or learned."""
        if self.weights in (EQUAL, LEARNED):
            return None
        try:
            shares = tuple(float(share) for share in self.weights.split(","))
        except ValueError:
            shares = ()
        if len(shares) != models or min(shares) < 0 or abs(sum(shares) - 1) > TOLERANCE:
            raise ValueError(
                f"weights: expected {EQUAL!r}, {LEARNED!r}, or a number for each of {models} models, adding up to 1, "
                f"such as '0.7, 0.3'; found {self.weights!r}"
            )
        return shares

    @property
    def fits(self) -> bool:
        """Whether a step learns from the queries of the validation split."""
        return self.calibration != NONE or self.weights == LEARNED or self.rescoring in TEMPERED
