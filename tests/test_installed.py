"""The wheel in an environment of its own: `mmlab init` writes the notebooks that it carries, and they run."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

import mmlab

pytestmark = pytest.mark.slow

CHECKOUT = Path(mmlab.__file__).resolve().parents[1]
SOURCES = (
    "LICENSE", "MANIFEST.in", "README.md", "constraints.txt", "data/README.md", "pyproject.toml", "setup.py",
)  # fmt: skip
BUILD_SDIST = "from setuptools import build_meta; build_meta.build_sdist('dist')"
# what the present packages keep outside of their folder: the templates of pages
SHARED = {"JUPYTER_PATH": str(Path(sysconfig.get_path("data"), "share", "jupyter"))}
PIP = [sys.executable, "-m", "pip", "--isolated"]


def run(*command, where):
    """Run a command as in a shell of its own, that knows neither this checkout nor its data folder."""
    dropped = ("PYTHONPATH", "MMLAB_DATA", "QDRANT_API_KEY")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    given = {**kept, **SHARED, "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=where, env=given, capture_output=True, text=True, check=False)


def done(answer):
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from the sdist without network; a build writes beside its sources, so they are copied."""
    source = tmp_path_factory.mktemp("source")
    for folder in ("mmlab", "notebooks"):
        junk = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
        shutil.copytree(CHECKOUT / folder, source / folder, ignore=junk)
    (source / "data").mkdir()
    for name in SOURCES:
        shutil.copy(CHECKOUT / name, source / name)
    done(run(sys.executable, "-c", BUILD_SDIST, where=source))
    (archive,) = (source / "dist").glob("*.tar.gz")
    built = tmp_path_factory.mktemp("wheel")
    offline = ("--no-build-isolation", "--no-deps", "--no-index")
    done(run(*PIP, "wheel", *offline, "--wheel-dir", str(built), str(archive), where=built))
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory):
    """An environment with the wheel alone, beside the present packages; its folder `mmlab` and its commands."""
    home = tmp_path_factory.mktemp("environment") / "venv"
    venv.create(home, symlinks=os.name == "posix")
    commands = home / ("Scripts" if os.name == "nt" else "bin")
    done(run(*PIP, "--python", str(home), "install", "--no-deps", "--no-index", str(wheel), where=home))
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = Path(done(run(str(commands / "python"), "-c", ask, where=home)).strip())
    # after the installation: pip would take the checkout for an mmlab that is there already
    (own / "present.pth").write_text("\n".join({sysconfig.get_path(kind) for kind in ("purelib", "platlib")}))
    return own / "mmlab", commands


def listing(folder):
    return sorted((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*"))


def test_the_wheel_carries_the_notebooks_and_nothing_but_the_package(wheel):
    names = ZipFile(wheel).namelist()
    carried = {name for name in names if name.startswith("mmlab/project/")}
    notebooks = {f"mmlab/project/notebooks/{path.name}" for path in CHECKOUT.glob("notebooks/*.ipynb")}
    assert len(notebooks) >= 10
    assert carried == {*notebooks, "mmlab/project/data/README.md"}
    assert {name.split("/")[0] for name in names} == {"mmlab", f"mmlab-{mmlab.__version__}.dist-info"}
    files = {path.relative_to(CHECKOUT).as_posix() for path in (CHECKOUT / "mmlab").rglob("*.*")}
    assert {name for name in files if "__pycache__" not in name} - set(names) == set()


def test_the_demo_runs_in_a_folder_of_ones_own(site, tmp_path):
    package, commands = site
    before = listing(package.parent)
    command = str(commands / "mmlab")
    nowhere = run(command, "demo", where=tmp_path)
    assert (nowhere.returncode, nowhere.stdout) == (2, "")
    assert "write one with `mmlab init FOLDER`, then work in it" in nowhere.stderr
    assert "11 notebooks written" in done(run(command, "init", "bench", where=tmp_path))

    bench = tmp_path / "bench"
    mark = bench / "notebooks" / "02_embed.ipynb"
    mark.write_text(mark.read_text(encoding="utf-8").replace("# 02 Embed", "# 02 Mine"), encoding="utf-8")
    done(run(command, "demo", "--products", "50", "--name", "small", where=bench))
    folder = bench / "data" / "runs" / "small"
    assert (folder / "index.html").is_file()
    assert "Success@1" in (folder / "metrics.json").read_text(encoding="utf-8")
    steps = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["steps"]
    assert list(steps) == [path.stem for path in sorted(CHECKOUT.glob("notebooks/0[1-6]*.ipynb"))]
    assert "# 02 Mine" in (folder / "notebooks" / "02_embed.ipynb").read_text(encoding="utf-8")
    assert {path.name for path in (bench / "data").iterdir()} == {
        ".demo.lock",
        "README.md",
        "cache",
        "demo",
        "runs",
    }
    assert {path.name for path in tmp_path.iterdir()} == {"bench"}
    assert listing(package.parent) == before  # nothing is written beside the package

    asked = "import mmlab; print(mmlab.__file__); print(len(mmlab.open_run('small').items))"
    where, count = done(run(str(commands / "python"), "-c", asked, where=bench / "notebooks")).split()
    assert Path(where).parent == package
    assert int(count) > 60
