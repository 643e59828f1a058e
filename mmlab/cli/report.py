"""`mmlab list`, `mmlab report` and `mmlab parameters`: what there is."""

import click

from mmlab.cli.group import cli, complete_runs, print_failures, print_table, usage_errors, write_for_each

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
PARAMETERS_EXAMPLES = """
\b
Examples:
  mmlab parameters               of all notebooks
  mmlab parameters 04            of 04_retrieve
\b
A parameter is given to run, study, tune and compare by -p, or stands in the file of a sweep:
  mmlab run --name photos --from 04 -p fusion=rrf -p k=20
  mmlab run --dataset photos/ --name photos -p 'k_values=[1,10]' -p ocr=false
"""


@cli.command("list", epilog=LIST_EXAMPLES, short_help="List all runs.")
def list_() -> None:
    """List all runs: dataset, models, when finished, a first measure, how far they came."""
    from mmlab.runs import list_runs
    from mmlab.runs.report.html_report import write_overview

    rows = list_runs()
    if not rows:
        click.echo("No runs yet: mmlab run makes one.")
        return
    print_table([{**row, "models": ", ".join(row["models"])} for row in rows])
    click.echo(f"Index: {write_overview()}")


@cli.command(epilog=REPORT_EXAMPLES, short_help="Write a run's HTML again, or as one file.")
@click.argument("name", required=False, shell_complete=complete_runs)
@click.option(
    "--single-file", is_flag=True, help="Also write NAME-report.html, one file that holds everything."
)
@click.option("--all", "all_", is_flag=True, help="Write the reports of all runs, and the index over them.")
def report(name: str | None, single_file: bool, all_: bool) -> None:
    """Write the HTML of the run NAME again from its files, and the index over all runs."""
    from mmlab.runs import run_names
    from mmlab.runs.report.html_report import write_overview

    if (name is None) != all_:
        raise click.UsageError("expected either the NAME of a run or --all")
    if name is not None:
        with usage_errors():
            _write(name, single_file)
        click.echo(f"Index: {write_overview()}")
        return
    names = run_names()
    failures = write_for_each(names, lambda run: _write(run, single_file))
    click.echo(f"Index: {write_overview()}")
    print_failures(failures, len(names))


@cli.command(epilog=PARAMETERS_EXAMPLES, short_help="List the parameters of the notebooks.")
@click.argument("notebook", required=False)
def parameters(notebook: str | None) -> None:
    """List the parameters of NOTEBOOK, or of all: name, type, default, and what each is."""
    from mmlab.runs.execute.notebooks import choose_notebooks
    from mmlab.runs.record.parameters import notebook_parameters

    with usage_errors():
        chosen = choose_notebooks(notebook)
    for path in chosen:
        click.echo(path.stem)
        found = notebook_parameters(path).values()
        print_table([{"name": p.name, "type": p.type, "default": p.default, "": p.help} for p in found])
        click.echo("")


def _write(name: str, single_file: bool) -> None:
    """Write the report of a run, and its single file too, and print where they are."""
    from mmlab.runs import write_report
    from mmlab.runs.report.html_report import write_single_file

    click.echo(f"Report: {write_report(name)}")
    if single_file:
        click.echo(f"Single file: {write_single_file(name)}")
