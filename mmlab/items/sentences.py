"""Words and sentences: how a text is divided into words, and the style of sentences and numbers that people read.

Words are those of Unicode, in languages that are written without spaces too, by ICU, the reference implementation of
its text segmentation (UAX #29), which has dictionaries for Chinese, Japanese, Thai, Lao, Khmer and Burmese. 100,000
captions take about two seconds.

Sentences say what was found, in words that a reader of a report knows: "94 of 100 texts find their image first", not
the name of a variable, a parameter or an id. A run, a model and a dataset have their names; the key of a space, an
item_id and the repr of an object are for tables and code.

- Things that were counted are counted: "93 of 437 images", "1,090 texts" (`count`); one is "1 text".
- A share that stands for all is said of 100: "94 of 100" (`of_100`), with its interval "94 of 100 (92 to 96)"
  (`of_100_interval`).
- A measure is named as papers name it, with three decimals and its interval: "Success@1 0.940 (0.917 to 0.959)"
  (`measure_with_interval`).
- Per cent are written without a blank, "98.0%"; a difference of two of them is in points, "2.1 points" (`points`).
- Times have a unit and two digits that count: "0.56 ms", "12 ms", "1.4 s" (`milliseconds`).
- A difference inside the interval is no finding; what is bounded and not measured is said "at most".
- Columns of tables are headed by words with their unit: `p50_ms` is "median, ms" (`heading`).
"""

import re
from collections.abc import Iterable

# Scripts that are written without spaces between words.
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aad\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uaa60-\uaa7f\uf900-\ufaff\U00020000-\U0003ffff]"
)


def count_words(text: str) -> int:
    """Count the words of a text: those of its segments that hold a letter or a digit.

    >>> [count_words(text) for text in ("A dog, running.", "一只黑狗在草地上奔跑", "สุนัขวิ่งบนหญ้า", "...")]
    [3, 6, 4, 0]
    """
    return sum(any(map(str.isalnum, segment)) for segment in _segments(text))


def split_words(text: str) -> list[str]:
    """Divide a text into the parts that a reader sees as words, punctuation with them; together they are the text.

    What spaces part is parted, each space belonging to the part before it; so is what has no spaces between words.

    >>> split_words("a red mug, please"), split_words("红色 杯子!")
    (['a ', 'red ', 'mug, ', 'please'], ['红色 ', '杯子!'])
    """
    parts: list[str] = []
    for chunk in re.findall(r"\s*\S+\s*", text):
        parts += _words_with_marks(chunk) if UNSPACED.search(chunk) else [chunk]
    return parts


def _segments(text: str) -> list[str]:
    from icu4py.breakers import WordBreaker

    return list(WordBreaker(text, ""))


def _words_with_marks(chunk: str) -> list[str]:
    """Return the words of a chunk, each with the marks behind it; those before the first belong to the first."""
    parts: list[str] = []
    for segment in _segments(chunk):
        is_word = any(map(str.isalnum, segment))
        if parts and not (is_word and any(map(str.isalnum, parts[-1]))):
            parts[-1] += segment
        else:
            parts.append(segment)
    return parts


DIRECTION_WORDS = {
    "text-to-image": ("text", "texts find their image"),
    "image-to-text": ("image", "images find one of their texts"),
}
HEADINGS = {
    "bytes_per_item": "bytes an item",
    "seconds_per_1000": "to index 1,000, s",
    "were_there": "unchanged",
    "same_size": "in the smallest gallery",
    "passing": "share of items",
    "among_found": "among the found",
    "image_unknown": "image unknown",
    "false_alarms": "false alarms",
    "made_from": "made from",
    "p_holm": "p, Holm",
    "indexed_vectors": "indexed vectors",
    "items_per_second": "items a second",
    "batch_size": "batch size",
    "if_right": "if they are right",
    "if_right_low": "low, if right",
    "if_right_high": "high, if right",
}
LATENCIES = {"p50": "median", "p95": "95th percentile", "p99": "99th percentile"}
UNITS = {"bytes": "bytes", "ms": "ms", "s": "s", "mb": "MB", "kb": "KB"}


