"""Prompt templates: a text is put into each, and the vectors are averaged (Radford et al. 2021, section 3.1.4)."""

import json
from collections.abc import Sequence

import numpy as np

from mmlab.items import unit_rows


def check_prompts(prompts: Sequence[str]) -> tuple[str, ...]:
    """The templates as a tuple; ValueError unless each holds {} exactly once."""
    templates = (prompts,) if isinstance(prompts, str) else tuple(prompts)
    for template in templates:
        if template.count("{}") != 1:
            raise ValueError(f"prompts: expected exactly one {{}} in each template, found {template!r}")
    return templates


def fill_in(texts: Sequence[str], prompts: Sequence[str]) -> list[str]:
    """Each text in each template, the templates of one text side by side; the texts alone without templates."""
    if not prompts:
        return list(texts)
    return [prompt.replace("{}", text) for text in texts for prompt in prompts]


def average(rows: np.ndarray, prompts: Sequence[str]) -> np.ndarray:
    """Unit rows of filled-in texts (N x P, D) -> unit rows of the texts (N, D)."""
    if len(prompts) < 2:
        return rows
    return unit_rows(rows.reshape(-1, len(prompts), rows.shape[1]).mean(axis=1))


def describe(prompts: Sequence[str]) -> str:
    """How a space names its templates: nothing, the only one, or all as JSON."""
    return "".join(prompts) if len(prompts) < 2 else json.dumps(list(prompts), ensure_ascii=False)


def undescribe(prompt: str) -> tuple[str, ...]:
    """The templates that `describe` named."""
    if prompt.count("{}") < 2:
        return (prompt,) if prompt else ()
    return tuple(json.loads(prompt))
