"""The weak form, its residual measured in the dual norm: `R' K^-1 R`, the energy of the error as the test space sees it.

The misfit b on essential boundaries is measured by the energy of its discrete harmonic extension, `b' S b` with the Schur
complement S of the same matrix K (a discrete H^1/2 norm). Interior and boundary errors are orthogonal in K, so the two parts
add up to the energy of the whole error: no weight stands between them.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.sparse import linalg
from torch import Tensor

from kinn.formulations.blocks import Block, NormalEquations, PointBlock, chunk_size
from kinn.formulations.galerkin import GalerkinSpace, Piece
from kinn.formulations.program import Program
from kinn.formulations.surrogate import Surrogate
from kinn.formulations.unknowns import Unknowns
from kinn.geometry import Points


class ComponentNorm:
    """The dual norm of the rows of one component and the H^1/2 norm of its boundary values, from one factorization."""

    def __init__(self, space: GalerkinSpace, component: int) -> None:
        fixed = [dofs for c, dofs, _ in space.essential if c == component]
        self.fixed = np.unique(np.concatenate(fixed)) if fixed else np.zeros(0, dtype=int)
        self.free = np.setdiff1d(np.arange(space.basis.N), self.fixed)
        matrix = space.h1
        self._solve = linalg.splu(matrix[self.free][:, self.free].tocsc()).solve
        coupling = matrix[self.free][:, self.fixed].toarray()
        schur = matrix[self.fixed][:, self.fixed].toarray()
        schur -= coupling.T @ self._solve(coupling) if len(self.fixed) else 0
        self.half = torch.linalg.cholesky(torch.tensor(schur)).T if len(self.fixed) else torch.zeros(0, 0)

    def solve(self, rows: Tensor) -> Tensor:
        """`K^-1 rows` for rows (free, ...)."""
        return torch.from_numpy(np.ascontiguousarray(self._solve(np.ascontiguousarray(rows.numpy()))))


class WeakBlock(Block):
    """The weak residual of all components and their boundary misfits, with the test functions of a Galerkin space.

    Args:
        factors: for each component (what one unit of its dual norm counts, what one unit of its boundary norm counts).
    """

    def __init__(
        self,
        name: str,
        space: GalerkinSpace,
        norms: list[ComponentNorm],
        surrogate: Surrogate,
        factors: list[tuple[float, float]],
    ) -> None:
        self.name, self.space, self.norms, self.factors = name, space, norms, factors
        self._pieces = [(piece, _pointwise(piece, surrogate)) for piece in space.pieces]
        self._misfits = [self._misfit(component, surrogate) for component in range(len(norms))]

    def _misfit(self, component: int, surrogate: Surrogate) -> _Joined | None:
        """`u - value` at the component's boundary nodes; None if there are none or a lift fulfills the values exactly."""
        space, norm = self.space, self.norms[component]
        entries = [(dofs, value) for c, dofs, value in space.essential if c == component]
        if not len(norm.fixed) or (
            surrogate.lift is not None and surrogate.lift.sides[component] and self._lifted(component, surrogate)
        ):
            return None
        symbol = space.problem.components[component]
        blocks, taken = [], np.zeros(0, dtype=int)
        for dofs, value in entries:
            dofs = np.setdiff1d(dofs, taken)
            taken = np.concatenate([taken, dofs])
            points = Points(space.nodes[dofs], np.ones(len(dofs)))
            blocks.append(PointBlock("", Program([symbol - value], space.problem), points, surrogate, sums=True))
        return _Joined(blocks, np.argsort(taken))

    def _lifted(self, component: int, surrogate: Surrogate) -> bool:
        assert surrogate.lift is not None
        mesh = self.space.problem.mesh
        facets = [mesh.facets_of(on) for c, _, on in self.space.weak.essential if c == component]
        return bool(surrogate.lift.covers(component, np.concatenate(facets)).all())

    def rows(self, unknowns: Unknowns) -> tuple[Tensor, list[Tensor]]:
        """The residual R (size,) and the misfits of each component at its boundary nodes."""
        total = torch.zeros(self.space.size, dtype=torch.float64)
        for piece, points in self._pieces:
            values = points.residuals(unknowns).cpu().double().view(len(piece.slots), *piece.weight.shape)
            for value, (component, slot) in zip(values, piece.slots, strict=True):
                local = torch.einsum("ebq,eq->eb", piece.tests[..., slot], value)
                total.index_add_(
                    0, torch.from_numpy(component * self.space.basis.N + piece.dofs).flatten(), local.flatten()
                )
        misfits = [
            torch.zeros(0, dtype=torch.float64) if block is None else block.residuals(unknowns)
            for block in self._misfits
        ]
        return total, misfits

    def norms_of(self, residual: Tensor, misfits: list[Tensor]) -> list[tuple[float, float]]:
        """Dual norm and boundary norm of each component."""
        found = []
        for component, (norm, misfit) in enumerate(zip(self.norms, misfits, strict=True)):
            r = residual[component * self.space.basis.N + norm.free]
            boundary = (norm.half @ misfit).norm().item() if len(misfit) else 0.0
            found.append((math.sqrt(max((r @ norm.solve(r)).item(), 0.0)), boundary))
        return found

    def loss(self, unknowns: Unknowns) -> float:
        parts = zip(self.norms_of(*self.rows(unknowns)), self.factors, strict=True)
        return sum((a * f) ** 2 + (b * g) ** 2 for (a, b), (f, g) in parts)

    def _jacobian(self, unknowns: Unknowns) -> tuple[Tensor, Tensor]:
        """R (size,) and its derivative (size, P), assembled element by element."""
        n, size = self.space.basis.N, self.space.size
        total, matrix = torch.zeros(size, dtype=torch.float64), torch.zeros(size, unknowns.size, dtype=torch.float64)
        for piece, points in self._pieces:
            elements, width = len(piece.dofs), piece.weight.shape[1]
            step = max(1, chunk_size(unknowns) // width)
            for start in range(0, elements, step):
                cells = slice(start, min(start + step, elements))
                count = cells.stop - cells.start
                rows, jacobian = points.jacobian(unknowns, slice(cells.start * width, cells.stop * width))
                rows, jacobian = rows.cpu().double().view(len(piece.slots), count, width), jacobian.cpu().double()
                jacobian = jacobian.view(len(piece.slots), count, width, -1)
                for component in {c for c, _ in piece.slots}:
                    own = [k for k, (c, _) in enumerate(piece.slots) if c == component]
                    tests = torch.cat([piece.tests[cells, :, :, piece.slots[k][1]] for k in own], 2)
                    dofs = torch.from_numpy(component * n + piece.dofs[cells]).flatten()
                    total.index_add_(0, dofs, (tests @ torch.cat([rows[k] for k in own], 1)[..., None]).flatten())
                    local = tests @ torch.cat([jacobian[k] for k in own], 1)
                    matrix.index_add_(0, dofs, local.flatten(0, 1))
        return total, matrix

    def _normal(self, unknowns: Unknowns, with_gram: bool) -> tuple[float, Tensor, Tensor | None]:
        residual, matrix = self._jacobian(unknowns)
        gradient = torch.zeros(unknowns.size, dtype=torch.float64)
        gram = torch.zeros(unknowns.size, unknowns.size, dtype=torch.float64) if with_gram else None
        loss = 0.0
        for component, (norm, block) in enumerate(zip(self.norms, self._misfits, strict=True)):
            own = component * self.space.basis.N + norm.free
            interior, boundary = self.factors[component]
            r, jacobian = residual[own] * interior, matrix[own] * interior
            dual = norm.solve(r)
            loss += (r @ dual).item()
            gradient += jacobian.T @ dual
            if gram is not None:
                gram += jacobian.T @ norm.solve(jacobian)
            if block is not None:
                rows, slopes = block.jacobian(unknowns)
                rows, slopes = norm.half @ rows * boundary, norm.half @ slopes * boundary
                loss += (rows @ rows).item()
                gradient += slopes.T @ rows
                if gram is not None:
                    gram += slopes.T @ slopes
        return loss, gradient, gram

    def gradient(self, unknowns: Unknowns) -> tuple[float, Tensor]:
        loss, gradient, _ = self._normal(unknowns, with_gram=False)
        return loss, 2 * gradient.to(unknowns.free)

    def accumulate(self, unknowns: Unknowns, into: NormalEquations) -> None:
        loss, gradient, gram = self._normal(unknowns, with_gram=True)
        assert gram is not None
        into.loss += loss
        into.gradient += gradient.to(into.gradient)
        into.gram += gram.to(into.gram)


class _Joined:
    """Point blocks after each other, their rows put into the order of the boundary nodes."""

    def __init__(self, blocks: list[PointBlock], order: np.ndarray) -> None:
        self.blocks, self.order = blocks, torch.from_numpy(order)

    def residuals(self, unknowns: Unknowns) -> Tensor:
        return torch.cat([block.residuals(unknowns)[0].cpu().double() for block in self.blocks])[self.order]

    def jacobian(self, unknowns: Unknowns) -> tuple[Tensor, Tensor]:
        parts = [block.jacobian(unknowns, part) for block in self.blocks for part in block.parts(unknowns)]
        return torch.cat([r.cpu().double() for r, _ in parts])[self.order], torch.cat(
            [j.cpu().double() for _, j in parts]
        )[self.order]


def _pointwise(piece: Piece, surrogate: Surrogate) -> PointBlock:
    points = Points(piece.x.numpy(), np.ones(len(piece.x)), None if piece.normal is None else piece.normal.numpy())
    return PointBlock("", piece.program, points, surrogate, sums=True)
