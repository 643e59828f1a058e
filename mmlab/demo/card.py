"""Writes what is known about a trained demo model beside it: training.json and the model card, README.md."""

import json
from pathlib import Path

from mmlab.demo.attributes import BACKGROUNDS, CATEGORIES, COLOURS, COMPANIONS, PATTERNS, WITHHELD

CARD = """---
library_name: transformers
license: mit
language: en
tags: [clip, demo]
---

# mmlab demo model

A demo model: it knows drawings only. It is a small CLIP, trained from nothing on the product images that
`mmlab.demo` draws, so that the workbench can be tried, tested and taught without a network. It is of no use on
photographs; take a pretrained CLIP for those.

It is an ordinary `transformers` checkpoint: `AutoModel`, `AutoTokenizer` and `AutoProcessor` load it. Images are
scaled to {side} pixels by the processor that works with Pillow (`backend="pil"`).

## Data

{products:,} drawn products of the train split (seed {seed}), {captions} captions each: {categories} categories in
{colours} colours, {patterns} patterns and {backgrounds} backgrounds, {companions} kinds of things beside them, in four
styles of wording. {withheld} combinations of category and colour were withheld: only the test split shows them.

## Training

{parameters:,} parameters, contrastive loss, {steps:,} steps of {batch} pairs with AdamW (rate {rate}, warm-up of
{warmup} steps, then a cosine), fixed seed, float32. {minutes} minutes on {threads} CPU cores, and {drawing} minutes
to draw the pool. `python -m mmlab.demo.train --cache FOLDER` does it again; `training.json` holds the figures.

## Scores

{tested:,} products of the test split, never seen, one image and one caption each; exact search by dot product, ties
count against the model. Products of withheld combinations are ranked among all {tested:,}. By chance, Success@1
would be {chance:.3f}. `python -m mmlab.demo.score` prints this again.

{table}

## Limits

- It knows only the things, colours, patterns and places named above, drawn in one style; any other text or image
  gets a vector too, and that vector means nothing.
- Captions are written by templates: words outside of them are strange to it. English only.
- Things that share category, colour, pattern, background and companion are told apart by chance.
"""


def write_card(folder: Path, figures: dict) -> None:
    """Writes training.json and README.md into a checkpoint's folder.

    `figures` holds "recipe", "parameters", "threads", "captions", "seconds drawing", "seconds training" and "scores".
    """
    (folder / "training.json").write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    scores = figures["scores"]
    text = CARD.format(
        **figures["recipe"],
        parameters=figures["parameters"],
        threads=figures["threads"],
        captions=figures["captions"],
        side=figures["side"],
        minutes=round(figures["seconds training"] / 60),
        drawing=round(figures["seconds drawing"] / 60),
        categories=len(CATEGORIES),
        colours=len(COLOURS),
        patterns=len(PATTERNS),
        backgrounds=len(BACKGROUNDS),
        companions=len(COMPANIONS),
        withheld=len(WITHHELD),
        tested=scores["all"]["products"],
        chance=1 / scores["all"]["products"],
        table=score_table(scores),
    )
    (folder / "README.md").write_text(text, "utf-8")


def score_table(scores: dict) -> str:
    """Lays scores out as a Markdown table, a row for each group of products."""
    ways, measures = ("text to image", "image to text"), ("Success@1", "Success@10")
    heads = ["products of", "number", *(f"{way}, {measure}" for way in ways for measure in measures)]
    rows = [
        [
            name,
            str(group["products"]),
            *(f"{group[way][measure]:.3f}" for way in ways for measure in measures),
        ]
        for name, group in scores.items()
    ]
    rule = ["---", *["---:"] * (len(heads) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, rule, *rows))
