"""`mmlab run`, `mmlab demo` and `mmlab sweep`: the six notebooks on a dataset, once or in many settings."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from mmlab.cli.group import (
    GivenPath,
    OfKind,
    cli,
    command_line,
    going_on,
    name_older_notebooks,
    parameter_option,
    plain_text,
    print_failures,
    print_runs,
    report_run,
    split_parameters,
    usage_errors,
    write_for_each,
)
from mmlab.items.options import Whole
from mmlab.items.workers import count_cores

if TYPE_CHECKING:
    from mmlab.ingest import Inspection

RUN_EXAMPLES = """
\b
Examples:
  mmlab inspect photos/                          first: what would come of it
  mmlab run --dataset photos/ --name photos
  mmlab run --dataset shop.parquet --name shop -p columns=image=url,caption=alt
  mmlab run --dataset photos/ --name base --model openai/clip-vit-base-patch32
  mmlab run --dataset photos/ --name two --model openai/clip-vit-base-patch32 --model google/siglip-base-patch16-224
  mmlab run --dataset photos/ --name quick -p k=5 -p seed=7
  mmlab run --dataset catalogue/ --name shop --queries queries.csv --qrels qrels.csv
  mmlab run --name base --from 04 -p k=20        uses again what 01 to 03 made
"""
DEMO_EXAMPLES = """
\b
Examples:
  mmlab demo
  mmlab demo --products 300 --name small
"""
SWEEP_EXAMPLES = """
\b
FILE is YAML. Every combination of a grid:
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


@cli.command(epilog=RUN_EXAMPLES, short_help="Run the six notebooks on a dataset.")
@click.option(
    "--dataset",
    help="Folder of images, table of captions, hf://owner/name, or ready vectors; left out with --from 02 and later.",
)
@click.option("--name", required=True, help="Name of the run; its folder is data/runs/NAME.")
@click.option(
    "--model",
    "models",
    multiple=True,
    help="Hugging Face id, a local folder, or demo (the default); given several times, all are compared.",
)
@click.option(
    "--queries", help="Queries of your own: a table, or a folder of BEIR, TREC or MTEB; see 01_ingest."
)
@click.option("--qrels", help="Judgements of what answers them, where they lie elsewhere.")
@click.option(
    "--from",
    "start",
    default="01",
    metavar="NOTEBOOK",
    help="Start at this notebook (04 or 04_retrieve), with what a run of this name has made before it.",
)
@parameter_option
def run(
    dataset: str | None,
    name: str,
    models: Sequence[str],
    queries: str | None,
    qrels: str | None,
    start: str,
    parameters: Sequence[str],
) -> None:
    """Run the six notebooks on a dataset and write their report, data/runs/NAME/index.html.

    They are 01_ingest, 02_embed, 03_index, 04_retrieve, 05_evaluate and 06_visualize. Every option and parameter is
    checked before the first one begins. Where one fails, or Ctrl-C stops it, the last line says how to go on.
    """
    name_older_notebooks()
    if dataset is None and start in ("01", "01_ingest"):
        raise click.UsageError(
            "--dataset is missing: a folder of images, a table of captions, or hf://owner/name"
        )
    given: dict[str, Any] = split_parameters(parameters)
    own = {"dataset": dataset, "queries": queries, "qrels": qrels}
    own = {parameter: value for parameter, value in own.items() if value is not None}
    if both := sorted(own.keys() & given.keys()):
        raise click.UsageError(f"-p {both[0]}=... is given twice: by --{both[0]} too")
    given |= own
    given |= {"models": list(models)} if models else {}
    checked = check(name, given, start)
    if start in ("01", "01_ingest") and not checked["dataset"].startswith("hf://"):
        with usage_errors():
            check_looks(look_at(checked), checked)
    run_and_report(name, checked, start)


