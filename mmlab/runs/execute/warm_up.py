"""What some notebooks wait for, done in their kernels while the notebook before them works.

Saves time and nothing else: a notebook does the same in a kernel that was not warmed up.
"""

from importlib import import_module
from pathlib import Path


def find_warm_ups(*notebooks: Path) -> list[str]:
    """What the notebooks, by the names in their text, will wait for: names for `warm_up`. Nothing for one not there."""
    texts = [path.read_text(encoding="utf-8") for path in notebooks if path.is_file()]
    return [name for name, used in WARM_UPS.items() if any(word in text for text in texts for word in used)]


def warm_up(*names: str) -> None:
    """Load or compile what `find_warm_ups` found."""
    for name in names:
        globals()[name]()


def draw_figure() -> None:
    """Draw a figure into memory, so that matplotlib is loaded and has found its fonts: about a second."""
    import io

    import matplotlib.pyplot as plt

    from mmlab.visualize import figure

    fig, (ax,) = figure()
    ax.set_title("warm-up")
    fig.savefig(io.BytesIO(), format="png")
    plt.close(fig)


def load_transformers() -> None:
    """Load torch and the parts of transformers that a CLIP needs: about four seconds."""
    for module in (
        "torch",
        "transformers.models.clip.modeling_clip",
        "transformers.models.auto.processing_auto",
    ):
        import_module(module)


def compile_umap() -> None:
    """Draw a map of a few points, so that numba compiles umap: about seven seconds."""
    import numpy as np

    from mmlab.items import Space, Vectors, unit_rows
    from mmlab.visualize import map_umap

    rows = unit_rows(np.random.default_rng(0).standard_normal((40, 8)))
    map_umap(
        Vectors([str(row) for row in range(40)], rows, Space("warm-up", "", "", "", "", 8)), neighbours=5
    )


WARM_UPS = {  # what is done ahead: what a notebook calls that waits for it
    "load_transformers": ("embed_with_models", "open_retrievers", "sweep_batches"),
    "compile_umap": ("map_umap",),
    "draw_figure": ("mmlab.visualize",),
}
