"""Where results are kept, and how they are written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kinn.comparison.conditions import conditions as conditions
from kinn.comparison.conditions import stated as stated
from kinn.comparison.tables import markdown

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def write(name: str, document: dict[str, Any], folder: Path) -> Path:
    """Write `name`.json; an earlier file survives until the new one is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    path, part = folder / f"{name}.json", folder / f".{name}.part"
    part.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return part.replace(path)


def write_table(
    name: str, title: str, header: Sequence[str], rows: Sequence[Sequence[Any]], notes: Sequence[str], folder: Path
) -> str:
    """Write `name`.md, a markdown table with notes below it; returns the text."""
    table = markdown((list(header), [list(row) for row in rows]))
    text = "\n".join([f"# {title}", "", table, *(line for note in notes for line in ("", note))]) + "\n"
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
    return text
