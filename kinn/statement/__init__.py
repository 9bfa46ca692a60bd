"""The statement of a problem in SymPy: fields, calculus, conditions, data."""

from kinn.statement.calculus import Div, div, grad
from kinn.statement.coefficients import Coefficient
from kinn.statement.conditions import Condition, Dirichlet, Equation, Initial, Neumann, Periodic, Robin
from kinn.statement.coordinates import Coordinate, Normal
from kinn.statement.edges import law
from kinn.statement.errors import StatementError, suggest
from kinn.statement.fields import Field, field_of
from kinn.statement.integrals import Integral
from kinn.statement.interfaces import Average, Jump, average, jump
from kinn.statement.observations import Observations
from kinn.statement.parameters import Parameter
from kinn.statement.priors import GaussianField, TotalVariation
from kinn.statement.problem import Problem
from kinn.statement.terms import (
    InterfaceTie,
    NoWeakForm,
    PeriodicTie,
    Term,
    WeakForm,
    WeakRow,
    strong_terms,
    weak_terms,
)

__all__ = [
    "Average", "Coefficient", "Condition", "Coordinate", "Dirichlet", "Div", "Equation", "Field", "GaussianField",
    "Initial", "Integral",
    "InterfaceTie", "Jump", "Neumann", "NoWeakForm", "Normal", "Observations", "Parameter", "Periodic", "PeriodicTie",
    "Problem", "Robin", "StatementError", "Term", "TotalVariation", "WeakForm", "WeakRow", "average", "div", "field_of", "grad",
    "jump", "law",
    "strong_terms", "suggest", "weak_terms",
]  # fmt: skip
