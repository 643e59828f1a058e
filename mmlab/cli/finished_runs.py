"""What is done with finished runs: `mmlab ask`, `open`, `lab`, and the notebooks beside the six.

Those are run by `mmlab study`, `tune` and `compare`.
"""

import json
import re
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from mmlab.cli.group import (
    GivenPath,
    OfKind,
    cli,
    command_line,
    complete_runs,
    going_on,
    name_older_notebooks,
    parameter_option,
    plain_markdown,
    print_table,
    report_run,
    split_pairs,
    split_parameters,
    usage_errors,
)
from mmlab.items.files import NoProject
from mmlab.items.parameter_table import COUNT

ASK_EXAMPLES = """
\b
Examples:
  mmlab ask demo "red mug"
  mmlab ask demo "red mug" -k 3 --where label=mug --where price=9.5
  mmlab ask photos --image dog.jpg --to image
  mmlab ask photos "at night" --image dog.jpg --json | jq '.[0].image'
"""
OPEN_EXAMPLES = """
\b
Examples:
  mmlab open demo
"""
LAB_EXAMPLES = """
\b
Examples:
  mmlab lab
  mmlab lab photos
  mmlab lab photos --port 8890 --ip 0.0.0.0      what follows the run goes to JupyterLab
"""
WORDS_SHOWN = 60
NUMBERS = ("score", "probability")


@cli.command(epilog=ASK_EXAMPLES, short_help="Ask a run, and print the hits.")
@click.argument("run", shell_complete=complete_runs)
@click.argument("text", required=False)
@click.option(
    "--image",
    type=GivenPath(exists=True, dir_okay=False, path_type=Path),
    help="An image that asks, alone or together with TEXT.",
)
@click.option(
    "--to",
    type=click.Choice(["image", "text"]),
    help="What is found; without it texts find images, and images texts.",
)
@click.option("-k", type=OfKind(COUNT), default=10, show_default=True, help="How many hits.")
@click.option(
    "--where",
    multiple=True,
    metavar="NAME=VALUE",
    help="Only items whose NAME is VALUE; the same NAME twice lets both through.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the hits as JSON, and nothing else.")
def ask(
    run: str, text: str | None, image: Path | None, to: Any, k: int, where: Sequence[str], as_json: bool
) -> None:
    """Find the items of RUN that are nearest to TEXT, to an image, or to both, and print them, the nearest first."""
    from mmlab.index import NoCollection, StoreTaken
    from mmlab.workbench import open_run

    with usage_errors():
        if text is None and image is None:
            raise ValueError('nothing is asked: give a text, as in mmlab ask demo "red mug", or --image')
        try:
            hits = open_run(run).search(text, image=image, to=to, k=k, where=read_filter(where))
        except (NoCollection, StoreTaken) as error:
            raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(hits.table.to_json(orient="records", indent=1, force_ascii=False))
        return
    print_table([_shorten(row) for row in hits.table.to_dict("records")])
    click.echo(plain_markdown(hits.sentence))


def read_filter(texts: Sequence[str]) -> dict[str, Any]:
    """Return the NAME=VALUE texts of --where as a filter: numbers and true or false by their value, else as text.

    >>> read_filter(["label=mug", "label=cup", "price=9.5"])
    {'label': ['mug', 'cup'], 'price': 9.5}
    """
    found: dict[str, list[Any]] = {}
    for name, value in split_pairs("--where", texts):
        found.setdefault(name, []).append(_read_value(value))
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _read_value(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, int | float) else text


def _shorten(hit: dict[str, Any]) -> dict[str, Any]:
    """Return what a line of the terminal shows of a hit."""
    numbers = {name: f"{hit[name]:.3f}" for name in NUMBERS if name in hit}
    words = str(hit["words"])
    words = words if len(words) <= WORDS_SHOWN else f"{words[: WORDS_SHOWN - 1]}…"
    return {"rank": hit["rank"], **numbers, hit["modality"]: words, "file": hit["pair_image"]}


@cli.command("open", epilog=OPEN_EXAMPLES, short_help="Open a run's report in the browser.")
@click.argument("run", shell_complete=complete_runs)
def open_(run: str) -> None:
    """Open the report of RUN in the browser, and print where it is."""
    from mmlab.runs.report.html_report import write_index

    with usage_errors():
        page = write_index(run)
    click.echo(f"Report: {page}")
    if click.launch(page.as_uri()):
        click.echo("No browser could be opened here; open the file in one.", err=True)


@cli.command(
    epilog=LAB_EXAMPLES,
    short_help="Open JupyterLab at a run's query panel.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.argument("run", default="demo", shell_complete=complete_runs)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[JUPYTERLAB OPTIONS]...")
