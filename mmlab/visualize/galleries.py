"""Galleries of images with captions as HTML: thumbnails are inside, every text is escaped, nothing is fetched."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import pandas as pd

from mmlab.items import ImageError
from mmlab.items.images import thumbnail
from mmlab.visualize.markup import Html

# The pages of a report have these colours for light and dark; elsewhere the second one is taken.
MARKS = {
    True: ("right", "var(--right,#007a58)", "&#10003;"),
    False: ("wrong", "var(--wrong,#b34400)", "&#10007;"),
    None: ("", "var(--line,#bbb)", ""),
}
ROW_STYLE = "display:flex;flex-wrap:wrap;gap:8px;margin-bottom:8px;font:12px sans-serif"
HEADING_STYLE = "font:13px sans-serif;margin:14px 0 4px"
IDS_STYLE = "color:var(--soft,#666);font-size:11px;overflow-wrap:anywhere"
MAX_NAME_CHARS = 60  # of an image that cannot be shown, from the end of its path
MAX_CARD_CHARS = 160  # of a caption; the tooltip shows more
MAX_TOOLTIP_CHARS = 2000
MAX_HEADING_CHARS = 240
MAX_LINE_CHARS = 600  # of a text that was found
MAX_RIGHT_TEXTS = 5
QUERY_PIXELS = 150
BESIDE_STYLE = "display:flex;flex-wrap:wrap;gap:4px 18px;align-items:flex-start"
LINES_STYLE = (
    "font:13px/1.5 sans-serif;margin:2px 0 8px;padding-left:2.2em;max-width:80ch;overflow-wrap:anywhere"
)

ImagePath = str | Path | None  # None, or NaN in a table: no image


def gallery(
    images: Sequence[ImagePath],
    captions: Sequence[object],
    marks: Sequence[bool | None] | None = None,
    side: int = 94,
) -> Html:
    """Return a row of cards that wraps: each a thumbnail, `side` pixels wide, above its caption.

    `marks` tell right (True) from wrong (False) by border, colour and sign; None is neither. A missing image leaves
    the caption alone; a file that cannot be opened shows its reason. Raises ValueError unless there is one caption
    (and one mark) for each image.

    >>> shown = gallery([None], ["a <red> mug"], [True])
    >>> "a &lt;red&gt; mug" in str(shown)
    True
    """
    marks = [None] * len(captions) if marks is None else marks
    cards = [_card(*card, side) for card in zip(images, captions, marks, strict=True)]
    return Html(f'<div style="{ROW_STYLE}">{"".join(cards) or "<em>none</em>"}</div>')


def hits_gallery(hits: pd.DataFrame, right: Sequence[str] | None = None, side: int = 94) -> Html:
    """Return the hits of a search in their order, each with rank, score and its text or label.

    `hits`: rank, score, item_id, pair_id, modality, text, label, image. `right`: the item_ids that answer the query;
    with it every hit is marked as right or wrong.

    >>> hit = {"rank": 1, "score": 0.9, "item_id": "a", "pair_id": "1", "modality": "text", "text": "a red mug"}
    >>> "1. 0.900  a red mug" in str(hits_gallery(pd.DataFrame([hit]).assign(label=None, image=None), right=["a"]))
    True
    """
    known = None if right is None else set(right)
    captions, marks = [], []
    for hit in hits.itertuples():
        name = hit.text if hit.modality == "text" else (hit.label if pd.notna(hit.label) else hit.pair_id)
        captions.append(f"{hit.rank}. {hit.score:.3f}  {name}")
        marks.append(None if known is None else hit.item_id in known)
    return gallery(list(hits["image"]), captions, marks, side)


def query_gallery(
    query_ids: Sequence[str], rankings: pd.DataFrame, qrels: pd.DataFrame, items: pd.DataFrame, k: int = 5
) -> Html:
    """Return queries with their results: each query, its right answer and its rank, and its first `k` hits, marked.

    Images that are found are cards, texts are lines; an image that asks stands before them as "the query".
    `rankings`: query_id, item_id, rank, score. `qrels`: query_id, item_id. `items`: item_id, modality, pair_id, text,
    image, label; it holds every item of the rankings. A query that qrels does not judge shows its hits unmarked.

    >>> items = pd.DataFrame({"item_id": ["q", "a"], "modality": "text", "pair_id": "p", "text": ["a mug", "a cup"]})
    >>> items = items.assign(image=None, label=None)
    >>> rankings = pd.DataFrame({"query_id": ["q"], "item_id": ["a"], "rank": [1], "score": [0.9]})
    >>> "first right answer at rank 1" in str(query_gallery(["q"], rankings, rankings, items))
    True
    """
    known = items.set_index("item_id")
    parts = []
    for query_id in query_ids:
        right = qrels.loc[qrels["query_id"] == query_id, "item_id"].tolist()
        found = rankings[rankings["query_id"] == query_id].sort_values("rank")
        query = known.loc[query_id]
        title = query["text"] if query["modality"] == "text" else query["pair_id"]
        parts.append(_heading(str(title)[:MAX_HEADING_CHARS], _describe_rank(found, right)))
        if query["modality"] == "image":
            asked = gallery([query["image"]], ["the query"], side=QUERY_PIXELS)
            lines = _answer_lines(known, right, found.head(k))
            parts.append(
                f'<div style="{BESIDE_STYLE}">{asked}<div style="flex:1 1 300px">{lines}</div></div>'
            )
        else:
            parts.append(_answer_cards(known, right, found.head(k)))
    return Html("".join(parts))


def changes_gallery(
    changed: pd.DataFrame,
    rankings: Mapping[str, pd.DataFrame],
    qrels: pd.DataFrame,
    items: pd.DataFrame,
    measure: str,
    k: int = 5,
) -> Html:
    """Show the first `k` hits of two runs for each row of `changed` (query_id, before, after).

    `rankings` holds the run before and the run after, by name; `measure` is the measure of the values before and
    after.
    """
    parts = []
    for row in changed.to_dict("records"):
        for (run, ranked), score in zip(rankings.items(), (row["before"], row["after"]), strict=True):
            found = ranked[ranked["query_id"] == row["query_id"]]
            note = f"{escape(run)}, {escape(measure)} {score:.3f}"
            parts.append(
                f'<p style="font:13px sans-serif;margin:14px 0 -8px;color:var(--soft,#5b6675)">{note}</p>'
            )
            parts.append(str(query_gallery([row["query_id"]], found, qrels, items, k)))
    return Html("".join(parts) or "<em>none</em>")


def wrong_pairs_gallery(suspects: pd.DataFrame, items: pd.DataFrame, count: int) -> Html:
    """Return the first `count` suspected wrong pairs: the text, its own image, and the image that fits better.

    `suspects`: text_id, image_id, other_id, cosine, other_cosine, score, reason, as `suspected_wrong_pairs` returns
    them.
    """
    known = items.set_index("item_id")
    parts = []
    for number, row in enumerate(suspects.head(count).to_dict("records"), 1):
        title = f"{number}. {str(known.at[row['text_id'], 'text'])[:MAX_HEADING_CHARS]}"
        parts.append(
            _heading(title, f"z = {row['score']:.1f}: {row['reason']}", row["text_id"], row["image_id"])
        )
        images = [known.at[row[name], "image"] for name in ("image_id", "other_id")]
        own, other = (
            f"stands beside this, cosine {row['cosine']:.2f}",
            f"fits this, cosine {row['other_cosine']:.2f}",
        )
        parts.append(str(gallery(images, [own, other], [False, None])))
    return Html("".join(parts) or str(gallery([], [])))


def false_negatives_gallery(suspects: pd.DataFrame, items: pd.DataFrame, count: int) -> Html:
    """Return the first `count` suspected false negatives: the pair of the query, and that of the item ranked above.

    `suspects`: query_id, item_id, rank, query_text, item_text, reason, as `suspected_false_negatives` returns them.
    """
    pairs = items.set_index("item_id")["pair_id"]
    image_of = items[items["modality"] == "image"].drop_duplicates("pair_id").set_index("pair_id")["image"]
    parts = []
    for number, row in enumerate(suspects.head(count).to_dict("records"), 1):
        title = f"{number}. {str(row['query_text'])[:MAX_HEADING_CHARS]}"
        parts.append(_heading(title, row["reason"], row["query_id"], row["item_id"]))
        images = [image_of.get(pairs[row[name]]) for name in ("query_id", "item_id")]
        captions = [f"right by its pair: {row['query_text']}", f"rank {row['rank']}: {row['item_text']}"]
        parts.append(str(gallery(images, captions, [True, None])))
    return Html("".join(parts) or str(gallery([], [])))


def _heading(title: str, note: str, *ids: str) -> str:
    small = f'<br><span style="{IDS_STYLE}">{escape(" · ".join(ids))}</span>' if ids else ""
    return f'<p style="{HEADING_STYLE}"><b><bdi>{escape(title)}</bdi></b> &mdash; {escape(note)}{small}</p>'


def _describe_rank(found: pd.DataFrame, right: list[str]) -> str:
    if not right:
        return "no right answer is known"
    ranks = found.loc[found["item_id"].isin(right), "rank"]
    return f"first right answer at rank {ranks.min()}" if len(ranks) else f"not among the first {len(found)}"


def _answer_cards(known: pd.DataFrame, right: list[str], found: pd.DataFrame) -> str:
    """Return a right answer, if one is known, and then the hits; a text stands with the image of its pair."""
    hits = known.loc[found["item_id"]]
    images: list[ImagePath] = list(hits["image"])
    marks = [item_id in right if right else None for item_id in found["item_id"]]
    captions = [
        f"{rank}. {score:.3f}  {_name(hit, known)}"
        for rank, score, (_, hit) in zip(found["rank"], found["score"], hits.iterrows(), strict=True)
    ]
    if right:
        answer = known.loc[right[0]]
        images.insert(
            0, answer["image"] if answer["modality"] == "image" else _image_of_pair(known, answer["pair_id"])
        )
        captions.insert(0, f"right: {_name(answer, known)}")
        marks.insert(0, None)
    return str(gallery(images, captions, marks, side=96))


def _answer_lines(known: pd.DataFrame, right: list[str], found: pd.DataFrame) -> str:
    """Return the right texts and then those that were found, a line each with its rank."""
    answers = "".join(f"<li>{_text_line(known.at[item, 'text'])}</li>" for item in right[:MAX_RIGHT_TEXTS])
    marks = [MARKS[item in right if right else None] for item in found["item_id"]]
    lines = [
        f'<li value="{rank}"><b style="color:{colour}" title="{meaning}">{sign}</b> {score:.3f} '
        f"{_text_line(known.at[item, 'text'])}</li>"
        for item, rank, score, (meaning, colour, sign) in zip(
            found["item_id"], found["rank"], found["score"], marks, strict=True
        )
    ]
    parts = (
        [f'<b style="font:600 13px sans-serif">right</b><ul style="{LINES_STYLE}">{answers}</ul>']
        if right
        else []
    )
    parts += [f'<ol style="{LINES_STYLE}">{"".join(lines)}</ol>'] if lines else []
    return "".join(parts)


def _text_line(text: object) -> str:
    return f"<bdi>{escape(str(text)[:MAX_LINE_CHARS])}</bdi>"


def _image_of_pair(known: pd.DataFrame, pair_id: str) -> ImagePath:
    images = known.loc[(known["pair_id"] == pair_id) & (known["modality"] == "image"), "image"]
    return images.iloc[0] if len(images) else None


def _name(item: pd.Series, known: pd.DataFrame) -> str:
    """Return a text itself; for an image its label, else a caption of its pair, else its path in the dataset."""
    if item["modality"] == "text":
        return item["text"]
    if pd.notna(item["label"]):
        return item["label"]
    captions = known.loc[(known["pair_id"] == item["pair_id"]) & (known["modality"] == "text"), "text"]
    return captions.iloc[0] if len(captions) else item["pair_id"]


def _card(image: ImagePath, caption: object, mark: bool | None, side: int) -> str:
    meaning, colour, sign = MARKS[mark]
    whole = str(caption)
    shown = whole if len(whole) <= MAX_CARD_CHARS else whole[: MAX_CARD_CHARS - 1] + "…"
    flag = f'<b style="color:{colour}" title="{meaning}">{sign} </b>' if sign else ""
    border = f"2px {'dashed' if mark is False else 'solid'} {colour}"
    return (
        f'<figure style="width:{side + 12}px;margin:0;padding:4px;border:{border};border-radius:6px;'
        f'overflow-wrap:anywhere">{_thumbnail(image, whole, side)}'
        f'<figcaption style="line-height:1.3" title="{escape(whole[:MAX_TOOLTIP_CHARS])}">{flag}'
        f"<bdi>{escape(shown)}</bdi></figcaption></figure>"
    )


def _thumbnail(image: ImagePath, caption: str, side: int) -> str:
    if image is None or pd.isna(image):
        return ""
    try:
        data = base64.b64encode(thumbnail(Path(image), side * 2)).decode()
    except ImageError as error:
        return f"<em>[{escape(str(error))}: {escape(str(image)[-MAX_NAME_CHARS:])}]</em>"
    style = f"width:{side}px;height:{side}px;object-fit:contain;display:block;margin:auto"
    return f'<img alt="{escape(caption[:200])}" style="{style}" src="data:image/jpeg;base64,{data}">'
