"""Work through a sweep's tree: several steps at a time, each worker with one kernel for all its notebooks.

A kernel is emptied between two notebooks and keeps the modules that it has loaded: most of the time of a short
notebook goes into loading them.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from mmlab.runs.execute import NotebookFailed, execute
from mmlab.runs.lineage import is_done
from mmlab.runs.manifest import read_manifest, run_folder
from mmlab.runs.pages import write_page
from mmlab.runs.progress import Place
from mmlab.runs.sharing import share_step
from mmlab.runs.sweep.plan import Node
from mmlab.runs.sweep.twins import Twins
from mmlab.runs.sweep.workers import Workers
from mmlab.runs.working import at_work

if TYPE_CHECKING:
    from tqdm import tqdm


def run_sweep(
    roots: Sequence[Node], jobs: int = 1, resume: bool = False, progress: bool = True
) -> dict[str, str]:
    """Do every step of the tree, `jobs` at a time; the runs that failed, each with the reason.

    A step that fails, for whatever reason, ends the runs that share it and no other; a run whose manifest is damaged
    is not begun. With `resume`, steps that are done already with the same parameters are kept. On
    KeyboardInterrupt the kernels are ended; what is finished stays.
    """
    from tqdm import tqdm

    runs = [run for root in roots for run in root.runs]
    failures = _damaged(runs)
    roots = [left for root in roots for left in root.without(failures)]
    nodes = [node for root in roots for node in root.walk()]
    if not nodes:
        return failures
    notebooks = list(dict.fromkeys(node.notebook for node in nodes))
    models = sorted({model for node in nodes for model in node.parameters.get("models", [])})
    with (
        at_work(*(run_folder(run) for run in runs if run not in failures)),
        tqdm(
            total=len(nodes), disable=not progress, bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} {elapsed}"
        ) as bar,
        Workers(jobs, notebooks, models) as workers,
        ThreadPoolExecutor(2 * jobs) as pool,  # a page is written while the kernel does another notebook
    ):
        try:
            twins = Twins()
            _work_through(
                roots, lambda node: pool.submit(do_step, node, workers, twins, resume), jobs, failures, bar
            )
        except BaseException:
            workers.stop()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return failures


def _work_through(
    roots: Sequence[Node],
    start: Callable[[Node], Future[dict[str, str]]],
    jobs: int,
    failures: dict[str, str],
    bar: "tqdm",
) -> None:
    """Start a step for each kernel and one that waits for the next free one; whenever one is done, its children."""
    ready, working = list(roots), {}
    while ready or working:
        while ready and len(working) <= jobs:
            node = ready.pop(_choose(ready, list(working.values())))
            working[start(node)] = node
        bar.set_description(", ".join(sorted({node.notebook.stem for node in working.values()})))
        done, _ = wait(working, return_when=FIRST_COMPLETED)
        for future in done:
            node = working.pop(future)
            failed = _outcome(future, node)
            failures |= failed
            left = [found for child in node.children for found in child.without(failed)]
            bar.update(_size([node]) - _size(left))
            ready += left


def _choose(ready: Sequence[Node], working: Sequence[Node]) -> int:
    """The place of the step to do next: of a notebook that the fewest are at, then the latest in its run.

    Two at 06_visualize at once want the same map, and one of them waits until the other has laid it out. So a sweep's
    first run is whole early, too.
    """
    busy = Counter(node.notebook for node in working)
    fewest = min(busy[node.notebook] for node in ready)
    places = [place for place, node in enumerate(ready) if busy[node.notebook] == fewest]
    return max(places, key=lambda place: ready[place].notebook.stem)


def _outcome(future: Future[dict[str, str]], node: Node) -> dict[str, str]:
    """The runs that the step has ended, each with the reason: all that share it if it raised."""
    try:
        return future.result()
    except Exception as error:  # whatever it is, the other runs go on
        return dict.fromkeys(node.runs, _reason(error))


def _reason(error: Exception) -> str:
    expected = isinstance(error, NotebookFailed | OSError | ValueError)
    return str(error) if expected else f"{type(error).__name__}: {error}"


def _size(nodes: Sequence[Node]) -> int:
    return sum(1 for node in nodes for _ in node.walk())


def _damaged(runs: Sequence[str]) -> dict[str, str]:
    """The runs whose manifest cannot be read, each with the reason."""
    found = {}
    for run in runs:
        try:
            read_manifest(run)
        except (ValueError, OSError) as error:
            found[run] = str(error)
    return found


def do_step(node: Node, workers: Workers, twins: Twins, resume: bool) -> dict[str, str]:
    """Do the step in the first of its runs, and share it with the others; those that could not be given it.

    A run that has done the same from the same files shares it with the first one.
    """
    first, *others = node.runs
    step = node.notebook.stem
    if resume and _done(node, first):
        twins.note(step, first)
    else:
        _execute(node, first, workers, twins)
    failed = {}
    for run in others:
        try:
            if not (resume and _done(node, run)):
                share_step(step, first, run)
        except Exception as error:  # the other runs go on
            failed[run] = _reason(error)
    return failed


def _execute(node: Node, run: str, workers: Workers, twins: Twins) -> None:
    copy = run_folder(run) / "notebooks" / node.notebook.name
    copy.parent.mkdir(parents=True, exist_ok=True)
    with workers.kernel(node.notebook) as kernel:  # by its turn a twin may be done
        if twin := twins.find(node.notebook.stem, run, node.parameters):
            share_step(node.notebook.stem, twin, run)
        else:
            execute(node.notebook, copy, {**node.parameters, "name": run}, kernel, Place(node.notebook))
            twins.note(node.notebook.stem, run)
    write_page(copy, run_folder(run))  # of a twin's copy, too: its page may not be there yet


def _done(node: Node, run: str) -> bool:
    return is_done(read_manifest(run), run_folder(run), node.notebook.stem, node.parameters)
