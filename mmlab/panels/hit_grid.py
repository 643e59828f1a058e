"""The grid of hits that the panels share: thumbnails, details, a selection and labels.

Python decides what is shown and what a label or a button means; `hit_grid.js` draws it and reports what a person does.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import anywidget
import pandas as pd
import traitlets

from mmlab.items import ImageError
from mmlab.items.images import thumbnail

HERE = Path(__file__).parent
THUMBNAIL_PIXELS = 260
DETAIL_PIXELS = 1600
PAGE = 24  # cards that are shown at first, and that "show more" adds
MAX_SHOWN_CHARS = 4000  # of one text or value
MAX_TEXTS, MAX_COLUMNS = 50, 60  # of a pair and of an item, in the details
MORE, LESS, LABEL, SELECT = ACTIONS = ("more", "less", "label", "select")
CARD_FIELDS = ("item_id", "pair_id", "rank", "score", "probability", "modality", "words", "judged")

Details = Callable[[str], Mapping[str, Any]]


class HitGrid(anywidget.AnyWidget):
    """Cards of images, and texts as a list: by mouse, by touch and by keys.

    `show(cards)` puts cards in place. A card is a dict: `item_id`, `modality`, `words`, and any of `pair_id`, `rank`,
    `score`, `probability`, `image` (path of the file), `right` (True, False or None), `judged` (what it was labelled
    before), `note` (a few words more).

    actions: the buttons of a card: "more" and "less" (like this, not this), "label" (relevant or not), "select".
    details: returns what the dialog of an item shows, see `item_details`; None leaves the dialog with the card's own.

    Attributes:
        cards: all cards; `shown` are those in sight, limited by `threshold` (the least score) and by "show more".
        selected: the item_ids that are chosen. labels: relevance by item_id, 1 or 0; `undo` takes back the last.
        busy: whether the answer is being replaced: it is dimmed. status: the line that is read out. error: what went
            wrong. size: the width of a card in pixels.

    >>> grid = HitGrid()
    >>> grid.show([{"item_id": "a", "modality": "text", "words": "a red mug", "score": 0.3}])
    >>> grid.label("a", 1)
    >>> grid.labels
    {'a': 1}
    """

    _esm = HERE / "hit_grid.js"
    _css = HERE / "hit_grid.css"
    shown = traitlets.List(traitlets.Dict()).tag(sync=True)
    total = traitlets.Int(0).tag(sync=True)
    scores = traitlets.List(traitlets.Float()).tag(
        sync=True
    )  # the lowest and the highest, where there are two
    threshold = traitlets.Float(None, allow_none=True).tag(sync=True)
    selected = traitlets.List(traitlets.Unicode()).tag(sync=True)
    labels = traitlets.Dict().tag(sync=True)
    undoable = traitlets.Bool(False).tag(sync=True)
    actions = traitlets.List(traitlets.Unicode()).tag(sync=True)
    size = traitlets.Int(126).tag(sync=True)
    busy = traitlets.Bool(False).tag(sync=True)
    status = traitlets.Unicode("").tag(sync=True)
    error = traitlets.Unicode("").tag(sync=True)
    empty = traitlets.Unicode("").tag(sync=True)

    def __init__(
        self,
        actions: Sequence[str] = ACTIONS,
        details: Details | None = None,
        page: int = PAGE,
        **settings: Any,
    ) -> None:
        self.cards: list[dict[str, Any]] = []
        self.details, self.page = details, page
        self._room = page
        self._done: list[tuple[str, int | None]] = []
        self._acted: Callable[[str, str], Any] | None = None
        self._labelled: Callable[[str, int | None], Any] | None = None
        super().__init__(actions=list(actions), **settings)
        self.on_msg(self._receive)
        self.observe(lambda _: self._refresh(), "threshold")

    def show(self, cards: Sequence[Mapping[str, Any]], labels: Mapping[str, int] | None = None) -> None:
        """Replace all cards, and their labels; selection, threshold and the labels to undo are gone."""
        self.cards = [dict(card) for card in cards]
        self._room, self._done = self.page, []
        scores = [float(card["score"]) for card in self.cards if card.get("score") is not None]
        with self.hold_sync():
            self.scores = [min(scores), max(scores)] if len(set(scores)) > 1 else []
            self.selected, self.undoable, self.error, self.threshold = [], False, "", None
            self.labels = dict(labels or {})
            self._refresh()
            self.busy = False

    def show_more(self) -> None:
        """Show the next page of cards."""
        self._room += self.page
        self._refresh()

    def label(self, item_id: str, relevance: int | None) -> None:
        """Label an item: 1 relevant, 0 not, None for no label. Raises LookupError for an item that is not here."""
        if item_id not in {card["item_id"] for card in self.cards}:
            raise LookupError(
                f"{item_id} is no longer shown: the hits changed before the label came. Label it again."
            )
        before = self.labels.get(item_id)
        if before != relevance:
            self._done.append((item_id, before))
            self._set_label(item_id, relevance)

    def undo(self) -> None:
        """Take back the last label."""
        if self._done:
            self._set_label(*self._done.pop())

    def on_label(self, labelled: Callable[[str, int | None], Any]) -> None:
        """Call `labelled(item_id, relevance)` for each label, relevance None where one is taken back."""
        self._labelled = labelled

    def on_action(self, acted: Callable[[str, str], Any]) -> None:
        """Call `acted(action, item_id)` for the buttons "more" (like this) and "less" (not this)."""
        self._acted = acted

    def press(self, key: str, item_id: str) -> None:
        """Do what a key does while an item has the focus.

        y and n label it relevant and not relevant; 1 to 9 label the card in that place, once more takes it back; u is
        undo.
        """
        if key == "u":
            return self.undo()
        if key in ("y", "n"):
            return self.label(item_id, int(key == "y"))
        if key.isdecimal() and 0 < int(key) <= len(self.shown):
            chosen = self.shown[int(key) - 1]["item_id"]
            return self.label(chosen, None if self.labels.get(chosen) == 1 else 1)
        return None

    def _set_label(self, item_id: str, relevance: int | None) -> None:
        kept = {name: value for name, value in self.labels.items() if name != item_id}
        with self.hold_sync():
            self.labels = kept if relevance is None else {**kept, item_id: relevance}
            self.undoable = bool(self._done)
        if self._labelled:
            self._labelled(item_id, relevance)

    def _refresh(self) -> None:
        """Show the cards that there is room for, those under the threshold left out."""
        least = self.threshold
        fitting = [card for card in self.cards if least is None or (card.get("score") or 0) >= least]
        self.total = len(fitting)
        self.shown = _with_thumbnails(fitting[: self._room])

    def _receive(self, _: Any, content: Mapping[str, Any], __: Any) -> None:
        """Do what a message of the browser asks for; whatever goes wrong is shown."""
        doing: dict[str, Callable[[], Any]] = {
            "details": lambda: self._send_details(content["id"]),
            "key": lambda: self.press(str(content["key"]), content["id"]),
            "label": lambda: self.label(content["id"], content["relevance"]),
            "undo": self.undo,
            "show_more": self.show_more,
            "act": lambda: self._acted and self._acted(content["action"], content["id"]),
        }
        try:
            self.error = ""
            doing[content["do"]]()
        except Exception as error:  # whatever it is, the person at the panel has to see it
            self.error = f"{type(error).__name__}: {error}"

    def _send_details(self, item_id: str) -> None:
        found = dict(self.details(item_id)) if self.details else {}
        image = found.pop("image", None)
        self.send({"do": "details", "id": item_id, **found}, [image] if image else [])


def hit_cards(hits: pd.DataFrame, right: Collection[str] | None = None) -> list[dict[str, Any]]:
    """Return a card for each row of hits.

    hits: item_id, modality, words, pair_image (see `add_pair_columns`), and any of rank, score, probability, pair_id,
    judged. right: the item_ids that answer the query, to mark every card right or wrong; None marks none.

    >>> hits = pd.DataFrame({"item_id": ["a"], "modality": "image", "words": "mug", "pair_image": None, "rank": 1})
    >>> hit_cards(hits, right=["a"])[0]["right"]
    True
    """
    names = [name for name in CARD_FIELDS if name in hits]
    marked = None if right is None else set(right)
    return [
        {name: _plain(row[name]) for name in names}
        | {"image": _plain(row["pair_image"]), "right": None if marked is None else row["item_id"] in marked}
        for row in hits.to_dict("records")
    ]


def item_details(items: pd.DataFrame, item_id: str) -> dict[str, Any]:
    """Return what the dialog of an item shows: image (JPEG bytes), path, texts of its pair, columns.

    Values are cut to 4,000 characters. A file that cannot be opened gives `problem`, its reason.

    >>> items = pd.DataFrame({"item_id": ["a"], "modality": "text", "pair_id": "p", "text": "a mug", "image": None})
    >>> item_details(items, "a")["texts"]
    ['a mug']
    """
    rows = items[items["item_id"] == item_id]
    if rows.empty:
        raise KeyError(item_id)
    item = rows.iloc[0]
    pair = items[items["pair_id"] == item["pair_id"]]
    columns = [[str(name), _shown(value)] for name, value in item.items() if _plain(value) is not None]
    texts = [_shown(text) for text in pair["text"].dropna().head(MAX_TEXTS)]
    found: dict[str, Any] = {"texts": texts, "columns": columns[:MAX_COLUMNS]}
    paths = pair["image"].dropna()
    own = _plain(item["image"]) or (paths.iloc[0] if len(paths) else None)
    return found if own is None else {**found, "path": str(own), **_large_image(str(own))}


def _large_image(path: str) -> dict[str, Any]:
    try:
        return {"image": thumbnail(path, DETAIL_PIXELS)}
    except ImageError as error:
        return {"problem": str(error)}


def _with_thumbnails(cards: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(4) as pool:
        thumbnails = list(pool.map(_thumbnail_of, [card.get("image") for card in cards]))
    return [
        {name: value for name, value in card.items() if name != "image"} | found
        for card, found in zip(cards, thumbnails, strict=True)
    ]


def _thumbnail_of(path: str | None) -> dict[str, Any]:
    """Return the thumbnail of a file, or why it has none; nothing without a file."""
    if path is None:
        return {}
    try:
        return {"thumbnail": _kept_thumbnail(str(path), Path(path).stat().st_mtime_ns)}
    except ImageError as error:
        return {"problem": str(error)}
    except OSError:
        return {"problem": "missing file"}


@lru_cache(maxsize=2000)
def _kept_thumbnail(path: str, changed: int) -> bytes:  # `changed`: a file that is written anew is read anew
    return thumbnail(path, THUMBNAIL_PIXELS)


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; None where it is missing."""
    if isinstance(value, list | tuple | dict | set) or not pd.api.types.is_scalar(value):
        return str(value)
    if pd.isna(value):
        return None
    value = value.item() if hasattr(value, "item") else value
    return value if isinstance(value, str | int | float | bool) else str(value)


def _shown(value: Any) -> str:
    words = f"{value:.6g}" if isinstance(value, float) else str(value)
    return words if len(words) <= MAX_SHOWN_CHARS else words[: MAX_SHOWN_CHARS - 1] + "…"
