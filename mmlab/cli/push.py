"""`mmlab push`: a run's index from its folder to a server."""

import click

from mmlab.cli.group import cli, show_table, usage_errors

PUSH_EXAMPLES = """
\b
Examples:
  mmlab push photos --to http://localhost:6333
  QDRANT_API_KEY=... mmlab push photos --to https://qdrant.example.org:6333
"""


@cli.command(epilog=PUSH_EXAMPLES, short_help="Copy a run's index to a Qdrant server.")
@click.argument("name")
@click.option(
    "--to", "url", required=True, metavar="URL", help="The server; a key is taken from QDRANT_API_KEY."
)
def push(name: str, url: str) -> None:
    """Copy the index of the run NAME to a Qdrant server or cluster, and build its graphs there.

    What is there already is not sent again: a push that was stopped goes on, and a second one sends what changed.
    """
    from mmlab import index as room
    from mmlab.runs import index_of

    with usage_errors():
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"--to is the URL of a Qdrant server, as http://localhost:6333; found {url!r}")
        store, collections, layout = index_of(name)
        if store == url:
            raise ValueError(f"the index of {name} is on {url} already")
    try:
        pushed = room.push(room.open_store(store), collections, room.open_store(url), layout)
    except (RuntimeError, LookupError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    show_table(pushed.report.to_dict("records"))