@cli.command(epilog=DEMO_EXAMPLES, short_help="Run the six notebooks on drawn products.")
@click.option(
    "--products",
    type=OfKind(Whole(50, 100_000)),
    default=1500,
    show_default=True,
    help="How many products to draw, from 50.",
)
@click.option("--name", default="demo", show_default=True, help="Name of the run.")
@parameter_option
def demo(products: int, name: str, parameters: Sequence[str]) -> None:
    """Draw a catalogue of products into data/demo and run the six notebooks on it with the demo model.

    It needs no network, takes about a minute, and ends with the report of the run.
    """
    from mmlab.demo import draw_catalogue
    from mmlab.items import data

    name_older_notebooks()
    folder = data() / "demo"
    usual = {"retrievers": ["dense", "bm25"], "queries": "queries.csv", "qrels": "qrels.csv"}
    given = usual | check(name, split_parameters(parameters)) | {"dataset": str(folder), "models": ["demo"]}
    draw_catalogue(folder, products=products)
    run_and_report(name, given)


@cli.command(epilog=SWEEP_EXAMPLES, short_help="Run the six notebooks in many settings.")
@click.argument("file", type=GivenPath(path_type=Path))
@click.option(
    "--jobs",
    type=OfKind(Whole(1, 256)),
    help="How many notebooks at a time; without it as many as cores, at most 4.",
)
@click.option("--resume", is_flag=True, help="Keep the steps that are done already with the same parameters.")
def sweep(file: Path, jobs: int | None, resume: bool) -> None:
    """Run the six notebooks in every setting of FILE, a run each, named by the file and the setting.

    What several settings have in common is done once. Every value is checked before the first notebook begins. A
    setting that fails does not stop the others; in the end the runs are listed, the best first.
    """
    from mmlab.runs import find_notebooks
    from mmlab.runs.execute.run_sweep import plan_steps, run_sweep
    from mmlab.runs.execute.sweep_file import read_settings

    name_older_notebooks()
    with usage_errors():
        notebooks = find_notebooks()
        settings = read_settings(file, notebooks)
        if not all("dataset" in setting.values for setting in settings):
            raise ValueError(f"{file}: dataset is missing; give it under parameters")
    roots = plan_steps(settings, notebooks)
    steps = sum(1 for root in roots for _ in root.walk())
    whole = len(settings) * len(notebooks)
    click.echo(f"{len(settings)} runs: {steps} steps, {whole - steps} more are shared", err=True)
    with going_on(lambda _: command_line("sweep", str(file), "--resume")):
        failures = run_sweep(roots, jobs or min(count_cores(), 4), resume)
    _report_sweep([setting.run for setting in settings], failures)


def check(name: str, given: dict[str, Any], start: str = "01") -> dict[str, Any]:
    """Return the parameters in the types that the notebooks declare; check all that can be checked before a run."""
    from mmlab.runs import find_notebooks, run_folder
    from mmlab.runs.execute.notebooks import notebook_number
    from mmlab.runs.record.manifest import check_begun, recorded_parameters
    from mmlab.runs.record.parameters import check_all, check_files, check_parameters
    from mmlab.runs.record.run_files import NOTEBOOKS, check_free

    with usage_errors():
        check_free(run_folder(name))
        number, notebooks = notebook_number(start), find_notebooks()
        check_begun(name, NOTEBOOKS[:number])
        done, coming = notebooks[:number], notebooks[number:]
        checked = check_files(check_parameters(given, coming, done))
        check_all(coming, recorded_parameters(name, done) | checked)
    folder = checked.get("images_at", "")
    if folder and not Path(checked.get("dataset", ""), folder).is_dir() and Path(folder).is_dir():
        checked["images_at"] = str(Path(folder).resolve())  # as typed here; the notebooks run elsewhere
    return checked