def lab(run: str, arguments: Sequence[str], no_browser: bool) -> None:
    """Open JupyterLab over the project at the query panel of RUN, ready to be asked; Ctrl-C stops it.

    The notebook is work/00_ask.ipynb, written where there is none yet: change it as you like, and keep notebooks
    of your own in work/ too. Ends with exit code 1 where JupyterLab does not start.
    """
    import webbrowser

    from mmlab.runs.execute.kernels import lab_server, notebook_to_ask, warm_up
    from mmlab.workbench import open_run

    name_older_notebooks()
    with usage_errors():
        open_run(run)
    notebook = notebook_to_ask(run)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # also then the server is stopped
    with suppress(KeyboardInterrupt), lab_server(arguments) as server:
        warm_up(server.start_kernel(notebook))
        click.echo(f"\nThe panel of {run}: {server.url(notebook)}\n")
        if not no_browser:
            webbrowser.open(server.url(notebook))
        server.process.wait()


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


@cli.command(epilog=STUDY_EXAMPLES, short_help="Run a study on a run: tune, fusion, scores.")
@click.argument("name", shell_complete=complete_studies)
@click.argument("run", shell_complete=complete_runs)
@parameter_option
def study(name: str, run: str, parameters: Sequence[str]) -> None:
    """Run the study NAME, a notebook beside the six, on the finished run RUN, with the parameters of that run.

    \b
      tune     which settings of the index and of the model are worth their cost
      fusion   whether several systems answer better than each alone, and how much each should count
      scores   hubs, the modality gap, and scores as probabilities of being right

    NAME may also be the notebook's number, or both: 07 or 07_tune. The page of the study joins the report of the run.
    """  # noqa: D301 - for click
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
@click.option("--name", help="Name of the comparison, which is a run too; without it compare-RUN-RUN.")
@parameter_option
def compare(runs: Sequence[str], name: str | None, parameters: Sequence[str]) -> None:
    """Compare runs over the same items query by query (notebook 08), each with the first.

    FILE is a TREC run file of another system over the same items. It is scored as the first run is: the same queries,
    items and depth; a query that it does not answer scores 0.
    """
    from mmlab.runs import find_notebook, run_folder, run_notebooks
    from mmlab.runs.record.parameters import check_all, check_parameters
    from mmlab.runs.record.run_files import COMPARISON

    name_older_notebooks()
    named = f"compare-{'-'.join(Path(run).name for run in runs)}"
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", named)[:100] if name is None else name
    with usage_errors():
        notebook = find_notebook(COMPARISON)
        run_folder(name)
        compared = check_compared(runs, name)
        given = check_parameters({**split_parameters(parameters), "runs": compared}, [notebook])
        check_all([notebook], given)
        check_measures(compared, [*given.get("measures", ()), *filter(None, [given.get("measure")])])
    again = command_line("compare", *runs, "--name", name, parameters=parameters)
    with going_on(lambda _: again):
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


def check_measures(compared: Sequence[str], measures: Sequence[str]) -> None:
    """Raise ValueError for a measure that 05_evaluate has not written in one of the runs; "RR" stands for "RR@100"."""
    from pyarrow.parquet import read_schema

    from mmlab.runs.record.run_files import PER_QUERY, RUN_NAME, run_folder

    for run in filter(RUN_NAME.fullmatch, compared):
        for path in (run_folder(run) / PER_QUERY).glob("*.parquet"):
            try:
                known = [name for name in read_schema(path).names if name != "query_id"]
            except (OSError, ValueError):  # damaged: 08 says so, by its fingerprint
                continue
            for measure in measures:
                if not any(name == measure or name.startswith(f"{measure}@") for name in known):
                    raise ValueError(
                        f"parameter measures: expected those that 05_evaluate wrote in run {run}, which are "
                        f"{', '.join(known)}; found {measure!r}"
                    )


def run_study(name: str, run: str, parameters: Sequence[str]) -> None:
    """Run the notebook of a study on a run, and write the report of the run again."""
    from mmlab.runs import find_notebooks, run_notebooks
    from mmlab.runs.execute.notebooks import find_study
    from mmlab.runs.record.manifest import check_runs, recorded_parameters
    from mmlab.runs.record.parameters import check_all, check_parameters

    name_older_notebooks()
    with usage_errors():
        notebook = find_study(name)
        check_runs([run])
        done = find_notebooks()
        given = check_parameters(split_parameters(parameters), [notebook], done)
        check_all([notebook], recorded_parameters(run, done) | given)
    again = command_line("study", notebook.stem[3:], run, parameters=parameters)
    with going_on(lambda _: again):
        run_notebooks(run, given, [*done, notebook], start=len(done))
    report_run(run, notebook.stem)
