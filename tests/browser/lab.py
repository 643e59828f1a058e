"""JupyterLab as `mmlab lab` starts it, and what a person does in it."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE = 240_000  # milliseconds, for a kernel that starts on a busy machine
COMMAND = (sys.executable, "-m", "mmlab", "lab", "--no-browser", "demo", "--allow-root")
DONE = """() => {
  const prompts = [...document.querySelectorAll(".jp-CodeCell .jp-InputArea-prompt")].map(p => p.textContent);
  const failed = document.querySelector("[data-mime-type='application/vnd.jupyter.error']");
  return failed || (prompts.length > 0 && prompts.every(text => /[0-9]/.test(text)));
}"""  # every code cell has its number, or one has failed
ERROR = "[data-mime-type='application/vnd.jupyter.error']"


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab.

    Attributes:
        printed: the address that the command printed.
        runtime: the folder in which Jupyter says what runs.
    """

    printed: str
    runtime: Path

    @property
    def server(self) -> str:
        """The address of the server, with a slash at the end."""
        return self.printed.split("lab/tree/")[0]

    @property
    def token(self) -> str:
        """What a browser needs to be let in."""
        return self.printed.split("token=")[1]

    def address(self, notebook: str, mode: str = "lab") -> str:
        """Return the address of a notebook in a workspace of its own; in the mode "doc" it stands alone."""
        workspace = Path(notebook).stem
        return f"{self.server}{mode}/workspaces/{workspace}/tree/{notebook}?token={self.token}"

    def ask(self, path: str, body: Any = None) -> Any:
        """Return what the server answers, read as JSON where it is JSON, else as text; a body is sent as JSON."""
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(f"{self.server}{path}?token={self.token}", data)  # noqa: S310 - our own
        with urllib.request.urlopen(asked) as answer:  # noqa: S310
            text = answer.read().decode()
        return json.loads(text) if answer.headers["Content-Type"].startswith("application/json") else text

    def open(self, page, address: str, slower: float = 1) -> None:
        """Open a notebook and touch nothing: its cells run by themselves; wait until all have run.

        slower: how many times slower than this machine the page computes meanwhile.
        """
        browser = page.context.new_cdp_session(page)
        browser.send("Emulation.setCPUThrottlingRate", {"rate": slower})
        page.goto(address, timeout=PATIENCE)
        page.wait_for_function(DONE, timeout=PATIENCE)
        browser.send("Emulation.setCPUThrottlingRate", {"rate": 1})
        failed = page.locator(ERROR)
        assert not failed.count(), failed.first.inner_text()[:3000]


@contextmanager
def start_lab(folder: Path) -> Iterator[Lab]:
    """Run `mmlab lab` in a project folder, with Jupyter's own files in it too, and stop the command by a signal."""
    own = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    environment = os.environ | {name: str(folder / "jupyter" / name) for name in own}
    with (
        open(folder / "lab.log", "wb") as log,
        subprocess.Popen(
            COMMAND, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            line = next((line for line in process.stdout if "The panel of demo:" in line), "")
            found = re.search(r"http\S+", line)
            assert found, f"mmlab lab does not start: {(folder / 'lab.log').read_text()[-2000:]}"
            yield Lab(found[0], Path(environment["JUPYTER_RUNTIME_DIR"]))
        finally:
            process.send_signal(signal.SIGTERM)
            process.stdout.read()
            assert process.wait(30) == 0
