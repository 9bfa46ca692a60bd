"""The weak form: the loss of a trial solution is the squared H1 norm of its finite element correction.

Boundary values and jumps enter the correction as what it has to be there, so that no weight stands between them and the
residual in the domain.
"""

from __future__ import annotations

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

    def _misfit(self, component: int, surrogate: Surrogate) -> _Misfit | None:
        """`u - value` at the component's boundary nodes and jumps; None if there are none or all are fulfilled exactly."""
        space = self.space
        if component in space.without_equation:
            return None
        entries = [(dofs, value) for c, dofs, value in space.essential if c == component]
        ties = space.ties[component]
        lifted = surrogate.lift is not None and surrogate.lift.sides[component] and self._lifted(component, surrogate)
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
        return _Misfit(blocks, pair, torch.from_numpy(jumps), np.argsort(np.concatenate([taken, ties.slaves])))

    def _values(self, expression: sp.Expr, dofs: np.ndarray, surrogate: Surrogate) -> PointBlock:
        """An expression at the places of degrees of freedom, each in the part of the mesh that it belongs to."""
        space = self.space
        points, part = Points(space.nodes[dofs], np.ones(len(dofs))), torch.from_numpy(space.part[dofs])
        return PointBlock("", Program([expression], space.problem), points, surrogate, sums=True, part=part)

    def _lifted(self, component: int, surrogate: Surrogate) -> bool:
        assert surrogate.lift is not None
        mesh = self.space.problem.mesh
        facets = [mesh.facets_of(on) for c, _, on in self.space.weak.essential if c == component]
        return bool(surrogate.lift.covers(component, np.concatenate(facets)).all())

    def residuals(self, unknowns: Unknowns) -> tuple[Tensor, Tensor]:
        """The residual R (size,) and the misfits (fixed,) at given degrees of freedom."""
        total = torch.zeros(self.space.size, dtype=torch.float64)
        for piece, points in self._pieces:
            values = points.residuals(unknowns).cpu().double().view(len(piece.slots), *piece.weight.shape)
            for value, (component, slot) in zip(values, piece.slots, strict=True):
                local = torch.einsum("ebq,eq->eb", piece.tests[..., slot], value)
                dofs = torch.from_numpy(component * self.space.n + piece.dofs)
                total.index_add_(0, dofs.flatten(), local.flatten())
        self._gather(total)
        counts = [self.space.fixed_of(component) for component in range(len(self._misfits))]
        misfits = [
            torch.zeros(len(count), dtype=torch.float64) if block is None else block.residuals(unknowns)
            for block, count in zip(self._misfits, counts, strict=True)
        ]
        return total, torch.cat(misfits)

    def loss(self, unknowns: Unknowns) -> float:
        residual, misfit = self.residuals(unknowns)
        e = self.correction(residual.numpy(), misfit.numpy())
        return float(e @ (self.correction.metric @ e))

    def _jacobian(self, unknowns: Unknowns) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """R (size,) and its derivative (size, P), assembled element by element, and the misfits and theirs."""
        n, size = self.space.n, self.space.size
        total, matrix = torch.zeros(size, dtype=torch.float64), torch.zeros(size, unknowns.size, dtype=torch.float64)
        for piece, points in self._pieces:
            elements, width = len(piece.dofs), piece.weight.shape[1]
            step = max(1, chunk_size(unknowns) // width)
            for start in range(0, elements, step):
                cells = slice(start, min(start + step, elements))
                rows = points.jacobians(unknowns, slice(cells.start * width, cells.stop * width))
                local: dict[int, list[Tensor]] = {}
                for (component, slot), (row, blocks) in zip(piece.slots, rows, strict=True):
                    tests = piece.tests[cells, :, :, slot].contiguous()
                    dofs = torch.from_numpy(component * n + piece.dofs[cells]).flatten()
                    total.index_add_(0, dofs, (tests @ row.cpu().double().view(-1, width, 1)).flatten())
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
        self._gather(total)
        self._gather(matrix)
        misfits, slopes = [], []
        for component, block in enumerate(self._misfits):
            count = len(self.space.fixed_of(component))
            empty = torch.zeros(count, dtype=torch.float64), torch.zeros(count, unknowns.size, dtype=torch.float64)
            rows, jacobian = empty if block is None else block.jacobian(unknowns)
            misfits.append(rows)
            slopes.append(jacobian)
        return total, matrix, torch.cat(misfits), torch.cat(slopes)

    def _gather(self, rows: Tensor) -> None:
        """Add the rows of slaves to those of their masters: test functions are continuous over ties."""
        slaves, masters = (torch.from_numpy(numbers) for numbers in self.space.pairs)
        if len(slaves):
            rows.index_add_(0, masters, rows[slaves])

    def _corrections(self, unknowns: Unknowns) -> tuple[float, Tensor, Tensor, np.ndarray]:
        """The loss, e and its derivative (size, P), and the metric times the latter."""
        residual, matrix, misfit, slopes = self._jacobian(unknowns)
        e, changes = self.correction(residual.numpy(), misfit.numpy()), matrix.numpy()
        for start in range(0, changes.shape[1], PANEL):  # in place: a copy of the Jacobian may be a gigabyte
            columns = slice(start, start + PANEL)
            changes[:, columns] = self.correction(changes[:, columns], slopes.numpy()[:, columns])
        weighed = self.correction.metric @ changes
        return float(e @ (self.correction.metric @ e)), torch.from_numpy(e), matrix, weighed

    def gradient(self, unknowns: Unknowns) -> tuple[float, Tensor]:
        loss, e, _, weighed = self._corrections(unknowns)
        return loss, 2 * (torch.from_numpy(weighed).T @ e).to(unknowns.free)

    def accumulate(self, unknowns: Unknowns, into: NormalEquations) -> None:
        loss, e, changes, weighed = self._corrections(unknowns)
        product = torch.from_numpy(weighed)
        into.loss += loss
        into.gradient += (product.T @ e).to(into.gradient)
        into.gram += (changes.T @ product).to(into.gram)


class _Misfit:
    """Misfits of boundary values, and of jumps as differences of values, in the order of the given degrees of freedom."""

    def __init__(self, blocks: list[PointBlock], pair: list[PointBlock], jumps: Tensor, order: np.ndarray) -> None:
        self.blocks, self.pair, self.jumps, self.order = blocks, pair, jumps, torch.from_numpy(order)

    def residuals(self, unknowns: Unknowns) -> Tensor:
        found = [block.residuals(unknowns)[0].cpu().double() for block in self.blocks]
        if self.pair:
            slaves, masters = (block.residuals(unknowns)[0].cpu().double() for block in self.pair)
            found.append(slaves - masters - self.jumps)
        return torch.cat(found)[self.order]

    def jacobian(self, unknowns: Unknowns) -> tuple[Tensor, Tensor]:
        found = [_whole(block, unknowns) for block in self.blocks]
        if self.pair:
            slaves, masters = (_whole(block, unknowns) for block in self.pair)
            found.append((slaves[0] - masters[0] - self.jumps, slaves[1] - masters[1]))
        return torch.cat([r for r, _ in found])[self.order], torch.cat([j for _, j in found])[self.order]


def _whole(block: PointBlock, unknowns: Unknowns) -> tuple[Tensor, Tensor]:
    parts = [block.jacobian(unknowns, part) for part in block.parts(unknowns)]
    return torch.cat([r for r, _ in parts]).cpu().double(), torch.cat([j for _, j in parts]).cpu().double()


def _pointwise(piece: Piece, surrogate: Surrogate) -> PointBlock:
    points = Points(piece.x.numpy(), np.ones(len(piece.x)), None if piece.normal is None else piece.normal.numpy())
    return PointBlock("", piece.program, points, surrogate, sums=True, part=piece.part)
