"""Plan the settings of a sweep as a tree of steps, and do the steps, several at a time.

What several settings have in common is one step, done once. Each worker has one kernel for all its notebooks: it is
emptied between two notebooks and keeps the modules that it has loaded, because most of the time of a short notebook
goes into loading them.

A step whose files, parameters and reads are the same in another run is not done again: its files and its record are
shared, and the hashes of each run hold as if it had done the step itself. The record says in `shared_from` which run
did.
"""

import json
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from mmlab.items import replacing
from mmlab.items.files import copy_folder
from mmlab.runs.execute.execution import NotebookFailed, Progress, execute
from mmlab.runs.execute.kernels import KernelPool
from mmlab.runs.execute.sweep_file import Setting
from mmlab.runs.record.lineage import find_writer, is_done
from mmlab.runs.record.manifest import Manifest, read_manifest, record_step
from mmlab.runs.record.parameters import complete_parameters
from mmlab.runs.record.run_files import LABELS, STORE, executed_copy, run_folder, run_lock
from mmlab.runs.report.html_report import write_page

if TYPE_CHECKING:
    from tqdm import tqdm


# 04 reads the store as well, which no hash watches
STEPS_FROM_FILES = ("05_evaluate", "06_visualize")


class StepCache:
    """The runs that have done each step in a sweep.

    What settings have in common from 01 on is known before anything runs (`plan_steps`). Whether they come to the
    same files again later, as most settings of an index do with exact search, only the files tell. Of the bench's sweep
    from 04 on over 300 products this saves 18 of 126 processor seconds, of that from 03 on 11 of 163.
    """

    def __init__(self) -> None:
        self._done: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, step: str, run: str) -> None:
        """Note that a run has done a step."""
        self._done[step].append(run)

    def find(self, step: str, run: str, parameters: dict[str, Any]) -> str | None:
        """Return a run that did the step with these parameters from files with the same bytes as this run's files."""
        if step not in STEPS_FROM_FILES or (run_folder(run) / LABELS).exists():
            return None
        manifest = read_manifest(run)
        for other in list(self._done[step]):
            theirs = read_manifest(other)
            done = is_done(theirs, run_folder(other), step, parameters)
            if done and _has_same_inputs(step, theirs, manifest):
                return other
        return None


def share_step(step: str, maker: str, run: str) -> None:
    """Give a run what the step did in the run `maker`: files, executed notebook, page and record.

    Files are linked. The store of 03_index is copied, because it is written to whenever it is used.
    """
    source, target = run_folder(maker), run_folder(run)
    record = read_manifest(maker)["steps"][step]
    for file in [*record["writes"], f"{step}.html"]:
        if (source / file).is_file():
            link_file(source / file, target / file)
    for folder in (STORE, *record["writes"]) if step == "03_index" else ():
        if (source / folder).is_dir():
            copy_folder(source / folder, target / folder)
    # not linked: papermill writes it in place
    if executed_copy(maker, step).is_file():
        with replacing(executed_copy(run, step)) as temporary:
            shutil.copy2(executed_copy(maker, step), temporary)  # its page is not older
    record_step(run, step, {**record, "shared_from": record.get("shared_from", maker)})


