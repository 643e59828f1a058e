"""The door: a run, opened, and what one asks of it."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mmlab.embed import embed_with_models
from mmlab.index import build_index, open_store
from mmlab.ingest import Rules, ingest_items
from mmlab.items import DIRECTIONS, Vectors, is_among, opposite_modality
from mmlab.items import data as data_folder
from mmlab.retrieve import Query, RankedDirection, RetrievalConfig, rank_directions, search
from mmlab.workbench.embed_report import EmbedReport
from mmlab.workbench.evaluation import Evaluation
from mmlab.workbench.hits import Hits
from mmlab.workbench.index_report import IndexReport, index_settings
from mmlab.workbench.ingest_report import IngestReport
from mmlab.workbench.map_report import MapReport
from mmlab.workbench.rankings import Rankings
from mmlab.workbench.run_data import RunData

if TYPE_CHECKING:
    import ipywidgets
    from PIL.Image import Image

    Asked = str | Path | Image

EMBED = {"prompts": (), "precision": "float32", "batch_size": 32}


class Run(RunData):
    """A run of the notebooks, opened: its items, vectors and index, and what one asks of them.

    Made by `mmlab.open_run`. Every answer has a `.table` (a DataFrame), a `.sentence` that reads it and, where it can be
    drawn, a `.figure()`; in a notebook it shows itself.

    Example:
        >>> run = mmlab.open_run("demo")  # doctest: +SKIP
        >>> run.search("a red mug", k=8, where={"label": "mug"})  # doctest: +SKIP
        >>> run.evaluate(run.rank(rescoring="csls")).compare(run.evaluate())  # doctest: +SKIP
    """

    def __repr__(self) -> str:
        if not self._files.has("items.parquet"):
            return f"Run({self.name!r}: nothing yet; 01_ingest comes first)"
        counts = self.items["modality"].value_counts()
        held = f"{counts.get('image', 0):,} images and {counts.get('text', 0):,} texts of {self.dataset}"
        models = ", ".join(self.models) if self._files.has("embed_skipped.parquet") else ""
        done = f"embedded by {models}" if models else "not embedded yet: 02_embed comes next"
        return f"Run({self.name!r}: {held}, {done})"

    def sample(self, modality: str = "text", count: int | None = None, seed: int = 0) -> Any:
        """Draw texts or images of the collection, to ask with.

        Args:
            modality: "text" or "image".
            count: how many; one, on its own, unless given.
            seed: draws the same again.

        Returns:
            A text (str) or the path of an image, or a list of `count` of them.

        Example:
            >>> run.sample("text", seed=1)  # doctest: +SKIP
            'A red mug on a wooden table.'
        """
        items = self.embedded_items
        known = items[items["modality"] == modality]
        if modality == "image":
            texts = items.loc[items["modality"] == "text", "pair_id"]
            paired = known[is_among(known["pair_id"], texts)]
            known = paired if len(paired) >= (count or 1) else known
        drawn = known.sample(min(count or 1, len(known)), random_state=seed)[modality].tolist()
        found = [Path(path) for path in drawn] if modality == "image" else drawn
        return found if count else found[0]

    def search(
        self,
        query: "Asked | Sequence[Asked] | Vectors | None" = None,
        *,
        image: "Path | Image | None" = None,
        to: Literal["image", "text"] | None = None,
        k: int = 10,
        where: Mapping[str, Any] | None = None,
        plus: "Sequence[Asked]" = (),
        minus: "Sequence[Asked]" = (),
        weight: float | str = 0.5,
        fusion: str | None = None,
        rrf_k: float = 60,
        models: str | Sequence[str] = (),
        exact: bool | None = None,
        diversity: float | None = None,
        group_by_pair: bool = False,
        calibration: str = "none",
        rerank: int = 0,
    ) -> Hits:
        """Find the `k` nearest items to a text, an image, both, or many of them.

        Args:
            query: a text (str), an image (Path or PIL image), several of them (a list, or the Path of a folder of images),
                or Vectors of a space of the index.
            image: an image that asks together with the text `query`.
            to: the modality to find, "image" or "text"; the other one than that of the query unless given.
            k: how many hits; at most the number of items.
            where: a filter on payload fields, such as {"label": ["mug", "cup"], "width": {"gte": 200}}; see `filters`.
            plus, minus: further texts or images to steer towards and away from (Rocchio 1971).
            weight: the share of the text, in [0, 1], where text and image ask; "confidence" gives 60 % to the more
                confident of both.
            fusion: "early" (one search with the weighted mean of both vectors), "weighted_sum", "rrf" or "dbsf" (two
                searches, fused); early where texts and images share a space, else rrf, unless given.
            rrf_k: the constant k of reciprocal rank fusion (Cormack et al. 2009).
            models: the models that answer; several are fused. The run's first for each modality unless given.
            exact: scan all vectors instead of walking the graph; as the run's own answers unless given.
            diversity: trade nearness for variety by maximal marginal relevance, 0 (none) to 1.
            group_by_pair: keep only the best item of each pair.
            calibration: "temperature", "logistic" or "isotonic" adds a column `probability`; fitted on validation.
            rerank: how many of the first hits are ranked again by a matching head, or by crops of the image.

        Returns:
            Hits: `.table` has rank, score (cosine in [-1, 1] unless fused), the items' columns, and query_id where
            several queries ask.

        Raises:
            ValueError: for an empty query, an unknown field or option, or a `k` of more items than there are.
            ImageError: for a file that is no image.

        Example:
            >>> run.search("two dogs", k=8, where={"label": "dog"}).table[["rank", "score"]]  # doctest: +SKIP
            >>> run.search(Path("dog.jpg"), to="text")  # doctest: +SKIP
            >>> run.search("on a beach", image=Path("dog.jpg"), weight=0.4)  # doctest: +SKIP
        """
        raise NotImplementedError
