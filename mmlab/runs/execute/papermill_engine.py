"""How papermill writes the executed copy of a notebook while it runs: every few seconds, not twice for each cell.

A copy with images takes longer to write than most cells take to run, and the next cell waits for it.
"""

from typing import Any

from papermill.engines import NBClientEngine, NotebookExecutionManager, papermill_engines

SAVE_EVERY = 10  # seconds; what a kill of papermill itself may cost of a copy, and of nothing else
ENGINE = "mmlab"  # its name in papermill, once this module is imported


class SparingEngine(NBClientEngine):
    """papermill's own engine; the copy is whole when its notebook ends, however it ends."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: NotebookExecutionManager, kernel_name: str, **settings: Any
    ) -> None:
        """Execute the cells, and write the copy if it was last written `SAVE_EVERY` seconds ago."""
        save = nb_man.save

        def save_when_due(**given: Any) -> None:
            if (nb_man.now() - nb_man.last_save_time).total_seconds() >= SAVE_EVERY:
                save(**given)

        nb_man.save = save_when_due
        try:
            super().execute_managed_notebook(nb_man, kernel_name, **settings)
        finally:
            nb_man.save = save  # papermill calls it once more


papermill_engines.register(ENGINE, SparingEngine)
