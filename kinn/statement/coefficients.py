"""Known functions of the coordinates that SymPy cannot say: a table, data on nodes, a torch function."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import sympy as sp
from sympy.core.function import AppliedUndef, UndefinedFunction

from kinn.statement.errors import StatementError
from kinn.statement.fields import MeshLike, checked_name, remember_space
from kinn.statement.laws import Law, Pieces, is_known, law_of
from kinn.statement.reading import as_expression


class CoefficientFunction(AppliedUndef):
    """`k(x, y)` of a `Coefficient`; `function` maps one torch tensor (n,) per coordinate, or one array, to the same."""

    definition: tuple[Callable[..., Any]]  # in a tuple, so that Python does not bind it as a method
    continuous: bool
    mesh_id: str

    @property
    def function(self) -> Callable[..., Any]:
        return self.definition[0]

    @property
    def law(self) -> Law | None:
        """Where the values come from, unless it is a torch function."""
        return self.function if isinstance(self.function, Law) else None

    @property
    def pieces(self) -> dict[str, Any]:
        """subdomain -> expression, of a coefficient that was given per subdomain; else empty."""
        return {} if self.law is None else self.law.pieces

    def derivative(self, orders: tuple[int, ...]) -> Callable[..., Any] | None:
        """The derivative of these orders as a function like `function`; None where autograd must find it."""
        return None if self.law is None else self.law.derivative(orders)

    def numeric(self, *arrays: np.ndarray) -> np.ndarray:
        """The values (n,) at coordinates given as numpy arrays (n,) each."""
        try:
            return np.asarray(self.function(*arrays), dtype=float)
        except StatementError:
            raise
        except Exception as error:
            raise StatementError(
                f"coefficient {self.func.__name__!r} does not evaluate on numpy arrays ({error}); "
                "verify() needs a SymPy expression or a function that takes arrays"
            ) from None


def Coefficient(name: str, mesh: MeshLike, function: Any, continuous: bool = True) -> Any:
    """A known coefficient of the statement.

    `function` is one of
    - a torch function of the mesh's coordinates, pointwise: f(x, y) -> values, each of shape (n,); its derivatives come
      from autograd. `continuous=False` says that the values jump somewhere: a strong residual is blind to the jump of
      the flux and is then refused;
    - a dict, subdomain -> number or expression of the coordinates, that gives every cell one value. An unknown value,
      a `Parameter`, may stand there too;
    - an array (nv,) of values on the mesh's points, linear in each cell;
    - a table (grids, values): one rising grid per coordinate and an array of values, joined by a cubic spline; in one
      dimension (x, values);
    - a SymPy expression or a number, returned as it is.

    Raises StatementError for a shape, a name or a range that does not fit the mesh.

    >>> k = Coefficient("k", mesh, {"steel": 50.0, "air": 0.02})           # doctest: +SKIP
    >>> k = Coefficient("k", mesh, lambda x, y: torch.exp(-x * y))         # doctest: +SKIP
    """
    checked_name(name, mesh, "coefficient")
    if isinstance(function, (sp.Expr, numbers.Real)):
        return sp.sympify(function)
    remember_space(mesh)
    if isinstance(function, Mapping):
        function = {str(part): as_expression(value, f"coefficient {name!r}") for part, value in function.items()}
        values = list(function.values())
        if not all(is_known(value) for value in values):
            Pieces(name, mesh, function)
            shares = [{part: sp.Integer(part == own) for part in function} for own in function]
            flags = [_made(f"{name}_{i}", mesh, Pieces(name, mesh, share), False) for i, share in enumerate(shares)]
            return sp.Add(*(flag * value for flag, value in zip(flags, values, strict=True)))
    law = law_of(name, mesh, function)
    if isinstance(law, Pieces) and len(set(law.pieces.values())) == 1:
        return next(iter(law.pieces.values()))
    if law is None and not callable(function):
        raise StatementError(
            f"coefficient {name!r} is a {type(function).__name__}; give a torch function of the coordinates, "
            "a dict per subdomain, values on the mesh's points, a table (grids, values), a SymPy expression or a number"
        )
    return _made(name, mesh, function if law is None else law, continuous if law is None else law.continuous)


def _made(name: str, mesh: MeshLike, function: Any, continuous: bool) -> Any:
    make: Any = UndefinedFunction  # calling the metaclass makes the class of one function
    identity = {"definition": (function,), "continuous": bool(continuous), "mesh_id": mesh.identity}
    return make(name, bases=(CoefficientFunction,), real=True, **identity)(*mesh.coordinates)
