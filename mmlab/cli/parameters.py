"""`mmlab parameters`: what the notebooks can be told."""

import click

from mmlab.cli.group import cli, show_table, usage_errors

PARAMETERS_EXAMPLES = """
\b
Examples:
  mmlab parameters               of all notebooks
  mmlab parameters 04            of 04_retrieve
\b
A parameter is given to run, tune and compare by -p, or stands in the file of a sweep:
  mmlab run --name photos --from 04 -p fusion=rrf -p k=20
  mmlab run --dataset photos/ --name photos -p 'k_values=[1,10]' -p ocr=false
"""


@cli.command(epilog=PARAMETERS_EXAMPLES, short_help="List what the notebooks can be told.")
@click.argument("notebook", required=False)
def parameters(notebook: str | None) -> None:
    """List the parameters of NOTEBOOK, or of all: name, type, default, and what each is."""
    from mmlab import runs

    with usage_errors():
        chosen = runs.choose_notebooks(notebook)
    for path in chosen:
        click.echo(path.stem)
        found = runs.notebook_parameters(path).values()
        show_table([{"name": p.name, "type": p.type, "default": p.default, "": p.help} for p in found])
        click.echo("")
