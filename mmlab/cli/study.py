"""`mmlab study`, `mmlab tune` and `mmlab compare`: the notebooks beside the six, on finished runs."""

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import click

from mmlab.cli.group import (
    cli,
    complete_runs,
    name_older_notebooks,
    parameter_option,
    report_run,
    split_parameters,
    usage_errors,
)
from mmlab.items.files import NoProject

STUDY_EXAMPLES = """
\b
Examples:
  mmlab study tune photos
  mmlab study tune photos -p 'tune_m=[16, 32]' -p tune_items=16
  mmlab parameters 07            what the notebook of a study takes
"""
TUNE_EXAMPLES = """
\b
Examples:
  mmlab tune photos
  mmlab tune photos -p tune_items=16
"""
COMPARE_EXAMPLES = """
\b
Examples:
  mmlab compare base large
  mmlab compare base large siglip --name models -p measure=Success@10
  mmlab compare base scalar binary -p margin=1      does an index lose at most a point?
  mmlab compare base results/bm25.run               a TREC run file of another system, with the ids of mmlab export
"""


def complete_studies(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """Return the names of studies that begin as typed, for the completion of a shell."""
    from mmlab.runs.execute.notebooks import find_studies

    with suppress(NoProject):
        return [path.stem[3:] for path in find_studies() if path.stem[3:].startswith(typed)]
    return []


@cli.command(epilog=STUDY_EXAMPLES, short_help="Look into one question on a finished run.")
@click.argument("name", shell_complete=complete_studies)
@click.argument("run", shell_complete=complete_runs)
@parameter_option
def study(name: str, run: str, parameters: Sequence[str]) -> None:
    """Run the study NAME, a notebook from 07 on, on the finished run RUN, with the parameters of that run.

    NAME is that of the notebook, with or without its number: tune, 07 or 07_tune. The page of the study joins the
    report of the run. A wrong NAME lists the studies that there are.
    """
    run_study(name, run, parameters)


@cli.command(epilog=TUNE_EXAMPLES, short_help="Look for better settings of a run.")
@click.argument("run", shell_complete=complete_runs)
@parameter_option
def tune(run: str, parameters: Sequence[str]) -> None:
    """Look for better settings of a finished run (notebook 07), with the parameters of that run.

    It is the same as mmlab study tune RUN.
    """
    run_study("tune", run, parameters)


@cli.command(epilog=COMPARE_EXAMPLES, short_help="Compare runs query by query.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN|FILE...", shell_complete=complete_runs)
@click.option("--name", help="Name of the comparison; without it compare-RUN-RUN.")
@parameter_option
def compare(runs: Sequence[str], name: str | None, parameters: Sequence[str]) -> None:
    """Compare runs over the same items query by query (notebook 08): all with the first of them.

    FILE is a TREC run file of another system over the same items. It is scored as the first run is: the same queries,
    items and depth; a query that it does not answer scores 0.
    """
    from mmlab.runs import find_notebook, run_folder, run_notebooks
    from mmlab.runs.record.parameters import check_parameters
    from mmlab.runs.record.run_files import COMPARISON

    name_older_notebooks()
    named = f"compare-{'-'.join(Path(run).name for run in runs)}"
    name = name or re.sub(r"[^A-Za-z0-9._-]+", "-", named)[:100]
    with usage_errors():
        notebook = find_notebook(COMPARISON)
        run_folder(name)
        compared = check_compared(runs, name)
        given = check_parameters({**split_parameters(parameters), "runs": compared}, [notebook])
    run_notebooks(name, given, [notebook])
    report_run(name)


def check_compared(names: Sequence[str], comparison: str) -> list[str]:
    """Return the runs and the absolute paths of the files of a comparison; raise ValueError unless it can be made."""
    from mmlab.runs.record.manifest import find_compared

    if len(set(names)) < 2:
        raise ValueError(
            "expected two runs or more, or a TREC run file beside a run; mmlab list shows the runs"
        )
    if comparison in names:
        raise ValueError(f"{comparison} is one of the runs compared; give the comparison another --name")
    runs, files = find_compared(names, Path.cwd())
    if not runs:
        raise ValueError("expected the name of a run as well: by its items and queries the files are judged")
    return [*runs, *map(str, files)]


def run_study(name: str, run: str, parameters: Sequence[str]) -> None:
    """Run the notebook of a study on a run, and write the report of the run again."""
    from mmlab.runs import find_notebooks, run_notebooks
    from mmlab.runs.execute.notebooks import find_study
    from mmlab.runs.record.manifest import check_runs
    from mmlab.runs.record.parameters import check_parameters

    name_older_notebooks()
    with usage_errors():
        notebook = find_study(name)
        check_runs([run])
        notebooks = [*find_notebooks(), notebook]
        given = check_parameters(split_parameters(parameters), notebooks)
    run_notebooks(run, given, notebooks, start=len(notebooks) - 1)
    report_run(run, notebook.stem)
