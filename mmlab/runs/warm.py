"""What some notebooks wait for, done in their kernels while the notebook before them works.

Saves time and nothing else: a notebook does the same in a kernel that was not warmed up.
"""

from importlib import import_module


def warm_up(*notebooks: str) -> None:
    """Load or compile what the notebooks of these names need for seconds; nothing for most."""
    for notebook in notebooks:
        WARM_UPS.get(notebook, lambda: None)()


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


WARM_UPS = {"02_embed": load_transformers, "04_retrieve": load_transformers, "06_visualize": compile_umap}
