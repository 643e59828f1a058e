"""What 06_visualize shows: two maps of images and texts, how far they can be trusted, and a page to explore."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mmlab.embed import load_for
from mmlab.items import DIRECTIONS, ImageError, Vectors, is_among, write_table
from mmlab.items import data as data_folder
from mmlab.items.images import thumbnail
from mmlab.items.parameter_table import check_values
from mmlab.runs import Step
from mmlab.runs.record import run_files
from mmlab.visualize import Html, interactive_map, map_panels, map_tsne, map_umap, sample_pairs
from mmlab.visualize.map_figures import map_frame, measure_maps, summarize_maps
from mmlab.visualize.map_layout import (
    MIN_POINTS,
    MISSED,
    NO_GROUP,
    NOT_JUDGED,
    all_items,
    found_first,
    has_pairs,
    is_paired,
    map_spaces,
    name_clusters,
    name_groups,
    sampled_vectors,
)
from mmlab.visualize.markup import render_markdown
from mmlab.workbench.result import Report, Result, no_table, or_reason
from mmlab.workbench.run_data import RunData

if TYPE_CHECKING:
    import ipywidgets
    from embedding_atlas.widget import EmbeddingAtlasWidget
    from matplotlib.figure import Figure

    from mmlab.panels.map_view import SpaceMaps

THUMBNAIL_SIDE = 96  # pixels, of the images that embedding-atlas shows: about 3 KB each


@dataclass(frozen=True, repr=False)
class MapReport(Report):
    """Maps of a sample of pairs, or of all items, by UMAP and by t-SNE. Made by `Run.map`.

    A map shows neighbourhoods; distances between clusters mean little.

    Attributes:
        data: the run's items and vectors.
        pairs: how many pairs are drawn, each with one image and one text; None for all items, of more than 100,000 as
            many.
        group_by: the items column whose values are the categories; each has its share of the sample.
        umap_neighbours: how many neighbours make a neighbourhood for UMAP.
        perplexity: the same for t-SNE, bounded by the sample.
        seed: of the sample and of both maps.

    Example:
        >>> maps = run.map(pairs=20, seed=1)
        >>> len(maps.items)
        40
    """

    data: RunData
    pairs: int | None = 500
    group_by: str = "label"
    umap_neighbours: int = 15
    perplexity: float = 30.0
    seed: int = 0

    def __post_init__(self) -> None:
        own = {name: value for name, value in vars(self).items() if name not in ("data", "pairs")}
        check_values(sample=self.pairs, **own)

    @cached_property
    def items(self) -> pd.DataFrame:
        """The items on the maps: all texts, then the images; of a sample those of their pairs, in the same order."""
        if self.pairs is None:
            return all_items(self.data.embedded_items, self.group_by, self.seed)
        return sample_pairs(self.data.embedded_items, self.pairs, self.group_by, self.seed)

    @property
    def paired(self) -> bool:
        """Whether the items are pairs of a text and an image."""
        return is_paired(self.items)

    @property
    def _enough(self) -> bool:
        return all(len(vectors) >= MIN_POINTS for vectors in self.vectors)

    @property
    def _linked(self) -> bool:
        return self.paired and len(self.vectors) == 1

    @cached_property
    def vectors(self) -> list[Vectors]:
        """Their vectors: in one set, or in two where texts and images lie in two spaces."""
        return sampled_vectors(self.data.vectors_by_modality, self.items)

    @cached_property
    def groups(self) -> dict[str, pd.Series]:
        """What the points are coloured by: modality, category, and whether the right answer was found first."""
        scores = [self.data.per_query(direction) for direction in DIRECTIONS]
        return {
            "modality": self.items["modality"],
            "category": name_groups(self.items, self.group_by),
            "result": found_first(self.items, *scores),
        }

    @cached_property
    def points(self) -> dict[str, np.ndarray]:
        """The points of each map, float32 (N, 2), in the order of `items`."""
        return {method: self._lay_out(self.vectors, method) for method in ("UMAP", "t-SNE")}

    def _lay_out(self, vectors: Sequence[Vectors], method: str) -> np.ndarray:
        """Return the points of a map, from the cache where it was made before."""
        cache = data_folder() / "cache" / "maps"
        if method == "UMAP":
            return map_spaces(vectors, map_umap, cache, neighbours=self.umap_neighbours, seed=self.seed)
        return map_spaces(vectors, map_tsne, cache, perplexity=self.perplexity, seed=self.seed)

    @property
    def _of_spaces(self) -> "list[SpaceMaps]":
        """The maps of the main space or spaces, and those of each other model that embedded enough of these items."""
        from mmlab.panels.map_view import SpaceMaps

        ids = self.items["item_id"]
        others = [vectors for vectors in self.data.all_vectors if not self._shows(vectors)]
        parts = {vectors.space.key: [vectors.take(ids[is_among(ids, vectors.ids)])] for vectors in others}
        main = " and ".join(vectors.space.model for vectors in self.vectors)
        return [
            SpaceMaps(
                name,
                [str(item) for part in of_space for item in part.ids],
                of_space[0],
                partial(self._lay_out, of_space),
            )
            for name, of_space in {main: self.vectors, **parts}.items()
            if all(len(part) >= MIN_POINTS for part in of_space)
        ]

    def _shows(self, vectors: Vectors) -> bool:
        return any(vectors.space == shown.space for shown in self.vectors)

    def _overview(self) -> Result:
        """Show how many images and texts there are and how many pairs are drawn."""
        vectors = self.data.vectors_by_modality
        counts = {"images": [len(vectors["image"])], "texts": [len(vectors["text"])]}
        drawn = len(self.items) // 2 if self.paired else 0
        table = pd.DataFrame({**counts, "items drawn": [len(self.items)], "pairs drawn": [drawn]})
        return Result(table, self.data.space_sentence)

    @or_reason
    def umap(self) -> Result:
        """Show the map by UMAP: by modality, by category and by result.

        Example:
            >>> maps.umap().table.columns.tolist()
            ['item_id', 'x', 'y']
        """
        return self._panels("UMAP")

    @or_reason
    def tsne(self) -> Result:
        """Show the map by t-SNE: by modality, by category and by result.

        Example:
            >>> figure = maps.tsne().figure()
        """
        return self._panels("t-SNE")

    def _panels(self, method: str) -> Result:
        trust = self._trust[self._trust["map"] == method]

        def draw() -> "Figure":
            return map_panels(self.points[method], self.groups, method, self._linked)

        table = self.items[["item_id"]].assign(x=self.points[method][:, 0], y=self.points[method][:, 1])
        return Result(table, summarize_maps(trust), draw, shown=no_table())

    @cached_property
    def _trust(self) -> pd.DataFrame:
        return measure_maps(self.points, self.vectors, self.groups)

    @or_reason
    def trust(self) -> Result:
        """Show how well each map keeps neighbourhoods, and how far the groups mix on it.

        Example:
            >>> maps.trust().table["map"].tolist()
            ['UMAP', 't-SNE']
        """
        sentence = summarize_maps(self._trust)
        if self.paired:
            texts = (self.items["modality"] == "text").to_numpy()
            results = self.groups["result"][texts]
            known = results[results != NOT_JUDGED]
            if len(known):
                missed = (known == MISSED).mean()
                sentence += (
                    f" {missed:.0%} of the {len(known):,} texts shown that are judged miss their image."
                )
        return Result(self._trust, sentence)

    def page(self, path: str | Path | None = None) -> Html:
        """Return both maps as a page to explore, in a frame: the image and the caption of the point under the mouse.

        Args:
            path: where to write the page as an HTML document of its own; nowhere unless given.

        Example:
            >>> frame = maps.page("map.html")
        """
        title = f"{len(self.items):,} items"
        if not self._enough:
            document = Html(f'<!DOCTYPE html><meta charset="utf-8">{render_markdown(self.umap().sentence)}')
        else:
            document = interactive_map(self.points, self.items, self.groups, self._linked, title)
        if path is not None:
            document.save(path)
        return map_frame(document)

    def panel(self) -> "ipywidgets.VBox":
        """Return a panel for JupyterLab: the maps of the run's models, and what is chosen on them.

        `.selection` is what the lasso has chosen, as a table; `.where` is a filter for it, for `Run.search`. The map
        by t-SNE, and that of a second model, are laid out when they are first wanted.

        Example:
            >>> panel = run.map(pairs=20).panel()
            >>> hits = run.search("a red mug", where=panel.where)
        """
        from mmlab.panels import map_panel
        from mmlab.panels.controls import notice

        if not self._enough:
            return notice(self.umap().sentence)
        known = self.data.items.set_index("item_id").index
        result = pd.Series(self.groups["result"].to_numpy(), index=self.items["item_id"]).reindex(known)
        items = self.data.items.assign(result=result.astype(object).to_numpy())
        return map_panel(self._of_spaces, items, load_for, names=self.group_by)

    def atlas(self, neighbours: int = 10) -> "EmbeddingAtlasWidget":
        """Return embedding-atlas's widget over the map by UMAP; see `Run.atlas`.

        Raises:
            ImportError: where the extra is not installed.
            TooFew: for fewer items than make a map.

        Example:
            >>> chosen = run.map(None).atlas().selection()  # doctest: +SKIP
        """
        try:
            from embedding_atlas.widget import EmbeddingAtlasWidget
        except ImportError as error:
            raise ImportError(
                f"embedding-atlas cannot be used here ({error}): pip install -e '.[atlas]'"
            ) from error
        table = self._atlas_table(neighbours)
        return EmbeddingAtlasWidget(
            table,
            row_id="item_id",
            x="map_x",
            y="map_y",
            text="map_words",
            image="map_image",
            neighbors="map_neighbours",
            labels=self._atlas_labels(table),
        )

    def _atlas_table(self, neighbours: int) -> pd.DataFrame:
        """Return the items with their places, words, small images and nearest items, in columns map_...."""
        points = self._lay_out(self.vectors, "UMAP")
        texts = (
            self.data.items.dropna(subset=["text"]).drop_duplicates("pair_id").set_index("pair_id")["text"]
        )
        words = self.items["text"].fillna(self.items["pair_id"].map(texts)).fillna(self.items["pair_id"])
        with ThreadPoolExecutor() as pool:
            images = list(pool.map(_small_image, self.items["image"]))
        return self.items.assign(
            map_x=points[:, 0],
            map_y=points[:, 1],
            map_words=words,
            map_image=pd.Series(images, dtype=object),
            map_neighbours=self._nearest(neighbours),
        )

    def _nearest(self, count: int) -> pd.Series:
        """Return the nearest items of each item that are on the map, by the run's index: at most `count`."""
        index, found = self.data.index, []
        with index.session():
            for vectors in self.vectors:
                for to in index.modalities(vectors.space):
                    held = index.count(to)
                    found.append(index.search(vectors, to, min(count + 1, held)).table)
        hits = pd.concat(found)
        shown = is_among(hits["item_id"], self.items["item_id"])
        hits = hits[shown & (hits["item_id"] != hits["query_id"])].sort_values("score", ascending=False)
        nearest = hits.groupby("query_id").head(count).groupby("query_id")
        ids, scores = nearest["item_id"].agg(list), nearest["score"].agg(list)
        by_item = {
            query: {"ids": ids[query], "distances": [1 - float(score) for score in scores[query]]}
            for query in ids.index
        }
        none: dict[str, list[Any]] = {"ids": [], "distances": []}
        return pd.Series([by_item.get(item, none) for item in self.items["item_id"]], dtype=object)

    def _atlas_labels(self, table: pd.DataFrame) -> list[dict[str, Any]]:
        """Return a name for each category at the middle of its points; of telling words where there are none."""
        points = table[["map_x", "map_y"]]
        names = name_groups(self.items, self.group_by)
        if names.nunique() < 2:
            names = name_clusters(points.to_numpy(), self.items["text"])
        middles = points.groupby(names.to_numpy()).median().drop(index=NO_GROUP, errors="ignore")
        return [{"x": float(x), "y": float(y), "text": str(name)} for name, x, y in middles.itertuples()]

    @property
    def conclusion(self) -> str:
        """How far the maps can be trusted, and how many of the shown texts miss their image."""
        return f"**{len(self.items):,} points.** {self.trust().sentence} {self.data.changed_sentence}".strip()

    @property
    def checks(self) -> dict[str, bool]:
        """What must hold of the maps, by claim."""
        if not self._enough:
            return {}
        return {
            "every item shown is on both maps": all(len(p) == len(self.items) for p in self.points.values()),
            "each text stands beside its image": self.paired or not has_pairs(self.data.embedded_items),
        }

    def write(self, step: Step) -> Html:
        """Write maps.parquet and maps_trust.parquet, and show what the step has written.

        Example:
            >>> files = maps.write(step)
        """
        points = self.points if self._enough else {}
        columns = {
            f"{name}_{axis}": points[method][:, number] if points else np.nan
            for name, method in (("umap", "UMAP"), ("tsne", "t-SNE"))
            for number, axis in enumerate("xy")
        }
        write_table(pd.DataFrame({"item_id": self.items["item_id"], **columns}), step.write(run_files.MAPS))
        write_table(self._trust if points else pd.DataFrame(), step.write(run_files.MAPS_TRUST))
        return step.outputs()


def _small_image(path: str | None) -> bytes | None:
    """Return a thumbnail as JPEG; None where there is no file that can be opened."""
    if path is None or pd.isna(path):
        return None
    try:
        return thumbnail(path, THUMBNAIL_SIDE)
    except ImageError:
        return None
