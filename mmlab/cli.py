"""The `mmlab` command: run the notebooks on a dataset, run the demo, rebuild a report.

Exit code 0 if all went well, 1 if a notebook failed, 2 for wrong arguments, 130 after Ctrl-C.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

import mmlab

RUN_EXAMPLES = """
\b
Examples:
  mmlab run --dataset photos/ --name photos
  mmlab run --dataset shop.parquet --name shop -p 'columns=["image=url", "caption=alt"]'
  mmlab run --dataset photos/ --name base --model openai/clip-vit-base-patch32
  mmlab run --dataset photos/ --name two --model openai/clip-vit-base-patch32 --model google/siglip-base-patch16-224
  mmlab run --dataset photos/ --name quick -p k=5 -p seed=7
  mmlab run --name base --from 04 -p k=20
"""
REPORT_EXAMPLES = """
\b
Examples:
  mmlab report demo
"""
DEMO_EXAMPLES = """
\b
Examples:
  mmlab demo
  mmlab demo --products 300 --name small
"""
OPTIONS = {
    "run": "--name",
    "dataset": "--dataset",
    "models": "--model",
}  # parameters with an option of their own
parameter_option = click.option(
    "-p", "parameters", multiple=True, metavar="NAME=VALUE", help="A notebook's parameter; may be repeated."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(mmlab.__version__, prog_name="mmlab")
def cli() -> None:
    """Multimodal retrieval, from a set of images and texts to a report."""


@cli.command(epilog=RUN_EXAMPLES)
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
    if dataset is None and start in ("01", "01_ingest"):
        raise click.UsageError(
            "--dataset is missing: a folder of images, a table of captions, or hf://owner/name"
        )
    given: dict[str, Any] = split_parameters(parameters)
    if dataset is not None:
        given["dataset"] = check_dataset(dataset)
    if models:
        given["models"] = [check_model(model) for model in models]
    run_and_report(name, given, start)


@cli.command(epilog=DEMO_EXAMPLES)
@click.option(
    "--products", type=click.IntRange(min=50), default=1500, show_default=True, help="How many to draw."
)
@click.option("--name", default="demo", show_default=True, help="Name of the run.")
@parameter_option
def demo(products: int, name: str, parameters: Sequence[str]) -> None:
    """Draw the demo catalogue into data/demo and run the six notebooks on it with the demo model."""
    from mmlab.demo import draw_catalogue
    from mmlab.items import data

    folder = draw_catalogue(data() / "demo", products=products)
    run_and_report(name, {**split_parameters(parameters), "dataset": str(folder), "models": ["demo"]})


@cli.command(epilog=REPORT_EXAMPLES)
@click.argument("name")
def report(name: str) -> None:
    """Write the HTML of the run NAME again from its files."""
    from mmlab.runs import write_report

    with usage_errors():
        click.echo(f"Report: {write_report(name)}")


def run_and_report(name: str, given: dict[str, Any], start: str = "01") -> None:
    """Check all that can be checked, then run the notebooks, write the report and say where it is."""
    from mmlab import runs

    with usage_errors():
        runs.run_folder(name)
        notebooks = runs.find_notebooks()
        values = runs.check_parameters(given, notebooks)
        first = runs.notebook_number(start)
    runs.run_notebooks(name, values, notebooks, first)
    click.echo(f"Report: {runs.write_index(name)}")


def split_parameters(texts: Sequence[str]) -> dict[str, str]:
    """The NAME=VALUE texts of -p as a dict; UsageError for one without a name or a `=`."""
    pairs = [text.partition("=") for text in texts]
    for text, (name, equals, _) in zip(texts, pairs, strict=True):
        if not (name and equals):
            raise click.UsageError(f"-p takes NAME=VALUE, as in -p k=5; found {text!r}")
        if name in OPTIONS:
            raise click.UsageError(f"-p {name}=... is given by {OPTIONS[name]}")
    return {name: value for name, _, value in pairs}


def check_dataset(text: str) -> str:
    """The dataset as the notebooks take it, a path absolute; UsageError unless something is there."""
    if text.startswith("hf://"):
        return text
    path = Path(text).expanduser().resolve()
    if path.exists():
        return str(path)
    raise click.UsageError(
        f"--dataset {path}: expected a folder of images, a table of captions, or hf://owner/name; nothing is there"
    )


def check_model(text: str) -> str:
    """The model as the notebooks take it, a folder's path absolute; UsageError for what can be neither."""
    folder = Path(text).expanduser()
    if folder.is_dir() and text != "demo":
        if not (folder / "config.json").is_file():
            raise click.UsageError(f"--model {folder} is no model folder: it holds no config.json")
        return str(folder.resolve())
    if re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", text):
        return text
    raise click.UsageError(
        f"--model {text} does not exist; expected a folder, demo, or a Hugging Face id "
        "such as openai/clip-vit-base-patch32"
    )


@contextmanager
def usage_errors() -> Iterator[None]:
    """Report what a check inside finds as a wrong argument."""
    try:
        yield
    except (ValueError, FileNotFoundError) as error:
        raise click.UsageError(str(error)) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; every expected error is one line on stderr."""
    from mmlab.runs import NotebookFailed

    try:
        cli.main(args=arguments, prog_name="mmlab", standalone_mode=False)
    except click.ClickException as error:
        return complain(error.format_message(), error.exit_code)
    except NotebookFailed as error:
        return complain(str(error), 1)
    except (KeyboardInterrupt, click.Abort):
        return complain("stopped; what is finished stays, go on with --from", 130)
    return 0


def complain(message: str, code: int) -> int:
    """Print one error line and return the exit code."""
    click.echo(f"mmlab: error: {message}", err=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
