"""Data sets for retrieval as BEIR and MTEB read them: queries, the corpus that is searched, and what is relevant.

Both hold the same three tables, of one direction, in a folder:

    BEIR  corpus.jsonl, queries.jsonl and qrels/test.tsv. An image has an empty text, and its path as "image".
    MTEB  corpus/, queries/ and qrels/, Parquet files with the split test, and a README.md by which `datasets` and mteb
          find them. Texts are in the column text; images, as the bytes of their files, in the column image.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mmlab.items import QREL_COLUMNS, check_columns, is_among, replacing
from mmlab.items.images import ImageError, image_bytes
from mmlab.items.sentences import count

if TYPE_CHECKING:
    import pyarrow as pa

ITEM_FIELDS = ("item_id", "modality", "text", "image")
IMAGES_PER_BLOCK, ROWS_PER_BLOCK = 100, 10_000  # of a Parquet file that are in memory at a time
CONFIGURATIONS = ("corpus", "queries", "qrels")
SPLIT_FILE = "{}/test-00000-of-00001.parquet"
QREL_FIELDS = ("query-id", "corpus-id", "score")
FEATURES = {"string": {"dtype": "string", "_type": "Value"}, "int32": {"dtype": "int32", "_type": "Value"}}
IMAGE_FEATURE = {"_type": "Image"}


@dataclass(frozen=True)
class RetrievalDataset:
    """Queries and corpus, items of one modality each (item_id, modality, text, image), and qrels over both.

    Queries without a row of qrels are left out. Raises ValueError for a missing column, a table of two modalities, and
    qrels that name a query or an item that is not there.

    >>> items = pd.DataFrame({"item_id": ["t", "i"], "modality": ["text", "image"], "text": ["a mug", None],
    ...                       "image": [None, "mug.png"]})
    >>> right = pd.DataFrame({"query_id": ["t"], "item_id": ["i"], "relevance": [1]})
    >>> RetrievalDataset(items.head(1), items.tail(1), right).qrels.to_numpy().tolist()
    [['t', 'i', 1]]
    """

    queries: pd.DataFrame
    corpus: pd.DataFrame
    qrels: pd.DataFrame

    def __post_init__(self) -> None:
        check_columns(self.qrels, QREL_COLUMNS, "qrels")
        for table, column, name in (
            (self.queries, "query_id", "queries"),
            (self.corpus, "item_id", "corpus"),
        ):
            check_columns(table, ITEM_FIELDS, name)
            if table["modality"].nunique() > 1:
                raise ValueError(f"{name}: expected texts or images, found both")
            unknown = self.qrels.loc[~is_among(self.qrels[column], table["item_id"]), column]
            if len(unknown):
                raise ValueError(
                    f"qrels: {len(unknown)} rows name none of the {name}, first {unknown.iloc[0]}"
                )
        asked = is_among(self.queries["item_id"], self.qrels["query_id"])
        object.__setattr__(self, "queries", self.queries[asked])


def write_beir(folder: str | Path, dataset: RetrievalDataset) -> pd.DataFrame:
    """Write corpus.jsonl, queries.jsonl and qrels/test.tsv into a folder: file, rows, content.

    Files of these names are replaced, each as a whole.
    """
    folder, files = Path(folder), []
    for name, table in (("corpus", dataset.corpus), ("queries", dataset.queries)):
        _write_lines(folder / f"{name}.jsonl", _beir_lines(table, title=name == "corpus"))
        files.append((f"{name}.jsonl", len(table), f"{name} (BEIR)"))
    _write_lines(folder / "qrels" / "test.tsv", _tab_separated(dataset.qrels))
    files.append(("qrels/test.tsv", len(dataset.qrels), "what is relevant (BEIR)"))
    return pd.DataFrame(files, columns=["file", "rows", "content"])


def _beir_lines(table: pd.DataFrame, title: bool) -> Iterator[str]:
    for row in table[list(ITEM_FIELDS)].itertuples(index=False):
        is_text = row.modality == "text"
        record = {"_id": row.item_id, **({"title": ""} if title else {}), "text": row.text if is_text else ""}
        yield json.dumps(record if is_text else {**record, "image": row.image}, ensure_ascii=False) + "\n"


def _tab_separated(qrels: pd.DataFrame) -> Iterator[str]:
    yield "\t".join(QREL_FIELDS) + "\n"
    for row in qrels[list(QREL_COLUMNS)].itertuples(index=False, name=None):
        line = io.StringIO()
        csv.writer(line, delimiter="\t", lineterminator="\n").writerow(row)  # quotes an id with a tab in it
        yield line.getvalue()


def _write_lines(path: Path, lines: Iterator[str]) -> None:
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        file.writelines(lines)


def write_mteb(folder: str | Path, dataset: RetrievalDataset) -> pd.DataFrame:
    """Write corpus, queries and qrels as Parquet with the README.md of a data set of the Hub: file, rows, content.

    `datasets.load_dataset(folder, "corpus", split="test")` reads it, and so does mteb with the folder in place of a
    repository. The bytes of images are copied as they are, a block of files at a time. Files of these names are
    replaced, each as a whole. Raises ValueError, which names the image, where one cannot be read.
    """
    folder, files = Path(folder), []
    tables = {
        "corpus": _blocks(dataset.corpus),
        "queries": _blocks(dataset.queries),
        "qrels": _qrel_blocks(dataset),
    }
    for name in CONFIGURATIONS:
        file = SPLIT_FILE.format(name)
        files.append((file, _write_blocks(folder / file, tables[name]), f"{name} (MTEB)"))
    _write_lines(folder / "README.md", _card(dataset))
    files.append(("README.md", 1, "where they are (datasets)"))
    return pd.DataFrame(files, columns=["file", "rows", "content"])


DATASET_WRITERS = {"beir": write_beir, "mteb": write_mteb}


def write_datasets(folder: str | Path, datasets: Mapping[str, RetrievalDataset], to: str) -> pd.DataFrame:
    """Write each data set into a folder of its name, in the format "beir" or "mteb": file, rows, content."""
    tables = [
        table.assign(file=f"{name}/" + table["file"])
        for name, dataset in datasets.items()
        for table in [DATASET_WRITERS[to](Path(folder) / name, dataset)]
    ]
    return pd.concat(tables, ignore_index=True)


def _blocks(table: pd.DataFrame) -> Iterator["pa.Table"]:
    """Yield the items as tables of Arrow: id, modality, and text or image; one without rows where there are none."""
    import pyarrow as pa

    images = bool(len(table)) and table["modality"].iloc[0] == "image"
    content = (
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
        if images
        else ("text", pa.string())
    )
    fields = [("id", pa.string()), ("modality", pa.string()), content]
    schema = pa.schema(fields, _metadata({"image": IMAGE_FEATURE} if images else {}, fields))
    size = IMAGES_PER_BLOCK if images else ROWS_PER_BLOCK
    for start in range(0, max(len(table), 1), size):
        part = table.iloc[start : start + size]
        values = [_image(path) for path in part["image"]] if images else part["text"].tolist()
        yield pa.table([part["item_id"].tolist(), part["modality"].tolist(), values], schema=schema)


def _image(path: str) -> dict[str, Any]:
    try:
        return {"bytes": image_bytes(path), "path": Path(path).name}
    except ImageError as error:
        raise ValueError(
            f"{path}: {error}; a data set holds every image that was judged: bring it back, or run 01_ingest again"
        ) from error


def _qrel_blocks(dataset: RetrievalDataset) -> Iterator["pa.Table"]:
    import pyarrow as pa

    fields = list(zip(QREL_FIELDS, (pa.string(), pa.string(), pa.int32()), strict=True))
    columns = [dataset.qrels[name].tolist() for name in QREL_COLUMNS]
    yield pa.table(columns, schema=pa.schema(fields, _metadata({}, fields)))


def _metadata(known: dict[str, Any], fields: list[tuple[str, Any]]) -> dict[str, str]:
    """Return the features of the columns as `datasets` keeps them in the schema."""
    features = {name: known.get(name) or FEATURES[str(kind)] for name, kind in fields}
    return {"huggingface": json.dumps({"info": {"features": features}})}


def _write_blocks(path: Path, blocks: Iterator["pa.Table"]) -> int:
    """Write the tables as row groups of one Parquet file; return how many rows."""
    from pyarrow.parquet import ParquetWriter

    first, rows = next(blocks), 0
    with replacing(path) as temporary, ParquetWriter(temporary, first.schema) as writer:
        for table in chain([first], blocks):
            writer.write_table(table)
            rows += len(table)
    return rows


def _card(dataset: RetrievalDataset) -> Iterator[str]:
    """Yield the lines of the README.md of a data set of the Hub, whose head says where the tables are."""
    yield "---\nconfigs:\n"
    for name in CONFIGURATIONS:
        yield f"- config_name: {name}\n  data_files:\n  - split: test\n    path: {name}/test-*\n"
    sizes = (count(len(dataset.queries), "query"), count(len(dataset.corpus), "item"))
    judged = count(len(dataset.qrels), "judgement")
    yield f"---\n\nA retrieval data set of {sizes[0]}, {sizes[1]} in the corpus and {judged}, exported by mmlab.\n"
