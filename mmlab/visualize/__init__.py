"""Tables -> pictures: matplotlib axes, and HTML that needs no network."""

from mmlab.visualize.answers import answers_gallery
from mmlab.visualize.bars import bars, waterfall
from mmlab.visualize.galleries import Html, gallery, hits_gallery, table
from mmlab.visualize.histograms import histogram, overlapping_histograms
from mmlab.visualize.maps import map_tsne, map_umap, mixing, plot_map
from mmlab.visualize.style import figure, show

__all__ = [
    "Html",
    "answers_gallery",
    "bars",
    "figure",
    "gallery",
    "histogram",
    "hits_gallery",
    "map_tsne",
    "map_umap",
    "mixing",
    "overlapping_histograms",
    "plot_map",
    "show",
    "table",
    "waterfall",
]
