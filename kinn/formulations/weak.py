"""The weak form: the loss of a trial solution is the squared H1 norm of its finite element correction.

Boundary values and jumps enter the correction as what it has to be there, so that no weight stands between them and the
residual in the domain.

The derivative of the correction in a weight is minus the elements' projection of the function that the weight moves the
trial solution along. The projection takes integrals over all cells and a solve with the tangent matrix for each weight;
interpolation at the nodes takes neither and mostly leads as far, for a tenth of the time.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import sympy as sp
import torch
from torch import Tensor

from kinn.formulations.blocks import PANEL, Block, NormalEquations, PointBlock, chunk_size
from kinn.formulations.correction import Correction
from kinn.formulations.galerkin import GalerkinSpace
from kinn.formulations.pieces import Piece
from kinn.formulations.program import Program
from kinn.formulations.surrogate import Surrogate
from kinn.formulations.unknowns import Unknowns
from kinn.geometry import Points
from kinn.statement.terms import InterfaceTie


class WeakBlock(Block):
    """The weak residual of all components and their boundary misfits, with the test functions of a Galerkin space."""

    def __init__(self, name: str, space: GalerkinSpace, correction: Correction, surrogate: Surrogate) -> None:
        self.name, self.space, self.correction = name, space, correction
        self._pieces = [(piece, _pointwise(piece, surrogate)) for piece in space.pieces]
        self._misfits = [self._misfit(component, surrogate) for component in range(len(space.ties))]
        every = np.arange(space.n)
        ruled = np.repeat([c not in space.without_equation for c in range(len(space.ties))], space.n)
        self._ruled = np.flatnonzero(ruled)
        self._metric = correction.metric if ruled.all() else correction.metric[self._ruled][:, self._ruled]
        self._nodal = [self._values(symbol, every, surrogate, free=True) for symbol in space.problem.components]
        self._last: tuple[list[Tensor], tuple[np.ndarray, np.ndarray]] | None = None

    def _misfit(self, component: int, surrogate: Surrogate) -> _Misfit | None:
        """`u - value` at the component's boundary nodes and jumps; None if there are none or all are fulfilled exactly."""
        space = self.space
        if component in space.without_equation:
            return None
        entries = [(dofs, value) for c, dofs, value in space.essential if c == component]
        ties = space.ties[component]
        lifted = surrogate.lift is not None and surrogate.lift.holds(component) and self._lifted(component, surrogate)
        stated = any(isinstance(tie, InterfaceTie) and tie.component_index == component for tie in space.weak.ties)
        smooth = surrogate.trial.parts is None and not stated and (not len(ties.slaves) or surrogate.trial.periodic)
        if not (entries or len(ties.slaves)) or ((not entries or lifted) and smooth):
            return None
        symbol = space.problem.components[component]
        blocks, taken = [], np.zeros(0, dtype=int)
        for dofs, value in entries:
            taken = np.concatenate([taken, dofs])
            blocks.append(self._values(symbol - value, dofs, surrogate))
        jumps = np.zeros(len(ties.slaves))
        if len(ties.slaves):
            where, given = space.essential_values(torch.zeros(len(space.problem.parameters), dtype=torch.float64))
            known = dict(zip(where.tolist(), given.tolist(), strict=True))
            jumps = np.array([known[component * space.n + s] for s in ties.slaves.tolist()])
        pair = [self._values(symbol, d, surrogate) for d in (ties.slaves, ties.masters) if len(d)]
        return _Misfit(blocks, pair, torch.from_numpy(jumps), np.concatenate([taken, ties.slaves, ties.surplus]))

    def _values(self, expression: sp.Expr, dofs: np.ndarray, surrogate: Surrogate, free: bool = False) -> PointBlock:
        """An expression at the places of degrees of freedom, each in the part of the mesh that it belongs to."""
        space = self.space
        points, part = Points(space.nodes[dofs], np.ones(len(dofs))), torch.from_numpy(space.part[dofs])
        return PointBlock("", Program([expression], space.problem, free), points, surrogate, sums=True, part=part)

    def _lifted(self, component: int, surrogate: Surrogate) -> bool:
        assert surrogate.lift is not None
        mesh = self.space.problem.mesh
        facets = [mesh.facets_of(on) for c, _, on in self.space.weak.essential if c == component]
        return bool(surrogate.lift.covers(component, np.concatenate(facets)).all())

    def residuals(self, unknowns: Unknowns) -> tuple[Tensor, Tensor]:
        """The residual R (size,) and the misfits (fixed,) at given degrees of freedom."""
        total = self._assembled(lambda points: points.residuals(unknowns)[..., None], 1)[:, 0]
        return total, self._of_misfits(lambda block: block.residuals(unknowns)[:, None], 1)[:, 0]

    def _assembled(self, of: Callable[[PointBlock], Tensor], columns: int) -> Tensor:
        """(size, columns): values (slots, points, columns) of every piece, summed against the test functions."""
        total = torch.zeros(self.space.size, columns, dtype=torch.float64)
        for piece, points in self._pieces:
            values = of(points).cpu().double().view(len(piece.slots), *piece.weight.shape, columns)
            for value, (component, slot) in zip(values, piece.slots, strict=True):
                dofs = torch.from_numpy(component * self.space.n + piece.dofs)
                total.index_add_(0, dofs.flatten(), (piece.tests[..., slot] @ value).flatten(0, 1))
        self.space.gather(total.numpy())
        return total

    def _of_misfits(self, of: Callable[[_Misfit], Tensor], columns: int) -> Tensor:
        """(fixed, columns) of the misfits of all components, zero where there are none."""
        counts = [len(self.space.fixed_of(component)) for component in range(len(self._misfits))]
        zeros = [torch.zeros(count, columns, dtype=torch.float64) for count in counts]
        return torch.cat(
            [none if block is None else of(block) for block, none in zip(self._misfits, zeros, strict=True)]
        )

    def loss(self, unknowns: Unknowns) -> float:
        e, weighed = self._correction_now(unknowns)
        return float(e @ weighed)

    def _jacobian(self, unknowns: Unknowns) -> tuple[Tensor, Tensor]:
        """The derivatives of R (size, P), assembled element by element, and of the misfits."""
        n, matrix = self.space.n, torch.zeros(self.space.size, unknowns.size, dtype=torch.float64)
        for piece, points in self._pieces:
            elements, width = len(piece.dofs), piece.weight.shape[1]
            step = max(1, chunk_size(unknowns) // width)
            for start in range(0, elements, step):
                cells = slice(start, min(start + step, elements))
                rows = points.jacobians(unknowns, slice(cells.start * width, cells.stop * width))
                local: dict[int, list[Tensor]] = {}
                for (component, slot), (_, blocks) in zip(piece.slots, rows, strict=True):
                    tests = piece.tests[cells, :, :, slot].contiguous()
                    split = [block.cpu().double().view(len(tests), width, -1) for block in blocks]
                    if component in local:
                        for sums, block in zip(local[component], split, strict=True):
                            sums.baddbmm_(tests, block)
                    else:
                        local[component] = [tests @ block for block in split]
                for component, sums in local.items():
                    dofs, column = torch.from_numpy(component * n + piece.dofs[cells]).flatten(), 0
                    for block in sums:
                        matrix[:, column : column + block.shape[2]].index_add_(0, dofs, block.flatten(0, 1))
                        column += block.shape[2]
        self.space.gather(matrix.numpy())
        return matrix, self._of_misfits(lambda block: block.jacobian(unknowns), unknowns.size)

    def gradient(self, unknowns: Unknowns) -> tuple[float, Tensor]:
        """The loss and its gradient (P,), by one solve with the transposed tangent matrix."""
        e, weighed = self._correction_now(unknowns)
        toward, outward = (torch.from_numpy(2 * part) for part in self.correction.adjoint(weighed))
        toward = torch.from_numpy(self.space.values(toward.numpy()))
        gradient = torch.zeros(unknowns.size, dtype=torch.float64)
        for piece, points in self._pieces:
            adjoint = torch.zeros(len(piece.slots), *piece.weight.shape, dtype=torch.float64)
            for row, (component, slot) in zip(adjoint, piece.slots, strict=True):
                dofs = torch.from_numpy(component * self.space.n + piece.dofs)
                row += torch.einsum("ebq,eb->eq", piece.tests[..., slot], toward[dofs])
            gradient += points.pull(unknowns, adjoint.flatten(1)).cpu().double()
        counts = [len(self.space.fixed_of(component)) for component in range(len(self._misfits))]
        for block, part in zip(self._misfits, outward.split(counts), strict=True):
            if block is not None:
                gradient += block.pull(unknowns, part)
        return float(e @ weighed), gradient.to(unknowns.free)

    def accumulate(self, unknowns: Unknowns, into: NormalEquations) -> None:
        e, weighed = self._correction_now(unknowns)
        changes = self._projected(unknowns) if into.sharp or not self.approximates else self._interpolated(unknowns)
        changes = changes if len(self._ruled) == len(e) else changes[torch.from_numpy(self._ruled)]
        columns, found = changes.numpy(), np.empty(changes.shape)

        def weigh(panel: slice) -> None:
            found[:, panel] = self._metric @ np.ascontiguousarray(columns[:, panel])

        _by_panels(found.shape[1], weigh)
        product = torch.from_numpy(found)
        into.loss += float(e @ weighed)
        into.gradient += (product.T @ torch.from_numpy(e[self._ruled])).to(into.gradient)
        into.gram += (changes.T @ product).to(into.gram)

    @property
    def approximates(self) -> bool:
        return not self.correction.singular

    def _correction_now(self, unknowns: Unknowns) -> tuple[np.ndarray, np.ndarray]:
        """e (size,) and the metric times it; known where the unknowns are those of the last trial, which a step has taken.

        Fields that are held move between rounds only, and each round has blocks of its own.
        """
        state = [*unknowns.surrogate.network.state_dict().values(), unknowns.free]
        if self._last is None or not _are_equal(state, self._last[0]):
            residual, misfit = self.residuals(unknowns)
            e = self.correction(residual.numpy(), misfit.numpy())
            self._last = [one.clone() for one in state], (e, self.correction.metric @ e)
        return self._last[1]

    def _interpolated(self, unknowns: Unknowns) -> Tensor:
        """The derivative of e (size, P) with interpolation in the place of projection.

        What changes with an unknown coefficient is the elements' answer to it.
        """
        changes = torch.cat([_whole(block, unknowns) for block in self._nodal]).neg_()
        self.space.vector(changes.numpy(), out=changes.numpy())
        for component in self.space.without_equation:
            own = torch.from_numpy(component * self.space.n + np.arange(self.space.n))
            moved = changes[own].any(0).nonzero()[:, 0].numpy()
            if len(moved):
                misfit = np.zeros((len(self.space.fixed), len(moved)))
                misfit[np.isin(self.space.fixed, own)] = changes[own][:, moved].numpy()
                answer = torch.from_numpy(self.correction(np.zeros((self.space.size, len(moved))), misfit))
                answer[own] = 0.0
                changes[:, moved] += answer
            changes[own] = 0.0
        if len(unknowns.free):
            changes[:, -len(unknowns.free) :] = self._answers(unknowns)
        return torch.from_numpy(self.correction.factor.without_null(changes.numpy()))

    def _answers(self, unknowns: Unknowns) -> Tensor:
        """(size, p): the derivatives of e in the free numbers of the parameters."""
        count = len(unknowns.free)
        residual = self._assembled(lambda points: points.slopes(unknowns), count)
        misfit = self._of_misfits(lambda block: block.slopes(unknowns), count)
        return torch.from_numpy(self.correction(residual.numpy(), misfit.numpy()))

    def _projected(self, unknowns: Unknowns) -> Tensor:
        """The derivative of e (size, P)."""
        matrix, slopes = (found.numpy() for found in self._jacobian(unknowns))

        def project(panel: slice) -> None:  # in place: a copy of the Jacobian may be a gigabyte
            matrix[:, panel] = self.correction(matrix[:, panel], slopes[:, panel])

        _by_panels(matrix.shape[1], project)
        return torch.from_numpy(matrix)


def _are_equal(first: list[Tensor], second: list[Tensor]) -> bool:
    return len(first) == len(second) and all(map(torch.equal, first, second))


def _by_panels(count: int, work: Callable[[slice], None]) -> None:
    """Work on panels of columns, as many at once as torch has threads: SciPy's sparse solves and products take one each, and let
    others run."""
    panels = [slice(start, start + PANEL) for start in range(0, count, PANEL)]
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        for _ in threads.map(work, panels):
            pass


class _Misfit:
    """Misfits of boundary values, of jumps as differences of values, and of surpluses, none, in the order of the `given` degrees of
    freedom."""

    def __init__(self, blocks: list[PointBlock], pair: list[PointBlock], jumps: Tensor, given: np.ndarray) -> None:
        self.blocks, self.pair, self.jumps, self.order = blocks, pair, jumps, torch.from_numpy(np.argsort(given))
        self.without = len(given) - len(jumps) - sum(len(block.x) for block in blocks)

    def residuals(self, unknowns: Unknowns) -> Tensor:
        found = [block.residuals(unknowns)[0].cpu().double() for block in self.blocks]
        if self.pair:
            slaves, masters = (block.residuals(unknowns)[0].cpu().double() for block in self.pair)
            found.append(slaves - masters - self.jumps)
        return self._ordered(found)

    def _ordered(self, found: list[Tensor]) -> Tensor:
        return torch.cat([*found, found[0].new_zeros(self.without, *found[0].shape[1:])])[self.order]

    def pull(self, unknowns: Unknowns, adjoint: Tensor) -> Tensor:
        """(P,): the gradient of the sum of `adjoint` times the misfits."""
        unordered = torch.zeros_like(adjoint)
        unordered[self.order] = adjoint
        total, start = torch.zeros(unknowns.size, dtype=torch.float64), 0
        for block in self.blocks:
            total += block.pull(unknowns, unordered[None, start : start + len(block.x)]).cpu().double()
            start += len(block.x)
        for block, sign in zip(self.pair, (1, -1), strict=False):
            total += sign * block.pull(unknowns, unordered[None, start : start + len(block.x)]).cpu().double()
        return total

    def slopes(self, unknowns: Unknowns) -> Tensor:
        """Derivatives of the misfits in the free numbers of the parameters."""
        return self._derivatives([block.slopes(unknowns)[0].cpu().double() for block in [*self.blocks, *self.pair]])

    def jacobian(self, unknowns: Unknowns) -> Tensor:
        """Derivatives of the misfits in all unknowns."""
        return self._derivatives([_whole(block, unknowns) for block in [*self.blocks, *self.pair]])

    def _derivatives(self, found: list[Tensor]) -> Tensor:
        if self.pair:
            *found, slaves, masters = found
            found.append(slaves - masters)
        return self._ordered(found)


def _whole(block: PointBlock, unknowns: Unknowns) -> Tensor:
    """The Jacobian at all points of a block with one residual a point."""
    return torch.cat([block.jacobian(unknowns, part)[1] for part in block.parts(unknowns)]).cpu().double()


def _pointwise(piece: Piece, surrogate: Surrogate) -> PointBlock:
    points = Points(piece.x.numpy(), np.ones(len(piece.x)), None if piece.normal is None else piece.normal.numpy())
    return PointBlock("", piece.program, points, surrogate, sums=True, part=piece.part)