def look_at(given: Mapping[str, Any], behind_links: bool = False) -> "Inspection":
    """Return a first look at the dataset, which leaves nothing behind."""
    from mmlab.index import download_collection, is_collection
    from mmlab.index.collections import POINTS_PER_PAGE
    from mmlab.ingest import Rules, inspect_dataset

    rules = Rules(**{field.name: given[field.name] for field in fields(Rules) if field.name in given})
    dataset, columns = given["dataset"], given.get("columns", ())
    if is_collection(dataset):
        with TemporaryDirectory() as folder:
            first = download_collection(dataset, Path(folder), most=1)
            found = inspect_dataset(first, "vectors", columns, rules, looks_only=True)
            return replace(found, dataset=dataset, cut_off=len(found.source.rows) >= POINTS_PER_PAGE)
    source = given.get("source", "auto")
    return inspect_dataset(dataset, source, columns, rules, looks_only=True, behind_links=behind_links)


def check_looks(looked: "Inspection", given: Mapping[str, Any]) -> None:
    """Raise ValueError where nothing useful would come of the dataset, or where it lacks a split or column."""
    from mmlab.items import ITEM_COLUMNS
    from mmlab.items.options import VALIDATION

    looked.check()
    split, column = given.get("split", "auto").strip().lower(), given.get("group_by", "label")
    known = {"auto", "all", "none", *VALIDATION, *map(str.lower, looked.splits)}
    if split not in known:
        found = ", ".join(looked.splits) or "no splits"
        raise ValueError(
            f"parameter split: expected auto, all or a split of the dataset ({found}), found {split!r}"
        )
    if column not in {*ITEM_COLUMNS, *looked.source.rows.columns}:
        raise ValueError(f"parameter group_by: expected a column of the dataset, found {column!r}")


def run_and_report(name: str, given: dict[str, Any], start: str = "01") -> None:
    """Run the notebooks, write the report and print where it is; an error says how to go on."""
    from mmlab.runs import run_notebooks
    from mmlab.runs.execute.notebooks import notebook_number

    with going_on(lambda notebook: line_from(name, given, notebook)):
        run_notebooks(name, given, start=notebook_number(start))
    report_run(name)


def line_from(name: str, given: Mapping[str, Any], notebook: str) -> str:
    """Return the command that goes on at this notebook, with the parameters of what is still to run."""
    from mmlab.runs import find_notebooks
    from mmlab.runs.record.parameters import notebook_parameters

    coming = [path for path in find_notebooks() if path.stem >= notebook]
    names = {parameter for path in coming for parameter in notebook_parameters(path)}
    own = {parameter: value for parameter, value in given.items() if parameter in names}
    return run_line(name, own, notebook[:2])


def run_line(name: str, given: Mapping[str, Any], start: str = "") -> str:
    """Return the command, quoted for a shell, that runs a dataset with these parameters; from `start` on if given."""
    words = ["mmlab", "run", "--name", name, *(["--from", start] if start else [])]
    for parameter, value in given.items():
        if parameter == "dataset":
            words += ["--dataset", value]
        elif parameter == "models":
            words += [word for model in value for word in ("--model", model)]
        else:
            words += ["-p", f"{parameter}={value if isinstance(value, str) else json.dumps(value)}"]
    return shlex.join(words)


def _report_sweep(names: Sequence[str], failures: dict[str, str]) -> None:
    """Write the reports of the runs and list them, the best first; print last which failed and why."""
    from mmlab.runs import run_names
    from mmlab.runs.report.html_report import write_index, write_overview
    from mmlab.runs.report.summary import rank_runs, summarize_runs

    there = set(run_names())
    failed = write_for_each([name for name in names if name in there], write_index)
    failures |= {name: f"no report: {reason}" for name, reason in failed.items() if name not in failures}
    table = rank_runs()
    swept = table[table["name"].isin(names)]
    print_runs(swept)
    if sentence := summarize_runs(swept):
        click.echo(plain_text(sentence))
    click.echo(f"Index: {write_overview()}")
    print_failures(failures, len(names))
