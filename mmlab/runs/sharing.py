"""One step done for several runs: its files are linked into the others, with its record.

The bytes, the parameters and what was read are the same, so each run's chain of hashes holds as if it had done
the step itself. The record says in `shared_from` which run did.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from mmlab.items import replacing
from mmlab.runs.manifest import read_manifest, record_step, run_folder

BLOCK = 1 << 20  # bytes
STORE = (
    "store"  # of 03_index: written to whenever it is used, so each run gets a copy, and no hash watches it
)


def share_step(step: str, maker: str, run: str) -> None:
    """Give the run `run` what the step did in the run `maker`: files, executed notebook, page and record."""
    source, target = run_folder(maker), run_folder(run)
    record = read_manifest(maker)["steps"][step]
    for file in [*record["writes"], f"{step}.html"]:
        if (source / file).is_file():
            link_file(source / file, target / file)
    for folder in (STORE, *record["writes"]):
        if step == "03_index" and (source / folder).is_dir():
            copy_folder(source / folder, target / folder)
    executed = Path("notebooks", f"{step}.ipynb")  # papermill writes it in place: not linked
    if (source / executed).is_file():
        with replacing(target / executed) as temporary:
            shutil.copyfile(source / executed, temporary)
    record_step(run, step, {**record, "shared_from": record.get("shared_from", maker)})


def link_file(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`, or a copy where a disk cannot link."""
    with replacing(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)


def keep_to_itself(path: Path) -> None:
    """Make a file that other runs share this one's own, so that writing into it leaves theirs as it was."""
    if path.is_file() and path.stat().st_nlink > 1:
        with replacing(path) as temporary:
            shutil.copyfile(path, temporary)


def copy_folder(source: Path, target: Path) -> None:
    """A copy of a folder in place of `target`, without hidden files, which are locks; holes stay holes."""
    shutil.rmtree(target, ignore_errors=True)
    hidden = shutil.ignore_patterns(".*")
    shutil.copytree(source, target, ignore=hidden, copy_function=_copy_with_holes)


def _copy_with_holes(source: str, target: str) -> None:
    """Only what was ever written is read: a small store of Edge is 12 MB in files of 190 MB."""
    with open(source, "rb", buffering=0) as reading, open(target, "wb") as writing:
        size = writing.truncate(os.fstat(reading.fileno()).st_size)
        for start, end in _written_parts(reading.fileno(), size):
            reading.seek(start)
            writing.seek(start)
            while start < end and (part := reading.read(min(BLOCK, end - start))):
                start += writing.write(part)


def _written_parts(file: int, size: int) -> Iterator[tuple[int, int]]:
    """The start and end of each part of an open file that is no hole; all of it where a system cannot tell."""
    if not hasattr(os, "SEEK_DATA"):
        yield 0, size
        return
    end = 0
    while end < size:
        try:
            start = os.lseek(file, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole is left
                return
            raise
        end = os.lseek(file, start, os.SEEK_HOLE)
        yield start, end
