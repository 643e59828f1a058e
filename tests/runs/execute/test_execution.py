import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from papermill.engines import NotebookExecutionManager

from mmlab.items import write_items
from mmlab.runs import NotebookFailed, read_manifest, run_notebooks, start_step
from mmlab.runs.execute import execution
from mmlab.runs.execute.execution import CellProgress, read_progress

pytestmark = pytest.mark.usefixtures("nothing_ahead")


def outputs(copy):
    cells = nbformat.read(copy, as_version=4).cells
    return [output for cell in cells for output in cell.get("outputs", [])]


def printed(copy):
    return "".join(output.text for output in outputs(copy) if output.output_type == "stream")


@pytest.fixture
def first(make_notebook):
    return make_notebook(
        "01_ingest",
        'name: str = "demo"\nseed: int = 0\ndataset: str = "demo"',
        "import os, sys\nfrom mmlab.runs import begin_step",
        "step = begin_step('01_ingest', globals())",
        "step.write('items.parquet').write_text(f'items of {dataset}')",
        "step.finish('seen');",
        "print(sys.executable, os.getcwd(), os.environ['MMLAB_NOTEBOOK'], os.environ['TOKENIZERS_PARALLELISM'], seed)",
    )


@pytest.fixture
def second(make_notebook):
    return make_notebook(
        "02_embed",
        'name: str = "demo"\nseed: int = 0',
        "from mmlab.runs import begin_step",
        "step = begin_step('02_embed', globals())\nprint(step.read('items.parquet').read_text())",
    )


def test_notebooks_run_in_order_each_with_the_parameters_it_has(first, second, data_folder, capfd):
    folder = run_notebooks("r", {"seed": "5", "dataset": "photos"}, [first, second])
    assert folder == data_folder / "runs" / "r"
    assert printed(folder / "notebooks" / "01_ingest.ipynb").split() == [
        sys.executable, str(first.parent), "01_ingest.ipynb", "false", "5",
    ]  # fmt: skip
    assert printed(folder / "notebooks" / "02_embed.ipynb") == "items of photos\n"
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "01_ingest cell 9/9" in shown.err
    assert "02_embed cell 5/6" in shown.err
    assert "WARNING" not in shown.err


SLOW_MODEL = """
import time
from mmlab.embed import embed_items, load_model
from mmlab.items import read_items
model = load_model("demo")
embed = model.embed_texts
def slowly(texts):
    time.sleep(0.4)
    return embed(texts)
model.embed_texts = slowly
"""


def test_the_bar_moves_inside_a_cell_while_a_slow_model_embeds(make_notebook, data_folder, capfd, collection):
    """A real model that takes 0.4 s more for each batch: 24 texts in batches of 4 are 2.4 s."""
    texts = collection.items[collection.items["modality"] == "text"].drop_duplicates("content").head(24)
    write_items(texts, data_folder.parent / "texts.parquet")
    embedding = f"embed_items(read_items({str(data_folder.parent / 'texts.parquet')!r}), model, batch_size=4)"
    notebook = make_notebook("02_embed", 'name: str = "demo"', SLOW_MODEL, f"{embedding};")
    run_notebooks("r", {}, [notebook])
    shown = capfd.readouterr().err
    inside = re.findall(
        r"02_embed cell 6/6: (\d+)/24, +([\d.]+) ?(?:texts/s|s/ texts), (\d\d:\d\d) left: +(\d+)%", shown
    )
    counts = [int(count) for count, *_ in inside]
    assert counts == sorted(counts)
    assert len(set(counts)) >= 3  # of the six batches
    shares = [int(share) for *_, share in inside]
    assert shares[0] < shares[-1] <= 100


