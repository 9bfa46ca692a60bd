"""Terms of integrals: numbers `f(I_1, ..., parameters)` with `I_j` the integral of an expression over a part of the mesh."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import sympy as sp
import torch
from torch import Tensor

from kinn.formulations.blocks import PointBlock, RowBlock
from kinn.formulations.lift import essential_values
from kinn.formulations.printer import compile_torch
from kinn.formulations.program import Program
from kinn.formulations.scaling import pointwise_slopes, unit_surrogate
from kinn.formulations.surrogate import Surrogate, select
from kinn.formulations.unknowns import Unknowns
from kinn.geometry import Mesh, Points, gauss
from kinn.statement.calculus import expanded
from kinn.statement.coordinates import Normal
from kinn.statement.errors import StatementError
from kinn.statement.integrals import Integral, integrals_of
from kinn.statement.problem import Problem

ORDERS = (6, 4, 2)  # of the Gauss rule: the highest with which the points are few against those of a training
MOST_POINTS = 20_000


def integral_points(mesh: Mesh, over: tuple[str, ...]) -> Points:
    """Gauss points of an integral over the parts named, the whole mesh without a name.

    On a slit or an interface inside the domain they lie a little inside the cell that owns the facet: what jumps there has
    that cell's value.
    """
    points = gauss(mesh, ORDERS[0], over or None)
    for order in ORDERS[1:]:
        if len(points) > MOST_POINTS:
            points = gauss(mesh, order, over or None)
    if points.normal is None or points.cell is None:
        return points
    facets = mesh.facets_of(over)
    moved = ~np.isin(facets, mesh.exterior) | np.isin(facets, mesh.slit)
    rows = np.repeat(moved, len(points) // len(facets))[:, None]
    return Points(
        np.where(rows, mesh.inward(points.x, points.cell), points.x), points.weight, points.normal, points.cell
    )


def pointwise(expressions: Iterable[sp.Expr]) -> list[sp.Expr]:
    """What is taken at points: the integrands of expressions of integrals, other expressions as they are."""
    found: list[sp.Expr] = []
    for expression in expressions:
        nodes = integrals_of(expression)
        found += [node.integrand for node in nodes] if nodes else [expression]
    return found


class IntegralTerm:
    """Expressions of `Integral`s and parameters, compiled: the integrals one by one, and what is made of them.

    Attributes:
        name: the user's name of the term.
        nodes: the distinct integrals, those over one part of the mesh together.
        groups: for each part its names and the program of its integrands, in the order of `nodes`.

    Raises StatementError for an integrand with the normal on an interface, where that has two senses.
    """

    def __init__(self, name: str, expressions: Sequence[sp.Expr], problem: Problem) -> None:
        self.name, self.problem = name, problem
        plain = [expanded(sp.sympify(expression)) for expression in expressions]
        by_part: dict[tuple[str, ...], list[Integral]] = {}
        for node in dict.fromkeys(node for expression in plain for node in integrals_of(expression)):
            _check_sides(problem.mesh, node)
            by_part.setdefault(node.over, []).append(node)
        self.nodes = [node for nodes in by_part.values() for node in nodes]
        self.groups = [(over, Program([node.integrand for node in nodes], problem)) for over, nodes in by_part.items()]
        marks = [sp.Dummy(f"I{j}", real=True) for j in range(len(self.nodes))]
        marked = [expression.xreplace(dict(zip(self.nodes, marks, strict=True))) for expression in plain]
        self._function = compile_torch([*marks, *problem.parameters.values()], marked)

    def values(self, integrals: Tensor, parameters: Tensor) -> Tensor:
        """The numbers (k,) from the values of the integrals (m,) and of the parameters."""
        found = self._function(*integrals.unbind(0), *parameters.unbind(0))
        return torch.stack([v if isinstance(v, Tensor) else integrals.new_tensor(v) for v in found])

    def points(self) -> list[Points]:
        """Gauss points of each group."""
        return [integral_points(self.problem.mesh, over) for over, _ in self.groups]


def _check_sides(mesh: Mesh, node: Integral) -> None:
    if node.integrand.atoms(Normal) and not np.isin(mesh.facets_of(node.over), mesh.exterior).all():
        raise StatementError(
            f"{node} holds the normal on an interface inside the domain, where it has two senses; integrate over an "
            "exterior boundary"
        )


class IntegralBlock(RowBlock):
    """Rows `factor sqrt(weight_i) (f_k(I) - target_i)`: one for each expression k of a term and each value i.

    Args:
        term: the compiled expressions.
        surrogate: for what its trial space fixes at points; any surrogate of the problem serves.
        factor: what one unit of a number counts.
        target: measured values (n,); one zero if there are none.
        weight: of each value (n,).
    """

    def __init__(
        self,
        term: IntegralTerm,
        surrogate: Surrogate,
        factor: float = 1.0,
        target: np.ndarray | None = None,
        weight: np.ndarray | None = None,
    ) -> None:
        self.name, self.term = term.name, term
        like = surrogate.center
        self._target = like.new_zeros(1) if target is None else like.new_tensor(np.asarray(target))
        self._root = factor * (torch.ones_like(self._target) if weight is None else like.new_tensor(weight).sqrt())
        # rows of a block count with the root of their weight, a sum of them is to count with the weight
        self._sums = [
            PointBlock("", program, replace(points, weight=points.weight**2), surrogate, sums=True)
            for (_, program), points in zip(term.groups, term.points(), strict=True)
        ]

    def residuals(self, unknowns: Unknowns) -> Tensor:
        integrals = torch.cat([block.residuals(unknowns).sum(1) for block in self._sums])
        with torch.no_grad():
            return self._rows(self.term.values(integrals, unknowns.parameters()))

    def _rows(self, values: Tensor) -> Tensor:
        return (values[:, None] - self._target) * self._root

    def parts(self, unknowns: Unknowns) -> list[slice]:
        return [slice(0, len(self._target))]  # all at once: the integrals are one by one

    def jacobian(self, unknowns: Unknowns, part: slice) -> tuple[Tensor, Tensor]:
        integrals, slopes = self._integrals(unknowns)
        n_weights = unknowns.size - len(unknowns.free)
        with torch.enable_grad():
            leaf, free = integrals.requires_grad_(), unknowns.free.clone().requires_grad_()
            values = self.term.values(leaf, unknowns.parameters(free))
            rows = []
            for value in values:
                outer, own = _gradients(value, [leaf, free])
                row = outer @ slopes
                row[n_weights:] += own
                rows.append(row)
        jacobian = torch.stack(rows)[:, None] * self._root[:, None]
        return self._rows(values.detach()).flatten(), jacobian.flatten(0, 1)

    def _integrals(self, unknowns: Unknowns) -> tuple[Tensor, Tensor]:
        """The integrals (m,) and their derivatives (m, P): a backward pass for each integral and chunk of points."""
        values, slopes = [], []
        weights = list(unknowns.surrogate.network.parameters())
        for block in self._sums:
            total: list[Tensor] = []
            for part in block.parts(unknowns):
                with torch.enable_grad():
                    free = unknowns.free.clone().requires_grad_()
                    rows = block.rows(unknowns, part, unknowns.parameters(free)).sum(1)
                    columns = [torch.cat([g.flatten() for g in _gradients(row, [*weights, free])]) for row in rows]
                total.append(torch.cat([rows.detach()[:, None], torch.stack(columns)], 1))
            whole = torch.stack(total).sum(0)
            values.append(whole[:, 0])
            slopes.append(whole[:, 1:])
        return torch.cat(values), torch.cat(slopes)


def _gradients(value: Tensor, wanted: Sequence[Tensor]) -> list[Tensor]:
    """Derivatives of a number, zeros for what it does not read."""
    open_ones = [w for w in wanted if w.requires_grad]
    found: Sequence[Tensor | None] = [None] * len(open_ones)
    if value.requires_grad and open_ones:
        found = torch.autograd.grad(value, open_ones, retain_graph=True, allow_unused=True)
    known = {id(w): g for w, g in zip(open_ones, found, strict=True)}
    return [torch.zeros_like(w) if (g := known.get(id(w))) is None else g for w in wanted]


def measure_integrals(terms: Sequence[IntegralTerm], surrogate: Surrogate, parameters: Tensor) -> tuple[Tensor, Tensor]:
    """Sizes of each term as `scaling.measure` has them: where the network is zero (t,), and of its change (t, c).

    The change of an integral is that of the absolute value of its integrand: a field whose parts cancel is no small one.
    """
    zero = replace(surrogate, amplitude=torch.zeros_like(surrogate.amplitude))
    unit = unit_surrogate(surrogate)
    count = len(surrogate.amplitude)
    at_rest, changes = [], []
    for term in terms:
        values, slopes = [], []
        for (_, program), points in zip(term.groups, term.points(), strict=True):
            x, weight = (torch.as_tensor(part).to(surrogate.center) for part in (points.x, points.weight))
            normal = None if points.normal is None else torch.as_tensor(points.normal).to(x)
            space = surrogate.space(program.jets)
            with torch.no_grad():
                rest = zero.jets(x, space)
                moved = select(unit.jets(x, space) - rest, program.jets, space)
            with torch.enable_grad():
                z = select(rest, program.jets, space).requires_grad_()
                found = program(z, x, normal, parameters, program.tabulate(x))
            values.append(found.detach() @ weight)
            for slope in pointwise_slopes(found, z) if len(z) else [torch.zeros_like(z) for _ in found]:
                change = slope * moved
                places = [[k for k, (c, _) in enumerate(program.jets) if c == component] for component in range(count)]
                slopes.append(torch.stack([change[own].sum(0).abs() @ weight for own in places]))
        with torch.enable_grad():
            integrals = torch.cat(values).requires_grad_()
            numbers = term.values(integrals, parameters)
            outer = torch.stack([_gradients(number, [integrals])[0].abs() for number in numbers])
        at_rest.append(numbers.detach().square().mean().sqrt())
        changes.append((outer @ torch.stack(slopes)).square().mean(0).sqrt())
    if not terms:
        return surrogate.center.new_zeros(0), surrogate.center.new_zeros(0, count)
    return torch.stack(at_rest), torch.stack(changes)


def with_offset(surrogate: Surrogate, terms: Sequence[IntegralTerm], parameters: Tensor) -> Surrogate:
    """The surrogate around constants that fulfill the integral conditions, where these say what constants are.

    So a mean of 300 with a variation of 1 is no field of size 300. Components with boundary values stay as they are.
    """
    if not terms:
        return surrogate
    problem = terms[0].problem
    known = {component for component, _, _ in essential_values(problem)}
    still = replace(surrogate, amplitude=torch.zeros_like(surrogate.amplitude))
    guess = Unknowns.at_guess(problem, still, dict(zip(problem.parameters, parameters.tolist(), strict=True)))

    def numbers(offset: Tensor) -> Tensor:
        at = replace(guess, surrogate=replace(still, offset=offset))
        return torch.cat([IntegralBlock(term, at.surrogate).residuals(at)[:, 0] for term in terms])

    rest = numbers(surrogate.offset)
    steps = torch.diag(surrogate.offset.new_tensor([float(c not in known) for c in problem.components]))
    slopes = torch.stack([numbers(surrogate.offset + step) - rest for step in steps], 1)
    twice = torch.stack([numbers(surrogate.offset + 2 * step) - rest for step in steps], 1)
    size = slopes.abs().max()
    if not size > 0 or not torch.allclose(twice, 2 * slopes, rtol=1e-6, atol=1e-9 * float(size)):
        return surrogate
    return replace(surrogate, offset=surrogate.offset - torch.linalg.pinv(slopes, rtol=1e-6) @ rest)


__all__ = ["IntegralBlock", "IntegralTerm", "integral_points", "measure_integrals", "pointwise", "with_offset"]
