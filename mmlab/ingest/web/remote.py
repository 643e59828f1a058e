"""Images from the web: fetched once and kept; each address that gives none says why."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from mmlab.ingest.blobs import Blobs
from mmlab.ingest.findings_cache import Memo
from mmlab.ingest.web.addresses import Refused
from mmlab.ingest.web.downloads import Downloads
from mmlab.ingest.web.limits import Limits

KIND = "fetched"  # in the memo: url -> the file's path inside the blobs' folder
CHUNK = 1000  # urls looked up in the memo at a time


class Fetched(NamedTuple):
    """What became of one url: the file, or why there is none."""

    file: str | None = None
    reason: str | None = None
    detail: str | None = None


def fetch_images(
    urls: Sequence[str], blobs: Blobs, memo: Memo, limits: Limits | None = None, progress: bool = True
) -> pd.DataFrame:
    """One row per distinct url, in their order, indexed by it: file (an absolute path), reason, detail.

    The reasons: bad address, address not allowed, unreachable, timed out, refused by the server, too many
    redirects, too large, empty file, not an image, damaged file, too many pixels. A detail holds no more of
    the url than its host.
    What was fetched is noted in the memo at once, and is not asked for again while its file is there; what was
    refused is tried again by the next call. An interrupt ends the downloads and loses none that were noted.
    """
    from tqdm.auto import tqdm

    urls = list(dict.fromkeys(urls))
    known = _known(urls, blobs, memo)
    root, keeping = blobs.folder.resolve(), threading.Lock()  # equal bytes may arrive twice at once

    def fetch(url: str) -> tuple[str, Fetched]:
        try:
            image = downloads.image(url)
        except Refused as error:
            return url, Fetched(reason=error.reason, detail=error.detail)
        with keeping:
            return url, Fetched(str(blobs.put(image)))

    bar = tqdm(total=len(urls), initial=len(known), desc="fetched", unit="image", disable=not progress)
    limits = limits or Limits()
    with bar, Downloads(limits) as downloads:
        for batch in _spread(fetch, (url for url in urls if url not in known), limits.threads):
            files = {url: fetched.file for url, fetched in batch.items() if fetched.file}
            memo.put(KIND, {url: Path(file).relative_to(root).as_posix() for url, file in files.items()})
            known |= batch
            bar.update(len(batch))
    rows = [known[url] for url in urls]
    return pd.DataFrame(rows, pd.Index(urls, dtype="str", name="url"), Fetched._fields).astype("str")


def _known(urls: Sequence[str], blobs: Blobs, memo: Memo) -> dict[str, Fetched]:
    """The urls that were fetched before and whose file is still there."""
    known = {}
    for start in range(0, len(urls), CHUNK):
        for url, name in memo.get(KIND, urls[start : start + CHUNK]).items():
            file = blobs.folder.resolve() / name
            if file.is_file():
                known[url] = Fetched(str(file))
    return known


def _spread(function: Callable, tasks: Iterator, threads: int) -> Iterator[dict]:
    """The (key, value) pairs that `function` makes of the tasks, in batches as they are done.

    Two tasks per thread are handed out at a time, so a long list costs no memory and a slow task holds up no other.
    """
    pool = ThreadPoolExecutor(threads)
    try:
        running = {pool.submit(function, task) for task in islice(tasks, 2 * threads)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield dict(future.result() for future in done)
            running |= {pool.submit(function, task) for task in islice(tasks, len(done))}
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
