"""What the conditions say about an equation: its flux through the boundary, its essential facets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp

from kinn.statement.calculus import expanded
from kinn.statement.conditions import AnyCondition, Condition, Dirichlet, Initial, Neumann, Robin
from kinn.statement.fields import FieldComponent
from kinn.statement.fluxes import Split, outflow
from kinn.statement.forms import Kind
from kinn.statement.places import facets

if TYPE_CHECKING:
    from kinn.statement.problem import Problem


def outflows(parts: Split, condition: AnyCondition) -> list[sp.Expr]:
    """The values of sum_j c_j F_j . n that a Neumann or Robin condition gives for an equation."""
    if not isinstance(condition, (Neumann, Robin)):
        return []
    found = [outflow(parts, flux, value) for flux, value in zip(condition.rows, condition.value, strict=True)]
    return [expanded(entry[1]) for entry in found if entry is not None]


def essential_facets(problem: Problem, component: FieldComponent) -> np.ndarray:
    parts = [np.zeros(0, dtype=int)]
    for condition in problem.conditions:
        if isinstance(condition, (Dirichlet, Initial)) and component in (condition.components or ()):
            parts.append(facets(problem.mesh, condition.on))
    return np.unique(np.concatenate(parts))


def mentions(condition: Condition, components: set[Any]) -> bool:
    return any(residual.atoms(FieldComponent) & components for residual in condition.residuals())


def kind_of(condition: AnyCondition) -> Kind:
    if isinstance(condition, (Neumann, Robin)):
        return "natural"
    if isinstance(condition, (Dirichlet, Initial)) and condition.components is not None:
        return "essential"
    return "integral" if isinstance(condition, Condition) and condition.is_global else "condition"
