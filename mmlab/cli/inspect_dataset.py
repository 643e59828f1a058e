"""`mmlab inspect`: what a dataset holds and what would come of it, before anything runs."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmlab.cli.group import cli, parameter_option, plain_text, print_table, split_parameters, usage_errors
from mmlab.cli.run_commands import check, look_at, run_line

if TYPE_CHECKING:
    from mmlab.ingest import Inspection

INSPECT_EXAMPLES = """
\b
Examples:
  mmlab inspect photos/
  mmlab inspect captions.csv -p images_at=/data/photos
  mmlab inspect shop.csv -p columns=image=Photo,caption=Name
  mmlab inspect photos/ --json | jq .splits
"""
PAIRS_SHOWN, CHARACTERS_SHOWN = 5, 80


@cli.command(epilog=INSPECT_EXAMPLES, short_help="Look at a dataset before anything runs.")
@click.argument("dataset")
@parameter_option
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object with all of it, and nothing else."
)
def inspect(dataset: str, parameters: Sequence[str], as_json: bool) -> None:
    """Look at DATASET: images, texts, splits, what would be refused, and the command that runs it.

    No image is opened and nothing is written. Links that lead out of the dataset are looked behind; the command says
    whether they have to be followed. Ends with exit code 1 where nothing useful would come of the dataset.
    """
    from mmlab.runs.record.parameters import check_dataset

    with usage_errors():
        given = check("look", {**split_parameters(parameters), "dataset": check_dataset(dataset)})
        looked = look_at({**given, "follow_links": True})
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
    _print_section("Notes", [{"": note} for note in looked.notes])
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
