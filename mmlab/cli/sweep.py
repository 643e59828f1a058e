"""`mmlab sweep`: one experiment in many settings."""

import os
from pathlib import Path

import click

from mmlab.cli.group import cli, for_each_run, say_failures, show_table, usage_errors

SWEEP_EXAMPLES = """
\b
The file, every combination of a grid:
  parameters:
    dataset: photos/
    models: [openai/clip-vit-base-patch32]
  grid:
    hnsw_m: [16, 64]
    ef: [20, 50, 100]
\b
or one set of parameters after the other, in place of the grid:
  sets:
    - {layout: unified}
    - {layout: separate, fusion: rrf}
\b
Examples:
  mmlab sweep ef.yaml
  mmlab sweep ef.yaml --jobs 4
  mmlab sweep ef.yaml --resume
"""


@cli.command(epilog=SWEEP_EXAMPLES, short_help="Run many settings, shared steps once.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="How many notebooks at a time; without it as many as cores, at most 4.",
)
@click.option("--resume", is_flag=True, help="Keep the steps that are done already with the same parameters.")
def sweep(file: Path, jobs: int | None, resume: bool) -> None:
    """Run the notebooks in every setting of FILE, a run each, named by the file and the setting.

    What several settings have in common is done once. A setting that fails does not stop the others.
    """
    from mmlab import runs
    from mmlab.runs.sweep import plan_steps, read_settings, run_sweep

    with usage_errors():
        notebooks = runs.find_notebooks()
        settings = read_settings(file, notebooks)
        if not all("dataset" in setting.values for setting in settings):
            raise ValueError(f"{file}: dataset is missing; give it under parameters")
    roots = plan_steps(settings, notebooks)
    steps = sum(1 for root in roots for _ in root.walk())
    whole = len(settings) * len(notebooks)
    click.echo(f"{len(settings)} runs: {steps} steps, {whole - steps} more are shared", err=True)
    failures = run_sweep(roots, jobs or min(_cores(), 4), resume)
    _report([setting.run for setting in settings], failures)


def _report(names: list[str], failures: dict[str, str]) -> None:
    """Write the runs' reports, list them, and say last which failed and why."""
    from mmlab import runs

    failed = for_each_run([name for name in names if name in runs.run_names()], runs.write_index)
    failures |= {name: f"no report: {reason}" for name, reason in failed.items() if name not in failures}
    found = {row["name"]: row for row in runs.list_runs()}
    shown = ("name", "seconds", "measure", "value", "state")
    show_table([{key: found[name][key] for key in shown} for name in names if name in found])
    click.echo(f"Index: {runs.write_overview()}")
    say_failures(failures, len(names))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
