"""What is asked of a search, and what comes back: a query with all its settings as one value, and its hits."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mmlab.index.store.engine import BEST_SCORE, FEEDBACK, SUM_SCORES
from mmlab.items import MODALITIES
from mmlab.items.options import Choice, Kind, Number, check_value
from mmlab.items.parameter_table import SUM_TOLERANCE, check_values
from mmlab.retrieve.scores.fuse import FUSIONS, MINUS_WEIGHT, RRF_K

if TYPE_CHECKING:
    from PIL import Image

    Content = str | Path | Image.Image

EARLY, COMPOSED, CONFIDENCE, NONE = "early", "composed", "confidence", "none"
ROCCHIO = "rocchio"
RECOMMENDATIONS = (ROCCHIO, BEST_SCORE, SUM_SCORES, FEEDBACK)  # by examples that are wanted and unwanted
QUERY_FUSIONS = (EARLY, *FUSIONS)  # that make one answer of several parts
KINDS: dict[str, Kind] = {
    "to": Choice(MODALITIES),
    "weight": Number(0, 1, name=CONFIDENCE),
    "minus_weight": Number(0),
    "fusion": Choice((*QUERY_FUSIONS, COMPOSED)),
    "recommend": Choice(RECOMMENDATIONS),
}
DIVERSITY = Number(0, 1)
CHECKED = ("k", "rrf_k", "depth", "calibration", "rerank", "exact")  # as the parameters of these names
IMAGE_SUFFIX = re.compile(r"\.(jpe?g|png|gif|webp|bmp|tiff?|heic|heif|avif)$", re.IGNORECASE)
URL = re.compile(r"(https?|s3|gs|data):\S+", re.IGNORECASE)
MAX_QUERY_CHARS = 300  # that are shown
MAX_LISTED = 12  # values of a filter, in words
SIGNS = {"gt": ">", "gte": "≥", "lt": "<", "lte": "≤", "not": "≠"}  # of the words of a filter


@dataclass(frozen=True)
class SearchResult:
    """The hits of a search, and what it took.

    table: rank, score and the items' columns, best hits first; query_id in front where many queries were asked.
    timings: milliseconds by part: embed_ms, search_ms (the opening of the store in it), payload_ms, and rank_ms where
    hits were fused, calibrated or reranked. skipped: files that are no images, {"source": file, "reason": why}.
    warning: why the probabilities may be off, as `FittedCalibration.differences` puts it, plain text; mostly empty.
    method: how the nearest were found, as "exact search" or "graph search, ef = 50".
    """

    table: pd.DataFrame
    timings: Mapping[str, float] = field(default_factory=dict)
    skipped: Sequence[Mapping[str, str]] = ()
    warning: str = ""
    method: str = ""


@dataclass(frozen=True)
class Query:
    """One query with all its settings; two of them are equal where they ask the same.

    text, image: at least one of them, unless examples ask alone, see `check_examples`. An image is a path, or a PIL
    image, which `image_name` gives a name.
    to: the modality that is found; k: how many; where: filter by payload; exact: a scan instead of the graph.
    plus, minus: examples, texts and images, that are wanted and unwanted; recommend: how they count. "rocchio" moves
    the query's vector, away from minus by `minus_weight` (see `rocchio`); "best_score", "sum_scores" and "feedback" are
    scores of the engine, and so is that by context: pairs of a wanted and an unwanted example (see `Examples`).
    boost: weights of fields of numbers; {"price": -0.01} takes 0.01 x price from the score of the first candidates.
    weight: the share of the text in [0, 1], where there are both; "confidence": 0.6 for the more confident of both (see
    `weights_by_confidence`). fusion: how both, and the answers of several models, become one: "early" (the mean
    of both vectors), "composed" (both as one input of a model that takes them so; without weights), or one of FUSIONS
    over the first `depth` hits of each. rrf_k: the k of "rrf".
    models: names of those that answer, all of them where empty; shares: their weights, adding up to 1, equal where
    empty. calibration: turn scores into probabilities, of CALIBRATIONS; rerank: how many of the first hits are ranked
    again, 0 for none. diversity: in [0, 1], choose by MMR; group_by_pair: only the best item of each pair.

    Raises ValueError for what no search can answer.

    >>> Query(text="a red mug", k=3, where={"label": ["mug", "cup"]}).describe()
    '“a red mug” → image, label = mug or cup'
    """

    text: str = ""
    image: "Path | Image.Image | None" = None
    image_name: str = ""
    to: str = "image"
    k: int = 8
    where: Mapping[str, Any] = field(default_factory=dict)
    plus: "tuple[Content, ...]" = ()
    minus: "tuple[Content, ...]" = ()
    minus_weight: float = MINUS_WEIGHT
    recommend: str = ROCCHIO
    context: "tuple[tuple[Content, Content], ...]" = ()
    boost: Mapping[str, float] = field(default_factory=dict)
    weight: float | str = 0.5
    fusion: str = EARLY
    rrf_k: float = RRF_K
    models: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()
    depth: int = 100
    calibration: str = NONE
    rerank: int = 0
    exact: bool = True
    diversity: float | None = None
    group_by_pair: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.image, str):
            raise ValueError(
                f"image: expected a Path or a PIL image, found the str {self.image[:MAX_QUERY_CHARS]!r}"
            )
        for name, kind in KINDS.items():
            check_value(name, getattr(self, name), kind)
        asked = bool(self.text.strip()) or self.image is not None
        check_examples(self.recommend, self.plus, self.minus, self.context, asked)
        if self.diversity is not None:
            check_value("diversity", self.diversity, DIVERSITY)
        check_values(**{name: getattr(self, name) for name in CHECKED})
        if self.shares and abs(sum(self.shares) - 1) > SUM_TOLERANCE:
            raise ValueError(
                f"shares: expected to add up to 1, found {sum(self.shares):.6g}; divide them by their sum"
            )

    @property
    def has_both(self) -> bool:
        """Whether there are a text and an image."""
        return bool(self.text.strip()) and self.image is not None

    @property
    def contents(self) -> "list[Content]":
        """The text and the image that ask; one whose weight is 0 does not."""
        text: list[Content] = [self.text] if self.text.strip() else []
        image: list[Content] = [] if self.image is None else [self.image]
        if self.has_both and self.weight in (0, 1):
            return text if self.weight == 1 else image
        return text + image

    @property
    def examples(self) -> "list[Content]":
        """All examples: those of plus, then of minus, then of each pair."""
        return [*self.plus, *self.minus, *(one for pair in self.context for one in pair)]

    @property
    def source(self) -> str:
        """The modality that asks: "text", "image" or "both"; that of the first example where examples ask alone."""
        modalities = [modality_of(content) for content in self.contents or self.examples[:1]]
        return modalities[0] if len(modalities) == 1 else "both"

    def to_dict(self) -> dict[str, Any]:
        """Return every setting by name in plain values, as an export keeps it; an image by its path or name."""
        plain = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "image_name"}
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}
        return {**plain, "image": str(self.image) if isinstance(self.image, Path) else self.image_name}

    def limited_to(self, items: int) -> "Query":
        """Return the same query for at most so many items, for a collection that may hold fewer than `k`."""
        return replace(self, k=min(self.k, max(items, 1)))

    def describe(self) -> str:
        """Return what is asked in a few words, as the history of a panel shows it."""
        image = self.image_name or (self.image.name if isinstance(self.image, Path) else "an image")
        words = [f"“{part}”" if isinstance(part, str) else f"{image} (image)" for part in self.contents]
        words = words or [describe_examples(self)]
        limits = f", {describe_filter(self.where)}" if self.where else ""
        return f"{' + '.join(words)[:MAX_QUERY_CHARS]} → {self.to}{limits}"


def check_examples(
    recommend: str, plus: Sequence[Any], minus: Sequence[Any], context: Sequence[Any], asked: bool
) -> None:
    """Raise ValueError for examples that do not go together, or that cannot do without a query, where none is `asked`.

    Alone ask pairs (`context`), and wanted examples by "best_score" and "sum_scores".
    """
    check_value("recommend", recommend, KINDS["recommend"])
    if context and (plus or minus):
        raise ValueError("context holds pairs of examples, plus and minus single ones: give one or the other")
    wrong = [pair for pair in context if not isinstance(pair, tuple | list) or len(pair) != 2]
    if wrong:
        raise ValueError(f"context: expected pairs as (nearer to this, than to that), found {wrong[0]!r}")
    if recommend == FEEDBACK and bool(plus) != bool(minus):
        raise ValueError("feedback compares right examples with wrong ones: give plus and minus")
    if not (asked or context or (plus and recommend in (BEST_SCORE, SUM_SCORES))):
        needed = f"; recommend={recommend!r} needs one" if plus else ""
        needed = "; to ask by examples alone, give some in plus" if minus and not plus else needed
        raise ValueError(f"the query is empty: type a text, or give an image{needed}")


def describe_examples(query: Query) -> str:
    """Return the examples of a query in words.

    >>> describe_examples(Query(plus=(Path("a/dog.jpg"),), minus=("blue",), recommend="best_score"))
    'like dog.jpg, not like “blue”'
    """
    named = [f"nearer {_shown(wanted)} than {_shown(other)}" for wanted, other in query.context]
    named += [f"like {_shown(one)}" for one in query.plus]
    named += [f"not like {_shown(one)}" for one in query.minus]
    return ", ".join(named)


def _shown(content: "Content") -> str:
    return (
        f"“{content}”"
        if isinstance(content, str)
        else content.name
        if isinstance(content, Path)
        else "an image"
    )


def names_image(text: str) -> bool:
    """Return whether a text reads as the path or the URL of an image: it ends like one, or is a URL.

    >>> [names_image(text) for text in ("dog.jpg", "a dog", "a photo, dog.jpg", "https://x.org/dog")]
    [True, False, False, True]
    """
    if not IMAGE_SUFFIX.search(text):
        return bool(URL.fullmatch(text))
    return " " not in text or is_file(text)


def image_path(text: str) -> Path:
    """Return the path of the image file that a text names.

    Raises ValueError for the URL of an image, FileNotFoundError where no such file is there.
    """
    shown = text[:MAX_QUERY_CHARS]
    if URL.fullmatch(text):
        raise ValueError(f"a search fetches nothing: save the image of {shown!r} to a file and give its path")
    if not is_file(text):
        raise FileNotFoundError(
            f"there is no image {shown!r} in {Path.cwd()}; to ask by these words, leave out what makes them the name "
            "of a file"
        )
    return Path(text).expanduser()


def is_file(text: str) -> bool:
    """Return whether a text is the path of a file; False for what cannot be a path."""
    try:
        return Path(text).expanduser().is_file()
    except (OSError, ValueError, RuntimeError):  # too long, a NUL in it, no home
        return False


def modality_of(content: "Content") -> str:
    """Return "text" for a str and "image" for a path or an image."""
    return "text" if isinstance(content, str) else "image"


def summarize_settings(query: Query) -> str:
    """Return in words how a query is answered: the settings that differ from their defaults, "" where none does."""
    default = Query(text="default")
    shown = [
        item.name for item in fields(Query) if item.name not in ("text", "image", "image_name", "to", "where")
    ]
    if not query.has_both:
        shown.remove("weight")
    changed = {name: getattr(query, name) for name in shown if getattr(query, name) != getattr(default, name)}
    return ", ".join(f"{name} {format_setting(value)}" for name, value in changed.items())


def differing_settings(one: Query, other: Query) -> dict[str, tuple[Any, Any]]:
    """Return the settings in which two queries differ, with both values.

    >>> differing_settings(Query(text="a mug"), Query(text="a mug", k=3))
    {'k': (8, 3)}
    """
    pairs = {item.name: (getattr(one, item.name), getattr(other, item.name)) for item in fields(Query)}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def describe_filter(where: Mapping[str, Any]) -> str:
    """Return a filter in words, "" for none.

    >>> describe_filter({"label": ["mug", "cup"], "price": {"gte": 1, "lt": 5}})
    'label = mug or cup, price ≥ 1 and < 5'
    """
    return ", ".join(f"{name} {_describe_condition(wanted)}" for name, wanted in where.items())


def _describe_condition(wanted: Any) -> str:
    if not isinstance(wanted, Mapping):
        return f"= {format_setting(wanted)}"
    return " and ".join(f"{SIGNS.get(word, word)} {format_setting(bound)}" for word, bound in wanted.items())


def format_setting(value: Any) -> str:
    """Return the value of a filter or a setting in words; of many values their number.

    >>> [format_setting(value) for value in (["red", "blue"], {"gte": 1, "lt": 5}, (), ("one", "two"))]
    ['red or blue', 'gte 1, lt 5', 'none', 'one + two']
    """
    if isinstance(value, Mapping | list | tuple | str) and not value:
        return NONE
    if isinstance(value, Mapping):
        return ", ".join(f"{word} {format_setting(bound)}" for word, bound in value.items())
    if isinstance(value, list | tuple) and len(value) > MAX_LISTED:
        return f"{len(value):,} values"
    if isinstance(value, list | tuple):
        return (" or " if isinstance(value, list) else " + ").join(map(str, value))
    return str(value)