def test_a_failing_cell_is_named_and_its_copy_kept(first, make_notebook, data_folder, capfd):
    broken = make_notebook(
        "02_embed", 'name: str = "demo"\nseed: int = 0', "fine = 1", "# divide\nfine / 0", "print('never')"
    )
    message = (
        r"02_embed failed at cell 6, In \[4\] under 'Work', which begins '# divide': "
        r"ZeroDivisionError: division by zero; executed copy: .*02_embed\.ipynb"
    )
    with pytest.raises(NotebookFailed, match=message):
        run_notebooks("r", {}, [first, broken], progress=False)
    copy = data_folder / "runs" / "r" / "notebooks" / "02_embed.ipynb"
    assert [output.ename for output in outputs(copy) if output.output_type == "error"] == [
        "ZeroDivisionError"
    ]
    assert (data_folder / "runs" / "r" / "items.parquet").read_text() == "items of demo"
    assert capfd.readouterr().err == ""


def test_a_dead_kernel_is_a_failed_notebook(make_notebook, data_folder):
    deadly = make_notebook(
        "02_embed",
        'name: str = "demo"\nseed: int = 0',
        "print('before', flush=True)",
        "import os\nos._exit(1)",
    )
    with pytest.raises(
        NotebookFailed,
        match=r"02_embed cell 6/6: the kernel died, as it does when memory runs out: [\d,]+ MB are free now.*"
        r"smaller batch_size.*executed copy: .*02_embed\.ipynb",
    ):
        run_notebooks("r", {}, [deadly], progress=False)
    assert printed(data_folder / "runs" / "r" / "notebooks" / "02_embed.ipynb") == "before\n"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("open('/dev/full', 'w').write('x' * 10_000)", "the disk is full: .* MB are free at .*mmlab clean"),
        ("raise RuntimeError('could not create a primitive')", "memory ran out: .*smaller batch_size"),
        ("import numpy as np\nnp.empty(1 << 60, np.uint8)", "memory ran out: .*smaller batch_size"),
    ],
)
def test_what_ran_out_is_told_with_what_to_do(make_notebook, data_folder, code, message):
    if "/dev/full" in code and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    failing = make_notebook("02_embed", 'name: str = "demo"\nseed: int = 0', code)
    with pytest.raises(NotebookFailed, match=rf"02_embed failed at cell .*: {message}.*executed copy: "):
        run_notebooks("r", {}, [failing], progress=False)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid(), reason="only root may make a small disk")
def test_a_full_disk_leaves_the_executed_copy_whole(make_notebook, data_folder):
    """On a disk of 4 MB: it is not cut in half, and the message says what to do."""
    wordy = make_notebook("02_embed", 'name: str = "demo"\nseed: int = 0', "print('words')")
    disk, copy = data_folder, data_folder / "runs" / "r" / "notebooks" / "02_embed.ipynb"
    disk.mkdir(exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], check=False).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        run_notebooks("r", {}, [wordy], progress=False)
        too_long = make_notebook("02_embed", 'name: str = "demo"\nseed: int = 0', "print('x' * 6_000_000)")
        with pytest.raises(NotebookFailed, match=r"02_embed cell .*: the disk is full: .*mmlab clean"):
            run_notebooks("r", {}, [too_long], progress=False)
        assert len(nbformat.read(copy, as_version=4).cells) == 5  # as papermill wrote it when it began
        assert not [path for path in copy.parent.iterdir() if path.name.startswith(".")]
    finally:
        subprocess.run(["umount", disk], check=True)


def test_wrong_parameters_are_refused_before_anything_runs(first, data_folder):
    with pytest.raises(ValueError, match="no notebook has a parameter 'sed'; did you mean seed"):
        run_notebooks("r", {"sed": "1"}, [first])
    with pytest.raises(ValueError, match="parameter seed: expected a whole number"):
        run_notebooks("r", {"seed": "x"}, [first])
    with pytest.raises(ValueError, match="parameter name: expected 1 to 100 letters"):
        run_notebooks("../r", {}, [first])
    assert not data_folder.exists()


def test_going_on_at_a_later_notebook_takes_the_parameters_of_the_earlier(first, second, data_folder):
    run_notebooks("r", {"seed": 5, "dataset": "photos"}, [first], progress=False)
    run_notebooks("r", {"seed": 5}, [first, second], start=1, progress=False)
    with pytest.raises(ValueError, match="parameter dataset is of 01_ingest, which is not run"):
        run_notebooks("r", {"dataset": "other"}, [first, second], start=1, progress=False)
    assert printed(data_folder / "runs" / "r" / "notebooks" / "02_embed.ipynb") == "items of photos\n"


