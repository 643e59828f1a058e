"""`mmlab list` and `mmlab report`: what is there."""

import click

from mmlab.cli.group import cli, for_each_run, say_failures, show_table, usage_errors

LIST_EXAMPLES = """
\b
Examples:
  mmlab list
"""
REPORT_EXAMPLES = """
\b
Examples:
  mmlab report demo
  mmlab report demo --single-file
  mmlab report --all
"""


@cli.command("list", epilog=LIST_EXAMPLES, short_help="List all runs.")
def list_() -> None:
    """List all runs: dataset, models, when finished, a first measure, how far they came."""
    from mmlab.runs import list_runs, write_overview

    rows = list_runs()
    if not rows:
        click.echo("No runs yet: mmlab run makes one.")
        return
    show_table([{**row, "models": ", ".join(row["models"])} for row in rows])
    click.echo(f"Index: {write_overview()}")


@cli.command(epilog=REPORT_EXAMPLES, short_help="Write a run's HTML again, or as one file.")
@click.argument("name", required=False)
@click.option(
    "--single-file", is_flag=True, help="Also write NAME-report.html, one file that holds everything."
)
@click.option("--all", "all_", is_flag=True, help="Write the reports of all runs, and the index over them.")
def report(name: str | None, single_file: bool, all_: bool) -> None:
    """Write the HTML of the run NAME again from its files, and the index over all runs."""
    from mmlab import runs

    if (name is None) != all_:
        raise click.UsageError("expected either the NAME of a run or --all")
    if name is not None:
        with usage_errors():
            _write(name, single_file)
        click.echo(f"Index: {runs.write_overview()}")
        return
    names = runs.run_names()
    failures = for_each_run(names, lambda run: _write(run, single_file))
    click.echo(f"Index: {runs.write_overview()}")
    say_failures(failures, len(names))


def _write(run: str, single_file: bool) -> None:
    """Write the run's report, and its single file too, and say where they are."""
    from mmlab import runs

    click.echo(f"Report: {runs.write_report(run)}")
    if single_file:
        click.echo(f"Single file: {runs.write_single(run)}")
