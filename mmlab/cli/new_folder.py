"""`mmlab init`: the notebooks in a folder of one's own, to work with an mmlab that is installed, not cloned."""

import json
import shlex
import shutil
from pathlib import Path

import click

import mmlab
from mmlab.cli.group import cli
from mmlab.items import replacing

INIT_EXAMPLES = """
\b
Examples:
  mmlab init retrieval && cd retrieval && mmlab demo
  mmlab init retrieval           again, after an upgrade: what is new is written, what differs is named
"""


@cli.command(epilog=INIT_EXAMPLES, short_help="Write the notebooks into a folder to work in.")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def init(folder: Path) -> None:
    """Write the notebooks and a folder data/ for what they make into FOLDER.

    In it and in the folders below, mmlab works with these notebooks. Whatever is there already stays as it is: a second
    time only what is missing is written, and notebooks that differ from those of this version are named.
    """
    source = find_files()
    notebooks = [path.relative_to(source) for path in sorted(source.glob("notebooks/*.ipynb"))]
    missing = [path for path in notebooks if not (folder / path).exists()]
    differing = [
        path for path in notebooks if path not in missing and is_edited(folder / path, source / path)
    ]
    for path in (*missing, Path("data/README.md")):
        write_missing(source / path, folder / path)
    click.echo(f"{folder}: {len(missing)} notebooks written, {len(notebooks) - len(missing)} were there")
    if differing:
        click.echo(
            f"Kept, though unlike those of mmlab {mmlab.__version__}: {', '.join(map(str, differing))}. To have the "
            "new ones, move these out of the folder and run the same command again."
        )
    click.echo(f"Next: cd {shlex.quote(str(folder))}; mmlab demo; jupyter lab notebooks/04_retrieve.ipynb")


def find_files() -> Path:
    """Return the folder with the files to write: in an installed package its own, in a checkout the checkout."""
    package = Path(mmlab.__file__).resolve().parent
    carried = package / "project"
    return carried if carried.is_dir() else package.parent


def write_missing(source: Path, target: Path) -> None:
    """Copy a file to where there is none yet."""
    if not target.exists():
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)


def is_edited(path: Path, original: Path) -> bool:
    """Return whether a notebook has other cells; that it was run, and has outputs, makes no difference."""
    return read_cells(path) != read_cells(original)


def read_cells(path: Path) -> list[tuple[str, str]] | None:
    """Return the type and the text of each cell of a notebook, or None where the file is no notebook."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    except (ValueError, LookupError, TypeError):
        return None
