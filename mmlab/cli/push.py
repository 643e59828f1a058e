"""`mmlab push`: a run's index from its folder to a server."""

import click

from mmlab.cli.group import cli, show_table, usage_errors

PUSH_EXAMPLES = """
\b
Examples:
  mmlab push photos --to http://localhost:6333
  QDRANT_API_KEY=... mmlab push photos --to https://qdrant.example.org:6333
  mmlab push photos --to http://localhost:6333 --shards 4 --replicas 2 --write-consistency 2
  mmlab push photos --to http://localhost:6333 --replace     # after 03_index with other settings
"""
NUMBER = click.IntRange(min=1)


@cli.command(epilog=PUSH_EXAMPLES, short_help="Copy a run's index to a Qdrant server.")
@click.argument("name")
@click.option(
    "--to", "url", required=True, metavar="URL", help="The server; a key is taken from QDRANT_API_KEY."
)
@click.option("--shards", type=NUMBER, help="Parts of each collection, on different nodes of a cluster.")
@click.option("--replicas", type=NUMBER, help="Copies of each part.")
@click.option(
    "--write-consistency", type=NUMBER, help="Copies that must have a point before it counts as written."
)
@click.option(
    "--replace", is_flag=True, help="Drop what is there under this name with other settings or other points."
)
def push(
    name: str,
    url: str,
    shards: int | None,
    replicas: int | None,
    write_consistency: int | None,
    replace: bool,
) -> None:
    """Copy the index of the run NAME to a Qdrant server or cluster, and build its graphs there.

    What is there already is not sent again: a push that was stopped goes on, and a second one sends what changed.
    Without --shards, --replicas and --write-consistency collections that are there keep theirs, and new ones are one
    shard with one copy; where one of the three is given, the others are 1.
    """
    from mmlab import index as room
    from mmlab.runs import index_of

    with usage_errors():
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"--to is the URL of a Qdrant server, as http://localhost:6333; found {url!r}")
        spread = {"shards": shards, "replicas": replicas, "write_consistency": write_consistency}
        given = {setting: number for setting, number in spread.items() if number is not None}
        cluster = room.Cluster(**given) if given else None
        store, collections, layout = index_of(name)
        if store.rstrip("/") == url.rstrip("/"):
            raise ValueError(f"the index of {name} is on {url} already")
    try:
        source, target = room.open_store(store), room.open_store(url)
        pushed = room.push(source, collections, target, layout, cluster=cluster, replace=replace)
    except (RuntimeError, LookupError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    show_table(pushed.report.to_dict("records"))
