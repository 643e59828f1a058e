"""`mmlab init`, `verify`, `clean`, `push`: a folder to work in, whether a run holds, what can go, a copy elsewhere."""

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

import click

import mmlab
from mmlab.cli.group import GivenPath, OfKind, cli, complete_runs, print_table, usage_errors
from mmlab.items import replacing
from mmlab.items.options import Number

INIT_EXAMPLES = """
\b
Examples:
  mmlab init retrieval && cd retrieval && mmlab demo
  mmlab init retrieval           again, after an upgrade: what is new is written, what differs is named
"""
VERIFY_EXAMPLES = """
\b
Examples:
  mmlab verify demo
  mmlab verify demo --tolerance 1e-3
"""
CLEAN_EXAMPLES = """
\b
Examples:
  mmlab clean                    what is there, and its size; nothing is removed
  mmlab clean try-1 try-2        two runs
  mmlab clean --unfinished       the runs that are not finished
  mmlab clean --cache --demo --yes
  mmlab clean try-1 --labels     also what was done by hand: labels.jsonl, questions.jsonl
"""
PUSH_EXAMPLES = """
\b
Examples:
  mmlab push photos --to http://localhost:6333
  QDRANT_API_KEY=... mmlab push photos --to https://qdrant.example.org:6333
  mmlab push photos --to http://localhost:6343 --grpc-port 6344
  mmlab push photos --to http://localhost:6333 --shards 4 --replicas 2 --write-consistency 2
  mmlab push photos --to http://localhost:6333 --replace     # after 03_index with other settings
"""
STORE_WAIT_S = 3
POSITIVE = click.IntRange(min=1)
PORT = click.IntRange(1, 65_535)


@cli.command(epilog=VERIFY_EXAMPLES, short_help="Do a run again and compare the numbers.")
@click.argument("run", shell_complete=complete_runs)
@click.option(
    "--tolerance",
    type=OfKind(Number(0, 1)),
    default=1e-5,
    show_default=True,
    help="How far a measure, a score or a component of a vector may differ.",
)
def verify(run: str, tolerance: float) -> None:
    """Do RUN again with its own parameters and empty caches, and compare every file that 01 to 05 wrote.

    First each file of RUN is compared with what its notebook recorded; where one differs, nothing is run. If anything
    differs, print a table of what does, keep the second run, and end with exit code 1.
    """
    from mmlab.runs import verify_run
    from mmlab.runs.record.manifest import check_runs

    with usage_errors():
        check_runs([run])
    found = verify_run(run, tolerance)
    if found.differences.empty:
        click.echo(
            f"{run} holds: the same items, vectors, rankings, measures and figures, within {tolerance:g}"
        )
        return
    print_table(found.differences.to_dict("records"))
    if found.folder is None:
        raise click.ClickException(
            f"{run} does not hold: {len(found.differences)} of its files or notebooks are not as they were recorded; "
            "nothing was run again"
        )
    raise click.ClickException(
        f"{run} does not hold: {len(found.differences)} differences; the second run is {found.folder}"
    )


