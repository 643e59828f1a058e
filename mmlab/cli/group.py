"""The group that the commands belong to, and what several of them share."""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from html import unescape
from typing import TYPE_CHECKING, Any

import click

import mmlab
from mmlab.items.files import NoProject

if TYPE_CHECKING:
    import pandas as pd

    from mmlab.items.options import Kind


# parameters with an option of their own
OPTIONS = {"name": "--name", "dataset": "--dataset", "models": "--model", "runs": "RUN"}
EXAMPLES = {"-p": "k=5", "--where": "label=mug"}
# colours and other commands to a terminal: ECMA-48, CSI
TERMINAL_COMMAND = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
# of Markdown, where no backslash stands before it
EMPHASIS = re.compile(r"(?<!\\)[*`]+")
ESCAPED = re.compile(r"\\([^A-Za-z0-9\s])")
SHOWN_SETTINGS = 4  # of a leaderboard in a terminal
EXIT_CODES = """
\b
Exit codes:
  0    all went well
  1    a notebook failed, or a check did not hold
  2    wrong arguments; nothing was done
  130  stopped by Ctrl-C; what is finished stays
"""
parameter_option = click.option(
    "-p",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a parameter of the notebooks; may be repeated. mmlab parameters lists them, and what each can be.",
)


class OfKind(click.ParamType):
    """A value of one of the kinds that parameters have."""

    def __init__(self, kind: "Kind") -> None:
        self.kind, self.name = kind, {"int": "number", "float": "number"}.get(kind.type, kind.type)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value; fail where the kind does not accept it."""
        from mmlab.items.options import read_value

        try:
            return read_value("", value, self.kind)
        except ValueError as error:
            self.fail(str(error).partition(": ")[2], param, ctx)


class GivenPath(click.Path):
    """A path; an empty one, as of a variable of the shell that is not set, is not the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; fail where it is empty."""
        if not str(value).strip():
            self.fail("expected a path, found an empty text", param, ctx)
        return super().convert(value, param, ctx)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES, invoke_without_command=True
)
@click.version_option(mmlab.__version__, prog_name="mmlab")
@click.pass_context
def cli(context: click.Context) -> None:
    """Find images by texts and texts by images, measure how well that works, and see why where it does not.

    \b
    First steps:
      mmlab demo                                    a run on drawn products, to look around in
      mmlab inspect photos/                         what your own images and captions would be read as
      mmlab run --dataset photos/ --name photos     all notebooks on them, and a report
      mmlab ask photos "two dogs"                   what the run finds; in JupyterLab: mmlab lab photos

    Each command explains itself: mmlab run --help.
    """  # noqa: D301 - for click, which breaks lines elsewhere
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def complete_runs(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """Return the names of runs that begin as typed, for the completion of a shell."""
    from mmlab.runs import run_names

    with suppress(NoProject):
        return [name for name in run_names() if name.startswith(typed)]
    return []


def split_parameters(texts: Sequence[str]) -> dict[str, str]:
    """Return the NAME=VALUE texts of -p as a dict.

    Raises UsageError for one without a name or a `=`, and for one that the command sets by an option or by itself.
    """
    pairs = split_pairs("-p", texts)
    context = click.get_current_context(silent=True)
    known = (
        {option for one in context.command.params for option in one.opts}
        if context
        else set(OPTIONS.values())
    )
    for name, _ in pairs:
        if name in OPTIONS:
            where = f"by {OPTIONS[name]}" if OPTIONS[name] in known else "by the command itself: leave it out"
            raise click.UsageError(f"-p {name}=... is given {where}")
        if len([one for one, _ in pairs if one == name]) > 1:
            raise click.UsageError(f"-p {name}=... is given twice")
    return dict(pairs)


def split_pairs(option: str, texts: Sequence[str]) -> list[tuple[str, str]]:
    """Return the NAME=VALUE texts of an option as pairs; raise UsageError for one without a name or a `=`."""
    pairs = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise click.UsageError(
                f"{option} takes NAME=VALUE, as in {option} {EXAMPLES[option]}; found {text!r}"
            )
        pairs.append((name, value))
    return pairs


@contextmanager
def usage_errors() -> Iterator[None]:
    """Turn what a check inside the block finds into a wrong argument."""
    try:
        yield
    except (ValueError, FileNotFoundError) as error:
        raise click.UsageError(str(error)) from error


class Interrupted(click.ClickException):
    """Ctrl-C with a message; click would replace a KeyboardInterrupt by one without."""

    exit_code = 130


@contextmanager
def going_on(command: Callable[[str], str]) -> Iterator[None]:
    """Add to a notebook that fails in the block, and to Ctrl-C, the command to go on with.

    `command` is given the number of the notebook, "" where none was at work.
    """
    from mmlab.runs import NotebookFailed

    try:
        yield
    except NotebookFailed as error:
        raise NotebookFailed(f"{error}; go on with: {command(error.notebook[:2])}") from error
    except KeyboardInterrupt as error:
        again = command(getattr(error, "notebook", "")[:2])
        raise Interrupted(
            f"{str(error) or 'stopped'}; what is finished stays, go on with: {again}"
        ) from error


def command_line(*words: str, parameters: Sequence[str] = ()) -> str:
    """Return the command with its -p options, quoted for a shell."""
    return shlex.join(["mmlab", *words, *(word for text in parameters for word in ("-p", text))])


def name_older_notebooks() -> None:
    """Print a line on the notebooks of this folder that another version of mmlab wrote, if there are any."""
    from mmlab.items.files import project
    from mmlab.runs.execute.notebooks import older_notebooks

    if found := older_notebooks():
        click.echo(
            f"note: unlike those of mmlab {mmlab.__version__}: {', '.join(found)} in {project() / 'notebooks'}. Move "
            f"out those that are not your own, and run `mmlab init {shlex.quote(str(project()))}`",
            err=True,
        )


def report_run(name: str, step: str = "") -> None:
    """Write the report of a run and the index of all runs; print the verdict, and where the report is.

    The verdict is what the notebook `step` concluded, where one is named.
    """
    from mmlab.runs.record.lineage import read_held
    from mmlab.runs.report.html_report import write_index, write_overview
    from mmlab.runs.report.verdict import conclusion_of, make_verdict

    index = write_index(name)
    write_overview()
    manifest = read_held(name)
    verdict = conclusion_of(manifest, step) if step else make_verdict(manifest)
    for line in verdict.lines():
        click.echo(plain_text(line))
    click.echo(f"Report: {index}")


def write_for_each(names: Sequence[str], write: Callable[[str], object]) -> dict[str, str]:
    """Call `write` for each run; return the runs for which it failed, each with the reason."""
    failures = {}
    for name in names:
        try:
            write(name)
        # whatever is wrong with one run, the others get their report
        except Exception as error:
            expected = isinstance(error, ValueError | OSError)
            failures[name] = str(error) if expected else f"{type(error).__name__}: {error}"
    return failures


def print_failures(failures: Mapping[str, str], count: int) -> None:
    """Print which of `count` runs failed and why, a line each; end with exit code 1 if any did."""
    for name, reason in failures.items():
        click.echo(f"failed: {name}: {plain_text(reason)}", err=True)
    if failures:
        raise click.ClickException(f"{len(failures)} of {count} runs failed")


def print_table(rows: Sequence[Mapping[Any, Any]]) -> None:
    """Print rows of the same keys as aligned text, with the keys as the head."""
    if not rows:
        return
    table = [list(map(str, rows[0])), *([_plain(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    for line in table:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def print_runs(table: "pd.DataFrame") -> None:
    """Print a leaderboard of runs, of `rank_runs`: what a terminal has room for, and of the settings the first."""
    from mmlab.items.sentences import measure_with_interval, milliseconds
    from mmlab.runs.report.summary import ROW_KEYS, is_known

    rows = []
    for row in table.to_dict("records"):
        low, high = (row[name] if is_known(row[name]) else None for name in ("low", "high"))
        value = measure_with_interval(row["value"], low, high) if is_known(row["value"]) else None
        shown = {name: row[name] for name in ("name", "dataset", "models", "finished", "seconds", "measure")}
        settings = {name: row[name] for name in table.columns[len(ROW_KEYS) + 1 :][:SHOWN_SETTINGS]}
        took = milliseconds(row["latency_ms"]) if is_known(row["latency_ms"]) else None
        shown |= {"models": ", ".join(row["models"]), "value": value, "latency": took, **settings}
        rows.append({name: cell if is_known(cell) else None for name, cell in shown.items()})
        rows[-1]["state"] = row["state"]
    print_table(rows)


def _plain(value: Any) -> str:
    return plain_text(f"{value:.6g}" if isinstance(value, float) else "" if value is None else str(value))


def plain_text(text: str) -> str:
    """Return the text as one line for a terminal: no line breaks, no colours, no control characters."""
    parts = map(str.strip, re.split(r"[\r\n]", TERMINAL_COMMAND.sub("", text)))
    line = " ".join(filter(None, parts))
    return "".join(c if c.isprintable() else " " for c in line)


def plain_markdown(text: str) -> str:
    """Return a sentence of a result as one line for a terminal: no emphasis, no escapes.

    >>> plain_markdown("**3 of 4** in *demo*, &lt;a&gt;")
    '3 of 4 in demo, <a>'
    """
    return plain_text(unescape(ESCAPED.sub(r"\1", EMPHASIS.sub("", text))))
