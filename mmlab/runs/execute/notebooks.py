"""Find the notebooks of the project: the six of a run, those beside them, and those that another version wrote.

`mmlab init` keeps the fingerprint of each notebook that it writes: so one that an older version wrote is told from one
that somebody has edited.
"""

import hashlib
import json
from pathlib import Path

import mmlab
from mmlab.items import replacing
from mmlab.items.files import find_project, project
from mmlab.runs.record.parameters import notebook_parameters
from mmlab.runs.record.run_files import NOTEBOOKS

NUMBERED = "[0-9][0-9]_*.ipynb"  # other notebooks in the folder are somebody's own
WRITTEN = Path("notebooks", ".written.json")  # name -> fingerprint of the notebooks that `mmlab init` wrote


def find_notebooks(folder: Path | None = None) -> list[Path]:
    """Return the six notebooks in `folder`, or in the project, in their order.

    Raises FileNotFoundError if one is missing.

    >>> [path.stem for path in find_notebooks()][:2]
    ['01_ingest', '02_embed']
    """
    folder = folder or project() / "notebooks"
    paths = [folder / f"{name}.ipynb" for name in NOTEBOOKS]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{folder} lacks {', '.join(missing)}; `mmlab init {folder.parent}` writes what is missing"
        )
    return paths


def find_notebook(name: str) -> Path:
    """Return the notebook of the project with this name; raise FileNotFoundError if there is none.

    >>> find_notebook("07_tune").name
    '07_tune.ipynb'
    """
    path = project() / "notebooks" / f"{name}.ipynb"
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}")
    return path


def choose_notebooks(name: str | None = None) -> list[Path]:
    """Return the notebook with this number or name, like "04" or "04_retrieve", or all that have parameters.

    Raises ValueError if there is none.
    """
    known = [path for path in sorted((project() / "notebooks").glob(NUMBERED)) if _has_parameters(path)]
    chosen = [path for path in known if name in (None, path.stem, path.stem[:2])]
    if not chosen:
        raise ValueError(f"no notebook is called {name!r}; known: {', '.join(path.stem for path in known)}")
    return chosen


def _has_parameters(path: Path) -> bool:
    try:
        return bool(notebook_parameters(path))
    except ValueError:  # whoever reads a damaged one of the six says what is wrong with it
        return path.stem in NOTEBOOKS


def notebook_number(name: str) -> int:
    """Return the place (from 0) of a notebook among the six; `name` is like "04" or "04_retrieve".

    Raises ValueError if there is none.

    >>> notebook_number("04")
    3
    """
    for number, notebook in enumerate(NOTEBOOKS):
        if name in (notebook, notebook[:2]):
            return number
    raise ValueError(f"no notebook is called {name!r}; known: {', '.join(NOTEBOOKS)}")


def find_studies() -> list[Path]:
    """Return the study notebooks of the project: those beside the six that work on one run.

    A notebook with a parameter `runs` compares several runs and is no study.
    """
    beside = [path for path in choose_notebooks() if path.stem > NOTEBOOKS[-1]]
    return [path for path in beside if "runs" not in notebook_parameters(path)]


def find_study(name: str) -> Path:
    """Return the study with this name, like "tune", "07" or "07_tune"; raise ValueError if there is none."""
    studies = find_studies()
    for path in studies:
        if name in (path.stem, path.stem[:2], path.stem[3:]):
            return path
    known = ", ".join(path.stem[3:] for path in studies)
    raise ValueError(f"no study is called {name!r}; known: {known}")


def carried_files() -> Path:
    """Return the folder with the files that `mmlab init` writes: the package's own, in a checkout the checkout."""
    package = Path(mmlab.__file__).resolve().parent
    carried = package / "project"
    return carried if carried.is_dir() else package.parent


def fingerprint(notebook: Path) -> str:
    """Return a hash of the type and the text of a notebook's cells; of the file where it is no notebook.

    That it was run, and has outputs or an empty cell at its end, makes no difference.
    """
    content = notebook.read_bytes()
    try:
        cells = json.loads(content)["cells"]
        texts = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
        content = json.dumps([cell for cell in texts if cell[1].strip()]).encode()
    except (ValueError, LookupError, TypeError):
        pass
    return hashlib.sha256(content).hexdigest()


def read_written(folder: Path) -> dict[str, str]:
    """Return the fingerprints that `record_written` kept in a project folder; none where there are none."""
    try:
        found = json.loads((folder / WRITTEN).read_text(encoding="utf-8"))
        return {str(name): str(value) for name, value in found.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def record_written(folder: Path) -> None:
    """Keep the fingerprints of this version's notebooks for those that a project folder has.

    One that is kept already stays where the notebook is as it was written then: an older version wrote it.
    """
    known, current = read_written(folder), {}
    for path in sorted(carried_files().glob(f"notebooks/{NUMBERED}")):
        own = folder / "notebooks" / path.name
        is_older = own.is_file() and known.get(path.name) == fingerprint(own)
        current[path.name] = known[path.name] if is_older else fingerprint(path)
    with replacing(folder / WRITTEN) as temporary:
        temporary.write_text(json.dumps(current, indent=1) + "\n", encoding="utf-8")


def older_notebooks() -> list[str]:
    """Return the names of the project's notebooks that another version of mmlab wrote.

    Those that were edited since are not among them; where `mmlab init` kept no fingerprints, all are that differ.
    """
    folder = find_project()
    if folder is None or folder.resolve() == carried_files():
        return []
    written, found = read_written(folder), []
    for path in sorted(carried_files().glob(f"notebooks/{NUMBERED}")):
        own = folder / "notebooks" / path.name
        mine = fingerprint(own) if own.is_file() else ""
        if mine and mine != fingerprint(path) and written.get(path.name, mine) == mine:
            found.append(path.name)
    return found
