"""JupyterLab on 127.0.0.1 with a token and no settings but its own, and what a person does in it."""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 240_000  # milliseconds, for a kernel that starts on a busy machine
DONE = """() => {
  const prompts = [...document.querySelectorAll(".jp-CodeCell .jp-InputArea-prompt")].map(p => p.textContent);
  const failed = document.querySelector("[data-mime-type='application/vnd.jupyter.error']");
  return failed || (prompts.length > 0 && prompts.every(text => /[0-9]/.test(text)));
}"""  # every code cell has its number, or one has failed
ERROR = "[data-mime-type='application/vnd.jupyter.error']"
NO_NEWS = {
    "disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}
}  # it asks the network


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab."""

    url: str
    token: str
    notebooks: Path

    def open(self, page, notebook: str) -> None:
        """Open a notebook and wait until its kernel can be asked."""
        page.goto(
            f"{self.url}/lab/workspaces/{notebook[:2]}/tree/{notebook}?token={self.token}", timeout=PATIENCE
        )
        page.wait_for_selector(".jp-Notebook", timeout=PATIENCE)
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=PATIENCE)

    def run_all(self, page) -> None:
        """Choose Run All Cells in the menu, take the kernel that may be offered, wait until all cells have run."""
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        begun = page.locator(".jp-InputArea-prompt", has_text="[*]").first
        offered = page.get_by_role("button", name="Select", exact=True)
        begun.or_(offered).first.wait_for(timeout=PATIENCE)
        if offered.is_visible():
            offered.click()
        page.wait_for_function(DONE, timeout=PATIENCE)
        failed = page.locator(ERROR)
        assert not failed.count(), failed.first.inner_text()[:3000]


@contextmanager
def start_lab(notebooks: Path, home: Path) -> Iterator[Lab]:
    """Start JupyterLab over a folder, its own files in `home`, and stop it with all its kernels."""
    settings = home / "config" / "labconfig"
    settings.mkdir(parents=True)
    (settings / "page_config.json").write_text(json.dumps(NO_NEWS))
    token, port = secrets.token_hex(16), free_port()
    own = {"JUPYTER_CONFIG_DIR": home / "config", "JUPYTER_DATA_DIR": home / "data"}
    own |= {"JUPYTER_RUNTIME_DIR": home / "runtime", "IPYTHONDIR": home / "ipython"}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1"]
    command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={notebooks}"]
    environment = os.environ | {name: str(path) for name, path in own.items()} | {"JUPYTER_TOKEN": token}
    with open(home / "log.txt", "wb") as log:
        server = subprocess.Popen(command, env=environment, cwd=notebooks, stdout=log, stderr=log)
        try:
            lab = Lab(f"http://127.0.0.1:{port}", token, notebooks)
            wait_for(lab, server, home / "log.txt")
            yield lab
        finally:
            server.terminate()
            server.wait(30)


def wait_for(lab: Lab, server: subprocess.Popen, log: Path) -> None:
    """Return when the server answers; RuntimeError with its last words if it stops or takes too long."""
    until = time.monotonic() + PATIENCE / 1000
    while server.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"{lab.url}/api?token={lab.token}", timeout=5):  # noqa: S310 - our own
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"JupyterLab does not answer: {log.read_text()[-2000:]}")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
