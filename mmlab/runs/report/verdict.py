"""The verdict of a run, made from its own files: how good it is, why queries are missed, what to do next.

Gains are counted in queries of the split that is judged. "At most" is a bound: as if each of these queries were found
once what is said is done. Other gains were measured.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import unescape
from typing import Any, NamedTuple

import pandas as pd

from mmlab.items.sentences import (
    DIRECTION_WORDS,
    count,
    listed,
    milliseconds,
    of_100,
    of_100_interval,
    points,
)
from mmlab.runs.record.lineage import held_file
from mmlab.runs.record.manifest import Manifest
from mmlab.runs.record.run_files import COMPARISON, INDEX, METRICS, SUSPECTS
from mmlab.runs.report.summary import Metrics, missing_steps, run_metrics
from mmlab.visualize.markup import render_markdown

SHORT, PRINTED, WRONG_PAIR = "short text", "printed text", "suspected wrong pair"
# recall against exact search under which an index deserves a look
LOW_RECALL = 0.99
# times the latency of the index that exact search may take, since it loses nothing
EXACT_PAYS = 1.5
SHOWN_ACTIONS = 3  # in a terminal
SHOWN_SENTENCES = 4  # of the conclusion of a study
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[-*`A-Z0-9])")
NO_WORD = re.compile(r"[^\w .-]")  # a split has a name from outside, which is no Markdown
MAX_LINE = 600  # characters of a line in a terminal


class Action(NamedTuple):
    """Something to do next as Markdown, what it gains, for how many queries at most, and what shows it, if any."""

    text: str
    gain: str
    queries: float
    link: str = ""


class Cause(NamedTuple):
    """A cause of misses: of how many queries of each direction, and of how many that carry this mark (0: unknown)."""

    name: str
    missed: Mapping[str, int]
    marked: int

    @property
    def total(self) -> int:
        """The missed queries of all directions."""
        return sum(self.missed.values())


@dataclass(frozen=True)
class Verdict:
    """How good a run is, why it misses and what to do next, the most useful first; sentences are Markdown."""

    good: list[str]
    why: str = ""
    causes: list[Cause] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Return the verdict in plain text: how good, why, and a line for each of the first things to do next."""
        steps = [f"Next: {one.text}; gain: {one.gain}" for one in self.actions[:SHOWN_ACTIONS]]
        good = self.good if not self.why else [" ".join(self.good)]
        return [plain(line) for line in (*good, self.why, *steps) if line]


class _Files(NamedTuple):
    """What the verdict is made from: metrics.json, index.parquet, and the counts of the lists of suspects.

    exact: whether exact search gives the run's answers.
    """

    run: str
    metrics: Metrics
    benchmark: list[dict[str, Any]]
    wrong_pairs: int
    right_too: int
    exact: bool

    def rows(self, table: str) -> list[dict[str, Any]]:
        return [row for row in self.metrics.get(table, []) if isinstance(row, dict)]

    @property
    def queries(self) -> int:
        return sum({row["direction"]: row["queries"] for row in self.rows("causes")}.values())

    @property
    def k(self) -> int:
        return max((row["k"] for row in self.rows("causes")), default=0)


def make_verdict(manifest: Manifest) -> Verdict:
    """Return the verdict of a run, of what it has: how far it came where nothing was measured yet.

    `manifest`: of `read_held`.
    """
    steps, missing = manifest["steps"], missing_steps(manifest)
    if COMPARISON in steps:
        return conclusion_of(manifest, COMPARISON)
    files = _read(manifest)
    good = list(_quality(files))
    if missing:
        again = "has to be run again" if missing[0] in manifest.get("stale", {}) else "is missing"
        good.append(f"The run is not finished: {missing[0]} {again}.")
    if damage := manifest.get("damaged", {}).get(METRICS):
        good.append(f"No measures are shown: {damage}.")
    elif not files.rows("measures") and "05_evaluate" in steps:
        good.append("Nothing could be measured: 05_evaluate says why, and what to judge by.")
    causes = _causes(files)
    actions = [*_repairs(causes, files), *_first_hits(files), *_search_exactly(files)]
    return Verdict(good, _why(causes, files), causes, sorted(actions, key=lambda one: -one.queries))