def link_file(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`, or a copy where a disk cannot link."""
    with replacing(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)


def _has_same_inputs(step: str, theirs: Manifest, ours: Manifest) -> bool:
    """Return whether all that the step read there was written here with the same bytes, and no other file beside it."""
    reads = theirs["steps"][step]["reads"]
    folders = {PurePosixPath(file).parent for file in reads} - {PurePosixPath(".")}
    if _written_into(theirs, folders) != _written_into(ours, folders):
        return False
    return all(_digest(ours, file) == digest for file, digest in reads.items())


def _written_into(manifest: Manifest, folders: set[PurePosixPath]) -> set[str]:
    files = {file for record in manifest["steps"].values() for file in record["writes"]}
    return {file for file in files if PurePosixPath(file).parent in folders}


def _digest(manifest: Manifest, file: str) -> str | None:
    writer = find_writer(manifest, file)
    return manifest["steps"][writer]["writes"][file] if writer else None


@dataclass(frozen=True)
class Node:
    """One notebook with all its parameters (without `name`), done in the first of `runs` for all of them."""

    notebook: Path
    parameters: dict[str, Any] = field(hash=False)
    runs: tuple[str, ...]
    children: tuple["Node", ...] = ()

    def walk(self) -> Iterator["Node"]:
        """Yield the node itself and all nodes below it."""
        yield self
        for child in self.children:
            yield from child.walk()

    def without(self, runs: Collection[str]) -> "list[Node]":
        """Return the node and those below it for its other runs: one node, or none if no run is left."""
        left = tuple(run for run in self.runs if run not in runs)
        below = tuple(found for child in self.children for found in child.without(runs))
        return [Node(self.notebook, self.parameters, left, below)] if left else []


def plan_steps(settings: Sequence[Setting], notebooks: Sequence[Path]) -> list[Node]:
    """Return the first steps of all settings, with the later ones as their children.

    Settings share a step if it and all steps before it are given the same parameters.
    """
    if not notebooks:
        return []
    groups: dict[str, list[Setting]] = {}
    for setting in settings:
        own = own_parameters(notebooks[0], setting.values)
        groups.setdefault(json.dumps(own, sort_keys=True), []).append(setting)
    return [
        Node(
            notebooks[0],
            own_parameters(notebooks[0], group[0].values),
            tuple(setting.run for setting in group),
            tuple(plan_steps(group, notebooks[1:])),
        )
        for group in groups.values()
    ]


def own_parameters(notebook: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a notebook without `name`: the given values, and the defaults of the others."""
    return {name: value for name, value in complete_parameters(notebook, values).items() if name != "name"}


# run -> why it failed
Failures = dict[str, str]


def run_sweep(roots: Sequence[Node], jobs: int = 1, resume: bool = False, progress: bool = True) -> Failures:
    """Do every step of the tree, `jobs` at a time; return the runs that failed, each with the reason.

    A step that fails, for whatever reason, ends the runs that share it and no other; a run whose manifest is damaged
    is not begun. With `resume`, steps that are done already with the same parameters are kept. On KeyboardInterrupt
    the kernels are ended, and what is finished stays.
    """
    from tqdm import tqdm

    runs = [run for root in roots for run in root.runs]
    failures = _damaged(runs)
    roots = [left for root in roots for left in root.without(failures)]
    nodes = [node for root in roots for node in root.walk()]
    if not nodes:
        return failures
    layout = "{l_bar}{bar}| {n_fmt}/{total_fmt} {elapsed}"
    with (
        run_lock(*(run_folder(run) for run in runs if run not in failures)),
        tqdm(total=len(nodes), disable=not progress, bar_format=layout) as bar,
        _start_kernels(nodes, jobs) as kernels,
        # a page is written while the kernel does another notebook
        ThreadPoolExecutor(2 * jobs) as threads,
    ):
        worker = Worker(kernels, resume)
        try:
            _do_all(roots, lambda node: threads.submit(worker.do_step, node), jobs, failures, bar)
        except BaseException:
            kernels.stop()
            threads.shutdown(wait=True, cancel_futures=True)
            raise
    return failures


@dataclass
class Worker:
    """Does one step of a sweep at a time in each thread."""

    kernels: KernelPool
    resume: bool = False
    cache: StepCache = field(default_factory=StepCache)

    def do_step(self, node: Node) -> Failures:
        """Do the step in the first of its runs and share it with the others; return those that did not get it."""
        first, *sharing = node.runs
        step = node.notebook.stem
        if self._is_kept(node, first):
            self.cache.add(step, first)
        else:
            self._execute(node, first)
        failed = {}
        for run in sharing:
            try:
                if not self._is_kept(node, run):
                    share_step(step, first, run)
            # whatever it is, the other runs go on
            except Exception as error:
                failed[run] = _reason(error)
        return failed

    def _execute(self, node: Node, run: str) -> None:
        step = node.notebook.stem
        copy = executed_copy(run, step)
        copy.parent.mkdir(parents=True, exist_ok=True)
        with self.kernels.kernel(node.notebook) as kernel:
            # another run may have done the step while this one waited for a kernel
            if maker := self.cache.find(step, run, node.parameters):
                share_step(step, maker, run)
            else:
                bar = Progress([node.notebook], show=False)
                execute(node.notebook, copy, {**node.parameters, "name": run}, kernel, bar)
                self.cache.add(step, run)
        # also of a shared copy, whose page may not be written yet
        write_page(copy, run_folder(run))

    def _is_kept(self, node: Node, run: str) -> bool:
        return self.resume and is_done(
            read_manifest(run), run_folder(run), node.notebook.stem, node.parameters
        )


def _do_all(
    roots: Sequence[Node],
    start: Callable[[Node], Future[Failures]],
    jobs: int,
    failures: Failures,
    bar: "tqdm",
) -> None:
    """Start a step for each kernel, and one that waits for the next free kernel; when a step is done, its children."""
    ready, working = list(roots), dict[Future[Failures], Node]()
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
    """Return the place of the step to do next: of a notebook that the fewest are at, then the latest in its run.

    Of two steps that come to the same, the second then mostly starts after the first, and its files serve: 108
    processor seconds instead of 118 in the bench's sweep from 04 on over 300 products. The first run is finished early.
    """
    busy = Counter(node.notebook for node in working)
    fewest = min(busy[node.notebook] for node in ready)
    places = [place for place, node in enumerate(ready) if busy[node.notebook] == fewest]
    return max(places, key=lambda place: ready[place].notebook.stem)


def _outcome(future: Future[Failures], node: Node) -> Failures:
    """Return the runs that the step has ended, each with the reason: all that share it if it raised an error."""
    try:
        return future.result()
    # whatever it is, the other runs go on
    except Exception as error:
        return dict.fromkeys(node.runs, _reason(error))


def _reason(error: Exception) -> str:
    expected = isinstance(error, NotebookFailed | OSError | ValueError)
    return str(error) if expected else f"{type(error).__name__}: {error}"


def _size(nodes: Sequence[Node]) -> int:
    return sum(1 for node in nodes for _ in node.walk())


def _start_kernels(nodes: Sequence[Node], jobs: int) -> KernelPool:
    notebooks = list(dict.fromkeys(node.notebook for node in nodes))
    models = sorted({model for node in nodes for model in node.parameters.get("models", [])})
    return KernelPool(jobs, notebooks, models)


def _damaged(runs: Sequence[str]) -> Failures:
    """Return the runs whose manifest cannot be read, each with the reason."""
    found = {}
    for run in runs:
        try:
            read_manifest(run)
        except (ValueError, OSError) as error:
            found[run] = str(error)
    return found
