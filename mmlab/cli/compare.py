"""`mmlab compare` and `mmlab tune`: the notebooks beside the six, on runs that are finished."""

from collections.abc import Sequence

import click

from mmlab.cli.group import cli, parameter_option, say_report, split_parameters, usage_errors

COMPARE_EXAMPLES = """
\b
Examples:
  mmlab compare base large
  mmlab compare base large siglip --name models -p measure=Success@10
"""
TUNE_EXAMPLES = """
\b
Examples:
  mmlab tune photos
  mmlab tune photos -p seed=7
"""


@cli.command(epilog=COMPARE_EXAMPLES, short_help="Compare runs query by query.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...")
@click.option("--name", help="Name of the comparison; without it compare-RUN-RUN.")
@parameter_option
def compare(runs: Sequence[str], name: str | None, parameters: Sequence[str]) -> None:
    """Compare runs over the same items query by query (notebook 08): all with the first of them."""
    from mmlab import runs as room

    name = name or f"compare-{'-'.join(runs)}"[:100]
    with usage_errors():
        notebook = room.find_notebook("08_compare")
        room.run_folder(name)
        if len(set(runs)) < 2:
            raise ValueError("expected two runs or more; mmlab list shows those that are there")
        if name in runs:
            raise ValueError(f"{name} is one of the runs compared; give the comparison another --name")
        room.check_runs(runs)
        given = room.check_parameters({**split_parameters(parameters), "runs": list(runs)}, [notebook])
    room.run_notebooks(name, given, [notebook])
    say_report(name)


@cli.command(epilog=TUNE_EXAMPLES, short_help="Look for better settings of a run.")
@click.argument("run")
@parameter_option
def tune(run: str, parameters: Sequence[str]) -> None:
    """Look for better settings of a finished run (notebook 07), with the parameters of that run."""
    from mmlab import runs

    with usage_errors():
        runs.check_runs([run])
        notebooks = [*runs.find_notebooks(), runs.find_notebook("07_tune")]
        given = runs.check_parameters(split_parameters(parameters), notebooks)
    runs.run_notebooks(run, given, notebooks, start=len(notebooks) - 1)
    say_report(run)
