"""The nouns that every other room speaks: items, vectors and their space, rankings, pictures, paths."""

from mmlab.items.files import file_hash, replacing
from mmlab.items.paths import data, project, resolve
from mmlab.items.pictures import PictureError, open_picture, thumbnail
from mmlab.items.sqlite import SqliteFile
from mmlab.items.tables import (
    ITEM_COLUMNS,
    QREL_COLUMNS,
    RANKING_COLUMNS,
    SKIPPED_COLUMNS,
    check_columns,
    check_items,
    is_among,
    item_id,
    places_among,
    read_items,
    read_table,
    write_items,
    write_table,
)
from mmlab.items.vectors import Space, SpaceMismatch, Vectors, main_vectors, unit_rows

__all__ = [
    "ITEM_COLUMNS",
    "QREL_COLUMNS",
    "RANKING_COLUMNS",
    "SKIPPED_COLUMNS",
    "PictureError",
    "Space",
    "SpaceMismatch",
    "SqliteFile",
    "Vectors",
    "check_columns",
    "check_items",
    "data",
    "file_hash",
    "is_among",
    "item_id",
    "main_vectors",
    "open_picture",
    "places_among",
    "project",
    "read_items",
    "read_table",
    "replacing",
    "resolve",
    "thumbnail",
    "unit_rows",
    "write_items",
    "write_table",
]
