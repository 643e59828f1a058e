"""Figures are written with their caption, and labels from outside stay text."""

import inspect
import io
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

import mmlab.visualize
from mmlab.visualize import bars, figure, paired_bars, style
from mmlab.visualize.bars import forest, group_panels, recall_panels, waterfall, waterfall_panels
from mmlab.visualize.curves import (
    histogram,
    occurrence_panels,
    overlapping_histograms,
    pair_histograms,
    pareto,
    reliability_panels,
    success_curves,
    throughput_curves,
)
from mmlab.visualize.image_figures import image_grid, occlusion_map, word_bars
from mmlab.visualize.map_figures import map_panels, plot_links, plot_map
from mmlab.visualize.style import render_png


def grouped(**columns: list) -> pd.DataFrame:
    return pd.DataFrame(columns).assign(low=0.1, high=0.9)


def test_a_png_holds_the_sentence_that_reads_it() -> None:
    fig, (ax,) = figure()
    bars(ax, ["mug"], [1], "items")
    with Image.open(io.BytesIO(render_png(fig, "One mug."))) as image:
        assert image.text["Description"] == "One mug."
        assert image.width > 800


# an empty formula, a broken one, a dollar sign behind a backslash
HOSTILE = r"$$ $\frac{ and \$5 x^{$"
CUT = f"{'x' * 109}$ {'y' * 109}$"  # by line breaks between two characters
POINTS = np.array([[0.0, 0.0], [1.0, 1.0]])


def figures_of(x: str) -> dict[str, Figure | Callable[[Axes], object]]:
    """Each function that draws, with the text wherever one comes from outside: a figure, or what draws on axes."""
    bounds, groups = [(0.1, 0.9)], pd.Series([x, "b"])
    table = grouped(
        direction=[x], column=[x], group=[x], value=[0.5], recall=[0.5], filter=[x], passing=[0.5]
    )
    table = table.assign(k=10, p50_ms=1.0, name=x, step=x, queries=1)
    risk = pd.DataFrame(
        {"calibration": x, "ece": 0.1, "predicted": [0.2, 0.8], "observed": [0.1, 0.9], "count": 5}
    )
    cosines = pd.DataFrame({"positive": [0.5, 0.6], "negative": [0.1, 0.2]})
    cell = pd.DataFrame({"left": [0], "top": [0], "right": [1], "bottom": [1], "drop": [0.5]})
    speed = pd.DataFrame({"name": [x, x], "ms": [1.0, 2.0], "recall": [0.5, 0.6], "front": True})
    names = (x, x)
    return {
        "bars": lambda ax: bars(ax, [x], [1], x, x),
        "paired_bars": lambda ax: paired_bars(ax, table, "group", "direction", x, x),
        "waterfall": lambda ax: waterfall(ax, [x], [1], x, x, x),
        "forest": lambda ax: forest(ax, [x], [0.5], bounds, x, x),
        "group_panels": group_panels(table, x),
        "recall_panels": recall_panels(table),
        "waterfall_panels": waterfall_panels({x: table}, "queries"),
        "pareto": lambda ax: pareto(ax, speed, "name", "ms", "recall", names, x),
        "throughput_curves": lambda ax: throughput_curves(ax, speed, "name", "ms", "recall", names, x),
        "success_curves": lambda ax: success_curves(
            ax, pd.DataFrame({"direction": x, "k": [1, 3], "value": [0.5, 1.0]}), x
        ),
        "reliability_panels": reliability_panels(risk.assign(direction=x)),
        "occurrence_panels": occurrence_panels({x: {x: [0, 5, 1]}}),
        "histogram": lambda ax: histogram(ax, [1.0, 2.0], x, x),
        "overlapping_histograms": lambda ax: overlapping_histograms(ax, {x: np.array([0.1, 0.2])}, x, x),
        "pair_histograms": pair_histograms({x: (x, cosines), "b": (x, cosines[:0])}),
        "occlusion_map": lambda ax: occlusion_map(ax, Image.new("RGB", (20, 10)), cell, x),
        "word_bars": lambda ax: word_bars(ax, pd.DataFrame({"word": [x], "drop": [0.1]}), x),
        "image_grid": image_grid([None], [x]),
        "map_panels": map_panels(POINTS, {x: groups}, x),
        "plot_map": lambda ax: plot_map(ax, POINTS, groups, x),
        "plot_links": lambda ax: plot_links(ax, POINTS),
        "name_axes": lambda ax: style.name_axes(ax, x, x, x),
        "write_centred": lambda ax: style.write_centred(ax, x),
        "note": style.note(x),
    }


def test_every_function_that_draws_is_among_those_that_are_tried() -> None:
    modules = [
        import_module(f"mmlab.visualize.{found.name}") for found in iter_modules(mmlab.visualize.__path__)
    ]
    functions = {
        name
        for module in modules
        for name, function in vars(module).items()
        if inspect.isfunction(function) and function.__module__ == module.__name__ and name[0] != "_"
        and str(inspect.signature(function).return_annotation).strip("'") in ("Axes", "Figure")
    }  # fmt: skip
    assert figures_of("a").keys() == functions


def test_no_text_in_any_figure_is_a_formula() -> None:
    for draws in [*figures_of(HOSTILE).values(), style.note(CUT)]:
        fig = draws if isinstance(draws, Figure) else figure()[0]
        if not isinstance(draws, Figure):
            draws(fig.axes[0])
        fig.draw_without_rendering()  # raises on a broken formula
        shown = [one for one in fig.findobj(Text) if one.get_parse_math()]
        assert all(
            re.fullmatch(r"(\$\\mathdefault\{[\d.^{}\\times−-]*\}\$)?", one.get_text()) for one in shown
        )
        plt.close(fig)


def test_a_text_is_shown_as_it_is_and_numbers_on_log_axes_are_powers() -> None:
    fig, (ax,) = figure()
    occurrences = occurrence_panels({"$5": {"a $b$": [1] * 300}})
    bars(ax, [r"\$ 5 $"], [1], "$$")
    for one in (fig, occurrences):
        one.draw_without_rendering()
    assert (ax.get_yticklabels()[0].get_text(), ax.get_xlabel()) == (r"\$ 5 $", "$$")
    assert "$\\mathdefault{10^{2}}$" in [
        label.get_text() for label in occurrences.axes[0].get_xticklabels() if label.get_parse_math()
    ]


def test_figures_are_made_in_one_place() -> None:
    """Where no text is a formula: mmlab.visualize.style."""
    makes = re.compile(r"plt\.\w|subplots\(|[^a-zA-Z]Figure\((?!self)[^)]*figsize")
    package = Path(mmlab.visualize.__path__[0]).parent
    found = [path for path in package.rglob("*.py") if makes.search(path.read_text(encoding="utf-8"))]
    assert [path.relative_to(package).as_posix() for path in found] == ["visualize/style.py"]
