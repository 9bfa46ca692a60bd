"""Measured values of any expression at points, from arrays or a CSV file."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sympy as sp

from kinn.statement.errors import StatementError, suggest
from kinn.statement.fields import FieldComponent
from kinn.statement.integrals import is_global


@dataclass(frozen=True, eq=False)
class Observations:
    """Values of `expression` measured at points.

    `points` (n, d) in the mesh's coordinates, `values` (n,), `sigma` the standard deviation of one value: a number,
    one per value (n,), or None if it is to be estimated. An expression of `Integral`s alone, one number, has no points:
    `Observations(Integral(q, over="top"), values=[3.2])`; its `points` are then of shape (n, 0).

    Raises StatementError for shapes that do not fit, values that are not finite (with the row) and sigma <= 0.

    >>> Observations(u, [[0.2, 0.5]], [1.3], sigma=0.01)     # doctest: +SKIP
    """

    expression: Any
    points: Any = None
    values: Any = None
    sigma: Any = None
    name: str | None = None

    def __post_init__(self) -> None:
        expression = sp.sympify(self.expression)
        label = self.name or _name_of(expression) or str(expression)
        if isinstance(expression, sp.MatrixBase):
            raise StatementError(f"observations of the matrix {label}: give one Observations per component")
        number = is_global(expression)
        if self.values is None or (self.points is None and not number):
            lacking = "values" if number else "points or values"
            wanted = "values=[...]" if number else "points (n, d) and values (n,)"
            raise StatementError(f"observations of {label} without {lacking}; give {wanted}")
        values = _array(self.values, label, "values")
        if number:
            if self.points is not None:
                raise StatementError(f"observations of {label}, one number: leave the points out, give values=[...]")
            values = np.atleast_1d(values)
            points = np.zeros((len(values), 0))
        else:
            points = _array(self.points, label, "points")
        if points.ndim == 1:
            points = points[:, None]
        if values.ndim != 1 or points.ndim != 2 or len(points) != len(values):
            raise StatementError(
                f"observations of {label}: points of shape {points.shape} and values of shape {values.shape}; "
                "give points (n, d) and values (n,)"
            )
        if len(values) == 0:
            raise StatementError(f"observations of {label} are empty; give at least one value")
        for what, array in (("points", points), ("values", values[:, None])):
            bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
            if bad.size:
                raise StatementError(
                    f"observations of {label}: row {bad[0]} of the {what} is {array[bad[0]]} (rows count from 0); "
                    "remove the row or correct it"
                )
        sigma = self.sigma
        if sigma is not None:
            sigma = _array(sigma, label, "sigma")
            if sigma.ndim and sigma.shape != values.shape:
                raise StatementError(f"observations of {label}: sigma of shape {sigma.shape} for {len(values)} values")
            if not np.all(np.isfinite(sigma) & (sigma > 0)):
                worst = float(np.min(sigma)) if np.all(np.isfinite(sigma)) else float("nan")
                raise StatementError(
                    f"observations of {label}: sigma={worst:g} is not positive; give a standard deviation above 0, "
                    "or None to estimate it"
                )
            sigma = np.broadcast_to(sigma, values.shape).copy()
        for attribute, value in (("expression", expression), ("points", points), ("values", values)):
            object.__setattr__(self, attribute, value)
        object.__setattr__(self, "sigma", sigma)
        object.__setattr__(self, "name", label)

    @property
    def is_global(self) -> bool:
        """Whether the values are of integrals, at no point."""
        return self.points.shape[1] == 0

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def read(
        cls,
        expression: Any,
        file: str | Path,
        value: str | None = None,
        coordinates: tuple[str, ...] | list[str] | None = None,
        sigma: float | str | None = None,
    ) -> Observations:
        """Observations from a CSV file with a header line.

        `coordinates` are the columns of the point (default: the names of the mesh's coordinates), `value` the column
        of the values (default: the field's name), `sigma` a number, a column or None.

        Raises StatementError for a missing file or column, and for an entry that is no finite number (with the row).
        """
        expression = sp.sympify(expression)
        everywhere = is_global(expression)
        if coordinates is None:
            coordinates = () if everywhere else _coordinates_of(expression)
        value = value or _name_of(expression)
        if value is None:
            raise StatementError(f"observations of {expression} from {file}: say which column it is with value='...'")
        columns, rows = _table(Path(file))
        wanted = [*coordinates, value, *([sigma] if isinstance(sigma, str) else [])]
        for column in wanted:
            if column not in columns:
                raise StatementError(f"{file} has no column {column!r}{suggest(column, columns)}")
        table = np.array([_numbers(rows, columns.index(column), column, file) for column in wanted])
        d = len(coordinates)
        noise = table[d + 1] if isinstance(sigma, str) else sigma
        return cls(expression, None if everywhere else table[:d].T.copy(), table[d].copy(), noise)


def _array(value: Any, label: str, what: str) -> np.ndarray:
    try:
        return np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise StatementError(f"observations of {label}: {what} are not an array of numbers") from None


def _name_of(expression: Any) -> str | None:
    return expression.name if isinstance(expression, FieldComponent) else None


def _coordinates_of(expression: Any) -> list[str]:
    fields = sorted(expression.atoms(FieldComponent), key=str)
    if not fields:
        raise StatementError(
            f"observations of {expression}, which holds no field; say which columns are coordinates=(...)"
        )
    return [x.name for x in fields[0].args]  # type: ignore[attr-defined]


def _table(file: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and the rows with their line numbers in the file."""
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
    return rows[0][1], rows[1:]


def _numbers(rows: list[tuple[int, list[str]]], column: int, name: str, file: str | Path) -> list[float]:
    numbers = []
    for line, row in rows:
        text = row[column] if column < len(row) else ""
        try:
            number = float(text)
        except ValueError:
            number = None
        if number is None or not np.isfinite(number):
            raise StatementError(
                f"{file}, line {line}: column {name!r} is {text!r}, not a finite number; correct the row"
            )
        numbers.append(number)
    return numbers
