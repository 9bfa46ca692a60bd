"""The finite element solution of a statement: the yardstick, refined until its own estimate meets a tolerance."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
import torch
from scipy import sparse

from kinn.fem.keeping import Kept, keep, place_of, recalled
from kinn.formulations.factor import Factor, SingularTangent
from kinn.formulations.galerkin import GalerkinSpace
from kinn.formulations.growth import grown
from kinn.formulations.indicators import cell_errors
from kinn.formulations.on_elements import relative_h1
from kinn.formulations.program import Program
from kinn.formulations.settling import Settling, Unsettled
from kinn.geometry.cells import shape_functions
from kinn.statement.errors import StatementError, suggest
from kinn.statement.problem import Problem
from kinn.statement.terms import WeakForm, weak_terms

NEWTON_STEPS = 25
LARGEST = {1: 200_000, 2: 200_000, 3: 80_000}


class FemSolution:
    """A finite element solution; fields and first derivatives can be evaluated anywhere in the mesh.

    Attributes:
        problem, mesh: the statement and the mesh that the last refinement reached.
        coefficients: nodal values (components, n).
        estimate: relative H1 error, from the difference to the solution on the mesh refined once.
        seconds, n_unknowns: cost of the whole solve, and size of its last system.
    """

    def __init__(
        self, space: GalerkinSpace, coefficients: np.ndarray, parameters: torch.Tensor, estimate: float, seconds: float
    ) -> None:
        self.problem, self.mesh, self.space = space.problem, space.mesh, space
        self.coefficients, self.estimate, self.seconds = coefficients, estimate, seconds
        self.n_unknowns = space.size
        self._parameters = parameters

    def __call__(self, points: Any) -> np.ndarray:
        """Values at points (n, d): (n,) for one scalar field, else (n, components)."""
        components = self.problem.components
        return self.evaluate(components[0] if len(components) == 1 else list(components), points)

    def evaluate(self, expression: Any, points: Any, normal: Any = None) -> np.ndarray:
        """Values of expressions of fields and first derivatives at points (n, d): (n,), or (n, k) for a sequence.

        Raises StatementError for a higher derivative: elements have none.
        """
        many = isinstance(expression, (list, tuple, sp.MatrixBase))
        expressions: list[Any] = [expression]
        if isinstance(expression, sp.MatrixBase):
            expressions = expression.flat()
        elif isinstance(expression, (list, tuple)):
            expressions = [*expression]
        program = Program(expressions, self.problem)
        x = np.asarray(points, dtype=np.float64).reshape(-1, self.mesh.dimension)
        z = torch.tensor(self.jets(x, program.jets))
        at = torch.tensor(x)
        n = None if normal is None else torch.tensor(np.asarray(normal, dtype=np.float64).reshape(len(x), -1))
        values = program(z, at, n, self._parameters, program.tabulate(at)).numpy().T
        return values if many else values[:, 0]

    def jets(
        self, x: np.ndarray, jets: tuple[tuple[int, tuple[int, ...]], ...], cells: np.ndarray | None = None
    ) -> np.ndarray:
        """Fields and first derivatives (jets, n) at points (n, d), whose cells may be known."""
        if any(sum(index) > 1 for _, index in jets):
            raise StatementError(
                "a finite element solution has no second derivatives; ask for fields and first derivatives"
            )
        cells = self.mesh.locate(x) if cells is None else cells
        outside = np.flatnonzero(cells < 0)
        if len(outside):
            raise StatementError(
                f"{len(outside)} of {len(x)} points lie outside the mesh, the first at {x[outside[0]]}"
            )
        place, jacobian = self.mesh.reference(x, cells)
        shapes, slopes = shape_functions(np.asarray(self.space.basis.elem.doflocs), place)
        slopes = slopes @ np.linalg.inv(jacobian)
        dofs = self.space.dofs[cells]
        rows = np.zeros((len(jets), len(x)))
        for row, (component, index) in enumerate(jets):
            functions = slopes[:, :, index.index(1)] if any(index) else shapes
            rows[row] = (self.coefficients[component][dofs] * functions).sum(axis=1)
        return rows


def solve(
    problem: Problem, order: int = 2, tolerance: float = 1e-4, parameters: Mapping[str, float] | None = None
) -> FemSolution:
    """Finite elements of `order` 1 or 2 on the problem's mesh, refined where the error is
    until it is below `tolerance` or the largest system is reached.

    The error is the difference to the solution on the mesh refined once, as a relative H1 norm; cells that hold most of it
    are refined (Doerfler, doi:10.1137/0733054), so that the mesh becomes graded towards re-entrant corners. Parameters take
    the values given, or their guesses. Nonlinear statements are solved by Newton's method. What no condition determines (a
    constant, a rigid motion) has no part in the solution, in L2; conditions on integrals settle it if they say what it is.

    Raises StatementError for a statement without a weak form, and where Newton's method fails.

    >>> reference = kinn.fem.solve(problem, tolerance=1e-5)     # doctest: +SKIP
    """
    begin = time.perf_counter()
    problem.check()
    weak = weak_terms(problem)
    general = [term for term in weak.other if term.kind != "integral"]
    if general:
        raise StatementError(f"no FEM: {general[0].name!r} is a general condition; use Dirichlet, Neumann or Robin")
    given = parameters or {}
    for name in given:
        if name not in problem.parameters:
            raise StatementError(f"parameter {name!r} is not in the problem{suggest(name, problem.parameters)}")
    if order not in (1, 2):
        raise StatementError(f"elements of order {order!r} are not there; take 1 or 2")
    values = torch.tensor([given.get(p.name, p.guess) for p in problem.parameters.values()], dtype=torch.float64)
    path = place_of(problem, order, tolerance, values.tolist())
    kept = None if path is None else recalled(path, problem)
    space = None if kept is None else _again(problem, weak, order, kept)
    if kept is None or space is None:
        space, kept = _refined(problem, weak, order, tolerance, values, begin)
        if path is not None:
            keep(path, problem, kept)
    coefficients = space.values(kept.values).reshape(len(problem.components), -1)
    return FemSolution(space, coefficients, values, kept.estimate, kept.seconds)


def _again(problem: Problem, weak: WeakForm, order: int, kept: Kept) -> GalerkinSpace | None:
    """The space of a solution that was kept; None where meshes are refined otherwise today."""
    mesh = problem.mesh
    for errors in kept.growth:
        if len(errors) != len(mesh.cells):
            return None
        mesh = grown(mesh, errors, weak)
    finest = mesh.refined()
    return GalerkinSpace(problem, weak, finest, order) if finest.identity == kept.identity else None


def _refined(
    problem: Problem, weak: WeakForm, order: int, tolerance: float, values: torch.Tensor, begin: float
) -> tuple[GalerkinSpace, Kept]:
    """The space on the first refinement of the problem's mesh that meets the tolerance, and the solution in it."""
    mesh, growth = problem.mesh, []
    space = GalerkinSpace(problem, weak, mesh, order)
    solution = newton(space, values, None).values
    while True:
        fine_mesh = mesh.refined()
        fine = GalerkinSpace(problem, weak, fine_mesh, order)
        start = interpolate(space, solution, fine)
        finer = newton(fine, values, start).values
        error = finer - start
        estimate = relative_h1(problem, fine, error, finer)
        if estimate < tolerance or 2 * fine.size > LARGEST[mesh.dimension]:
            # the finer solution is at hand and at least as good as its estimate
            return fine, Kept(growth, fine_mesh.identity, finer, estimate, time.perf_counter() - begin)
        growth.append(cell_errors(fine, error, len(mesh.cells)))
        mesh = grown(mesh, growth[-1], weak)
        following = GalerkinSpace(problem, weak, mesh, order)
        solution = newton(following, values, interpolate(space, solution, following)).values
        space = following


