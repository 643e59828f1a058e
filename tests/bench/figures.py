"""A measured figure, the table that prints them and the file that keeps them."""

import json
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from mmlab.items import replacing
from mmlab.runs.record.manifest import package_versions


@dataclass(frozen=True)
class Figure:
    """One figure: what was measured, in which unit, beside what, and what is expected of it."""

    name: str
    value: float
    unit: str
    compared: str = ""
    expected: str = ""


def format_table(figures: list[Figure]) -> str:
    """The figures as plain text, one a line, columns aligned."""
    rows = [("name", "value", "unit", "compared with", "expected")]
    rows += [(f.name, f"{f.value:,.4g}", f.unit, f.compared, f.expected) for f in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    rows.insert(1, tuple("-" * width for width in widths))
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def keep(entry: str, figures: list[Figure], path: Path) -> None:
    """Put an entry's figures into the JSON file in place of its last ones, with date, machine and versions."""
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    kept[entry] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.platform()}, {_cores()} cores",
        "versions": package_versions(),
        "figures": [asdict(figure) for figure in figures],
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _cores() -> int:
    import psutil

    return (
        len(psutil.Process().cpu_affinity())
        if hasattr(psutil.Process, "cpu_affinity")
        else psutil.cpu_count()
    )