def test_a_study_gives_its_parameters_to_no_other_notebook(first, make_notebook):
    code = "from mmlab.runs import begin_step\nbegin_step('09_fusion', globals()).finish('')"
    study = make_notebook("09_fusion", 'name: str = "d"\nseed: int = 0\nk: int = 1', code)
    run_notebooks("r", {"seed": 5}, [first], progress=False)
    start_step("07_tune", "r", seed=5, k=9).finish("")
    run_notebooks("r", {}, [first, study], start=1, progress=False)
    assert read_manifest("r")["steps"]["09_fusion"]["parameters"] == {"seed": 5, "k": 1}


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
    interval = execution.SAVE_INTERVAL_S
    monkeypatch.setattr(execution, "SAVE_INTERVAL_S", 0)
    notebook = make_notebook("01_ingest", 'name: str = "d"\nseed: int = 0', *WORK)
    run_notebooks("r", {}, [notebook], progress=False)
    assert len(saves) > len(WORK)
    assert saves == sorted(saves)
    assert 0 < interval <= 30


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


def test_a_store_that_only_the_manifest_names_is_asked_for(make_notebook, first, data_folder):
    """The run came from somebody else: its server would be sent the key."""
    ask = make_notebook("04_retrieve", 'name: str = "demo"\nstore: str = ""', "print(f'asks {store}')")
    start_step("01_ingest", "r", store="http://127.0.0.1:1").finish("")
    (data_folder / "stores.txt").unlink()
    with pytest.raises(
        ValueError, match="its manifest alone names the store http://127.0.0.1:1, which would be sent"
    ):
        run_notebooks("r", {}, [first, ask], start=1, progress=False)
    assert not (data_folder / "runs" / "r" / "notebooks" / "04_retrieve.ipynb").exists()
    folder = run_notebooks("r", {"store": "http://127.0.0.1:1"}, [first, ask], start=1, progress=False)
    assert printed(folder / "notebooks" / "04_retrieve.ipynb") == "asks http://127.0.0.1:1\n"


def widget(text: object) -> dict:
    state = {"method": "update", "state": {"value": text}}
    return {"msg_type": "comm_msg", "content": {"data": state, "comm_id": "x"}}


def stream(text: str) -> dict:
    return {"msg_type": "stream", "content": {"name": "stderr", "text": text}}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            widget("\u200710/40\u2007[00:00&lt;00:01,\u200729.43\u2007image/s]"),
            CellProgress(0.25, "10/40, 29.43 image/s, 00:01 left"),
        ),
        (
            stream("\rtexts: 0/8 [00:00<?, ? text/s]\rtexts: 6/8 [00:09<00:03,  1.50s/ text]"),
            CellProgress(0.75, "6/8, 1.50s/ text, 00:03 left"),
        ),
        (
            stream("1.50k/2.00k [01:00<00:20, 25.0it/s, loss=1]"),
            CellProgress(0.75, "1.50k/2.00k, 25.0it/s, 00:20 left"),
        ),
        (stream("9/8 [00:09<00:00, 1.50it/s]"), CellProgress(1, "9/8, 1.50it/s, 00:00 left")),
    ],
)
def test_a_bar_is_read(message, expected):
    assert read_progress(message) == expected


@pytest.mark.parametrize(
    "message",
    [
        widget("\u20070/40\u2007[00:00&lt;?,\u2007?\u2007image/s]"),  # no rate yet
        widget(10.0),
        widget("image: 25%"),
        stream("12it [00:03, 4.00it/s]"),  # no total
        stream("0/0 [00:00<00:00, 1.00it/s]"),
        stream("a text"),
        {"msg_type": "comm_msg", "content": {"data": None}},
        {"msg_type": "status", "content": {"execution_state": "idle"}},
    ],
)
def test_other_messages_tell_nothing(message):
    assert read_progress(message) is None
