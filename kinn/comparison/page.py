"""The report of a comparison: markdown, and one HTML page with its pictures that sorts and filters, without a network."""

from __future__ import annotations

import base64
import html
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kinn.comparison.pictures import convergence, embedded, work_precision
from kinn.comparison.summary import Group, groups, verdicts
from kinn.comparison.sweep import PICTURES, Row
from kinn.comparison.tables import (
    Table,
    elements_table,
    errors_table,
    markdown,
    notes,
    sentences,
    shown,
    verdicts_table,
)

NUMBER = re.compile(r"(>?)(\d[\d.]*(?:e[+-]?\d+)?)(?: \(.*\)| to .*)?")
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: #1b1f24; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; display: block; overflow-x: auto; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #d8dee4; text-align: left; white-space: nowrap; }
th { cursor: pointer; user-select: none; background: #f6f8fa; } th[aria-sort]::after { content: " \\2193"; }
th[aria-sort=ascending]::after { content: " \\2191"; }
input { font: inherit; padding: .3rem .5rem; margin: .5rem 0; width: 22rem; max-width: 100%; }
figure { display: inline-block; margin: .5rem; } figcaption { text-align: center; } img { max-width: 36rem; width: 100%; }
.maps img { max-width: 20rem; }
"""

# The state is in the address, page.html#filter=kan&sort=3&down=1, so that a view can be sent to somebody.
SCRIPT = """
const table = document.querySelector("table.main"), input = document.querySelector("input");
const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
const state = new URLSearchParams(location.hash.slice(1));
function number(cell) { const v = cell.dataset.value; return v === undefined ? NaN : Number(v); }
function compare(a, b, sign) {
  const x = number(a), y = number(b);
  if (!isNaN(x) && !isNaN(y)) return sign * (x === y ? 0 : x - y);
  if (isNaN(x) !== isNaN(y)) return isNaN(x) ? 1 : -1;  // what is no number comes last, whatever the direction
  return sign * a.textContent.localeCompare(b.textContent);
}
function show() {
  const words = (state.get("filter") || "").toLowerCase().split(/\\s+/).filter(Boolean);
  for (const row of body.rows) row.hidden = !words.every(w => row.textContent.toLowerCase().includes(w));
  const column = state.get("sort"), down = state.get("down") === "1";
  heads.forEach((head, k) => {
    if (column === String(k)) head.setAttribute("aria-sort", down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  });
  if (column !== null && heads[column]) {
    const rows = [...body.rows].sort((a, b) => compare(a.cells[column], b.cells[column], down ? -1 : 1));
    body.append(...rows);
  }
  history.replaceState(null, "", "#" + state);
}
heads.forEach((head, k) => head.addEventListener("click", () => {
  state.set("down", state.get("sort") === String(k) && state.get("down") !== "1" ? "1" : "0");
  state.set("sort", k); show();
}));
input.value = state.get("filter") || "";
input.addEventListener("input", () => { state.set("filter", input.value); show(); });
show();
"""


def write_report(rows: Sequence[Row], folder: Path, title: str = "Comparison") -> str:
    """Write report.md and report.html; returns the markdown."""
    found = groups(rows)
    sections: list[tuple[str, Table]] = [("", errors_table(found))]
    beside = verdicts(found)
    if beside:
        sections.append(("Over all problems", verdicts_table(beside)))
    elements = elements_table(found)
    if elements[1]:
        sections.append(("Finite elements at the same error", elements))
    words, said = sentences(beside), notes(rows)
    text = f"# {title}\n"
    for heading, table in sections:
        text += (f"\n## {heading}\n" if heading else "") + f"\n{markdown(table)}\n"
        text += "".join(f"\n{line}\n" for line in words) if heading == "Over all problems" else ""
    text += "".join(f"\n{line}\n" for line in said)
    (folder / "report.md").write_text(text, encoding="utf-8")
    page = _page(title, sections, words, said, found, folder)
    (folder / "report.html").write_text(page, encoding="utf-8")
    return text


def _page(
    title: str,
    sections: Sequence[tuple[str, Table]],
    words: Sequence[str],
    said: Sequence[str],
    found: Sequence[Group],
    folder: Path,
) -> str:
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        '<input type="search" placeholder="filter: words of a row" aria-label="filter">',
    ]
    for number, (heading, table) in enumerate(sections):
        parts.append(f"<h2>{html.escape(heading)}</h2>" if heading else "")
        parts.append(_table(table, "main" if number == 0 else "more"))
        if heading == "Over all problems":
            parts += [f"<p>{html.escape(line)}</p>" for line in words]
    parts += [f"<p>{html.escape(line)}</p>" for line in said]
    for problem in dict.fromkeys(group.problem for group in found):
        own = [group for group in found if group.problem == problem]
        parts.append(f"<h2>{html.escape(problem)}</h2>")
        for caption, figure in (
            ("error against seconds", convergence(own)),
            ("error against size", work_precision(own)),
        ):
            parts.append(_figure(embedded(figure), f"{problem}: {caption}"))
        maps = [(group, folder / PICTURES / f"{row['key']}.png") for group in own for row in group.rows]
        shown_maps = [_figure(_source(path), f"error of {group.contender}") for group, path in maps if path.is_file()]
        parts.append(f'<div class="maps">{"".join(shown_maps)}</div>' if shown_maps else "")
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}<script>{SCRIPT}</script></body></html>\n'


def _table(table: Table, kind: str) -> str:
    header, rows = table
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    body = "".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in rows)
    return f'<table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _cell(value: Any) -> str:
    """Numbers carry their value for sorting, also in texts such as `3.1 (2)`, `1e-3 to 2e-3` and `>600`."""
    number: float | None = float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
    if isinstance(value, str) and (match := NUMBER.fullmatch(value)):
        number = math.inf if match[1] else float(match[2])
    if number is None or math.isnan(number):
        return f"<td>{html.escape(shown(value))}</td>"
    text = "Infinity" if math.isinf(number) else repr(number)
    return f'<td data-value="{text}">{html.escape(shown(value))}</td>'


def _figure(source: str, caption: str) -> str:
    text = html.escape(caption)
    return f'<figure><img src="{source}" alt="{text}"><figcaption>{text}</figcaption></figure>'


def _source(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


__all__ = ["write_report"]
