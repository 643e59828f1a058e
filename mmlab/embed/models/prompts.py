"""Prompt templates: each text is put into each template, and the vectors are averaged (Radford et al. 2021, 3.1.4).

Letters: N texts, P prompts, D dimensions.
"""

import json
from collections.abc import Sequence

import numpy as np

from mmlab.items import unit_rows


def check_prompts(prompts: Sequence[str]) -> tuple[str, ...]:
    """Return the templates as a tuple; raise ValueError unless each holds {} exactly once.

    >>> check_prompts("a photo of {}")
    ('a photo of {}',)
    """
    templates = (prompts,) if isinstance(prompts, str) else tuple(prompts)
    for template in templates:
        if template.count("{}") != 1:
            raise ValueError(f"prompts: expected exactly one {{}} in each template, found {template!r}")
    return templates


def fill_prompts(texts: Sequence[str], prompts: Sequence[str]) -> list[str]:
    """Return each text in each template, the templates of one text side by side; without templates the texts alone.

    >>> fill_prompts(["dog", "cat"], ["a {}", "the {}"])
    ['a dog', 'the dog', 'a cat', 'the cat']
    """
    if not prompts:
        return list(texts)
    return [prompt.replace("{}", text) for text in texts for prompt in prompts]


def average_prompts(rows: np.ndarray, prompts: Sequence[str]) -> np.ndarray:
    """Average the unit rows of filled templates (N x P, D) per text, and return unit rows (N, D).

    >>> average_prompts(np.array([[1, 0], [0, 1]], dtype=np.float32), ["a {}", "the {}"]).round(3)
    array([[0.707, 0.707]], dtype=float32)
    """
    if len(prompts) < 2:
        return rows
    return unit_rows(rows.reshape(-1, len(prompts), rows.shape[1]).mean(axis=1))


def format_prompts(prompts: Sequence[str]) -> str:
    """Return the templates as the field `prompt` of a space: "", the only template, or all of them as JSON.

    >>> format_prompts(["a {}"]), format_prompts(["a {}", "the {}"])
    ('a {}', '["a {}", "the {}"]')
    """
    return "".join(prompts) if len(prompts) < 2 else json.dumps(list(prompts), ensure_ascii=False)


def parse_prompts(prompt: str) -> tuple[str, ...]:
    """Return the templates that `format_prompts` wrote.

    >>> parse_prompts('["a {}", "the {}"]')
    ('a {}', 'the {}')
    """
    if prompt.count("{}") < 2:
        return (prompt,) if prompt else ()
    return tuple(json.loads(prompt))
