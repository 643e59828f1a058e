"""Room of notebook 01: images and texts become clean items, and what was refused is told with its reason."""

from mmlab.ingest.folder import ingest_folder
from mmlab.ingest.ledger import Ingested
from mmlab.ingest.texts import clean_text

__all__ = ["Ingested", "clean_text", "ingest_folder"]
