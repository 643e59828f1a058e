"""Values that a parameter can have, to both ends of its range, and values that it cannot have."""

import math

from mmlab.items.options import MAX_CHARS, Choice, Number, Text, Truth, Whole
from mmlab.items.parameter_table import PARAMETERS

TEXTS = {
    "name": ["a", "x" * 100, "2026-11.b_c"],
    "dataset": ["photos", "hf://owner/name"],
    "columns": ["image=url", "caption = a title"],
    "models": ["demo", "openai/clip-vit-base-patch32"],
    "prompts": ["{}", "a photo of {}"],
    "store": ["", "http://localhost:6333", "/srv/store"],
    "split": ["auto", "held out"],
    "unit": ["auto", "product_id"],
    "weights": ["equal", "learned", "0.7, 0.3", "0,1"],
    "group_by": ["label"],
    "runs": ["demo", "bm25.run"],
    "measures": ["Success@1", "RR"],
    "measure": ["nDCG@10", "AP@R"],
}
WRONG_TEXTS = {
    "name": ["", "../r", "-r", "a b", "x" * 101, "index.html"],
    "dataset": ["", " "],
    "columns": ["", "image", "picture=url", "image="],
    "models": ["", " "],
    "prompts": ["", "a photo", "{} and {}"],
    "store": ["localhost:6333", "elsewhere", "ftp://host", "http://"],
    "split": ["", " "],
    "unit": ["", " "],
    "weights": ["", "much", "0.7", "0.7, 0.7", "1.5, -0.5", "nan, 1", "inf, 1", "0.5; 0.5"],
    "group_by": ["", " "],
    "runs": ["", " "],
    "measures": ["", "Success", "Success@0", "success@1", "Success@1 "],
    "measure": ["", "P", "RR@-1"],
}
HOSTILE = ["a\0b", "two\nlines", "\x1b[31mred", "\ud800", "x" * (MAX_CHARS + 1)]
HUGE = 10**400


def right_values(name, kind):
    """Values at the ends of the range of a kind."""
    if isinstance(kind, Whole):
        return [kind.least, kind.most]
    if isinstance(kind, Number):
        return [math.nextafter(kind.least, math.inf) if kind.above else kind.least, kind.most]
    if isinstance(kind, Truth):
        return [True, False]
    if isinstance(kind, Choice):
        return list(kind.names)
    if isinstance(kind, Text):
        return TEXTS.get(name, ["", "x" * MAX_CHARS, "ein Wort 馬克杯"])
    inner = right_values(name, kind.of)
    return [*([[]] if kind.least == 0 else []), inner[: max(kind.least, 1)], inner[: kind.most]]


def wrong_values(name, kind):
    """Values of other types, just beside the range, not finite, huge, with control characters; of lists also inside."""
    if isinstance(kind, Whole):
        return [
            kind.least - 1,
            kind.most + 1,
            HUGE,
            -HUGE,
            True,
            1.5,
            math.nan,
            math.inf,
            "",
            "one",
            "1.5",
            None,
            [1],
            {},
        ]
    if isinstance(kind, Number):
        beside = [math.nextafter(kind.least, -math.inf), math.nextafter(kind.most, math.inf)]
        beside += [kind.least] if kind.above else []
        return [*beside, HUGE, math.nan, math.inf, -math.inf, "nan", "inf", True, "", "much", None, [1.0], {}]
    if isinstance(kind, Truth):
        return [2, 1, 0, "maybe", "", None, 1.0, [True], {}]
    if isinstance(kind, Choice):
        return ["", kind.names[0].upper(), f"{kind.names[0]} ", *HOSTILE, 1, True, None, [kind.names[0]], {}]
    if isinstance(kind, Text):
        return [*HOSTILE, *WRONG_TEXTS.get(name, []), 1, 1.5, True, None, ["a"]]
    one = right_values(name, kind.of)[0]
    inner = [[value] for value in wrong_values(name, kind.of) if not isinstance(value, str) or value.strip()]
    inner = [value for value in inner if not is_text_of_a_value(kind.of, value[0])]
    few = [[], [one] * (kind.least - 1)] if kind.least else []
    return [*few, *inner, [one, one], [one] * (kind.most + 1), [[one]], 1, True, None, math.nan]


def is_text_of_a_value(kind, value):
    """Whether a text stands for a value, as "1" does in the list of a command line."""
    return isinstance(kind, Truth) and isinstance(value, str)


def refused(name, value, error, label=""):
    """Whether an error is one sentence that names the parameter, says what is expected and shows a little."""
    text, kind = str(error), PARAMETERS[name].kind
    assert text.startswith(f"parameter {label or name}: expected {kind.expected}"), (name, value, text)
    assert ", found " in text
    assert text.isprintable()
    assert len(text) < len(kind.expected) + 320
    return True
