"""The notebooks of the project: where they are, which another version wrote, and JupyterLab opened at one.

`mmlab init` keeps the fingerprint of each notebook that it writes: so one that an older version wrote is told from one
that somebody has edited.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import mmlab
from mmlab.items import replacing
from mmlab.items.files import find_project, project
from mmlab.runs.execute.kernels import LOAD_MODELS, THREAD_SETTINGS
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


ASK = "00_ask"
WORK = "work"
EXTENSIONS = Path(__file__).parent / "lab_extension"
START_TIMEOUT_S = 120
REQUEST_TIMEOUT_S = 30
# The panel needs no model to be drawn: it is loaded meanwhile.
WARM_UP = f"""
import threading, mmlab.panels
threading.Thread(target=exec, args=({LOAD_MODELS!r}, {{}}), daemon=True).start()
"""


@dataclass(frozen=True)
class LabServer:
    """A running JupyterLab.

    Attributes:
        address: its URL, with a slash at the end.
        token: what a browser needs to be let in; empty where the user's own settings ask for a password.
    """

    address: str
    token: str
    process: "subprocess.Popen[bytes]"

    def url(self, notebook: Path) -> str:
        """Return the address at which JupyterLab opens a notebook of the project."""
        path = quote(notebook.relative_to(project()).as_posix())
        return f"{self.address}lab/tree/{path}{f'?token={self.token}' if self.token else ''}"

    def start_kernel(self, notebook: Path) -> str:
        """Start the kernel of a notebook and return its id; the browser will find it running."""
        path = notebook.relative_to(project()).as_posix()
        kernel = {"name": "python3"}
        session = {"path": path, "name": notebook.name, "type": "notebook", "kernel": kernel}
        return str(self._post("api/sessions", session)["kernel"]["id"])

    def _post(self, path: str, content: Any) -> Any:
        request = urllib.request.Request(  # noqa: S310 - our own server
            f"{self.address}{path}",
            json.dumps(content).encode(),
            {"Authorization": f"token {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_S) as answer:  # noqa: S310 - our own server
            return json.load(answer)


def notebook_to_ask(run: str) -> Path:
    """Return the notebook in `work/` that opens a run and its panel; written where there is none yet."""
    path = project() / WORK / (f"{ASK}.ipynb" if run == "demo" else f"{ASK}_{run}.ipynb")
    if not path.exists():
        text = find_notebook(ASK).read_text(encoding="utf-8")
        named = json.dumps(f"open_run({json.dumps(run)})")[1:-1]
        with replacing(path) as temporary:
            temporary.write_text(text.replace('open_run(\\"demo\\")', named), encoding="utf-8")
    return path


@contextmanager
def lab_server(arguments: Sequence[str] = ()) -> Iterator[LabServer]:
    """Start JupyterLab over the project with further command-line arguments, and stop it with all its kernels.

    Raises OSError where it does not start.
    """
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--ServerApp.root_dir={project()}"]
    command += [f"--LabServerApp.extra_labextensions_path={EXTENSIONS}", *arguments]
    process = subprocess.Popen(command, cwd=project(), env=THREAD_SETTINGS | os.environ)  # noqa: S603 - of the user
    try:
        yield _wait_for(process)
    finally:
        process.terminate()
        process.wait()


def warm_up(kernel: str) -> None:
    """Let a kernel load what the first question needs; return when it has begun."""
    from jupyter_client.blocking.client import BlockingKernelClient
    from jupyter_core.paths import jupyter_runtime_dir

    client = BlockingKernelClient(connection_file=f"{jupyter_runtime_dir()}/kernel-{kernel}.json")
    client.load_connection_file()
    client.start_channels(hb=False)  # on a busy machine a beat is late, and the kernel taken for dead
    try:
        client.execute(WARM_UP, silent=True, reply=True, timeout=START_TIMEOUT_S)
    finally:
        client.stop_channels()


def _wait_for(process: "subprocess.Popen[bytes]") -> LabServer:
    """Return the server when it answers, by the file in which Jupyter says where a process listens."""
    from jupyter_core.paths import jupyter_runtime_dir

    described = Path(jupyter_runtime_dir()) / f"jpserver-{process.pid}.json"
    until = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < until:
        try:
            known = json.loads(described.read_text(encoding="utf-8"))
            with urllib.request.urlopen(f"{known['url']}api", timeout=5):  # noqa: S310 - our own server
                return LabServer(known["url"], known["token"], process)
        except (OSError, ValueError, KeyError):
            time.sleep(0.05)
    raise OSError("JupyterLab did not start; the lines above say why")