def count(number: int, what: str) -> str:
    """Return so many of a thing: with commas, and one of it in the singular.

    >>> count(1090, "text"), count(1, "query"), count(2, "query")
    ('1,090 texts', '1 query', '2 queries')
    """
    plural = re.sub("([^aeiou])y$", r"\1ie", what) + ("es" if what[-1] in "sx" else "s")
    return f"{number:,} {what if number == 1 else plural}"


def of_100(share: float) -> str:
    """Return a share in [0, 1] as so many of 100.

    >>> of_100(0.9404), of_100(0.001), of_100(0.9991), of_100(1.0)
    ('94 of 100', 'fewer than 1 of 100', 'more than 99 of 100', '100 of 100')
    """
    number = round(100 * share)
    if number == 0 and share > 0:
        return "fewer than 1 of 100"
    return "more than 99 of 100" if number == 100 and share < 1 else f"{number} of 100"


def of_100_interval(share: float, low: float | None, high: float | None) -> str:
    """Return a share as so many of 100, with its interval where there is one.

    >>> of_100_interval(0.9404, 0.9174, 0.9585)
    '94 of 100 (92 to 96)'
    """
    known = low is not None and high is not None
    return f"{of_100(share)} ({100 * low:.0f} to {100 * high:.0f})" if known else of_100(share)  # type: ignore[operator]


def measure_with_interval(value: float, low: float | None, high: float | None) -> str:
    """Return a measure with three decimals and its interval where there is one.

    >>> measure_with_interval(0.94036, 0.91742, 0.95851), measure_with_interval(1.0, None, None)
    ('0.940 (0.917 to 0.959)', '1.000')
    """
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f} to {high:.3f})"


def points(difference: float) -> str:
    """Return a difference of two shares in points, of which a share of 1 has 100.

    >>> points(0.0202), points(0.01)
    ('2.0 points', '1.0 point')
    """
    text = f"{100 * difference:.1f}"
    return f"{text} point" if text == "1.0" else f"{text} points"


def milliseconds(value: float) -> str:
    """Return a time that is given in milliseconds with its unit and two digits that count.

    >>> milliseconds(0.5599), milliseconds(12.4), milliseconds(1410)
    ('0.56 ms', '12 ms', '1.4 s')
    """
    if value >= 1000:
        return f"{value / 1000:.1f} s"
    return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms" if value >= 1 else f"{value:.2f} ms"


def long_time(seconds: float) -> str:
    """Return a time of a minute or more with its units.

    >>> long_time(95), long_time(9700)
    ('2 min', '2 h 42 min')
    """
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min"


def listed(parts: list[str]) -> str:
    """Return the parts as a list in words.

    >>> listed(["a", "b", "c"]), listed(["a"])
    ('a, b and c', 'a')
    """
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def as_list(sentences: Iterable[str]) -> str:
    r"""Return several sentences as Markdown: the first for itself, each of the others in a line of a list.

    >>> as_list(["Two.", "One.", "None."])
    'Two.\n\n- One.\n- None.'
    """
    first, *others = sentences
    return "\n".join([f"{first}\n", *(f"- {one}" for one in others)]) if others else first


def heading(column: str) -> str:
    """Return the heading of a column of numbers: words, and the unit behind a comma.

    >>> heading("p50_ms"), heading("disk_bytes"), heading("were_there"), heading("pair_id")
    ('median, ms', 'disk, bytes', 'unchanged', 'pair_id')
    """
    if column in HEADINGS:
        return HEADINGS[column]
    name, _, unit = column.rpartition("_")
    if not name or unit not in UNITS:
        return column
    return f"{LATENCIES.get(name, name.replace('_', ' '))}, {UNITS[unit]}"
