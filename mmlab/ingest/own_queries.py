"""Queries of the user's own with judgements of a dataset's items: resolved, checked, and every refusal listed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from mmlab.ingest.findings_cache import Blobs, FindingsCache
from mmlab.ingest.images.find import is_address, normalize_name
from mmlab.ingest.images.quality import measure_images
from mmlab.ingest.query_files import (
    FINDING_COLUMNS,
    IMAGE_ITEMS,
    JUDGEMENT,
    QUERY,
    QUERY_FIELDS,
    join_findings,
    read_query_files,
    to_findings,
)
from mmlab.ingest.sources.column_names import normalized, shortened
from mmlab.ingest.texts.cleaning import clean_texts
from mmlab.items import ITEM_COLUMNS, QREL_COLUMNS, check_columns, data
from mmlab.items.files import find_path
from mmlab.items.sentences import count, listed
from mmlab.items.tables import places_among

QUERY_COLUMNS = ("query_id", "text", "image")
OWN_QREL_COLUMNS = (*QREL_COLUMNS, "named")
MAX_RELEVANCE = 100
MAX_QRELS = 50_000_000  # judgements times the items that each names
ITEM, IMAGE, TEXT = "item", "image", "text"  # what a judgement may name, beside the values of a column
ID_WORDS = {
    "id",
    "ids",
    "key",
    "sku",
    "asin",
    "code",
    "handle",
    "uuid",
    "gtin",
    "ean",
    "isbn",
    "docno",
    "number",
}
TEXT_WORDS = {"text", "texts", "caption", "captions", "sentence", "sent", "sentid", "annotation", "ann"}
NAMES_SHOWN = 3

# Why a query or a judgement is refused; images that cannot be opened have the reasons of `mmlab.items.open_image`.
ID_TWICE, EMPTY, NO_IMAGE = "query id twice", "neither text nor image", "missing image"
UNKNOWN_QUERY, UNKNOWN_ITEM, NO_RELEVANCE = "unknown query", "unknown item", "no relevance"
JUDGED_TWICE, JUDGED_OTHERWISE = "judged twice", "judged differently"
# What is kept and marked.
CLEANED, UNJUDGED, NOTHING_RELEVANT = "cleaned text", "no judgement", "nothing relevant"


@dataclass(frozen=True, repr=False)
class OwnQueries:
    """Queries with the items that are judged for them, and what was refused or odd; made by `read_queries`.

    queries: query_id, text ("" where a query has none), image (absolute path, "" where it has none), then the user's
        columns, by which queries are grouped: text, Int64 or float64, by their names as written.
    qrels: query_id, item_id, relevance (int64, 0 to 100), named (what the judgement named: "item", "image", "text", or
        the column of the dataset whose value it gave); one line for each item.
    findings: what ("query" or "judgement"), file, row (from 1 below the header), query_id, name (of the item, as
        written), reason, detail, kept (False where it was refused, True where it is only marked).
    judgements: the number of judgements that are kept; one may name several items.
    notes: what was chosen or guessed, in sentences.
    """

    queries: pd.DataFrame
    qrels: pd.DataFrame
    findings: pd.DataFrame
    judgements: int
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_columns(self.queries, QUERY_COLUMNS, "queries")
        check_columns(self.qrels, OWN_QREL_COLUMNS, "qrels")
        check_columns(self.findings, FINDING_COLUMNS, "findings")

    def balance(self) -> pd.DataFrame:
        """Return outcome, queries, judgements: how many have each outcome; the last line is the total."""
        refused = self.findings[~self.findings["kept"]]
        counts = [
            refused.loc[refused["what"] == what, "reason"].value_counts() for what in (QUERY, JUDGEMENT)
        ]
        kept = {"queries": [len(self.queries)], "judgements": [self.judgements]}
        lost = pd.DataFrame(dict(zip(kept, counts, strict=True))).fillna(0).astype(int)
        table = pd.concat([pd.DataFrame(kept, index=["kept"]), lost])
        table.loc["total"] = table.sum()
        return table.rename_axis("outcome").reset_index()

    @property
    def sentence(self) -> str:
        """What came in, what was refused and what is marked, as Markdown."""
        has_text, has_image = self.queries["text"] != "", self.queries["image"] != ""
        kinds = {
            "a text": has_text & ~has_image,
            "an image": has_image & ~has_text,
            "both": has_text & has_image,
        }
        forms = listed([f"{mask.sum():,} with {kind}" for kind, mask in kinds.items() if mask.any()])
        named = self.qrels["named"].unique().tolist()
        by = f", which name {listed([f'*{one}*' for one in named])}" if named else ""
        items = count(self.qrels["item_id"].nunique(), "item")
        return (
            f"**{count(len(self.queries), 'query')}** came in, {forms}, with "
            f"**{count(self.judgements, 'judgement')}** of {items}{by}. {self._refused}{self._marked}"
        ).strip()

    @property
    def _refused(self) -> str:
        lost = self.findings[~self.findings["kept"]]
        queries = int((lost["what"] == QUERY).sum())
        counts = f"{count(queries, 'query')} and {count(len(lost) - queries, 'judgement')}"
        return f"{counts} were refused{_by_reason(lost)}. "

    @property
    def _marked(self) -> str:
        marked = self.findings[self.findings["kept"]]
        return f"{count(len(marked), 'mark')} on what is kept{_by_reason(marked)}." if len(marked) else ""

    def __repr__(self) -> str:
        return f"OwnQueries({len(self.queries):,} queries, {self.judgements:,} judgements)"


def _by_reason(findings: pd.DataFrame) -> str:
    counts = findings["reason"].value_counts().items()
    return ": " * bool(len(findings)) + ", ".join(f"*{reason}* ({number:,})" for reason, number in counts)


def read_queries(
    items: pd.DataFrame,
    queries: str | Path,
    qrels: str | Path = "",
    images: pd.DataFrame | None = None,
    folder: Path | None = None,
    cache: str | Path | None = None,
) -> OwnQueries:
    r"""Read queries of the user's own and judgements, and resolve them to the items of a dataset.

    queries, qrels: files or folders; relative paths start at `folder`, then at the project. Without qrels, judgements
        are looked for where the queries are: in the same table, or in a folder of BEIR's or MTEB's form.
    items: see `mmlab.items.ITEM_COLUMNS`, then the columns of the dataset.
    images: what became of each image of the dataset, as in `IngestResult.images`: a judgement of an image that repeats
        another counts for that one.
    cache: a folder, data/cache by default, that keeps images which come inside a table.

    The formats, recognised by their names and first lines:
    - a table (csv, tsv, JSON Lines, Parquet, Excel) with a column of texts (query, text, ...), of images (image, ...)
      or of both, an id (query_id, id, ...) or none, and further columns, by which queries are grouped;
    - a table of judgements: query_id (or the query's text), what is judged (item_id, image, product_id, ...) and
      relevance, a whole number from 0 to 100, 1 where there is no such column; queries may stand in the same table;
    - a click log, with impressions and clicks in place of relevance; see `mmlab.ingest.query_files.grade_clicks`;
    - a folder of BEIR (queries.jsonl, qrels/test.tsv), a retrieval data set of MTEB as `datasets` saves it (folders
      corpus, queries, qrels), topics (<top>, or id and text divided by a tab) and qrels (four columns) of TREC.

    A judgement names an item by its item_id; an image by its pair_id, path or file name, with or without its suffix; or
    all items that have its value in a column of the dataset: the column called as that of the judgements, else the one
    with an id that knows most of them. A column that is called after texts, such as caption_id, names texts only.

    Of two judgements of an item the last one holds. Raise FileNotFoundError or ValueError where a file as a whole
    cannot be read, no query can be used, or no judgement names an item; anything smaller costs itself only.

    >>> from tempfile import TemporaryDirectory
    >>> from mmlab.ingest import Rules, ingest_items
    >>> from PIL import Image
    >>> with TemporaryDirectory() as place:
    ...     Image.linear_gradient("L").save(Path(place, "a.png"))
    ...     _ = Path(place, "items.csv").write_text("image,caption,sku\na.png,a ramp from black to white,R1\n")
    ...     _ = Path(place, "queries.csv").write_text("query,sku,relevance\nramp,R1,2\nramp,R9,1\n")
    ...     items = ingest_items(Path(place, "items.csv"), cache=place, progress=False).items
    ...     own = read_queries(items, Path(place, "queries.csv"), cache=place)
    >>> own
    OwnQueries(1 queries, 1 judgements)
    >>> own.qrels[["relevance", "named"]].values.tolist()  # the image and its text
    [[2, 'sku'], [2, 'sku']]
    >>> own.findings[["row", "name", "reason"]].values.tolist()
    [[2, 'R9', 'unknown item']]
    """
    cache = Path(cache or data() / "cache")
    folders = [folder] if folder else []
    place = find_path("queries", queries, *folders)
    judged = find_path("qrels", qrels, *folders) if qrels else None
    names = _Names(items, images)
    read = read_query_files(place, judged, Blobs(cache / "images"), names.columns)
    with FindingsCache(cache / "ingest.sqlite") as known:
        kept, odd = _check_queries(read.queries, names, known)
    if kept.empty:
        raise ValueError(f"queries {place}: none of {len(read.queries):,} can be used{_first_reason(odd)}")
    resolved = _Judgements(read.judgements, kept.assign(written=read.queries["text"]), odd, names)
    marks = _unjudged(kept, resolved.qrels) if len(read.judgements) else []
    notes = [*read.notes, *names.notes, *["no judgements were given"] * read.judgements.empty]
    findings = join_findings([read.findings, odd, *resolved.findings, *marks])
    kept = kept.drop(columns=[name for name in QUERY_FIELDS if name not in QUERY_COLUMNS])
    return OwnQueries(kept.reset_index(drop=True), resolved.qrels, findings, resolved.kept, notes)


def _first_reason(findings: pd.DataFrame) -> str:
    if findings.empty:
        return ": expected a row for each query"
    first = findings.iloc[0]
    return f", first row {first['row']} of {first['file']}: {first['reason']} {first['detail']}".rstrip()


def _check_queries(
    queries: pd.DataFrame, names: "_Names", known: FindingsCache
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the queries that can be used, their texts cleaned, and the findings on all."""
    queries, repeated = _unique(queries)
    cleaned = clean_texts(queries["text"].tolist()).set_axis(queries.index)
    queries = queries.assign(text=cleaned["text"])
    files, reasons = _query_images(queries, names, known)
    empty = (queries["text"] == "") & (files == "") & reasons["reason"].isna()
    wrong = reasons["reason"].notna()
    usable = ~(empty | wrong)
    changed = usable & (cleaned["steps"] != "")
    by_reason = queries[wrong].groupby(reasons["reason"][wrong], sort=False)
    images = [_on_queries(some, str(reason), reasons["detail"]) for reason, some in by_reason]
    marks = _on_queries(queries[changed], CLEANED, cleaned["steps"], kept=True)
    findings = join_findings([repeated, _on_queries(queries[empty], EMPTY), *images, marks])
    return queries.assign(image=files)[usable], findings


def _on_queries(
    queries: pd.DataFrame, reason: str, details: "pd.Series | None" = None, kept: bool = False
) -> pd.DataFrame:
    detail = "" if details is None else details[queries.index]
    return to_findings(queries[["table", "row", "query_id"]], QUERY, reason, detail, kept)


def _unique(queries: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the first row of each query id, and findings on the others.

    In a table of judgements a query has a row for each of them, which is a finding only where its content differs.
    """
    content = queries["text"] + "\x1f" + queries["image"] + "\x1f" + queries["file"].fillna("")
    firsts = queries.index.to_series().groupby(queries["query_id"]).transform("first")
    same = content == content[firsts].set_axis(queries.index)
    again = (firsts != queries.index) & (queries["listed"] | ~same)
    row = queries["row"][firsts].set_axis(queries.index).astype("str")
    detail = ("the same as row " + row + ", kept once").where(
        same, "another query than row " + row + ", which holds"
    )
    return queries[firsts == queries.index], _on_queries(queries[again], ID_TWICE, detail)


def _query_images(
    queries: pd.DataFrame, names: "_Names", known: FindingsCache
) -> tuple[pd.Series, pd.DataFrame]:
    """Return the image file of each query, "" for none, and reason and detail where it cannot be used."""
    named = (queries["image"] != "") & queries["file"].isna()
    files = queries["file"].fillna(names.files(queries["image"].where(named, "")))
    facts, _ = measure_images({file: file for file in files.dropna().unique()}, known, progress=False)
    reasons = facts[["reason", "detail"]].reindex(files).set_axis(queries.index)
    lost = named & files.isna()
    why = names.why_unknown(queries["image"])
    detail = queries["image"] + " lies neither beside the table nor among the images of the dataset"
    detail = detail.mask(why != "", why)
    away = queries["image"] + " is an address: fetch it, and name its file"
    reasons["reason"] = reasons["reason"].mask(lost, NO_IMAGE)
    remote = queries["image"].map(is_address).astype(bool)
    reasons["detail"] = reasons["detail"].mask(lost, detail.mask(remote, away)).fillna("")
    return files.fillna(""), reasons


def _unjudged(queries: pd.DataFrame, qrels: pd.DataFrame) -> list[pd.DataFrame]:
    """Return findings on queries that are kept though no item is judged, or none is relevant."""
    best = qrels.groupby("query_id")["relevance"].max().reindex(queries["query_id"]).set_axis(queries.index)
    found = [(best.isna(), UNJUDGED), (best == 0, NOTHING_RELEVANT)]
    return [_on_queries(queries[mask], reason, kept=True) for mask, reason in found]


class _Names:
    """What a name can mean among the items of a dataset."""

    def __init__(self, items: pd.DataFrame, images: pd.DataFrame | None) -> None:
        self.items, self.images = items, images
        own = [name for name in items.columns if name not in ITEM_COLUMNS]
        self.columns = [*own, "label"]
        self.ids = [name for name in own if set(normalized(name).split("_")) & ID_WORDS]
        self.notes: list[str] = []
        self._tables: dict[str, pd.DataFrame] = {}

    def files(self, names: pd.Series) -> pd.Series:
        """Return the file of the image of the dataset that each name means, missing where it means none."""
        distinct = pd.Series(names[names != ""].unique(), dtype="str")
        found = self._known(distinct, IMAGE).drop_duplicates("name")
        files = self.items["image"].iloc[found["item"]].set_axis(distinct.iloc[found["name"]])
        return names.map(files.astype("str")).astype("str")

    def find(self, names: pd.Series, column: str) -> pd.DataFrame:
        """Return name, item (places among the names and the items) and named: all items that each name means.

        names: distinct. column: the one of the judgements that held them.
        """
        parts = [
            pd.DataFrame({"name": [], "item": [], "named": []}).astype({"name": "int64", "item": "int64"})
        ]
        left = np.ones(len(names), dtype=bool)
        for what in self._order(names, column):
            found = self._known(names[left], what)
            is_text = what in self.columns and set(normalized(what).split("_")) & TEXT_WORDS
            parts.append(found.assign(named=TEXT if is_text else what))
            left[found["name"].to_numpy()] = False
        return pd.concat(parts, ignore_index=True)

    def why_unknown(self, names: pd.Series) -> pd.Series:
        """Return for each name why no item has it, where that is known."""
        if self.images is None:
            return pd.Series("", names.index)
        refused = self.images.drop_duplicates("source").set_index("source")["outcome"]
        outcome = names.map(normalize_name).map(refused).astype("str")
        return ("this image was refused: " + outcome).fillna("")

    def _order(self, names: pd.Series, column: str) -> list[str]:
        """Return what the names may mean, the likeliest first."""
        wanted = normalized(column)
        same = [name for name in self.columns if normalized(name) == wanted]
        if same:
            return [same[0], ITEM, IMAGE]
        places = [ITEM, *[IMAGE] * (wanted in IMAGE_ITEMS), *self.ids, IMAGE]
        counts = {what: self._known(names, what)["name"].nunique() for what in dict.fromkeys(places)}
        best = max(counts, key=lambda what: counts[what])  # of several the first
        if best in self.ids and counts[best]:
            self.notes.append(
                f"the column {column} of the judgements was read as the column {best} of the dataset: "
                f"{counts[best]:,} of {len(names):,} names are known there"
            )
        return list(dict.fromkeys([best, ITEM, IMAGE]))

    def _known(self, names: pd.Series, what: str) -> pd.DataFrame:
        """Return name (its index) and item (its place) for each pair of them."""
        keys = names.map(normalize_name) if what == IMAGE else names
        wanted = pd.DataFrame({"name": names.index, "key": keys.to_numpy()})
        found = wanted.merge(self._table(what), on="key")
        first = found.groupby("name")["round"].transform("min")
        return found.loc[found["round"] == first, ["name", "item"]]

    def _table(self, what: str) -> pd.DataFrame:
        """Return key, item (its place) and round: what items are called; a key of a later round is the weaker one."""
        if what not in self._tables:
            rounds = list(self._image_keys()) if what == IMAGE else [self._keys(what)]
            parts = [keys.dropna().astype("str") for keys in rounds]
            tables = [
                pd.DataFrame({"key": part.to_numpy(), "item": part.index, "round": number})
                for number, part in enumerate(parts)
            ]
            self._tables[what] = pd.concat(tables, ignore_index=True).astype({"key": "str"})
        return self._tables[what]

    def _keys(self, what: str) -> pd.Series:
        """Return what each item (by place) is called in a column, as text, missing where it is not."""
        column = self.items["item_id" if what == ITEM else what].reset_index(drop=True)
        if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
            column = column.astype("Int64")
        keys = column.astype("str").str.strip().where(column.notna())
        if what != ITEM and set(normalized(what).split("_")) & TEXT_WORDS:
            keys = keys.where((self.items["modality"] == TEXT).to_numpy())
        return keys

    def _image_keys(self) -> Iterator[pd.Series]:
        """Yield what images are called: pair_id, the name of one that repeats it, path, and unique names of files."""
        numbered = self.items.reset_index(drop=True)
        images = numbered[numbered["modality"] == IMAGE]
        yield images["pair_id"]
        if self.images is not None:
            repeats = self.images.dropna(subset="duplicate_of")
            places = places_among(repeats["duplicate_of"], images["pair_id"])
            yield pd.Series(repeats["source"].to_numpy()[places >= 0], images.index[places[places >= 0]])
        yield images["image"]
        for part in (lambda path: path.name, lambda path: path.stem):
            names = images["pair_id"].map(lambda name, part=part: part(PurePosixPath(name)))
            yield names[~names.duplicated(keep=False)]


class _Judgements:
    """Judgements that are resolved to queries and items.

    qrels: as in `OwnQueries`. findings: on the judgements. kept: how many of them count.
    """

    def __init__(
        self, judgements: pd.DataFrame, queries: pd.DataFrame, odd: pd.DataFrame, names: _Names
    ) -> None:
        """Resolve all; raise ValueError where there are judgements and none names an item.

        queries: with written, their texts as in the file. odd: the findings on the queries.
        """
        self.rows, self.queries, self.names = judgements.reset_index(drop=True), queries, names
        self.findings: list[pd.DataFrame] = []
        query = self._query_places()
        numbers = pd.to_numeric(self.rows["relevance"], errors="coerce")
        right = (numbers.between(0, MAX_RELEVANCE) & (numbers % 1 == 0)).to_numpy()
        self._refuse(query < 0, UNKNOWN_QUERY, self._why_unknown(odd))
        expected = f"expected a whole number from 0 to {MAX_RELEVANCE}, found "
        self._refuse((query >= 0) & ~right, NO_RELEVANCE, expected + self.rows["relevance"])
        found = self._items_of((query >= 0) & right)
        found["query"] = query[found["row"]]
        found["relevance"] = numbers.to_numpy()[found["row"]].astype(np.int64)
        found = self._last(found.sort_values("row", kind="stable"))
        self.kept = found["row"].nunique()
        found = found.sort_values(["query", "row"], kind="stable")
        found["query_id"] = queries["query_id"].to_numpy()[found["query"]]
        found["item_id"] = names.items["item_id"].to_numpy()[found["item"]]
        texts = dict.fromkeys(("query_id", "item_id", "named"), "str")
        self.qrels = found[list(OWN_QREL_COLUMNS)].astype(texts).reset_index(drop=True)

    def _refuse(
        self, rows: "np.ndarray | pd.Index | pd.Series", reason: str, details: pd.Series, kept: bool = False
    ) -> None:
        """Add a finding for the rows, given as a mask or by their numbers; details: by the number of the row."""
        some = self.rows.loc[rows].rename(columns={"query": "query_id"})
        self.findings.append(to_findings(some, JUDGEMENT, reason, details[some.index], kept))

    def _query_places(self) -> np.ndarray:
        """Return the place of the query of each judgement: by its id, else by a text that one query has; else -1."""
        texts = self.queries["written"]
        once = texts.mask(texts.duplicated(keep=False) | (texts == ""))
        by_id = places_among(self.rows["query"], self.queries["query_id"])
        return np.where(by_id >= 0, by_id, places_among(self.rows["query"], once))

    def _why_unknown(self, odd: pd.DataFrame) -> pd.Series:
        lost = odd[~odd["kept"] & (odd["reason"] != ID_TWICE)].drop_duplicates("query_id")
        reasons = self.rows["query"].map(lost.set_index("query_id")["reason"]).astype("str")
        return ("the query was refused: " + reasons).fillna("no query has this id or text")

    def _items_of(self, used: np.ndarray) -> pd.DataFrame:
        """Return row, item and named for each item that one of the rows names; refuse the rows that name none."""
        parts = [pd.DataFrame({"row": [], "item": [], "named": []}).astype({"row": "int64", "item": "int64"})]
        for column, rows in self.rows[used].groupby("column", sort=False):
            codes, distinct = pd.factorize(rows["name"])
            found = self.names.find(pd.Series(distinct, dtype="str"), str(column))
            sizes = np.bincount(found["name"], minlength=len(distinct))[codes]
            if (total := int(sizes.sum())) > MAX_QRELS:
                raise ValueError(
                    f"qrels: {len(rows):,} judgements by the column {column} name {total:,} items, expected at most "
                    f"{MAX_QRELS:,}: judge by a column that tells items apart"
                )
            places = pd.DataFrame({"name": codes, "row": rows.index})
            parts.append(places.merge(found, on="name")[["row", "item", "named"]])
            lost = rows[sizes == 0]
            self._refuse(lost.index, UNKNOWN_ITEM, self.names.why_unknown(lost["name"]))
        found = pd.concat(parts, ignore_index=True)
        if used.any() and found.empty:
            first = shortened(self.rows["name"][used].unique().tolist())[:NAMES_SHOWN]
            raise ValueError(
                f"qrels: none of {used.sum():,} judgements names an item of the dataset, first {first}; expected "
                f"item_ids, names of images, or values of one of the columns {shortened(self.names.columns)}"
            )
        return found

    def _last(self, found: pd.DataFrame) -> pd.DataFrame:
        """Return the last judgement of each item for each query; those before it are findings.

        A judgement that still counts for another item is only marked.
        """
        groups = found.groupby(["query", "item"], sort=False)
        found["last"], found["later"] = groups["relevance"].transform("last"), groups["row"].transform("last")
        before = found["later"] != found["row"]
        lost = found[before].drop_duplicates("row").set_index("row")
        later = self.rows["row"][lost["later"]].set_axis(lost.index).astype("str")
        same = lost["last"] == lost["relevance"]
        values = lost[["relevance", "last"]].astype("str")
        other = values["relevance"] + " here, " + values["last"] + " in row " + later + ": the last holds"
        detail = ("the same in row " + later + ", kept once").where(same, other)
        counts = lost.index.isin(found["row"][~before])
        for mask, reason in ((same, JUDGED_TWICE), (~same, JUDGED_OTHERWISE)):
            self._refuse(lost.index[mask & ~counts], reason, detail)
            self._refuse(lost.index[mask & counts], reason, detail, kept=True)
        return found[~before]
