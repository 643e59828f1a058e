"""Ingest, the room of notebook 01: images and texts become clean items; what is refused is listed with its reason.

Its folders, from the ground up: web (download images), sources (any dataset becomes a table of rows), images (find
their files, measure them, find duplicates), texts (clean captions; OCR and captioning where one is missing). Beside
them: a first look at a dataset, what becomes of each row, the result, and queries of the user's own.
"""

from mmlab.ingest.first_look import Inspection, inspect_dataset
from mmlab.ingest.ingest_result import IngestResult
from mmlab.ingest.ingesting import ingest_items
from mmlab.ingest.own_queries import OwnQueries, read_queries
from mmlab.ingest.rules import FINDINGS, REFUSED, Rules

__all__ = [
    "FINDINGS",
    "REFUSED",
    "IngestResult",
    "Inspection",
    "OwnQueries",
    "Rules",
    "ingest_items",
    "inspect_dataset",
    "read_queries",
]
