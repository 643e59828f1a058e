import platform
import subprocess
import sys
from importlib.metadata import version

from mmlab.runs import versions
from mmlab.runs.record.manifest import git_state


def test_versions_is_a_table_of_installed_versions():
    table = versions()
    assert list(table.columns) == ["package", "version"]
    found = dict(table.itertuples(index=False))
    assert found["python"] == platform.python_version()
    assert found["numpy"] == version("numpy")
    assert "papermill" in found


def test_versions_imports_none_of_the_packages():
    code = "import sys, mmlab.runs as r; r.versions(); print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"


def test_outside_a_checkout_there_is_no_commit(tmp_path):
    assert git_state(tmp_path) is None


def test_the_commit_and_whether_files_differ(tmp_path):
    def git(*arguments):
        who = ["-c", "user.name=n", "-c", "user.email=e"]
        return subprocess.run(
            ["git", "-C", tmp_path, *who, *arguments], capture_output=True, text=True, check=True
        ).stdout

    git("init", "--quiet")
    assert git_state(tmp_path) is None  # no commit yet
    (tmp_path / "a").write_text("a")
    git("add", "a")
    git("commit", "--quiet", "--message", "first")
    assert git_state(tmp_path) == {"commit": git("rev-parse", "HEAD").strip(), "dirty": False}
    (tmp_path / "a").write_text("b")
    assert git_state(tmp_path)["dirty"]