def conclusion_of(manifest: Manifest, step: str) -> Verdict:
    """Return what one notebook concluded as a verdict, such as a study: its first sentences."""
    sentences = SENTENCE_END.split(manifest["steps"][step]["summary"].strip())
    return Verdict(sentences[:SHOWN_SENTENCES])


def plain(text: str) -> str:
    r"""Return Markdown as plain text in one line.

    >>> plain("**93 of 100** are *found* \\[1\\], `p`")
    '93 of 100 are found [1], p'
    """
    line = " ".join(unescape(re.sub("<[^>]+>", "", render_markdown(text))).split())
    return line if len(line) <= MAX_LINE else f"{line[:MAX_LINE].rpartition(' ')[0]} …"


def _read(manifest: Manifest) -> _Files:
    wrong, right_too, index = (
        held_file(manifest, file)
        for file in (f"{SUSPECTS}/wrong_pairs.parquet", f"{SUSPECTS}/false_negatives.parquet", INDEX)
    )
    suspected = pd.read_parquet(wrong, columns=["suspected"])["suspected"].sum() if wrong else 0
    above = pd.read_parquet(right_too, columns=["query_id", "rank"]) if right_too else None
    first = above.loc[above["rank"] == 1, "query_id"].nunique() if above is not None else 0
    rows = pd.read_parquet(index).to_dict("records") if index else []
    retrieve = manifest["steps"].get("04_retrieve")
    exact = bool(retrieve and retrieve["parameters"].get("exact"))
    return _Files(manifest["run"], run_metrics(manifest), rows, int(suspected), int(first), exact)


def _quality(files: _Files) -> Iterator[str]:
    """Say how many queries find a right answer first, with the interval, the split and the gallery."""
    measures = [row for row in files.rows("measures") if row["measure"].startswith("Success@")]
    first = next((row["measure"] for row in measures if row["value"] is not None), "")
    rules = {row.get("direction"): row for row in files.rows("protocol")}
    for row in measures:
        if row["measure"] != first or row["direction"] not in DIRECTION_WORDS:
            continue
        asked, words = DIRECTION_WORDS[row["direction"]]
        place = "first" if first == "Success@1" else f"among the first {first.partition('@')[2]}"
        found = "image" if asked == "text" else "text"
        rule = rules.get(row["direction"], {})
        held = f" among {count(rule['gallery'], found)}" if rule.get("gallery") else ""
        split = NO_WORD.sub("", str(rule.get("split") or "all").partition(":")[0])
        of_split = "" if split == "all" else f" of the {split} split"
        share = of_100_interval(row["value"], row.get("low"), row.get("high"))
        asking = f"{count(row['queries'], asked)}{of_split} asked{held}"
        yield f"**{share.partition(' (')[0]} {words} {place}**{_interval(share)}: {asking}."


def _interval(share: str) -> str:
    _, bracket, rest = share.partition(" (")
    return f" (95% interval {rest}" if bracket else ""


def _causes(files: _Files) -> list[Cause]:
    """Return the causes of misses, those of the most queries first."""
    rows = pd.DataFrame(files.rows("causes"))
    found = []
    for name, part in rows.groupby("cause", sort=False) if len(rows) else ():
        missed = dict(zip(part["direction"], part["missed"].astype(int), strict=True))
        found.append(Cause(str(name), missed, int(part["marked"].fillna(0).sum())))
    return sorted(found, key=lambda one: -one.total)


def _why(causes: Sequence[Cause], files: _Files) -> str:
    if not files.rows("causes"):
        return ""
    kinds = {row["cause"]: row["kind"] for row in files.rows("causes")}
    missed = sum(one.total for one in causes)
    named = listed([cause_words(one.name, one.total) for one in causes])
    by_model = sum(one.total for one in causes if kinds[one.name] == "model")
    none = "" if by_model else " None is put down to the model."
    return (
        f"**{missed:,} of {count(files.queries, 'query')}** find no right answer among the first {files.k}: {named}."
        f"{none}"
    )


