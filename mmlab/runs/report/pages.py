"""The executed notebooks as HTML pages that need nothing but themselves: no script, no font, no request.

Widgets are left out, since what they show stands beside them. A content policy in the page forbids the browser to run
scripts or to load anything, whatever a caption holds. It allows one script by its hash: that of the interactive map,
which has a frame of its own.
"""

import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from mmlab.items import replacing
from mmlab.visualize.map_page import script_hash

if TYPE_CHECKING:
    from nbconvert import HTMLExporter

WIDGET = "application/vnd.jupyter.widget-view+json"
TEMPLATES = Path(__file__).parent / "templates"
# an exporter serves one thread at a time
_EXPORTER_LOCK = threading.Lock()


def write_page(notebook: Path, folder: Path) -> Path:
    """Write an executed notebook as `folder/NAME.html` and return the path."""
    import nbformat

    content = nbformat.read(notebook, as_version=4)
    for number, cell in enumerate(content.cells):
        # of the switch of its code: unique among all pages, which the single file puts together
        cell["id"] = f"{notebook.stem}-{number}"
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
    resources = {"metadata": {"name": notebook.stem}, "map_script": script_hash()}
    with _EXPORTER_LOCK:
        body, _ = _exporter().from_notebook_node(content, resources)
    page = folder / f"{notebook.stem}.html"
    with replacing(page) as temporary:
        temporary.write_text(body, encoding="utf-8")
    return page


# it compiles its templates, which takes longer than most pages
@lru_cache(maxsize=1)
def _exporter() -> "HTMLExporter":
    from nbconvert import HTMLExporter

    return HTMLExporter(
        template_name="notebook",
        extra_template_basedirs=[str(TEMPLATES)],
        # for report.css
        extra_template_paths=[str(TEMPLATES)],
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
    )
