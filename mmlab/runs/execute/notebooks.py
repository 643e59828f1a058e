"""Find the notebooks of the project: the six of a run, and those beside them."""

from pathlib import Path

from mmlab.items.files import project
from mmlab.runs.record.parameters import notebook_parameters
from mmlab.runs.record.run_files import NOTEBOOKS


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
    """Return the notebook with this number or name, like "04" or "04_retrieve", or all of the project.

    Raises ValueError if there is none.
    """
    known = sorted((project() / "notebooks").glob("*.ipynb"))
    chosen = [path for path in known if name in (None, path.stem, path.stem[:2])]
    if not chosen:
        raise ValueError(f"no notebook is called {name!r}; known: {', '.join(path.stem for path in known)}")
    return chosen


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
    beside = [path for path in choose_notebooks() if path.stem > NOTEBOOKS[-1] and path.stem[:2].isdigit()]
    return [path for path in beside if "runs" not in notebook_parameters(path)]


def find_study(name: str) -> Path:
    """Return the study with this name, like "tune", "07" or "07_tune"; raise ValueError if there is none."""
    studies = find_studies()
    for path in studies:
        if name in (path.stem, path.stem[:2], path.stem[3:]):
            return path
    known = ", ".join(path.stem[3:] for path in studies)
    raise ValueError(f"no study is called {name!r}; known: {known}")
