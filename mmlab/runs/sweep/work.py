"""Work through a sweep's tree: several steps at a time, each worker with one kernel for all its notebooks.

A kernel is emptied between two notebooks and keeps the modules that it has loaded: most of the time of a short
notebook goes into loading them.
"""

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
from mmlab.runs.sweep.workers import Workers

if TYPE_CHECKING:
    from tqdm import tqdm


def run_sweep(
    roots: Sequence[Node], jobs: int = 1, resume: bool = False, progress: bool = True
) -> dict[str, str]:
    """Do every step of the tree, `jobs` at a time; the runs that failed, each with the reason.

    A step that fails ends the runs that share it and no other. With `resume`, steps that are done already with
    the same parameters are kept. On KeyboardInterrupt the kernels are ended; what is finished stays.
    """
    from tqdm import tqdm

    nodes = [node for root in roots for node in root.walk()]
    notebooks = list(dict.fromkeys(node.notebook for node in nodes))
    models = sorted({model for node in nodes for model in node.parameters.get("models", [])})
    failures: dict[str, str] = {}
    with (
        tqdm(
            total=len(nodes), disable=not progress, bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} {elapsed}"
        ) as bar,
        Workers(jobs, notebooks, models) as workers,
        ThreadPoolExecutor(jobs) as pool,
    ):
        try:
            _work_through(roots, lambda node: pool.submit(do_step, node, workers, resume), failures, bar)
        except BaseException:
            workers.stop()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return failures


def _work_through(
    roots: Sequence[Node], start: Callable[[Node], Future[None]], failures: dict[str, str], bar: "tqdm"
) -> None:
    """Start the roots, and whenever a step is done its children."""
    working = {start(node): node for node in roots}
    while working:
        bar.set_description(", ".join(sorted({node.notebook.stem for node in working.values()})))
        done, _ = wait(working, return_when=FIRST_COMPLETED)
        for future in done:
            node = working.pop(future)
            try:
                future.result()
            except (NotebookFailed, OSError) as error:
                failures |= dict.fromkeys(node.runs, str(error))
                bar.update(len(list(node.walk())))
                continue
            bar.update()
            working |= {start(child): child for child in node.children}


def do_step(node: Node, workers: Workers, resume: bool) -> None:
    """Do the step in the first of its runs, and share it with the others."""
    first, *others = node.runs
    if not (resume and _done(node, first)):
        copy = run_folder(first) / "notebooks" / node.notebook.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        with workers.kernel(node.notebook) as kernel:
            execute(node.notebook, copy, {**node.parameters, "run": first}, kernel, Place(node.notebook))
        write_page(copy, run_folder(first))
    for run in others:
        if not (resume and _done(node, run)):
            share_step(node.notebook.stem, first, run)


def _done(node: Node, run: str) -> bool:
    return is_done(read_manifest(run), run_folder(run), node.notebook.stem, node.parameters)
