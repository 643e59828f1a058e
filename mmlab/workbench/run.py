"""The door: a run, opened, and what one asks of it."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import pandas as pd

from mmlab.embed.given_vectors import VectorsOnly
from mmlab.evaluate.retrieval_datasets import DATASET_WRITERS, write_datasets
from mmlab.evaluate.trec import write_trec
from mmlab.index import download_collection, is_collection
from mmlab.index.cluster_plan import CAPACITY, HEADROOM, Rate, plan_cluster
from mmlab.index.store.payload import FILTERABLE, payload_fields, payload_rows
from mmlab.ingest import Inspection, Rules, ingest_items, inspect_dataset, read_queries
from mmlab.items import MODALITIES, Vectors, data, is_among
from mmlab.items.options import Choice, check_value, entries_of
from mmlab.items.parameter_table import PARAMETERS, check_values
from mmlab.items.tables import TooFew
from mmlab.retrieve.query.known_queries import SavedQuestions
from mmlab.retrieve.scores.fuse import RRF_K
from mmlab.runs import Step, read_manifest
from mmlab.runs.record import run_files
from mmlab.runs.record.manifest import find_compared
from mmlab.workbench.embed_report import EmbedReport
from mmlab.workbench.evaluation import Evaluation
from mmlab.workbench.fixes import FixList, list_fixes
from mmlab.workbench.hits import ANY_PHOTO, Hits, no_hits, panel_data, search_each, search_run, time_run
from mmlab.workbench.index_report import IndexReport
from mmlab.workbench.ingest_report import IngestReport, InspectionReport
from mmlab.workbench.map_report import MapReport
from mmlab.workbench.query_report import QueryReport
from mmlab.workbench.result import Result, or_reason
from mmlab.workbench.run_comparison import RunComparison
from mmlab.workbench.run_data import RunData, RunList, RunReader, check_images
from mmlab.workbench.run_rankings import Rankings
from mmlab.workbench.studies import CalibrationStudy, FusionStudy, HubStudy
from mmlab.workbench.tuning_report import IndexGrid, ModelSpeed, TuningReport
from mmlab.workbench.vector_export import ExportedVectors, describe_files, export_vectors

if TYPE_CHECKING:
    import ipywidgets
    from embedding_atlas.widget import EmbeddingAtlasWidget
    from PIL.Image import Image

    from mmlab.panels.browse_panel import BrowsePanel

    Asked = str | Path | Image

HITS_IN_PANEL = 8
PLANNED = ("retrievers", "quantization", "hnsw_m", "on_disk")  # parameters of 03 that a plan has too
MEASURED_ITEMS = 1_000  # whose bytes are counted


class Run(RunData):
    """A run of the notebooks, opened: its items, vectors and index, and what one asks of them.

    Made by `mmlab.open_run`. Every answer has a `.table` (a DataFrame), a `.sentence` that reads it and, where it can
    be drawn, a `.figure()`; in a notebook it shows itself.

    Example:
        >>> run = mmlab.open_run("demo")
        >>> hits = run.search("a red mug", k=8, where={"label": "mug"})
        >>> difference = run.evaluate(run.rank(rescoring="csls")).compare(run.evaluate())
    """

    def __repr__(self) -> str:
        if not self._files.has(run_files.ITEMS):
            return f"Run({self.name!r}: nothing yet; 01_ingest comes first)"
        counts = self.items["modality"].value_counts()
        held = f"{counts.get('image', 0):,} images and {counts.get('text', 0):,} texts of {self.dataset}"
        embedded = self._files.has(run_files.EMBED_SKIPPED)
        done = (
            f"embedded by {', '.join(self.models)}" if embedded else "not embedded yet: 02_embed comes next"
        )
        return f"Run({self.name!r}: {held}, {done})"

    # Asking

    def sample(self, modality: str = "text", count: int | None = None, seed: int = 0) -> Any:
        """Draw texts or images of the collection, to ask with.

        Args:
            modality: "text" or "image"; images that have a text come first, and those that have changed since 01_ingest
                are left out.
            count: how many; one, on its own, unless given.
            seed: draws the same again.

        Returns:
            A text (str) or the path of an image; a list of `count` of them, or of all, where `count` is given. A
            collection without texts is asked with "a photo"; one without images gives None, or an empty list.

        Raises:
            FileNotFoundError: where none of the images is there any more.

        Example:
            >>> text = run.sample("text", seed=1)
            >>> paths = run.sample("image", 4)
        """
        check_value("modality", modality, Choice(MODALITIES))
        check_values(k=count, seed=seed)
        known = self.embedded_items[self.embedded_items["modality"] == modality]
        known = known[~known["image"].isin(self.changed_images)]
        if modality == "image":
            check_images(known)
            texts = self.embedded_items.loc[self.embedded_items["modality"] == "text", "pair_id"]
            paired = known[is_among(known["pair_id"], texts)]
            known = paired if len(paired) >= (count or 1) else known
        drawn = known.sample(min(count or 1, len(known)), random_state=seed)[modality].tolist()
        found = [Path(path) for path in drawn] if modality == "image" else drawn or [ANY_PHOTO]
        return found if count else next(iter(found), None)

    def search(
        self,
        query: "Asked | Sequence[Asked] | Vectors | None" = None,
        *,
        image: "Asked | None" = None,
        to: Literal["image", "text"] | None = None,
        k: int = 10,
        where: Mapping[str, Any] | None = None,
        plus: "Sequence[Asked]" = (),
        minus: "Sequence[Asked]" = (),
        recommend: str = "rocchio",
        context: "Sequence[tuple[Asked, Asked]]" = (),
        boost: Mapping[str, float] | None = None,
        weight: float | str = 0.5,
        fusion: str | None = None,
        rrf_k: float = RRF_K,
        models: str | Sequence[str] = (),
        exact: bool | None = None,
        diversity: float | None = None,
        group_by_pair: bool = False,
        calibration: str = "none",
        rerank: int = 0,
        rerank_model: str | None = None,
    ) -> Hits:
        """Find the `k` nearest items to a text, an image, both, or many of them.

        A text or an image of the collection does not find itself.

        Args:
            query: a text (str), an image (Path or PIL image), several of them (a list, or the Path of a folder of
                images), or Vectors of a space of the index. A str that ends like the file of an image, such as
                "dog.jpg", is its path, unless it is a text of the collection.
            image: an image that asks together with the text `query`: a path, or a PIL image.
            to: the modality to find, "image" or "text"; the one that the query is not, unless given or the only one.
            k: how many hits; all items where there are fewer.
            where: a filter on payload fields, such as {"label": ["mug", "cup"], "width": {"gte": 200}}.
            plus: examples that are wanted, texts or images.
            minus: examples that are unwanted.
            recommend: how they count. "rocchio" moves the query's vector towards plus and, with half the weight, away
                from minus (Rocchio 1971). The others are scores of the engine: "best_score" by the nearest example,
                "sum_scores" by all, "feedback" the cosine and half the difference of the mean cosines to plus and to
                minus. "best_score" and "sum_scores" need no query.
            context: pairs of examples, as [(a, b)]. Hits nearer to a than to b come first, those near to the query
                before others; without a query, hits that are nearer to b come last.
            boost: weights of fields of numbers, as {"price": -0.01}: the engine adds -0.01 x price to the score of the
                100 (or 4 k) best candidates; a missing price counts as 0.
            weight: the share of the text, in [0, 1], where text and image ask; "confidence" gives 60% to the more
                confident of both.
            fusion: "early" (one search with the weighted mean of both vectors), "composed" (one search with both as
                one input, where the model takes them so), "weighted_sum", "rrf" or "dbsf" (two searches, fused). Early
                where texts and images share a space, else rrf, unless given.
            rrf_k: the constant k of reciprocal rank fusion, 60 in Cormack et al. (SIGIR 2009).
            models: the models that answer, and "bm25" where the index holds the words (`retrievers` of 03_index);
                several are fused. The first of the run for each modality unless given.
            exact: scan all vectors instead of walking the graph. Unless given, as the run's own answers, and also where
                that takes no longer; the sentence of the hits says which it was.
            diversity: trade nearness for variety by maximal marginal relevance, from 0 (none) to 1.
            group_by_pair: keep only the best item of each pair.
            calibration: "temperature", "logistic" or "isotonic" adds a column `probability`; fitted on validation.
            rerank: how many of the first hits are ranked again.
            rerank_model: what ranks them: the id or folder of a cross-encoder of sentence-transformers, of texts (it
                reads an image by the texts of its pair) or of texts and images; "" for crops of the image. The run's
                own parameter unless given.

        Returns:
            Hits: `.table` has rank, score (cosine in [-1, 1] unless fused), the items' columns, and query_id where
            several queries ask.

        Raises:
            ValueError: for an empty query, an unknown field, value or option, and for the URL of an image.
            ImageError: for a file that is no image.
            FileNotFoundError: for the name of an image where no such file is.

        Example:
            >>> hits = run.search("a big mug", k=8, where={"label": "mug"})
            >>> texts = run.search(Path("dog.jpg"), to="text")
            >>> both = run.search("on a beach", image=Path("dog.jpg"), weight=0.4)
            >>> alike = run.search(plus=[Path("dog.jpg")], minus=["a beach"], recommend="best_score")
        """
        asked = {name: value for name, value in locals().items() if name != "self"}
        try:
            return search_run(self, lambda: self._calibrations, **asked)
        except VectorsOnly as error:
            return no_hits(self, str(error))

    @or_reason
    def search_each(self, text: str, k: int = 10) -> Result:
        """Answer a text by each retriever of the run alone, and by all of them, fused by their ranks.

        Args:
            text: what is searched for.
            k: how many hits of each.

        Returns:
            The hits of each below each other: the columns of a search, and retriever.

        Example:
            >>> run.search_each("a red mug", k=2).table["retriever"].unique().tolist()
            ['demo-...', 'bm25', 'all, fused by rank']
        """
        check_values(k=k)
        return search_each(self, text, k)

    def filter_like(self, hits: Hits) -> dict[str, Any]:
        """Return a filter for what the first hit is: its value of the field that says most, such as {"label": "mug"}.

        Empty where the items have no field to filter by, and without hits.

        Example:
            >>> like = run.filter_like(run.search("a red mug"))
            >>> hits = run.search("a red mug", where=like)
        """
        from mmlab.retrieve.query_trials import filter_examples

        first = hits.table.iloc[0] if len(hits) else None
        examples = filter_examples(self.embedded_items, first) if first is not None else {}
        return next(iter(examples.values()), {})

    def boost_like(self, hits: Hits) -> dict[str, float]:
        """Return a boost by a field of numbers, such as {"price": 0.01}, that weighs as much as the hits' scores.

        Empty where the items have no field of numbers that differ among the hits.

        Example:
            >>> hits = run.search("a red mug", boost=run.boost_like(run.search("a red mug")))
        """
        from mmlab.retrieve.query_trials import boost_example

        return boost_example(self.embedded_items, hits.table)

    @or_reason
    def time_search(self, k: int = 10, queries: int = 30, seed: int = 0) -> Result:
        """Show where the time of a text query goes: embedding, search and payload, just opened and warm.

        Args:
            k: how many hits are asked for.
            queries: how many texts of the collection ask, one at a time.
            seed: draws them.

        Example:
            >>> run.time_search(queries=5).table.columns.tolist()
            ['vectors', 'state', 'samples', 'of', 'embed_ms', 'search_ms', 'payload_ms', 'whole_ms']
        """
        return time_run(self, self.sample("text", queries, seed), k)

    # All queries

    def rank(
        self,
        to: Literal["image", "text"] | None = None,
        *,
        depth: int | None = None,
        exact: bool | None = None,
        fusion: str | None = None,
        weights: str | None = None,
        rrf_k: int | None = None,
        rescoring: str | None = None,
        calibration: str | None = None,
        rerank: int | None = None,
        rerank_model: str | None = None,
        siblings: str | None = None,
        seed: int | None = None,
        split: str | None = None,
        retrievers: Sequence[str] | None = None,
        max_queries: int | None = None,
    ) -> Rankings:
        """Rank the items of a split for each of its texts and images.

        What is not given is as the run's own answers have it (the parameters of 04_retrieve).

        Args:
            to: the modality to find, "image" or "text"; both directions unless given.
            depth: how many items are kept of each query.
            exact: by exact search; by the graph of the index where False.
            fusion: of the run's models: "none", "weighted_sum", "rrf" or "dbsf". Where one model answers alone, its
                vectors as embedded and centred are fused.
            weights: "equal", "learned" (on validation queries), or numbers that add up to 1, such as "0.7, 0.3".
            rrf_k: the constant k of reciprocal rank fusion.
            rescoring: against hubs: "none", "centring", "csls", "inverted_softmax" or "qb_norm".
            calibration: of the scores: "none", "temperature", "logistic" or "isotonic".
            rerank: how many first items are ranked again.
            rerank_model: the id or folder of the cross-encoder that ranks them; "" for the matching head of a model of
                the run. One of texts alone reads an image by the other texts of its pair, and never, unless siblings
                are kept, by those of the query's own pair; an image without any keeps its place.
            siblings: "leave_out" what a model without a joint space finds by the other captions (or images) of the
                query's own pair, or "keep" it: a caption then finds another caption of its image.
            seed: divides the pairs where there is no validation split.
            split: whose queries are asked against whose items: "auto" (test where there is one, else validation, else
                all), the name of a split, or "all".
            retrievers: the ways to rank, such as ["dense", "bm25"]: the first that a query can ask answers, or all
                where they are fused. BM25 needs no index here.
            max_queries: how many queries of each direction are drawn, by pair, and asked against the whole gallery;
                0 for all.

        Raises:
            ValueError: for a step that this run cannot take, saying what it lacks.

        Example:
            >>> mine = run.rank(to="image", fusion="rrf")
            >>> mine.table.columns.tolist()
            ['direction', 'query_id', 'item_id', 'rank', 'score']
        """
        given = {
            name: value
            for name, value in locals().items()
            if name not in ("self", "to") and value is not None
        }
        return Rankings.of(self, to, given)

    @property
    def rankings(self) -> Rankings:
        """The run's own answers in both directions, as 04_retrieve wrote them.

        Example:
            >>> sorted(run.rankings.answers)
            ['image-to-text', 'text-to-image']
        """
        return Rankings.saved(self)

    def evaluate(
        self, rankings: Rankings | None = None, k_values: Sequence[int] = (1, 5, 10), seed: int = 0
    ) -> Evaluation:
        """Evaluate rankings of the split that is judged: measures with 95% intervals, groups, losses, suspects.

        Args:
            rankings: what is evaluated; the run's own answers unless given.
            k_values: the cutoffs of P@k, R@k and Success@k.
            seed: draws wrong pairs, queries that are shown, and the resamples of comparisons.

        Example:
            >>> run.evaluate().measures.columns.tolist()
            ['direction', 'measure', 'value', 'low', 'high', 'queries', 'pairs']
        """
        cutoffs = entries_of(k_values)
        check_values(k_values=cutoffs, seed=seed)
        if rankings is not None:
            return Evaluation(self, rankings, cutoffs, seed)
        if (cutoffs, seed) not in self._evaluations:
            self._evaluations[cutoffs, seed] = Evaluation(self, self.rankings, cutoffs, seed)
        return self._evaluations[cutoffs, seed]

    @cached_property
    def _evaluations(self) -> dict[tuple[tuple[int, ...], int], Evaluation]:
        """The evaluations of the run's own answers by cutoffs and seed, which panel and notebook share."""
        return {}

    def own_queries(
        self,
        unit: str | None = None,
        unit_score: str | None = None,
        k_values: Sequence[int] = (1, 5, 10),
        seed: int = 0,
    ) -> QueryReport:
        """Rank the user's own queries by each retriever, and judge the rankings by their judgements.

        Args:
            unit: what is found and counted: "image", "text", "pair" (an image with its texts), a column of the items
                such as "product_id", or "auto", what most judgements name; the run's parameter unless given.
            unit_score: a unit of several items scores as the "best" of them, or as their "mean"; the run's parameter
                unless given.
            k_values: the cutoffs of P@k, R@k and Success@k.
            seed: of the comparison's bootstrap.

        Returns:
            QueryReport; where 01_ingest was given no queries, it says so.

        Raises:
            ValueError: for a unit that is no column of the items.

        Example:
            >>> run.own_queries("image").by_group("kind").table.columns.tolist()[:3]
            ['system', 'column', 'group']
        """
        check_values(k_values=k_values, seed=seed)
        given = {"unit": unit, "unit_score": unit_score}
        chosen = [
            value or str(self.parameters.get(name, PARAMETERS[name].default)) for name, value in given.items()
        ]
        return QueryReport.of(self, chosen[0], chosen[1], k_values, seed)

    def compare(
        self,
        *others: str | Path,
        measures: Sequence[str] = ("Success@1", "Success@10", "RR"),
        measure: str = "Success@1",
        seed: int = 0,
    ) -> RunComparison:
        """Compare finished runs over the same items with this one, query by query.

        Args:
            others: names of runs, and paths of TREC run files that another system made of the same items (`export`
                writes these with their ids). In a run that holds no items, as the one of 08_compare, the first run
                is the baseline.
            measures: the measures to compare, of those that 05_evaluate wrote in every run.
            measure: by which changed queries are found and quality is set beside cost.
            seed: of the bootstrap and the permutations.

        Raises:
            ValueError: for fewer than two, where items, splits or the split that is judged differ, for a name that is
                neither a run nor a file, and for a damaged file, with the number of the line.

        Example:
            >>> run.compare("graph").conclusion
            '2 runs over the test split of ... items, compared with **demo**: no difference is more than chance.'
        """
        check_values(measures=entries_of(measures), measure=measure, seed=seed)
        own = [self] if self._files.has(run_files.ITEMS) and self.name not in others else []
        names, files = find_compared(others)
        runs = [*own, *(RunData(RunReader(name, self.step)) for name in names)]
        return RunComparison(runs, tuple(measures), measure, seed, files)

    def export(
        self,
        folder: str | Path | None = None,
        rankings: Rankings | None = None,
        to: Literal["trec", "beir", "mteb"] = "trec",
    ) -> Result:
        """Write what was judged for other tools: queries, right answers, and for TREC the rankings and their scores.

        trec: every file begins with the name of the run. NAME.text-to-image.run and .qrels are read by trec_eval,
        ir-measures and ranx, which find in them the rankings that 05_evaluate judges, equal scores against the system;
        .topics.xml holds the queries, .csv a row for each query, NAME.items.csv the texts and images of the split that
        is judged. A spreadsheet opens these safely. beir and mteb: a folder for each direction, which these benchmarks
        read as a data set of their own: queries, corpus, and what is relevant. mteb copies the images. Queries of the
        user's own are in own-queries beside the directions; for beir and mteb those of words alone.

        Args:
            folder: where to; export/ in the run's folder unless given, for beir and mteb export/FORMAT. Files of these
                names are replaced.
            rankings: what is written; the run's own answers unless given.
            to: the format.

        Returns:
            A row for each file: file, rows, content.

        Raises:
            ValueError: for an unknown format; for beir and mteb where no query has a right answer, for mteb also where
                an image cannot be read.

        Example:
            >>> run.export("exported").table["file"].tolist()[:2]
            ['demo.items.csv', 'demo.text-to-image.topics.xml']
            >>> run.export("exported", to="beir").table["file"].tolist()[:1]
            ['text-to-image/corpus.jsonl']
        """
        check_value("to", to, Choice(("trec", *DATASET_WRITERS)))
        evaluation = self.evaluate(rankings, self.parameters.get("k_values", (1, 5, 10)))
        target = Path(folder) if folder is not None else self.folder / "export" / (to if to != "trec" else "")
        rankings = evaluation.rankings
        if to == "trec":
            own = self.name if rankings.name == self.name else f"{self.name}-{rankings.name}"
            files = (target, re.sub(r"[^\w.-]+", "-", own))
            judged = (rankings.answers, evaluation.qrels, evaluation.per_query, rankings.items)
            table = write_trec(*files, *self.own_queries().beside(judged))
        else:
            datasets = evaluation.retrieval_datasets | self.own_queries().retrieval_datasets
            table = write_datasets(target, datasets, to)
        return Result(table, f"{len(table)} files are in `{target}`.")

    def export_vectors(
        self,
        to: Literal["clip-retrieval", "parquet", "faiss"],
        folder: str | Path | None = None,
        model: str | None = None,
        dtype: Literal["float32", "float16"] = "float32",
        hnsw_m: int | None = None,
    ) -> Result:
        """Write the run's vectors with their items for other tools; memory does not grow with the rows, but for FAISS.

        clip-retrieval: img_emb/, text_emb/ and metadata/, in which row i is one image with one text. parquet: shards of
        item_id, modality, pair_id, text, image, label and vector, with the space in the schema's metadata. faiss: an
        index of inner products for each modality, and ids.parquet.

        Args:
            to: the format.
            folder: an empty or new one, or that of an earlier export; export/FORMAT in the run's folder unless given.
            model: one of `models`, or the key of its space; the main space unless given.
            dtype: of clip-retrieval's vectors.
            hnsw_m: edges of a node, from 2, for a graph of FAISS; the index is exact unless given.

        Returns:
            A row for each file: file, rows, content.

        Raises:
            ValueError: for a format, dtype or hnsw_m that does not fit, and a folder that holds something else.
            ImportError: for "faiss" where FAISS is not installed.

        Example:
            >>> run.export_vectors("parquet").table["file"].tolist()
            ['vectors_00000.parquet']
        """
        target = Path(folder) if folder is not None else self.folder / "export" / to
        exported = ExportedVectors.of_file(self._files.read(run_files.ITEMS), self.vectors(model=model))
        table = export_vectors(exported, to, target, dtype, hnsw_m)
        return Result(table, describe_files(table, target, to))

    def plan(self, items: int, **settings: Any) -> Result:
        """Put a Qdrant cluster with more items of this kind on paper: bytes, memory, nodes, hours, cost.

        Dimension, retrievers and settings of the index are those of the run; so are the items a second of 02, the
        points a second of 03, the time of a query, the bytes of payload and words, and the rows of late vectors.

        Args:
            items: images and texts together.
            settings: of `plan_cluster` where they differ, such as model, quantization, replicas, node_ram_gb, qps,
                embed_per_second, gpu_hour.

        Returns:
            A row for each quantity: quantity, each_bytes (of an item), amount, unit, cost, source.

        Example:
            >>> run.plan(1_000_000, replicas=1).table["quantity"].tolist()[:2]
            ['dense vectors', 'quantized copies, scalar']
        """
        space = (
            self._vectors_of(settings["model"]).space if "model" in settings else self.all_vectors[0].space
        )
        own = {name: self.parameters[name] for name in PLANNED if name in self.parameters}
        known = {"dimension": space.dimension, **own}
        plan = plan_cluster(items, settings, known, measured_rates(self))
        return Result(plan.table(), plan.sentence, digits=2)

    def fixes(self) -> Result:
        """List what to repair in the dataset, the costliest first, for whoever owns the data.

        Made of the files of the run: suspected wrong pairs and texts that fit another image as well (05_evaluate), what
        01_ingest refused, marked, added or cleaned, and judgements by hand that contradict the pairs.

        Returns:
            A row for each entry: file, row (of the file, from 1 below the header; missing where it has none), finding,
            suggestion, image, text, missed_queries (how many it may explain).

        Example:
            >>> run.fixes().table.columns.tolist()
            ['file', 'row', 'finding', 'suggestion', 'image', 'text', 'missed_queries']
            >>> fixes = run.fixes().save("fixes.csv")
        """
        return list_fixes(FixList.of_run(self))

    # Studies: what is tried out beside the run's own answers

    def modality_gap(self) -> Result:
        """Show the distance of the means of texts and images (0 to 2), as embedded and centred (Liang et al. 2022).

        Example:
            >>> run.modality_gap().table["vectors"].tolist()
            ['as embedded', 'centred']
        """
        from mmlab.retrieve.score_studies import measure_gap

        table = measure_gap(self.all_vectors[0], self.judged().items)
        if table.empty:
            return Result(
                table, f"The modality gap needs texts and images in one space. {self.space_sentence}"
            )
        before, *after = table["modality gap"]
        centred = (
            f"after centring {after[0]:.2f}" if after else "and cannot be centred: items are their own mean"
        )
        return Result(table, f"The modality gap is {before:.2f}, {centred}.")

    def study_hubs(self, depth: int = 100, seed: int = 0) -> HubStudy:
        """Count how often items are among the nearest of all queries, plain and by every rescoring.

        Args:
            depth: how many items are ranked for each query.
            seed: divides the pairs; a temperature is chosen on validation queries.

        Example:
            >>> run.study_hubs(depth=10).hubs["rescoring"].unique().tolist()
            ['none', 'centring', 'csls', 'inverted_softmax', 'qb_norm']
        """
        check_values(depth=depth, seed=seed)
        return HubStudy.of(self, depth, seed)

    @or_reason
    def compare_scales(self, query: str, k: int = 8) -> Result:
        """Show the scores of one query's hits beside the same scores normalised: min-max, z-score and by rank.

        Example:
            >>> run.compare_scales("a red mug", k=3).table[["rank", "by rank"]].shape
            (3, 2)
        """
        from mmlab.retrieve.scores.fuse import compare_normalizers

        hits = self.search([query], k=k)
        if not len(hits):
            raise TooFew(f"scores are compared on the hits of a query: {self.held}")
        table = compare_normalizers(hits.table)
        return Result(
            table, "", shown=table[["rank", "pair_id", "score", "by min-max", "by z-score", "by rank"]]
        )

    def calibrate(self, depth: int = 100, seed: int = 0, split: str | None = None) -> CalibrationStudy:
        """Fit every kind of calibration on validation queries and evaluate it on others, for each direction.

        Queries are asked against the items of their own split.

        Args:
            depth: how many items are ranked for each query.
            seed: divides the pairs where there is no validation split.
            split: the split to evaluate on, as of `rank`; "all" fits and evaluates where all items are one gallery.

        Example:
            >>> study = run.calibrate()
            >>> sorted(study.fitted)
            ['isotonic', 'logistic', 'temperature']
        """
        check_values(depth=depth, seed=seed, split=split)
        return CalibrationStudy.of(self, depth, seed, split)

    @cached_property
    def _calibrations(self) -> CalibrationStudy:
        """The calibrations of a search, which finds items of all splits."""
        return self.calibrate(split="all")

    def study_fusion(
        self,
        systems: Literal["text and image", "models"] = "models",
        fusion: str = "weighted_sum",
        depth: int = 100,
        seed: int = 0,
    ) -> FusionStudy:
        """Learn how much each of several systems counts when they are fused, and evaluate it on other queries.

        Args:
            systems: "text and image" (a pair's first text and its image ask for its other texts), or "models".
            fusion: "weighted_sum", "rrf" or "dbsf".
            depth: how many items are ranked for each query.
            seed: divides the pairs where there is no validation split.

        Example:
            >>> sorted(run.study_fusion("text and image").trials)
            ['text and image']
        """
        check_values(fusion=fusion, depth=depth, seed=seed)
        return FusionStudy.of(self, systems, fusion, depth, seed)

    def tune(self, grid: IndexGrid | None = None, **settings: Any) -> TuningReport:
        """Measure settings of the index on the run's vectors; nothing of the run is changed.

        Args:
            grid: the settings to try; those of 07_tune unless given.
            settings: neighbours, points, store, seed: see `TuningReport`.

        Example:
            >>> report = run.tune(IndexGrid(m=[8, 16], quantizations=["scalar"]), neighbours=5)
            >>> report.k
            5
        """
        return TuningReport.of(self, grid, settings)

    def tune_model(
        self,
        model: str | None = None,
        batch_sizes: Sequence[int] = (8, 16, 32),
        precisions: Sequence[str] = ("float32", "bfloat16"),
        items: int = 64,
        seed: int = 0,
    ) -> ModelSpeed:
        """Measure how fast a model embeds, and what a precision costs: cosines to float32, and what is found.

        Args:
            model: the model; the run's first unless given.
            batch_sizes: items that go through the model at a time.
            precisions: numbers that it computes with.
            items: how many of each modality are timed.
            seed: draws them, and the pairs on which precisions are compared.

        Example:
            >>> speed = run.tune_model(batch_sizes=[8], precisions=["float32"], items=8)
            >>> speed.speeds["modality"].tolist()
            ['image', 'text']
        """
        check_values(tune_batch_sizes=entries_of(batch_sizes), tune_precisions=entries_of(precisions))
        check_values(tune_items=items, seed=seed)
        return ModelSpeed.of(self, model or self.models[0], list(batch_sizes), list(precisions), items, seed)

    # Seeing

    def map(self, pairs: int | None = 500, group_by: str = "label", **settings: Any) -> MapReport:
        """Lay out a sample of pairs, or all items, by UMAP and by t-SNE.

        Args:
            pairs: how many pairs are drawn, each with one image and one text; None for all items, up to 100,000.
            group_by: the items column whose values are the categories.
            settings: umap_neighbours, perplexity, seed: see `MapReport`.

        Example:
            >>> run.map(pairs=20).umap().table.columns.tolist()
            ['item_id', 'x', 'y']
        """
        return MapReport(self, pairs, group_by, **settings)

    def atlas(
        self, pairs: int | None = None, neighbours: int = 10, **settings: Any
    ) -> "EmbeddingAtlasWidget":
        """Return embedding-atlas's widget over the run: a map, charts that filter each other, a table and a search.

        It holds the items with all columns, their small images, and what the index finds nearest to each.
        `.selection()` gives what is chosen as a DataFrame. It comes with an extra, `pip install -e '.[atlas]'`. Its
        map is drawn by WebGPU: without it charts, table and search work, and `run.panel("map")` is the map.

        Args:
            pairs: how many pairs are drawn, each with one image and one text; None for all items, up to 100,000.
            neighbours: how many nearest items are noted for each.
            settings: group_by, umap_neighbours, seed: see `MapReport`.

        Raises:
            ImportError: where the extra is not installed.

        Example:
            >>> chosen = run.atlas().selection()  # doctest: +SKIP
        """
        return self.map(pairs, **settings).atlas(neighbours)

    def panel(
        self,
        kind: Literal["query", "compare", "browse", "inspect", "judge", "map"] = "query",
        **settings: Any,
    ) -> "ipywidgets.VBox":
        """Return a panel for JupyterLab. The query panel hands back `hits`, `question`, `selected` and `labels`.

        Args:
            kind: "query" (ask by text, image or both), "compare" (two settings side by side), "browse" (all items
                without a question, the worst suspects first), "inspect" (walk through missed queries and judge hits by
                hand), "judge" (walk through those hits of your own queries that nobody has judged) or "map" (the map of
                06, with a list of what is chosen).
            settings: query (a text, or the path of an image of the run, to begin with) and k for the first two; where
                (a filter, such as `panel.where` of a map) for "query"; k and by (who judges) for "inspect" and "judge";
                maps (a `MapReport`; all items, `run.map(None)`, if it is left out) for "map".

        Example:
            >>> panel = run.panel()
        """
        from mmlab.panels import compare_panel, query_panel

        searched = partial(panel_data, self, lambda: self._calibrations)
        openers: dict[str, Callable[..., ipywidgets.VBox]] = {
            "query": lambda query="", k=HITS_IN_PANEL, where=None: query_panel(searched(), query, k, where),
            "compare": lambda query="", k=HITS_IN_PANEL: compare_panel(searched(), query, k),
            "browse": self._browse,
            "inspect": lambda k=5, by=None: self.evaluate().failures().panel(k, by),
            "judge": lambda k=10, by=None: self.own_queries().panel(k, by),
            "map": lambda maps=None: (maps or self.map(None)).panel(),
        }
        check_value("panel", kind, Choice(tuple(openers)))
        check_values(k=settings.get("k"))
        return openers[kind](**settings)

    def _browse(self) -> "BrowsePanel":
        from mmlab.panels import browse_panel

        types = {name: kind for name, kind in payload_fields(self.items).items() if kind in FILTERABLE}
        return browse_panel(self.items, types, FixList.of_run(self).by_item)

    @property
    def questions(self) -> pd.DataFrame:
        """The questions that were saved by name in the query panel: a row for each of their hits.

        Columns: name, saved_at, question, rank, item_id, score, relevance (1 or 0 where it was labelled). They lie in
        questions.jsonl of the run's folder; the panel opens them again.
        """
        return SavedQuestions(self.folder / run_files.QUESTIONS).table

    # What the numbered notebooks do

    def inspect(
        self,
        dataset: str | Path,
        source: str = "auto",
        columns: str | Mapping[str, str] | Iterable[str] = (),
        rules: Rules | None = None,
    ) -> InspectionReport:
        """Look at a dataset before it is ingested: what would be joined, refused, passed over. No image is opened.

        Args:
            dataset: a folder, a table, hf://owner/name, or the URL of a Qdrant collection.
            source: how to read it; "auto" recognises it by looking.
            columns: the table's names for our columns, such as {"image": "photo"} or "image=photo".
            rules: what is cleaned, refused, marked and added.

        Raises:
            ValueError: where nothing useful would come of it; the message says why and what to do.

        Example:
            >>> run.inspect(run.dataset).inspection.kind
            'csv'
        """
        inspection = _look(dataset, source, columns, rules or Rules())
        inspection.check()
        return InspectionReport(inspection)

    def ingest(
        self,
        dataset: "str | Path | InspectionReport",
        source: str = "auto",
        columns: str | Mapping[str, str] | Iterable[str] = (),
        rules: Rules | None = None,
        queries: str | Path = "",
        qrels: str | Path = "",
        engine: str = "local",
    ) -> IngestReport:
        """Read a dataset into items, as 01_ingest does; `IngestReport.write` keeps them.

        Args:
            dataset: a folder, a table, hf://owner/name, the URL of a Qdrant collection, or what `inspect` returned,
                with its source and rules.
            source: how to read it; "auto" recognises it by looking.
            columns: the table's names for our columns, such as {"image": "photo"} or "image=photo".
            rules: what is cleaned, refused, marked and added.
            queries: a file or folder of queries of your own, "" for none: see `mmlab.ingest.read_queries`. A relative
                path starts at the dataset's folder, then at the project.
            qrels: judgements of what answers them, where they lie elsewhere.
            engine: where images are opened and measured: "local", or "ray", the cluster at RAY_ADDRESS.

        Example:
            >>> sorted(run.ingest(run.dataset).items["modality"].unique())
            ['image', 'text']
        """
        if isinstance(dataset, InspectionReport):
            looked = dataset.inspection
        else:
            looked = _look(dataset, source, columns, rules or Rules())
        result = ingest_items(looked, rules=rules or looked.rules, engine=engine)
        own = None
        if queries:
            own = read_queries(result.items, queries, qrels, result.images, looked.source.root)
        return IngestReport(result, rules or looked.rules, own)

    def embed(self, models: Sequence[str], **settings: Any) -> EmbedReport:
        """Embed the run's items with one or several models, as 02_embed does; `EmbedReport.write` keeps the vectors.

        Args:
            models: "demo", Hugging Face ids, or local folders.
            settings: prompts, precision, truncate_dim, batch_size, engine: see `embed_with_models`. space: the model
                that made the vectors that came with the dataset; nothing is embedded then.

        Raises:
            ValueError: where there are no items.

        Example:
            >>> [vectors.space.model for vectors in run.embed(["demo"]).vectors]
            ['demo']
        """
        return EmbedReport.of(self, models, settings)

    def build_index(self, **settings: Any) -> IndexReport:
        """Build the run's index, as 03_index does: send what is new or changed, delete what has vanished.

        Args:
            settings: layout, hnsw, quantization, on_disk, replace: see `mmlab.index.build_index`; as the run's
                parameters have them unless given.

        Example:
            >>> run.build_index().sent
            0
        """
        self.__dict__.pop("index", None)
        return IndexReport.of(self, settings)