@cli.command(epilog=CLEAN_EXAMPLES, short_help="Remove runs, caches, the demo; asks first.")
@click.argument("names", nargs=-1, metavar="[RUN...]", shell_complete=complete_runs)
@click.option("--unfinished", is_flag=True, help="The runs that are not finished.")
@click.option(
    "--cache", is_flag=True, help="What was read, downloaded, embedded and laid out; it will be done again."
)
@click.option("--demo", is_flag=True, help="The drawn demo catalogue.")
@click.option("--labels", is_flag=True, help="Runs with judgements made by hand may go too.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def clean(names: Sequence[str], unfinished: bool, cache: bool, demo: bool, labels: bool, yes: bool) -> None:
    """Remove runs, caches or the demo catalogue after asking; without a choice, list what could go.

    All of it can be made again, except judgements made by hand (the column labels): a run that has some is kept
    unless --labels is given.
    """
    from mmlab.runs.report.html_report import write_overview
    from mmlab.runs.upkeep import find_removable, find_stores, remove

    chosen = bool(names or unfinished or cache or demo)
    with usage_errors():
        wanted = (names, unfinished, cache, demo) if chosen else (None, False, True, True)
        found = find_removable(*wanted)
    print_table([one.row() for one in found])
    if not found:
        click.echo("Nothing to remove.")
    elif not chosen:
        click.echo("Nothing is removed: name runs, or give --unfinished, --cache or --demo.")
    elif labelled := [entry.name for entry in found if entry.labels and not labels]:
        raise click.UsageError(
            f"{', '.join(labelled)} would go with what was done by hand, which cannot be made again; nothing is "
            "removed: keep labels.jsonl and questions.jsonl elsewhere, or give --labels"
        )
    elif yes or click.confirm(f"Remove these ({sum(entry.bytes for entry in found) / 1e6:.1f} MB)?"):
        _give_back(find_stores(found))
        remove(found)
        write_overview()
        click.echo("Removed.")


def _give_back(stores: Sequence[Path]) -> None:
    """Let whoever keeps one of the stores open for the next question give it back; UsageError where one is at work."""
    from mmlab.index import StoreTaken, open_store

    for folder in stores:
        store = open_store(folder, wait=STORE_WAIT_S)
        store.close()
        try:
            with store.session():
                pass
        except StoreTaken as error:
            raise click.UsageError(f"{error}; nothing is removed") from error


@cli.command(epilog=PUSH_EXAMPLES, short_help="Copy a run's index to a Qdrant server.")
@click.argument("name", metavar="RUN", shell_complete=complete_runs)
@click.option(
    "--to", "url", required=True, metavar="URL", help="The server; a key is taken from QDRANT_API_KEY."
)
@click.option(
    "--grpc-port",
    type=PORT,
    help="Its port for gRPC, which is faster; 6334 is found where the URL's is 6333 and both are one server's.",
)
@click.option(
    "--connections",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="Batches that are sent at a time; fewer while the server refuses some or becomes slow.",
)
@click.option("--shards", type=POSITIVE, help="Parts of each collection, on different nodes of a cluster.")
@click.option("--replicas", type=POSITIVE, help="Copies of each part.")
@click.option(
    "--write-consistency", type=POSITIVE, help="Copies that must have a point before it counts as written."
)
@click.option(
    "--replace", is_flag=True, help="Drop what is there under this name with other settings or other points."
)
def push(
    name: str,
    url: str,
    grpc_port: int | None,
    connections: int,
    shards: int | None,
    replicas: int | None,
    write_consistency: int | None,
    replace: bool,
) -> None:
    """Copy the index of RUN to a Qdrant server or cluster, and build its graphs there.

    What is there already is not sent again: a push that was stopped goes on, and a second one sends what changed.
    Without --shards, --replicas and --write-consistency collections that are there keep theirs, and new ones are one
    shard with one copy; where one of the three is given, the others are 1.
    """
    from mmlab.index import Cluster, open_store
    from mmlab.index import push as push_index
    from mmlab.runs.record.lineage import read_held
    from mmlab.runs.record.manifest import locate_index

    with usage_errors():
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"--to is the URL of a Qdrant server, as http://localhost:6333; found {url!r}")
        spread = {"shards": shards, "replicas": replicas, "write_consistency": write_consistency}
        given = {setting: number for setting, number in spread.items() if number is not None}
        cluster = Cluster(**given) if given else None
        store, collections, layout = locate_index(read_held(name))
        if store.rstrip("/") == url.rstrip("/"):
            raise ValueError(f"the index of {name} is on {url} already")
    try:
        source, target = open_store(store), open_store(url, grpc_port=grpc_port, connections=connections)
        pushed = push_index(source, collections, target, layout, cluster=cluster, replace=replace)
    except (RuntimeError, LookupError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    print_table(pushed.report.to_dict("records"))
    click.echo(f"Written to {pushed.store.place}: {', '.join(pushed.schemas)}")


@cli.command(epilog=INIT_EXAMPLES, short_help="Write the notebooks into a folder to work in.")
@click.argument("folder", type=GivenPath(file_okay=False, path_type=Path))
def init(folder: Path) -> None:
    """Write the notebooks and a folder data/ for what they make into FOLDER.

    In it and in the folders below, mmlab works with these notebooks. Whatever is there already stays as it is: a second
    time only what is missing is written, and notebooks that differ from those of this version are named.
    """
    from mmlab.runs.execute.notebooks import NUMBERED, carried_files, fingerprint, record_written

    source = carried_files()
    notebooks = [path.relative_to(source) for path in sorted(source.glob(f"notebooks/{NUMBERED}"))]
    missing = [path for path in notebooks if not (folder / path).exists()]
    differing = [
        path
        for path in notebooks
        if path not in missing and fingerprint(folder / path) != fingerprint(source / path)
    ]
    for path in (*missing, Path("data/README.md")):
        write_missing(source / path, folder / path)
    record_written(folder)
    click.echo(f"{folder}: {len(missing)} notebooks written, {len(notebooks) - len(missing)} were there")
    if differing:
        click.echo(
            f"Kept, though unlike those of mmlab {mmlab.__version__}: {', '.join(map(str, differing))}. To have the "
            "new ones, move these out of the folder and run the same command again."
        )
    click.echo(f"Next: cd {shlex.quote(str(folder))}; mmlab demo; mmlab lab")


def write_missing(source: Path, target: Path) -> None:
    """Copy a file to where there is none yet."""
    if not target.exists():
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)
