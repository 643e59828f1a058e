"""Measure figures: `python -m tests.bench [NAME ...]`, all entries but the longest without a name."""

import sys
from importlib import import_module

from mmlab.items import data
from tests.bench.figures import format_table, keep

ENTRIES = {  # functions without arguments that return list[Figure]
    "demo": "tests.bench.demo:demo",
    "demo-model": "tests.bench.demo:demo_model",
    "embed-cached": "tests.bench.embed:cached",
    "embed-images": "tests.bench.embed:images",
    "embed-texts": "tests.bench.embed:texts",
    "embed-workers": "tests.bench.embed:workers",
    "evaluate": "tests.bench.evaluate:evaluate",
    "fuse": "tests.bench.fuse:fuse",
    "growth": "tests.bench.growth:growth",
    "hubness": "tests.bench.hubness:hubness",
    "ingest-decode": "tests.bench.ingest_images:decode",
    "ingest-faults": "tests.bench.ingest:faults",
    "ingest-memory": "tests.bench.ingest:memory",
    "ingest-near": "tests.bench.ingest_images:near",
    "kills": "tests.bench.kills:kills",
    "large": "tests.bench.large:large",
    "million": "tests.bench.million:million",
    "minilm": "tests.bench.sentences:minilm",
    "mpnet": "tests.bench.sentences:mpnet",
    "mutants": "tests.bench.mutants:mutants",
    "panels": "tests.bench.panels:panels",
    "ray": "tests.bench.rows:ray",
    "retrievers": "tests.bench.retrievers:retrievers",
    "rows": "tests.bench.rows:rows",
    "server": "tests.bench.server:server",
    "store": "tests.bench.store:store",
    "sweep": "tests.bench.sweep:sweep",
}
ASKED_FOR = {
    "growth",
    "kills",
    "large",
    "million",
    "mpnet",
    "mutants",
    "ray",
    "rows",
}  # takes long, or a folder: measured only by its name


def main(names: list[str]) -> int:
    """Measure the entries one after the other, print and keep their figures."""
    unknown = [name for name in names if name not in ENTRIES]
    if unknown:
        print(f"bench: no entry {unknown[0]!r}; known: {', '.join(ENTRIES)}", file=sys.stderr)
        return 2
    for name in names or [name for name in ENTRIES if name not in ASKED_FOR]:
        module, _, function = ENTRIES[name].partition(":")
        figures = getattr(import_module(module), function)()
        if figures:  # none where what is to be measured is not there
            print(f"{format_table(figures)}\n", flush=True)
            keep(name, figures, data() / "bench" / "results.json")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
