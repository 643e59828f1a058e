"""Items: the nouns of every other room - items, vectors and their space, rankings, images - and where files lie.

These are the names for everyday use. The others are imported from `mmlab.items.files`, `.images`, `.options`,
`.rankings`, `.tables` and `.vectors`.
"""

from mmlab.items.files import data, replacing
from mmlab.items.images import ImageError, open_image
from mmlab.items.rankings import DIRECTIONS, MODALITIES, exact_search
from mmlab.items.tables import (
    ITEM_COLUMNS,
    QREL_COLUMNS,
    RANKING_COLUMNS,
    check_columns,
    is_among,
    read_items,
    read_table,
    write_items,
    write_table,
)
from mmlab.items.vectors import Space, SpaceMismatch, Vectors, unit_rows

__all__ = [
    "DIRECTIONS",
    "ITEM_COLUMNS",
    "MODALITIES",
    "QREL_COLUMNS",
    "RANKING_COLUMNS",
    "ImageError",
    "Space",
    "SpaceMismatch",
    "Vectors",
    "check_columns",
    "data",
    "exact_search",
    "is_among",
    "open_image",
    "read_items",
    "read_table",
    "replacing",
    "unit_rows",
    "write_items",
    "write_table",
]