@dataclass(frozen=True, eq=False)
class Solved:
    """Nodal values (size,) with zero residual, and the last tangent matrix of Newton's method with its factorization."""

    values: np.ndarray
    tangent: sparse.csr_array
    factor: Factor


def newton(space: GalerkinSpace, parameters: torch.Tensor, start: np.ndarray | None) -> Solved:
    """Newton's method from zero, or from `start`, whose values unknown coefficient fields keep."""
    fixed, values = space.essential_values(parameters)
    free = np.setdiff1d(np.arange(space.size), fixed)
    solution = np.zeros(space.size) if start is None else start.copy()
    solution[fixed] = np.where(np.isnan(values), solution[fixed], values)
    settling = Settling(space)
    for _ in range(NEWTON_STEPS):
        jets = space.jets_of(solution)
        residual = space.residual(space.pieces, jets, parameters)[free]
        try:
            tangent = space.tangent(jets, parameters)
            factor = Factor(space, tangent, free)
            step = factor.solve(-residual)
        except SingularTangent as singular:
            raise StatementError(
                f"no FEM: the equations of these elements determine no solution ({singular})"
            ) from None
        if not np.isfinite(step).all():
            break
        solution[free] += step
        if settling:
            try:
                motion, _ = settling.shift(factor.null, space.jets_of(solution, settling.pieces), parameters)
            except Unsettled as unsettled:
                raise StatementError(f"no FEM: {unsettled}; use Dirichlet, Neumann or Robin") from None
            solution += motion
            step = step + motion[free]
        size = np.abs(step).max(initial=0.0)
        if space.problem.is_linear or size <= 1e-10 * max(np.abs(solution).max(), 1e-300):
            return Solved(solution, tangent, factor)
    raise StatementError(
        f"no FEM: Newton's method did not converge in {NEWTON_STEPS} steps; load the problem in smaller steps"
    )


def interpolate(space: GalerkinSpace, coefficients: np.ndarray, onto: GalerkinSpace) -> np.ndarray:
    """The finite element function at the nodes of another space on the same domain, (size,)."""
    count = len(space.problem.components)
    solution = FemSolution(space, space.values(coefficients).reshape(count, -1), torch.zeros(0), np.inf, 0.0)
    zero = (0,) * space.mesh.dimension
    # at an interface or a slit the value of the side that the degree of freedom belongs to
    own = np.zeros(onto.n, dtype=np.int64)
    own[onto.dofs] = np.arange(len(onto.dofs))[:, None]
    cells = space.mesh.locate(onto.mesh.inward(onto.places, own))
    return onto.vector(solution.jets(onto.places, tuple((c, zero) for c in range(count)), cells).ravel())


__all__ = ["FemSolution", "solve"]
