"""`mmlab run` and `mmlab demo`: the six notebooks on a dataset."""

import json
import shlex
from collections.abc import Sequence
from typing import Any

import click

from mmlab.cli.group import cli, parameter_option, say_report, split_parameters, usage_errors

RUN_EXAMPLES = """
\b
Examples:
  mmlab run --dataset photos/ --name photos
  mmlab run --dataset shop.parquet --name shop -p 'columns=["image=url", "caption=alt"]'
  mmlab run --dataset photos/ --name base --model openai/clip-vit-base-patch32
  mmlab run --dataset photos/ --name two --model openai/clip-vit-base-patch32 --model google/siglip-base-patch16-224
  mmlab run --dataset photos/ --name quick -p k=5 -p seed=7
  mmlab run --name base --from 04 -p k=20        what 01 to 03 made is used again
"""
DEMO_EXAMPLES = """
\b
Examples:
  mmlab demo
  mmlab demo --products 300 --name small
"""


@cli.command(epilog=RUN_EXAMPLES, short_help="Run the six notebooks on a dataset.")
@click.option("--dataset", help="Folder of images, table of captions, or hf://owner/name.")
@click.option("--name", required=True, help="Name of the run; its folder is data/runs/NAME.")
@click.option(
    "--model",
    "models",
    multiple=True,
    help="Hugging Face id, a local folder, or demo (the default); given several times, all are compared.",
)
@click.option(
    "--from", "start", default="01", metavar="NOTEBOOK", help="Start at this notebook (04 or 04_retrieve)."
)
@parameter_option
def run(dataset: str | None, name: str, models: Sequence[str], start: str, parameters: Sequence[str]) -> None:
    """Run the six notebooks on a dataset and write data/runs/NAME/index.html."""
    from mmlab.runs import check_dataset, check_model

    if dataset is None and start in ("01", "01_ingest"):
        raise click.UsageError(
            "--dataset is missing: a folder of images, a table of captions, or hf://owner/name"
        )
    given: dict[str, Any] = split_parameters(parameters)
    with usage_errors():
        if dataset is not None:
            given["dataset"] = check_dataset(dataset)
        if models:
            given["models"] = [check_model(model) for model in models]
    run_and_report(name, check(name, given, start), start)


@cli.command(epilog=DEMO_EXAMPLES, short_help="Run them on the drawn demo catalogue.")
@click.option(
    "--products", type=click.IntRange(min=50), default=1500, show_default=True, help="How many to draw."
)
@click.option("--name", default="demo", show_default=True, help="Name of the run.")
@parameter_option
def demo(products: int, name: str, parameters: Sequence[str]) -> None:
    """Draw the demo catalogue into data/demo and run the six notebooks on it with the demo model."""
    from mmlab.demo import draw_catalogue
    from mmlab.items import data

    folder = data() / "demo"
    given = check(name, {**split_parameters(parameters), "dataset": str(folder), "models": ["demo"]})
    draw_catalogue(folder, products=products)
    run_and_report(name, given)


class Interrupted(click.ClickException):
    """Ctrl-C, with a message; click would replace a KeyboardInterrupt by one without."""

    exit_code = 130


def check(name: str, given: dict[str, Any], start: str = "01") -> dict[str, Any]:
    """The parameters in the types that the notebooks declare, once all that can be checked is checked."""
    from mmlab import runs

    with usage_errors():
        runs.run_folder(name)
        runs.notebook_number(start)
        return runs.check_parameters(given, runs.find_notebooks())


def run_and_report(name: str, given: dict[str, Any], start: str = "01") -> None:
    """Run the notebooks, write the report and say where it is; an error says how to go on."""
    from mmlab import runs

    try:
        runs.run_notebooks(name, given, start=runs.notebook_number(start))
    except runs.NotebookFailed as error:
        raise runs.NotebookFailed(f"{error}; go on with: {_go_on(name, given, error.notebook)}") from error
    except runs.Stopped as error:
        told = f"{error}; what is finished stays, go on with: {_go_on(name, given, error.notebook)}"
        raise Interrupted(told) from error
    say_report(name)


def _go_on(name: str, given: dict[str, Any], notebook: str) -> str:
    """The command that does the rest of a run from this notebook on, with the parameters that it was given."""
    words = ["mmlab", "run", "--name", name, "--from", notebook[:2]]
    for parameter, value in given.items():
        if parameter == "dataset":
            words += ["--dataset", value]
        elif parameter == "models":
            words += [word for model in value for word in ("--model", model)]
        else:
            words += ["-p", f"{parameter}={value if isinstance(value, str) else json.dumps(value)}"]
    return shlex.join(words)
