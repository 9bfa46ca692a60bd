"""Tables of measurements: CSV files, and the point data of the files that meshio reads."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import meshio
import numpy as np

from kinn.statement.errors import StatementError, suggest

AXES = ("x", "y", "z")


@dataclass(frozen=True)
class Table:
    """Named columns of a file, as text with the lines that they stand in, or as numbers."""

    file: Path
    columns: tuple[str, ...]
    rows: Sequence[tuple[int, Sequence[str | float]]]

    @staticmethod
    def read(file: str | Path) -> Table:
        """A CSV file with a header line, or the points (columns x, y, z) and point data of a VTU, VTK or XDMF file; a vector v has
        columns v_x, v_y, v_z.

        Raises StatementError for a file that is missing, empty, or no table.
        """
        path = Path(file)
        return _of_points(path) if path.suffix.lower() in (".vtu", ".vtk", ".xdmf", ".msh") else _of_text(path)

    def numbers(self, column: str, gaps: bool = False) -> np.ndarray:
        """A column (n,); empty fields are NaN where there may be gaps.

        Raises StatementError for a column that is missing, and for an entry that is no finite number (with its line).
        """
        if column not in self.columns:
            raise StatementError(f"{self.file} has no column {column!r}{suggest(column, self.columns)}")
        place, found = self.columns.index(column), []
        for line, row in self.rows:
            entry = row[place] if place < len(row) else ""
            if gaps and entry == "":
                found.append(np.nan)
                continue
            try:
                number = float(entry)
            except ValueError:
                number = np.nan
            if not np.isfinite(number):
                raise StatementError(
                    f"{self.file}, line {line}: column {column!r} is {entry!r}, not a finite number; correct the row"
                )
            found.append(number)
        return np.array(found)


def _of_text(file: Path) -> Table:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream)
            rows = [(reader.line_num, [c.strip() for c in row]) for row in reader if any(c.strip() for c in row)]
    except OSError as error:
        raise StatementError(f"cannot read observations from {file}: {error.strerror or error}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise StatementError(f"cannot read observations from {file}: it is no CSV text ({error})") from None
    if len(rows) < 2:
        raise StatementError(
            f"{file} holds no observations; the first line names the columns, each other line is one point"
        )
    return Table(file, tuple(rows[0][1]), rows[1:])


def _of_points(file: Path) -> Table:
    try:
        found = meshio.read(file)
    except (OSError, meshio.ReadError, ValueError, SystemExit) as error:
        raise StatementError(f"cannot read observations from {file}: {error}") from None
    columns: dict[str, np.ndarray] = dict(zip(AXES, np.asarray(found.points, dtype=np.float64).T, strict=False))
    for name, data in found.point_data.items():
        values = np.asarray(data, dtype=np.float64).reshape(len(found.points), -1)
        if values.shape[1] == 1:
            columns[name] = values[:, 0]
        else:
            ends = AXES if values.shape[1] <= 3 else tuple(map(str, range(values.shape[1])))
            columns.update((f"{name}_{end}", column) for end, column in zip(ends, values.T, strict=False))
    if len(columns) <= len(AXES):
        raise StatementError(f"{file} holds no point data, so no observations")
    return Table(file, tuple(columns), list(enumerate(np.stack(list(columns.values()), 1).tolist(), 1)))


__all__ = ["Table"]
