"""The table of parameters: what each can be, what it is unless given, and one sentence on what it is for.

The cells of parameters in the notebooks are lines of this table, and every value is held against it before anything
runs: those of the command line, of a sweep's file, of a notebook, and those of the same name in a call.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmlab.items.options import OPTIONS, Choice, Kind, Many, Number, Text, Truth, Whole, check_value

# a name that ends like a page would clash with `data/runs/index.html`
RUN_NAME = re.compile(r"(?!.*\.html?\Z)[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", re.IGNORECASE)
MEASURE = re.compile(r"(P|R|Success|RR|nDCG|AP)@[1-9]\d{0,8}|RR|nDCG|AP|Rprec|AP@R|nDCG@10 by labels")
COLUMN = re.compile(rf"\s*({'|'.join(OPTIONS['column'])})\s*=\s*\S.*")
URL = re.compile(r"https?://[^\s/]+\S*", re.IGNORECASE)
SUM_TOLERANCE = 1e-6  # of weights that add up to 1
MAX_SEED = 2**32 - 1  # of NumPy and scikit-learn


@dataclass(frozen=True)
class Parameter:
    """A parameter of a notebook: its kind (None for one that no command line can write), default, and sentence."""

    name: str
    kind: Kind | None
    default: Any
    help: str

    @property
    def written(self) -> str:
        """The default as a notebook has it."""
        return _literal(self.default)

    @property
    def line(self) -> str:
        """The line of the parameter in the cell of a notebook."""
        kind = f": {self.kind.type}" if self.kind else ""
        return f"{self.name}{kind} = {self.written}  # {self.help}"


def _literal(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def parse_weights(text: str) -> tuple[float, ...]:
    """Return the numbers of a text such as "0.7, 0.3"; raise ValueError unless they are shares that add up to 1."""
    shares = tuple(map(float, text.split(",")))
    if min(shares) < 0 or not abs(sum(shares) - 1) <= SUM_TOLERANCE:
        raise ValueError(text)
    return shares


def _are_weights(text: str) -> bool:
    try:
        return text in ("equal", "learned") or len(parse_weights(text)) > 1
    except ValueError:
        return False


NOT_EMPTY = str.strip
TEMPLATE = Text('a text that holds {} once, such as "a photo of {}"', lambda text: text.count("{}") == 1)
NAME = "1 to 100 letters, digits, '.', '_' or '-', not starting with '.' or '-' and not ending in .html"
STORE = "empty, the URL of a Qdrant server such as http://localhost:6333, or the absolute path of a folder"
RENAMED = f"ours=theirs, such as image=url, ours being one of {', '.join(OPTIONS['column'])}"
WEIGHTS = "equal, learned, or numbers from 0 that add up to 1, such as 0.7, 0.3"
ONE_MEASURE = Text("a measure such as Success@1, nDCG@10 or RR", MEASURE.fullmatch)
MODEL = Text("demo, a Hugging Face id or the path of a folder", NOT_EMPTY)
COUNT, SHOWN, CANDIDATES = Whole(1, 100_000), Whole(1, 1000), Whole(1, 10_000)
QUANTIZATION, PRECISION = Choice(OPTIONS["quantization"]), Choice(OPTIONS["precision"])

PARAMETERS = {
    one.name: one
    for one in (
        Parameter("name", Text(NAME, RUN_NAME.fullmatch), "demo",
                  "name of the run: its files lie in data/runs/<name>/"),
        Parameter("dataset", Text("a folder, a table or hf://owner/name", NOT_EMPTY), "data/demo",
                  "folder, table, hf://owner/name or Qdrant collection; paths start at the project"),
        Parameter("source", Choice(OPTIONS["source"]), "auto",
                  "how to read it where that is not seen: csv, json, coco, sidecar, vectors, ..."),
        Parameter("columns", Many(Text(RENAMED, COLUMN.fullmatch), 0), [],
                  "columns under other names, each written: ours, an equals sign, theirs"),
        Parameter("images_at", Text("a folder, or empty"), "",
                  "a further folder where images lie, anywhere; a relative path starts at the dataset"),
        Parameter("follow_links", Truth(), False, "use images and texts behind links that lead out of the dataset"),
        Parameter("max_downloads", Whole(0, 100_000_000), 300,
                  "where more images than this lie on the web, nothing is fetched"),
        Parameter("queries", Text("a file or a folder, or empty"), "",
                  "queries of your own: a table, BEIR, TREC, MTEB; a relative path starts at the dataset"),
        Parameter("qrels", Text("a file or a folder, or empty"), "",
                  "judgements of what answers them (query, item, relevance), where they lie elsewhere"),
        Parameter("min_words", Whole(0, 1000), 5, "texts of fewer words are marked as short text; 0 marks none"),
        Parameter("max_chars", Whole(1, 1_000_000), 1000, "longer texts are cut after the last word that fits"),
        Parameter("replacements", Text("a csv file, or empty"), "",
                  "csv with columns find, replace: synonyms and domain terms"),
        Parameter("refuse", Many(Choice(OPTIONS["finding"]), 0), [],
                  'findings that are refused beside the usual ones, such as "short text"'),
        Parameter("keep", Many(Choice(OPTIONS["finding"]), 0), [],
                  'findings that are kept and marked though usually refused, such as "duplicate image"'),
        Parameter("ocr", Truth(), True, "read the text printed in images that have no other"),
        Parameter("ocr_confidence", Whole(0, 100), 60, "words that the reader is less sure of are dropped, 0 to 100"),
        Parameter("captioner", Text("a Hugging Face id, the path of a folder, or empty"), "",
                  "id or folder of a BLIP model that writes captions for images still without text"),
        Parameter("private_addresses", Truth(), False, "fetch images from private and loopback addresses too"),
        Parameter("seed", Whole(0, MAX_SEED), 0,
                  "draws all that is drawn at random: samples, queries, halves of the pairs"),
        Parameter("models", Many(MODEL, most=20), ["demo"],
                  '"demo", Hugging Face ids such as openai/clip-vit-base-patch32, local folders'),
        Parameter("space", Text("empty, demo, a Hugging Face id or the path of a folder"), "",
                  "of ready vectors: the model that made them, which embeds queries where it can be loaded"),
        Parameter("prompts", Many(TEMPLATE, 0), [],
                  'templates such as "a photo of {}" for each text; vectors of several are averaged'),
        Parameter("precision", PRECISION, "float32",
                  "float32, bfloat16, int8 (with OpenVINO), or auto: the fastest near enough"),
        Parameter("truncate_dim", Whole(0, 100_000), 0,
                  "how many first dimensions of a vector are kept (Matryoshka), 0 for all; see 07_tune"),
        Parameter("batch_size", CANDIDATES, 32,
                  "images or texts that go through a model at a time; 07_tune measures which is fastest"),
        Parameter("engine", Choice(OPTIONS["engine"]), "local",
                  "where it is done: local, or ray: the cluster at RAY_ADDRESS, or one started here"),
        Parameter("pool_tokens", Whole(1, 16), 1,
                  "late interaction: about how many token vectors of an item become one; 1 keeps them all"),
        Parameter("store", Text(STORE, lambda text: not text or URL.fullmatch(text) or os.path.isabs(text)), "",
                  "empty: Qdrant Edge in a folder of its own; or the URL of a Qdrant server"),
        Parameter("retrievers", Many(Choice(OPTIONS["retriever"])), ["dense"],
                  "ways to rank: dense, bm25, and sparse or late with models of that kind"),
        Parameter("bm25_language", Choice(OPTIONS["bm25_language"]), "english",
                  "language of the texts, for BM25's stop words and stemmer; none for neither"),
        Parameter("bm25_stop_words", Truth(), True, "BM25 leaves out the stop words of the language"),
        Parameter("bm25_stemming", Truth(), True, "BM25 reduces words to their stems, so that mugs find a mug"),
        Parameter("layout", Choice(OPTIONS["layout"]), "unified", "layout of the index: unified, separate or named"),
        Parameter("quantization", QUANTIZATION, "scalar",
                  "none, scalar (int8), product, binary or turbo; with a size as in product-32"),
        Parameter("rescore", Truth(), True, "rank what was found by quantized copies again, by the vectors themselves"),
        Parameter("oversampling", Number(1, 100), 2.0, "times k candidates that are ranked again"),
        Parameter("always_ram", Truth(), True,
                  "keep the quantized copies in memory, also where the vectors are on disk"),
        Parameter("on_disk", Truth(), False, "leave the vectors themselves on disk"),
        Parameter("hnsw_m", SHOWN, 64, "links per point of the HNSW graph"),
        Parameter("hnsw_ef_construct", Whole(4, 10_000), 128, "candidates looked at while a point is linked"),
        Parameter("ef", CANDIDATES, 50, "candidates looked at while searching"),
        Parameter("replace", Truth(), False, "on a server: make anew what is there of this index with other settings"),
        Parameter("neighbours", CANDIDATES, 10, "how many nearest items a search is compared on with exact search"),
        Parameter("query", Text("a text, or empty"), "", "a text to search for; empty: a text of the collection"),
        Parameter("k", COUNT, 8, "hits that are shown"),
        Parameter("split", Text("auto, all or the name of a split", NOT_EMPTY), "auto",
                  "queries and gallery judged: auto (test, else validation, else all), all, a name"),
        Parameter("max_queries", Whole(0, 100_000_000), 0,
                  "queries of each direction that are drawn, by pair, against the whole gallery; 0: all"),
        Parameter("depth", COUNT, 100, "hits of each query that are ranked and kept"),
        Parameter("exact", Truth(), True, "rank the run's answer by exact search, not by the graph"),
        Parameter("fusion", Choice(OPTIONS["fusion"]), "none",
                  "of the run's models: none (09: weighted_sum), weighted_sum, rrf or dbsf"),
        Parameter("weights", Text(WEIGHTS, _are_weights), "equal",
                  'of the fused models: equal, learned (on validation), or numbers, as "0.7, 0.3"'),
        Parameter("rrf_k", Whole(0, 1_000_000), 60,
                  "the constant k of reciprocal rank fusion: the larger, the less the first ranks count"),
        Parameter("rescoring", Choice(OPTIONS["rescoring"]), "none",
                  "against hubs: none, centring, csls, inverted_softmax or qb_norm"),
        Parameter("calibration", Choice(OPTIONS["calibration"]), "none",
                  "of the scores: none, temperature, logistic or isotonic"),
        Parameter("rerank", Whole(0, 10_000), 0,
                  "how many first hits a matching head, or rerank_model, ranks again"),
        Parameter("rerank_model", Text("a Hugging Face id, the path of a folder, or empty"), "",
                  "id or folder of a cross-encoder that ranks again; empty: a model's matching head"),
        Parameter("siblings", Choice(OPTIONS["siblings"]), "leave_out",
                  "a query's other captions of its image: leave_out, or keep as answers"),
        Parameter("unit", Text("auto, image, text, pair or the name of a column", NOT_EMPTY), "auto",
                  "what own queries find: image, text, pair, a column such as product_id, or auto"),
        Parameter("unit_score", Choice(OPTIONS["unit_score"]), "best",
                  "how a unit of several items scores: as the best of them, or their mean"),
        Parameter("k_values", Many(COUNT), [1, 5, 10], "cutoffs of P@k, R@k and Success@k"),
        Parameter("group_by", Text("the name of a column", NOT_EMPTY), "label",
                  "the items column whose values are the categories"),
        Parameter("benchmark", Text("the name of a published split, or empty"), "",
                  "published split that the items are, such as flickr30k-1k; empty: the dataset's name"),
        Parameter("examples", SHOWN, 3, "queries that are shown as examples of each kind"),
        Parameter("suspects", SHOWN, 6, "suspects of each kind that are shown for review"),
        Parameter("sample", COUNT, 500, "pairs that are drawn, each with one image and one text"),
        Parameter("umap_neighbours", Whole(2, 1000), 15, "UMAP: how many neighbours make a neighbourhood"),
        Parameter("perplexity", Number(1, 1000), 30.0,
                  "t-SNE: about how many neighbours count; fewer where the sample is small"),
        Parameter("tune_m", Many(SHOWN, most=20), [16, 64], "links per point of the graph"),
        Parameter("tune_ef_construct", Many(Whole(4, 10_000), most=20), [128],
                  "candidates looked at while a point is linked"),
        Parameter("tune_ef", Many(CANDIDATES, most=20), [16, 50, 128], "candidates looked at while searching"),
        Parameter("tune_quantization", Many(QUANTIZATION, 0), ["scalar", "product", "binary", "turbo"],
                  "tried on the densest graph"),
        Parameter("tune_oversampling", Many(Number(1, 100), most=20), [2.0, 4.0],
                  "times k candidates that are ranked again"),
        Parameter("tune_on_disk", Many(Truth()), [False, True], "where the vectors lie: False in memory, True on disk"),
        Parameter("tune_points", Whole(1, 100_000_000), 20000, "vectors at most, drawn at random from more"),
        Parameter("tune_batch_sizes", Many(CANDIDATES, most=20), [8, 16, 32],
                  "items that go through the model at a time"),
        Parameter("tune_precisions", Many(PRECISION), ["float32", "bfloat16"], "numbers that the model computes with"),
        Parameter("tune_dimensions", Many(Whole(1, 100_000), most=20), [64, 128, 256, 512],
                  "first dimensions of the run's vectors that are kept"),
        Parameter("tune_items", COUNT, 64, "items of each modality that the model is timed on"),
        Parameter("runs", Many(Text("a run or a TREC run file", NOT_EMPTY), 2), ["demo", "other"],
                  "names of runs, or paths of TREC run files; compared with the first run"),
        Parameter("measures", Many(ONE_MEASURE), ["Success@1", "Success@10", "RR"],
                  "of those that 05_evaluate wrote in every run"),
        Parameter("measure", ONE_MEASURE, "Success@1",
                  "by which changed queries are found, and quality is set beside cost"),
        Parameter("margin", Number(0, 100, above=True), 0.5,
                  "points (hundredths of a measure): a loss to the first run that would still do"),
    )
}  # fmt: skip


def check_values(**values: Any) -> None:
    """Raise ValueError unless every value is one that the parameter of its name can have; None stands for not given.

    >>> check_values(k=3, layout="named")
    """
    for name, value in values.items():
        if value is not None:
            check_value(name, value, PARAMETERS[name].kind)


def check_together(values: Mapping[str, Any]) -> None:
    """Raise ValueError for values that do not go together, though each is right; what is missing is as by default."""
    given = {name: one.default for name, one in PARAMETERS.items()} | dict(values)
    if both := sorted(set(given["refuse"]) & set(given["keep"])):
        raise ValueError(f"parameters refuse and keep both list {both}: list each finding in one of them")
    if given["qrels"] and not given["queries"]:
        raise ValueError(f"parameter qrels: {given['qrels']!r} judges queries of your own; set queries too")
    if given["weights"] != "equal" and given["fusion"] == "none":
        raise ValueError(
            f"parameter weights: {given['weights']!r} needs a fusion; set fusion to rrf, dbsf or weighted_sum"
        )
    answering = given["retrievers"] if given["fusion"] != "none" else given["retrievers"][:1]
    if given["rescoring"] != "none" and (others := [one for one in answering if one != "dense"]):
        raise ValueError(
            f"parameter rescoring: {given['rescoring']!r} moves dense vectors or their cosines, found an answer by "
            f"{', '.join(others)}; set rescoring to none, or retrievers to dense alone"
        )
    if given["rerank_model"] and not given["rerank"]:
        raise ValueError(
            f"parameter rerank_model: {given['rerank_model']!r} needs to know how many of the first hits it ranks "
            "again; set rerank, as to 20"
        )
    if given["rescoring"] == "qb_norm" and given["calibration"] != "none":
        raise ValueError(
            "parameter calibration: qb_norm rescores some queries and leaves others as they are, so that their scores "
            "are on two scales and no calibration fits both; choose csls or inverted_softmax"
        )
