"""JupyterLab over the project, opened at a panel that can be asked at once: `mmlab lab`.

While the browser loads JupyterLab, a kernel for the notebook loads the models; the extension in `lab_extension/` then
runs the notebook's cells. Notebooks of one's own, the opened one among them, lie in `work/`, which git ignores.
"""

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

from mmlab.items import replacing
from mmlab.items.files import project
from mmlab.runs.execute.kernels import LOAD_MODELS, THREAD_SETTINGS
from mmlab.runs.execute.notebooks import find_notebook

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
