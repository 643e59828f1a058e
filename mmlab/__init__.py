"""mmlab: a JupyterLab workbench for text <-> image retrieval with vectors.

`open_run` opens a run of the notebooks, to search, rank, evaluate and compare; `begin_step` begins a numbered notebook.

Words, each with one meaning:

item        an image or a text; items: the table of them, a row each
pair        an image and the texts that belong to it, tied by `pair_id`
siblings    of a query of the collection: the other texts, or the other images, of its pair
modality    "text" or "image"
direction   which modality asks for which: "text-to-image" or "image-to-text"
dataset     what 01_ingest reads: a folder, a table, or a Hugging Face dataset
space       all that decides where a model puts an input; vectors of two spaces are never compared
vectors     ids, unit rows float32 (N, D) and their space
index       the collections of a run in a store; collection: points with vectors and payload
store       where collections lie: a folder (Qdrant Edge) or a Qdrant server
layout      how items are arranged in collections: unified, separate or named
where       a filter on payload fields
query       what is asked: a text, an image, or both; hits: what is found for it
gallery     the items that can be found
rankings    query_id, item_id, rank from 1, score: what many queries found
split       a part of the items, as train or test; a run judges one: its queries, with its items as the gallery
qrels       query_id, item_id, relevance: what is right
fusion      several rankings made one; weights: how much each counts
rescoring   scores changed against hubs (items that come up for everything)
calibration scores turned into probabilities of being right
rerank      the first hits ranked again by a slower model
measure     a number in [0, 1] that says how good rankings are, such as Success@1
outcome     what became of a row of the dataset; finding: what is odd about an item
run         one execution of the notebooks: the folder data/runs/<name>
step        one notebook's part in a run; manifest: the record of all steps
study       a notebook that tries out alternatives beside the run's own answers
sweep       one experiment in many settings
report      the rendered pages of a run
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmlab.runs import begin_step
    from mmlab.workbench import open_run

__version__ = "0.1.0"

__all__ = ["begin_step", "open_run"]

_ROOMS = {"begin_step": "mmlab.runs", "open_run": "mmlab.workbench"}


def __getattr__(name: str) -> Any:
    """Load what is asked for when it is first asked for, so that `import mmlab` takes no time."""
    if name not in _ROOMS:
        raise AttributeError(f"module 'mmlab' has no attribute {name!r}; it has {', '.join(__all__)}")
    from importlib import import_module

    return getattr(import_module(_ROOMS[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
