"""What a panel asks: a text, an image or both, and every setting of the search, as one value."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

EARLY, NONE = "early", "none"
FUSED = (EARLY, "weighted_sum", "rrf", "dbsf")  # ways to make one answer of several parts
LONGEST = 300  # characters of a query that are shown


@dataclass(frozen=True)
class Question:
    """One query with its settings; two questions are equal where they ask the same.

    text, image: at least one; an image is a path, or a PIL image that was uploaded, called `name`.
    weight: the share of the text in [0, 1], where both are given; `fusion` says how both become one answer.
    to: the modality that is found; k: how many; where: filter by payload; exact: a scan instead of the graph.
    systems: names of the retrievers that answer, empty for all of them; several are fused late.
    calibration: turn scores into probabilities; rerank: how many of the first hits are ranked again, 0 for none.
    """

    text: str = ""
    image: "Path | Image.Image | None" = None
    name: str = ""
    weight: float = 0.5
    to: str = "image"
    k: int = 8
    where: dict[str, Any] = field(default_factory=dict)
    systems: tuple[str, ...] = ()
    fusion: str = EARLY
    calibration: str = NONE
    rerank: int = 0
    exact: bool = False

    def __post_init__(self) -> None:
        if not self.text.strip() and self.image is None:
            raise ValueError("the query is empty: type a text, or give an image")
        if not 0 <= self.weight <= 1:
            raise ValueError(f"the weight of the text is from 0 to 1, found {self.weight}")
        if self.fusion not in FUSED:
            raise ValueError(f"fusion: expected one of {', '.join(FUSED)}, found {self.fusion!r}")

    @property
    def parts(self) -> "list[tuple[str | Path | Image.Image, float]]":
        """The text and the image with their weights, those of weight 0 left out."""
        both = bool(self.text.strip()) and self.image is not None
        text = [(self.text, self.weight if both else 1.0)] if self.text.strip() else []
        image = [(self.image, 1 - self.weight if both else 1.0)] if self.image is not None else []
        return [(part, weight) for part, weight in text + image if weight > 0]

    @property
    def source(self) -> str:
        """The modality that asks: "text", "image" or "both"."""
        kinds = ["text" if isinstance(part, str) else "image" for part, _ in self.parts]
        return kinds[0] if len(kinds) == 1 else "both"

    @property
    def asked(self) -> dict[str, Any]:
        """Everything that was asked by name, in plain values, as an export keeps it; an image by its name or path."""
        told = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "name"}
        image = str(told["image"]) if isinstance(told["image"], Path) else self.name
        return {**told, "image": image, "systems": list(told["systems"])}

    def describe(self) -> str:
        """What is asked in a few words, as the history of a panel shows it."""
        image = self.name or (self.image.name if isinstance(self.image, Path) else "an image")
        words = [f"“{part}”" if isinstance(part, str) else f"{image} (image)" for part, _ in self.parts]
        limits = "".join(f", {name} = {tell(value)}" for name, value in self.where.items())
        return f"{' + '.join(words)[:LONGEST]} → {self.to}{limits}"


def tell_settings(question: Question) -> str:
    """How a question is answered, in words: the settings that are not what they are by themselves, "" for none."""
    usual = Question(text="usual")
    both = question.text.strip() and question.image is not None
    names = [*(["weight"] if both else []), "k", "systems", "fusion", "calibration", "rerank", "exact"]
    told = {
        name: getattr(question, name) for name in names if getattr(question, name) != getattr(usual, name)
    }
    return ", ".join(f"{name} {tell(value)}" for name, value in told.items())


def tell(value: Any) -> str:
    """A value of a filter or a setting in words: "red", "red or blue", "gte 1, lt 5", "none", "one + two"."""
    if isinstance(value, dict | list | tuple | str) and not value:
        return NONE
    if isinstance(value, dict):
        return ", ".join(f"{word} {tell(bound)}" for word, bound in value.items())
    if isinstance(value, list | tuple):
        return (" or " if isinstance(value, list) else " + ").join(map(str, value))
    return str(value)


def differing(one: Question, other: Question) -> dict[str, tuple[Any, Any]]:
    """The settings in which two questions differ, with both values."""
    pairs = {item.name: (getattr(one, item.name), getattr(other, item.name)) for item in fields(Question)}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
