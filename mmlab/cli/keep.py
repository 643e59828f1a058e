"""`mmlab verify` and `mmlab clean`: whether a run still holds, and what can go."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from mmlab.cli.group import cli, show_table, usage_errors

if TYPE_CHECKING:
    from mmlab.runs.clean import Removable

VERIFY_EXAMPLES = """
\b
Examples:
  mmlab verify demo
  mmlab verify demo --tolerance 1e-3
"""
CLEAN_EXAMPLES = """
\b
Examples:
  mmlab clean                    what is there, and its size; nothing is removed
  mmlab clean try-1 try-2        two runs
  mmlab clean --unfinished       the runs that did not reach their end
  mmlab clean --cache --demo --yes
  mmlab clean try-1 --labels     also what was judged there by hand, in labels.jsonl
"""


@cli.command(epilog=VERIFY_EXAMPLES, short_help="Run a run again and compare the numbers.")
@click.argument("run")
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=1e-5,
    show_default=True,
    help="How far a measure, a score or a component of a vector may differ.",
)
def verify(run: str, tolerance: float) -> None:
    """Run RUN again from its manifest, with empty caches, and hold the numbers against it.

    Exit code 1 and a table of what differs, if anything does; the second run is kept then.
    """
    from mmlab import runs

    with usage_errors():
        runs.check_runs([run])
    found, second = runs.verify_run(run, tolerance)
    if found.empty:
        click.echo(f"{run} holds: the same items, vectors, rankings and measures, within {tolerance:g}")
        return
    show_table(found.to_dict("records"))
    raise click.ClickException(f"{run} does not hold: {len(found)} differences; the second run is {second}")


@cli.command(epilog=CLEAN_EXAMPLES, short_help="Remove runs, caches, the demo; asks first.")
@click.argument("names", nargs=-1, metavar="[RUN...]")
@click.option("--unfinished", is_flag=True, help="The runs that did not reach their end.")
@click.option(
    "--cache", is_flag=True, help="What was read, downloaded, embedded and laid out; it will be done again."
)
@click.option("--demo", is_flag=True, help="The drawn demo catalogue.")
@click.option("--labels", is_flag=True, help="Runs with judgements made by hand may go too.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def clean(names: Sequence[str], unfinished: bool, cache: bool, demo: bool, labels: bool, yes: bool) -> None:
    """Remove runs, caches or the demo catalogue after asking; without a choice, list what could go.

    All of it can be made again, except judgements made by hand (the column labels): a run that has some is kept
    unless --labels is given.
    """
    from mmlab import runs

    chosen = bool(names or unfinished or cache or demo)
    with usage_errors():
        found = (
            runs.find_removable(list(names), unfinished, cache, demo)
            if chosen
            else runs.find_removable(None, cache=True, demo=True)
        )
    show_table([_row(entry) for entry in found])
    labelled = [entry.name for entry in found if entry.labels and not labels]
    if not found:
        click.echo("Nothing to remove.")
    elif not chosen:
        click.echo("Nothing is removed: name runs, or give --unfinished, --cache or --demo.")
    elif labelled:
        raise click.UsageError(
            f"{', '.join(labelled)} would go with judgements made by hand, which nothing makes again; nothing is "
            "removed: keep labels.jsonl elsewhere, or give --labels"
        )
    elif yes or click.confirm(f"Remove these ({sum(entry.bytes for entry in found) / 1e6:.1f} MB)?"):
        runs.remove(found)
        runs.write_overview()
        click.echo("Removed.")


def _row(entry: "Removable") -> dict[str, Any]:
    size = f"{entry.bytes / 1e6:.1f}"
    return {"what": entry.kind, "name": entry.name, "MB": size, "labels": entry.labels or ""}
