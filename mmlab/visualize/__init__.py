"""Tables -> images: matplotlib axes, and HTML that needs no network."""

from mmlab.visualize.answers import answers_gallery
from mmlab.visualize.bars import bars, paired_bars, waterfall
from mmlab.visualize.explanations import occlusion_map, word_bars
from mmlab.visualize.galleries import Html, gallery, hits_gallery, table, under_headings
from mmlab.visualize.groups import group_panels, waterfalls
from mmlab.visualize.histograms import histogram, overlapping_histograms
from mmlab.visualize.interactive import interactive_map, map_frame, script_hash
from mmlab.visualize.map_panels import judge_maps, map_panels, say_maps
from mmlab.visualize.maps import map_parts, map_tsne, map_umap, mixing, plot_links, plot_map, trust
from mmlab.visualize.pairs import pair_histograms
from mmlab.visualize.pareto import pareto, throughput_curves
from mmlab.visualize.reliability import (
    occurrence_curves,
    occurrence_panels,
    reliability_diagram,
    reliability_panels,
)
from mmlab.visualize.sample import found_first, name_groups, sample_pairs, sampled_vectors
from mmlab.visualize.style import figure, show
from mmlab.visualize.suspects import false_negatives_gallery, wrong_pairs_gallery

__all__ = [
    "Html",
    "answers_gallery",
    "bars",
    "false_negatives_gallery",
    "figure",
    "found_first",
    "gallery",
    "group_panels",
    "histogram",
    "hits_gallery",
    "interactive_map",
    "judge_maps",
    "map_frame",
    "map_panels",
    "map_parts",
    "map_tsne",
    "map_umap",
    "mixing",
    "name_groups",
    "occlusion_map",
    "occurrence_curves",
    "occurrence_panels",
    "overlapping_histograms",
    "pair_histograms",
    "paired_bars",
    "pareto",
    "plot_links",
    "plot_map",
    "reliability_diagram",
    "reliability_panels",
    "sample_pairs",
    "sampled_vectors",
    "say_maps",
    "script_hash",
    "show",
    "table",
    "throughput_curves",
    "trust",
    "under_headings",
    "waterfall",
    "waterfalls",
    "word_bars",
    "wrong_pairs_gallery",
]