def cause_words(name: str, number: int) -> str:
    """Return so many misses of a cause in words.

    >>> cause_words("printed text", 14), cause_words("the model", 3), cause_words("lost by index", 1)
    ('14 printed texts', '3 by the model', '1 lost by index')
    """
    if name == "the model":
        return f"{number:,} by the model"
    return f"{number:,} {name}" if name.startswith("lost by ") else count(number, name)


def _repairs(causes: Sequence[Cause], files: _Files) -> Iterator[Action]:
    """Say what to do against each cause, and how much that gains at most."""
    for one in causes:
        text, link = _repair(one, files)
        lost = one.name.startswith("lost by ")
        bound = "" if lost else "at most "
        gain = f"{bound}{points(one.total / files.queries)} of Success@{files.k}"
        measured = ", measured" if lost else ""
        yield Action(text, f"{gain} ({count(one.total, 'query')}{measured})", one.total, link)


def _repair(cause: Cause, files: _Files) -> tuple[str, str]:
    """Return what to do against a cause, and the name of the page or the section that shows it."""
    if cause.name == WRONG_PAIR:
        listed_by = f"`mmlab export {files.run} --fixes`"
        return (
            f"**Repair the {count(files.wrong_pairs, WRONG_PAIR)}** of all splits ({listed_by})",
            "suspects",
        )
    if cause.name == PRINTED:
        return (
            f"**Describe the images whose only text was printed in them**, or leave them out (`-p ocr=false`): "
            f"{cause.total} of {cause.marked} such queries are missed"
        ), "05_evaluate"
    if cause.name == SHORT:
        return (
            f"**Complete the short texts**, or refuse them (`-p 'refuse=[\"{SHORT}\"]'`): "
            f"{cause.total} of {cause.marked} such queries are missed"
        ), "01_ingest"
    if cause.name == "the model":
        return "**Try another model**, and compare it with `mmlab compare`", "05_evaluate"
    if cause.name.startswith("lost by "):
        step = cause.name.removeprefix("lost by ")
        advice = " (`-p exact=true`)" if step in ("index", "quantized") else ""
        return f"**Leave out the step {step}**{advice}: exact search finds these answers", "04_retrieve"
    marked = f"{cause.total} of {cause.marked} such queries are missed"
    return f"**Replace what is marked as {cause.name}**, or refuse it: {marked}", "01_ingest"


def _first_hits(files: _Files) -> Iterator[Action]:
    """Say how many queries have a first hit that may be right too, by its captions."""
    asked = {row["direction"]: row["queries"] for row in files.rows("causes")}.get("text-to-image", 0)
    if files.right_too and asked:
        gain = f"at most {points(files.right_too / asked)} of text-to-image Success@1"
        yield Action(
            f"**Judge {count(files.right_too, 'first hit')} whose captions say nearly the same** as the query: they "
            "may be right too",
            f"{gain} ({count(files.right_too, 'query')})",
            files.right_too,
            "suspects",
        )


def _search_exactly(files: _Files) -> Iterator[Action]:
    """Compare the index with exact search, unless the run is answered by that.

    The row of the run's own way to search follows that of exact search.
    """
    known = [row for row in files.benchmark if {"search", "recall", "p50_ms"} <= row.keys()]
    if files.exact or len(known) < 2 or known[0]["search"] != "exact" or known[1]["recall"] >= LOW_RECALL:
        return
    exact, own = known[:2]
    lost = f"the {of_100(1 - own['recall'])} nearest items that the index misses, measured"
    if exact["p50_ms"] <= EXACT_PAYS * own["p50_ms"]:
        times = f"{milliseconds(exact['p50_ms'])} a query, the index {milliseconds(own['p50_ms'])}"
        yield Action(f"**Search exactly**: {times}", lost, 0, "03_index")
    else:
        yield Action("**Tune the index** with `mmlab tune`", lost, 0, "03_index")
