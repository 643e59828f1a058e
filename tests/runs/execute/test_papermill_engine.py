"""The executed copy is written every few seconds and at the end, whatever the end is."""

import nbformat
import pytest
from papermill.engines import NotebookExecutionManager

from mmlab.runs import NotebookFailed, run_notebooks
from mmlab.runs.execute.papermill_engine import SAVE_EVERY

WORK = ["first = 1", "print('second')", "third = 3", "print('fourth')"]


@pytest.fixture
def saves(monkeypatch):
    """How many cells had been executed at each time that the copy was written."""
    seen, save = [], NotebookExecutionManager.save

    def count(manager, **given):
        seen.append(sum(cell.metadata.papermill["status"] == "completed" for cell in manager.nb.cells))
        return save(manager, **given)

    monkeypatch.setattr(NotebookExecutionManager, "save", count)
    return seen


def statuses(copy):
    cells = nbformat.read(copy, as_version=4).cells
    return [cell.metadata.papermill["status"] for cell in cells if "papermill" in cell.metadata]


def test_a_quick_notebook_is_written_when_it_begins_and_when_it_ends(make_notebook, data_folder, saves):
    notebook = make_notebook("01_ingest", 'name: str = "d"\nseed: int = 0', *WORK)
    folder = run_notebooks("r", {}, [notebook], progress=False)
    copy = folder / "notebooks" / "01_ingest.ipynb"
    assert saves == [0, len(statuses(copy))]
    assert set(statuses(copy)) == {"completed"}
    assert "fourth" in copy.read_text()


def test_a_slow_notebook_is_written_while_it_works(make_notebook, data_folder, saves, monkeypatch):
    monkeypatch.setattr("mmlab.runs.execute.papermill_engine.SAVE_EVERY", 0)
    notebook = make_notebook("01_ingest", 'name: str = "d"\nseed: int = 0', *WORK)
    run_notebooks("r", {}, [notebook], progress=False)
    assert len(saves) > len(WORK)
    assert saves == sorted(saves)
    assert 0 < SAVE_EVERY <= 30


def test_a_notebook_that_fails_is_written_as_far_as_it_came(make_notebook, data_folder):
    notebook = make_notebook(
        "01_ingest", 'name: str = "d"\nseed: int = 0', "print('before')", "1 / 0", "print('never')"
    )
    with pytest.raises(NotebookFailed, match="ZeroDivisionError"):
        run_notebooks("r", {}, [notebook], progress=False)
    copy = data_folder / "runs" / "r" / "notebooks" / "01_ingest.ipynb"
    text = copy.read_text()
    assert "before" in text
    assert "ZeroDivisionError" in text
    assert "failed" in statuses(copy)
