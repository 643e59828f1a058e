"""What some notebooks wait for, done in their kernels while the notebook before them works.

Saves time and nothing else: a notebook does the same in a kernel that was not warmed up.
"""

from importlib import import_module


def warm_up(*notebooks: str) -> None:
    """Load or compile what the notebooks of these names wait for; of others than the six nothing."""
    for notebook in notebooks:
        for prepare in WARM_UPS.get(notebook, ()):
            prepare()


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


WARM_UPS = {
    "01_ingest": (draw_figure,),
    "02_embed": (load_transformers, draw_figure),
    "03_index": (draw_figure,),
    "04_retrieve": (load_transformers, draw_figure),
    "05_evaluate": (draw_figure,),
    "06_visualize": (compile_umap, draw_figure),
}
