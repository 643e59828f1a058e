"""`mmlab inspect`, `list`, `report`, `export`, `parameters`: what there is in a dataset, a run, a notebook."""

import errno
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmlab.cli.group import (
    GivenPath,
    cli,
    complete_runs,
    parameter_option,
    plain_markdown,
    plain_text,
    print_failures,
    print_runs,
    print_table,
    split_parameters,
    usage_errors,
    write_for_each,
)
from mmlab.cli.run_commands import check, look_at, run_line

if TYPE_CHECKING:
    import pandas as pd

    from mmlab.ingest import Inspection
    from mmlab.items.parameter_table import Parameter
    from mmlab.workbench import Run

INSPECT_EXAMPLES = """
\b
Examples:
  mmlab inspect photos/
  mmlab inspect captions.csv -p images_at=/data/photos
  mmlab inspect shop.csv -p columns=image=Photo,caption=Name
  mmlab inspect photos/ --json | jq .splits
"""
PAIRS_SHOWN, CHARACTERS_SHOWN = 5, 80
LIST_EXAMPLES = """
\b
Examples:
  mmlab list
  mmlab list --csv > runs.csv
  mmlab list --json | jq '.[] | select(.front) | .name'
"""
REPORT_EXAMPLES = """
\b
Examples:
  mmlab report demo
  mmlab report demo --single-file
  mmlab report --all
"""
EXPORT_EXAMPLES = """
\b
Examples:
  mmlab export demo
  mmlab export demo --out exported/
  mmlab export demo --fixes      what to repair in the dataset, for whoever owns it
  mmlab export demo --to parquet --out vectors/
  mmlab export demo --to clip-retrieval --dtype float16
  mmlab export demo --to faiss --hnsw-m 32
\b
What other tools make of it (pip install ir-measures):
  ir_measures exported/demo.text-to-image.qrels exported/demo.text-to-image.run 'Success@1 RR nDCG@10'
\b
and back: a run file that another system made with these ids, beside the run:
  mmlab compare demo bm25.run
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


@cli.command("list", epilog=LIST_EXAMPLES, short_help="List all runs, the best first.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the whole table as CSV, and nothing else.")
@click.option("--json", "as_json", is_flag=True, help="Print it as a JSON list of objects, and nothing else.")
def list_(as_csv: bool, as_json: bool) -> None:
    """List all runs as a leaderboard: how good with its interval, what it costs, the settings in which they differ.

    Runs of one dataset stand together, the best first. On a terminal the first settings are shown; --csv, --json and
    the index over the runs have all.
    """
    from mmlab.runs.report.html_report import write_overview
    from mmlab.runs.report.summary import rank_runs, summarize_runs

    if as_csv and as_json:
        raise click.UsageError("expected --csv or --json, not both")
    table = rank_runs()
    if as_csv or as_json:
        click.echo(_as_csv(table) if as_csv else table.to_json(orient="records", indent=1))
        return
    if table.empty:
        click.echo("No runs yet: mmlab run makes one.")
        return
    print_runs(table)
    if sentence := summarize_runs(table):
        click.echo(plain_text(sentence))
    try:
        click.echo(f"Index: {write_overview()}")
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        click.echo(f"note: the index is not written again, nobody may write here: {error.filename}", err=True)


def _as_csv(table: "pd.DataFrame") -> str:
    """Return a table as CSV that a spreadsheet opens safely: no text begins a formula."""
    from mmlab.items.tables import to_csv

    return to_csv(table.assign(models=table["models"].map(", ".join))).rstrip("\n")


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


@cli.command(epilog=EXPORT_EXAMPLES, short_help="Write TREC files, a repair list, or the vectors.")
@click.argument("run", shell_complete=complete_runs)
@click.option(
    "--to",
    type=click.Choice(["trec", "clip-retrieval", "parquet", "faiss"]),
    default="trec",
    show_default=True,
    help="What is written: rankings as TREC and CSV, or the vectors with their items.",
)
@click.option(
    "--out",
    "folder",
    type=GivenPath(file_okay=False, path_type=Path),
    help="The folder to write into; without it export/ in the folder of the run, with a folder for each format of "
    "vectors.",
)
@click.option("--fixes", is_flag=True, help="Write the repair list of the dataset instead: RUN.fixes.csv.")
@click.option("--model", help="Whose vectors; without it those of the main space.")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float16"]),
    help="Numbers of clip-retrieval; without it float32.",
)
@click.option(
    "--hnsw-m",
    type=click.IntRange(min=2),
    help="Edges of a node, for a graph of FAISS; without it the index is exact.",
)
def export(run: str, to: Any, folder: Path | None, fixes: bool, **vectors: Any) -> None:
    """Write what RUN holds for other tools.

    --to trec, the answers, what is right, and the scores of each query, for text-to-image and image-to-text.
    RUN.DIRECTION.run and .qrels are TREC files: trec_eval, ir-measures and ranx compute from them the measures of
    05_evaluate, with right answers last where scores tie. RUN.DIRECTION.csv holds a row for each query, RUN.items.csv
    the texts and images behind the ids; a spreadsheet opens both safely. Blanks in ids are written as %20, and a % as
    %25. Files of these names are replaced.

    \b
    The vectors, with their items and their space; export.json says which space it is:
      --to clip-retrieval  img_emb/, text_emb/ and metadata/: row i is one image with one text, zeros for none
      --to parquet         shards with item_id, modality, pair_id, text, image, label, vector
      --to faiss           image.faiss, text.faiss (inner product), and ids.parquet: the item of each row

    With --fixes: what to repair in the dataset of RUN, as a csv for whoever owns it, the costliest first: file, row,
    finding, suggestion.
    """  # noqa: D301 - for click
    from mmlab.workbench import open_run

    given = {name: value for name, value in vectors.items() if value is not None}
    with usage_errors():
        if given and (fixes or to == "trec"):
            raise ValueError(
                "--model, --dtype and --hnsw-m belong to vectors: give --to clip-retrieval, parquet or faiss"
            )
        if fixes and to != "trec":
            raise ValueError(f"expected --fixes or --to {to}, not both")
        opened = open_run(run)
        if fixes:
            _export_fixes(opened, folder)
            return
        try:
            written = opened.export(folder) if to == "trec" else opened.export_vectors(to, folder, **given)
        except ImportError as error:
            raise click.ClickException(str(error)) from error
    print_table(written.table.to_dict("records"))
    click.echo(plain_markdown(written.sentence))


@cli.command(epilog=PARAMETERS_EXAMPLES, short_help="List the parameters of the notebooks.")
@click.argument("notebook", required=False)
def parameters(notebook: str | None) -> None:
    """List the parameters of NOTEBOOK, or of all: name, default, what each is for, and below that what it can be."""
    from mmlab.runs.execute.notebooks import choose_notebooks
    from mmlab.runs.record.parameters import notebook_parameters

    with usage_errors():
        chosen = choose_notebooks(notebook)
    for path in chosen:
        click.echo(path.stem)
        print_table([row for one in notebook_parameters(path).values() for row in _rows_of(one)])
        click.echo("")


def _rows_of(parameter: "Parameter") -> list[dict[str, str]]:
    """Return the two lines of a parameter."""
    first = {"name": parameter.name, "default": parameter.written, "": parameter.help}
    return [first, {"name": "", "default": "", "": parameter.kind.expected if parameter.kind else ""}]


def _export_fixes(run: "Run", folder: Path | None) -> None:
    """Write the repair list, and print where it is and what it holds."""
    path = (folder or run.folder / "export") / f"{run.name}.fixes.csv"
    found = run.fixes()
    path.parent.mkdir(parents=True, exist_ok=True)
    found.save(path)
    click.echo(f"{path}: {plain_text(found.sentence)}")


def _write(name: str, single_file: bool) -> None:
    """Write the report of a run, and its single file too, and print where they are."""
    from mmlab.runs import write_report
    from mmlab.runs.record.lineage import read_held
    from mmlab.runs.report.html_report import find_left_out, write_single_file

    click.echo(f"Report: {write_report(name)}")
    for fault in find_left_out(read_held(name)):
        click.echo(f"not shown: {plain_text(fault)}", err=True)
    if single_file:
        click.echo(f"Single file: {write_single_file(name)}")


@cli.command(epilog=INSPECT_EXAMPLES, short_help="Look at a dataset before anything runs.")
@click.argument("dataset")
@parameter_option
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object with all of it, and nothing else."
)
def inspect(dataset: str, parameters: Sequence[str], as_json: bool) -> None:
    """Look at DATASET: images, texts, splits, what would be refused, and the command that runs it.

    No image is opened and nothing is written. Images behind links that lead out of the dataset are counted, texts
    behind them are not read; the command says whether links have to be followed. Ends with exit code 1 where nothing
    useful would come of the dataset.
    """
    with usage_errors():
        given = check("look", {**split_parameters(parameters), "dataset": dataset})
        looked = look_at(given, behind_links=True)
    if looked.links:
        given["follow_links"] = True
    command = run_line(suggest_name(given["dataset"]), given)
    if as_json:
        click.echo(json.dumps({**looked.as_json(), "command": command}, indent=1))
    else:
        _print(looked, command)
    if looked.advice:
        raise click.ClickException(looked.advice)


def suggest_name(dataset: str) -> str:
    """Return a name for a run of this dataset: that of its folder or file, as far as a run may be called so."""
    path = Path(dataset)
    name = path.stem if path.is_file() else path.name
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:60] or "run"


def _print(looked: "Inspection", command: str) -> None:
    click.echo(plain_text(looked.sentence))
    _print_section(
        "As they would be joined",
        [_shorten(row) for row in looked.pairs.head(PAIRS_SHOWN).to_dict("records")],
    )
    refused = looked.refused.astype(object)
    _print_section("Would be refused", refused.where(refused.notna(), None).to_dict("records"))
    if looked.notes:
        click.echo("\n".join(["\nNotes:", *map(plain_text, looked.notes)]))
    if not looked.advice:
        click.echo(f"\nGo on with:\n{command}")


def _print_section(heading: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        click.echo(f"\n{heading}:")
        print_table(rows)


def _shorten(row: Mapping[str, str]) -> dict[str, str]:
    texts = {key: plain_text(value) for key, value in row.items()}
    return {
        key: text if len(text) <= CHARACTERS_SHOWN else f"{text[: CHARACTERS_SHOWN - 3]}..."
        for key, text in texts.items()
    }
