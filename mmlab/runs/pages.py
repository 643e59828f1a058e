"""The executed notebooks as HTML pages that need nothing but themselves: no script, no font, no request.

Widgets are left out (their static twins are there); a content policy in the page forbids the browser to run
scripts or to load anything, whatever a caption holds. The one script that it allows, by its hash, is that of the
interactive map, which stands in a frame of its own.
"""

import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbconvert import HTMLExporter

WIDGET = "application/vnd.jupyter.widget-view+json"
TEMPLATES = Path(__file__).parent / "templates"


_ONE_AT_A_TIME = threading.Lock()  # an exporter serves one notebook at a time


def write_page(notebook: Path, folder: Path) -> Path:
    """Render one executed notebook as `folder/NAME.html` and return its path."""
    import nbformat

    from mmlab.items import replacing
    from mmlab.visualize.map_page import script_hash

    content = nbformat.read(notebook, as_version=4)
    for number, cell in enumerate(content.cells):
        cell["id"] = f"{notebook.stem}-{number}"  # of its code's switch: another one in every page
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
    told = {"metadata": {"name": notebook.stem}, "map_script": script_hash()}
    with _ONE_AT_A_TIME:
        body, _ = _exporter().from_notebook_node(content, told)
    page = folder / f"{notebook.stem}.html"
    with replacing(page) as temporary:
        temporary.write_text(body, encoding="utf-8")
    return page


@lru_cache(maxsize=1)  # it compiles its templates, which takes longer than most pages
def _exporter() -> "HTMLExporter":
    from nbconvert import HTMLExporter

    return HTMLExporter(
        template_name="notebook",
        extra_template_basedirs=[str(TEMPLATES)],
        extra_template_paths=[str(TEMPLATES)],  # for report.css
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
    )