def _look(dataset: str | Path, source: str, columns: Any, rules: Rules) -> Inspection:
    """Look at a dataset; the points of a collection on a server are read into the cache first."""
    url = str(dataset)
    if not is_collection(url):
        return inspect_dataset(dataset, source, columns, rules)
    folder = data() / "cache" / "collections" / hashlib.sha256(url.encode()).hexdigest()[:16]
    found = inspect_dataset(download_collection(url, folder), "vectors", columns, rules)
    return replace(found, dataset=url)


@overload
def open_run(name: None = None) -> RunList: ...


@overload
def open_run(name: str | Step) -> Run: ...


def open_run(name: str | Step | None = None) -> Run | RunList:
    """Open a run of the notebooks by its name; list all runs without one.

    Args:
        name: the run's name, as in data/runs/<name>; in a numbered notebook its step, so that the files it reads are
            recorded and checked.

    Returns:
        A `Run`; a `RunList` where no name is given.

    Raises:
        FileNotFoundError: where there is no such run, naming those that there are.
        DamagedManifest: a ValueError, where its manifest.json is none.

    Example:
        >>> import mmlab
        >>> run = mmlab.open_run("demo")
        >>> runs = mmlab.open_run()
    """
    if name is None:
        return RunList()
    if isinstance(name, Step):
        return Run(RunReader(name.run_name, name))
    files = RunReader(name)
    if not (files.folder / run_files.MANIFEST).exists():
        known = RunList().table
        names = ", ".join(known["name"]) if len(known) else "none yet; make one with mmlab demo"
        raise FileNotFoundError(f"there is no run {name!r} in {files.folder.parent}; there are: {names}")
    read_manifest(name)  # a damaged one is said here
    return Run(files)


