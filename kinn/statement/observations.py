"""Measured values of any expression at points, from arrays or a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sympy as sp

from kinn.statement.errors import StatementError, suggest
from kinn.statement.fields import FieldComponent
from kinn.statement.integrals import is_global
from kinn.statement.table_file import Table

LOSSES = ("huber", "student")


@dataclass(frozen=True, eq=False)
class Observations:
    """Values of `expression` measured at points.

    `points` (n, d) in the mesh's coordinates, `values` (n,), `sigma` the standard deviation of one value: a number,
    one per value (n,), or None if it is to be estimated. An expression of `Integral`s alone, one number, has no points:
    `Observations(Integral(q, over="top"), values=[3.2])`; its `points` are then of shape (n, 0).

    `loss` is what misfits of some values that are quite wrong do: None (squares: they decide), "huber" (they count like their
    absolute value) or "student" (Student's t with 4 degrees of freedom: they count next to nothing).

    Raises StatementError for shapes that do not fit, values that are not finite (with the row) and sigma <= 0.

    >>> Observations(u, [[0.2, 0.5]], [1.3], sigma=0.01)     # doctest: +SKIP
    """

    expression: Any
    points: Any = None
    values: Any = None
    sigma: Any = None
    name: str | None = None
    loss: str | None = None

    def __post_init__(self) -> None:
        expression = sp.sympify(self.expression)
        label = self.name or _name_of(expression) or str(expression)
        if self.loss is not None and self.loss not in LOSSES:
            raise StatementError(f"observations of {label} with loss={self.loss!r}{suggest(str(self.loss), LOSSES)}")
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
        loss: str | None = None,
    ) -> Observations:
        """Observations from a CSV file with a header line, or from the points of a VTU, VTK or XDMF file.

        `coordinates` are the columns of the point (default: the names of the mesh's coordinates), `value` the column
        of the values (default: the field's name), `sigma` a number, a column or None, `loss` as in the class.

        Raises StatementError for a missing file or column, and for an entry that is no finite number (with the row).
        """
        expression = sp.sympify(expression)
        everywhere = is_global(expression)
        if coordinates is None:
            coordinates = () if everywhere else _coordinates_of(expression)
        value = value or _name_of(expression)
        if value is None:
            raise StatementError(f"observations of {expression} from {file}: say which column it is with value='...'")
        table = Table.read(file)
        points = np.stack([table.numbers(column) for column in coordinates], 1) if coordinates else None
        noise = table.numbers(sigma) if isinstance(sigma, str) else sigma
        return cls(expression, points, table.numbers(value), noise, loss=loss)

    @classmethod
    def series(
        cls,
        expression: Any,
        file: str | Path,
        sensors: Mapping[str, Any],
        time: str = "t",
        sigma: float | None = None,
        loss: str | None = None,
    ) -> Observations:
        """Observations of sensors that stand still, from a CSV file with a column of times and one for each sensor.

        `sensors` gives the place (a number, or one per coordinate of space) of each column; empty fields are times at which a
        sensor was not read. Points are those of `mesh * Interval`, the time last.

        Raises StatementError for a missing file or column, and for an entry that is no finite number (with the row).

        >>> Observations.series(T, "log.csv", {"inside": 0.2, "outside": 0.9}, sigma=0.1)      # doctest: +SKIP
        """
        if not sensors:
            raise StatementError(f"observations of {expression} from {file}: name its sensors, {{column: place}}")
        table = Table.read(file)
        times, points, values = table.numbers(time), [], []
        for column, place in sensors.items():
            read = table.numbers(column, gaps=True)
            there = np.isfinite(read)
            where = np.atleast_1d(_array(place, column, "places"))
            points.append(np.column_stack([np.tile(where, (int(there.sum()), 1)), times[there]]))
            values.append(read[there])
        return cls(expression, np.concatenate(points), np.concatenate(values), sigma, loss=loss)


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
