"""Room of notebook 01: images and texts become clean items, and what was refused is told with its reason."""

from mmlab.ingest.ingesting import ingest_items
from mmlab.ingest.outcomes.result import Ingested
from mmlab.ingest.rules import FINDINGS, REFUSED, Rules

__all__ = ["FINDINGS", "REFUSED", "Ingested", "Rules", "ingest_items"]
