"""`mmlab ask`, `open` and `lab`: a question in the terminal, a report in the browser, a panel in JupyterLab."""

import json
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from mmlab.cli.group import (
    cli,
    complete_runs,
    name_older_notebooks,
    plain_markdown,
    print_table,
    split_pairs,
    usage_errors,
)

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
    "--image", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="An image that asks."
)
@click.option(
    "--to", type=click.Choice(["image", "text"]), help="What is found; the other modality unless given."
)
@click.option("-k", type=click.IntRange(min=1), default=10, show_default=True, help="How many hits.")
@click.option(
    "--where",
    multiple=True,
    metavar="NAME=VALUE",
    help="A filter; the same NAME twice lets both values through.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the hits as JSON, and nothing else.")
def ask(
    run: str, text: str | None, image: Path | None, to: Any, k: int, where: Sequence[str], as_json: bool
) -> None:
    """Find the items of RUN that are nearest to TEXT, to an image, or to both."""
    from mmlab.workbench import open_run

    with usage_errors():
        if text is None and image is None:
            raise ValueError('nothing is asked: give a text, as in mmlab ask demo "red mug", or --image')
        hits = open_run(run).search(text, image=image, to=to, k=k, where=read_filter(where))
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
    from mmlab.runs import write_report
    from mmlab.runs.record.run_files import INDEX_PAGE, run_folder

    with usage_errors():
        page = run_folder(run) / INDEX_PAGE
        page = page if page.is_file() else write_report(run)
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

    from mmlab.runs.execute.lab import lab_server, notebook_to_ask, warm_up
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
