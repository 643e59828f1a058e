"""All runs, as `mmlab.open_run()` lists them."""

from dataclasses import dataclass

import pandas as pd

from mmlab.runs import list_runs
from mmlab.workbench.result import Report, Result


@dataclass(frozen=True, repr=False)
class RunList(Report):
    """The runs of the data folder, a row each: name, dataset, models, when, how good, and whether it finished."""

    def _overview(self) -> Result:
        """Show all runs; open one with `mmlab.open_run(name)`."""
        table = pd.DataFrame(list_runs())
        if table.empty:
            return Result(
                table, "There is no run yet: make one with `mmlab demo` or `mmlab run --dataset ...`."
            )
        shown = table.assign(models=table["models"].map(", ".join))
        return Result(table, f"{len(table)} runs; open one with `mmlab.open_run(name)`.", shown=shown)

    def __len__(self) -> int:
        return len(list_runs())

    def _ipython_key_completions_(self) -> list[str]:
        return [row["name"] for row in list_runs()]
