"""Where the index of a run is, by its manifest."""

from mmlab.runs.manifest import read_manifest, run_folder


def index_of(run: str) -> tuple[str, str, str]:
    """The store (a folder or a URL), the name of the index in it, and its layout.

    The name is that of the run which built it: a sweep builds one index for several runs. ValueError unless
    03_index came to its end.
    """
    record = read_manifest(run)["steps"].get("03_index")
    if record is None:
        raise ValueError(f"run {run!r} has no index: run 03_index for it first")
    given = record["parameters"]
    store = given.get("store") or str(run_folder(run) / "store")
    return store, record.get("shared_from", run), given.get("layout", "unified")
