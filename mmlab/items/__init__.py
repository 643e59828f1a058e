"""The nouns that every other room speaks: items, vectors and their space, rankings, images, paths."""

from mmlab.items.files import SqliteFile, data, file_hash, project, replacing, resolve
from mmlab.items.images import ImageError, open_image, thumbnail
from mmlab.items.rankings import (
    DIRECTIONS,
    MODALITIES,
    exact_search,
    opposite_modality,
    score_blocks,
)
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
    "DIRECTIONS",
    "ITEM_COLUMNS",
    "MODALITIES",
    "QREL_COLUMNS",
    "RANKING_COLUMNS",
    "SKIPPED_COLUMNS",
    "ImageError",
    "Space",
    "SpaceMismatch",
    "SqliteFile",
    "Vectors",
    "check_columns",
    "check_items",
    "data",
    "exact_search",
    "file_hash",
    "is_among",
    "item_id",
    "main_vectors",
    "open_image",
    "opposite_modality",
    "places_among",
    "project",
    "read_items",
    "read_table",
    "replacing",
    "resolve",
    "score_blocks",
    "thumbnail",
    "unit_rows",
    "write_items",
    "write_table",
]
