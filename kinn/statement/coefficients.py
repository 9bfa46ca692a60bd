"""Known functions of the coordinates that SymPy cannot say: a table, data on nodes, a torch function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef, UndefinedFunction

from kinn.statement.errors import StatementError
from kinn.statement.fields import MeshLike, checked_name, remember_space


class CoefficientFunction(AppliedUndef):
    """`k(x, y)` of a `Coefficient`; `function` maps one torch tensor (n,) per coordinate to a tensor (n,)."""

    definition: tuple[Callable[..., Any]]  # in a tuple, so that Python does not bind it as a method
    continuous: bool
    mesh_id: str

    @property
    def function(self) -> Callable[..., Any]:
        return self.definition[0]


def Coefficient(
    name: str, mesh: MeshLike, function: Callable[..., Any] | sp.Expr | float, continuous: bool = True
) -> Any:
    """A known coefficient of the statement.

    `function` is a torch function of the mesh's coordinates, pointwise: f(x, y) -> values, each of shape (n,); its
    derivatives come from autograd. A SymPy expression or a number is returned as it is. `continuous=False` says
    that the values jump somewhere: a strong residual is blind to the jump of the flux and is then refused.

    >>> k = Coefficient("k", mesh, lambda x, y: torch.exp(-x * y))   # doctest: +SKIP
    """
    checked_name(name, mesh, "coefficient")
    if isinstance(function, (sp.Expr, int, float)):
        return sp.sympify(function)
    if not callable(function):
        raise StatementError(
            f"coefficient {name!r} is a {type(function).__name__}; give a torch function of the coordinates, "
            "a SymPy expression or a number"
        )
    remember_space(mesh)
    make: Any = UndefinedFunction  # calling the metaclass makes the class of one function
    identity = {"definition": (function,), "continuous": bool(continuous), "mesh_id": mesh.identity}
    return make(name, bases=(CoefficientFunction,), real=True, **identity)(*mesh.coordinates)
