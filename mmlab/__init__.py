"""mmlab: a JupyterLab workbench for text <-> image vector retrieval.

Each notebook finds its code in the room of its name (`mmlab.ingest`, `mmlab.embed`, ...); importing
this package does no work and loads none of them.
"""

__version__ = "0.1.0"