def measured_rates(run: RunData) -> dict[str, Rate]:
    """Return what a run has measured of the RATES of a plan, each with the notebook or the items that it is from."""
    found, steps = {}, run.manifest["steps"]
    for name, notebook in (("embed_per_second", "02_embed"), ("upload_per_second", "03_index")):
        if notebook in steps:
            source = f"{notebook} of {run.name} as a whole on its machine, measurements and caches included"
            found[name] = Rate(len(run.embedded_items) / steps[notebook]["seconds"], source)
    if "03_index" in steps:
        found["query_ms"] = Rate(
            float(run.benchmark["p50_ms"].iloc[-1]), f"03_index of {run.name}, the median"
        )
    items = run.embedded_items.head(MEASURED_ITEMS)
    payloads = [json.dumps(one) for one in payload_rows(items, payload_fields(items))]
    size = HEADROOM * sum(map(len, payloads)) / len(payloads)
    found["payload_bytes"] = Rate(size, f"JSON of the items of {run.name} x 1.5, {CAPACITY}")
    return found | _ragged_rates(run)


def _ragged_rates(run: RunData) -> dict[str, Rate]:
    """Return the bytes of an item's weighted terms, and the rows of its tokens, of the retrievers that a run has."""
    found, source = {}, f"the items of {run.name}"
    for kind in {"bm25", "sparse", "late"} & set(run.retrievers):
        own = run.vectors_of([kind])[0]
        parts = own.take(own.ids[:MEASURED_ITEMS])
        if kind == "late":
            found["tokens"] = Rate(len(parts.array) / len(parts), source)
        else:
            each = sum(len(parts.part_bytes(row)) for row in range(len(parts))) / len(parts)
            found[f"{kind}_bytes"] = Rate(each, source)
    return found
