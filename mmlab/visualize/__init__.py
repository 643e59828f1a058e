"""Tables become figures and HTML: matplotlib axes in one style, and pages that need no network.

From the ground up: `markup` and, on it, `galleries`; `style`, `labels` and, on them, `bars`, `curves` and
`image_figures`; `map_layout` and, on it, `map_figures` and `map_page`.
"""

from mmlab.visualize.bars import bars, forest, paired_bars, waterfall
from mmlab.visualize.curves import histogram, overlapping_histograms, pareto
from mmlab.visualize.galleries import gallery, hits_gallery, query_gallery
from mmlab.visualize.map_figures import interactive_map, map_panels
from mmlab.visualize.map_layout import map_tsne, map_umap, sample_pairs
from mmlab.visualize.markup import Html, table, under_headings
from mmlab.visualize.style import figure

__all__ = [
    "Html",
    "bars",
    "figure",
    "forest",
    "gallery",
    "histogram",
    "hits_gallery",
    "interactive_map",
    "map_panels",
    "map_tsne",
    "map_umap",
    "overlapping_histograms",
    "paired_bars",
    "pareto",
    "query_gallery",
    "sample_pairs",
    "table",
    "under_headings",
    "waterfall",
]
