"""Sums of squares over points: `sum_n |row_n|^2` with `row_n = factor sqrt(weight_n) (f(jets at x_n) - target_n)`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from kinn.formulations.program import Program
from kinn.formulations.surrogate import Surrogate, select
from kinn.formulations.unknowns import Unknowns
from kinn.geometry.points import Points
from kinn.networks import Tape

CHUNK_ENTRIES = 1_600_000  # of the Jacobian of a chunk of points, a few times the cache of a core
PANEL = 96  # columns of the Jacobian at least: a matrix product of fewer is slow


def chunk_size(unknowns: Unknowns) -> int:
    """How many points are taken at once."""
    return 8192 if unknowns.sparse else max(256, min(8192, CHUNK_ENTRIES // max(unknowns.size, 1)))


@dataclass
class NormalEquations:
    """`J'J`, `J'r` and `r'r` of a sum of squares, filled chunk by chunk: memory P^2 whatever the number of rows.

    `sharp` asks for J itself where a block has an approximation of it that takes less time. The matrix is sparse where the
    Jacobians are.
    """

    gram: Tensor
    gradient: Tensor
    loss: float = 0.0
    sharp: bool = True

    @staticmethod
    def zeros(unknowns: Unknowns, sharp: bool = True) -> NormalEquations:
        like, size = unknowns.free, unknowns.size
        none = np.zeros((2, 0), dtype=np.int64), like.new_zeros(0), size
        gram = _sparse(*none) if unknowns.sparse else like.new_zeros(size, size)
        return NormalEquations(gram, like.new_zeros(size), sharp=sharp)

    def complete(self) -> NormalEquations:
        """Mirror what `add` left out; to be called once, at the end."""
        if not self.gram.is_sparse:
            self.gram = self.gram.triu() + self.gram.triu(1).T
        return self

    def add(self, rows: Tensor, jacobian: Tensor) -> None:
        self.gradient += jacobian.T @ rows
        self.loss += (rows @ rows).item()
        if jacobian.is_sparse:
            (row, column), values = jacobian.coalesce().indices().cpu().numpy(), jacobian.coalesce().values()
            known = sparse.csr_array((values.cpu().numpy(), (row, column)), shape=tuple(jacobian.shape))
            found = (known.T @ known).tocoo()
            self.gram = self.gram + _sparse(
                np.stack(found.coords), torch.from_numpy(found.data).to(rows), len(self.gram)
            )
            return
        # J'J is symmetric: panels of rows from the diagonal on, which `complete` mirrors
        size = jacobian.shape[1]
        width = max(PANEL, -(-size // 4))
        for start in range(0, size, width):
            panel = jacobian[:, start : start + width]
            self.gram[start : start + width, start:].addmm_(panel.T, jacobian[:, start:])


def _sparse(places: np.ndarray, values: Tensor, size: int) -> Tensor:
    """The sparse matrix (size, size) with `values` (k,) at `places` (2, k)."""
    indices = torch.from_numpy(places.astype(np.int64)).to(values.device)
    return torch.sparse_coo_tensor(indices, values, (size, size), check_invariants=False)


class Block(ABC):
    """One named term of the loss."""

    name: str
    approximates = False

    @abstractmethod
    def loss(self, unknowns: Unknowns) -> float:
        """The sum of squares."""

    @abstractmethod
    def gradient(self, unknowns: Unknowns) -> tuple[float, Tensor]:
        """The sum of squares and its gradient (P,)."""

    @abstractmethod
    def accumulate(self, unknowns: Unknowns, into: NormalEquations) -> None:
        """Add this term's loss, gradient and Gauss-Newton matrix."""


class RowBlock(Block):
    """A term whose rows, and their Jacobian, can be made chunk by chunk."""

    @abstractmethod
    def residuals(self, unknowns: Unknowns) -> Tensor:
        """(k, n) weighted residuals."""

    @abstractmethod
    def parts(self, unknowns: Unknowns) -> list[slice]:
        """The chunks of points that are treated one after another."""

    @abstractmethod
    def jacobian(self, unknowns: Unknowns, part: slice) -> tuple[Tensor, Tensor]:
        """Rows (k n,) of a chunk and their Jacobian (k n, P)."""

    def loss(self, unknowns: Unknowns) -> float:
        return self.residuals(unknowns).square().sum().item()

    def gradient(self, unknowns: Unknowns) -> tuple[float, Tensor]:
        loss, gradient = 0.0, unknowns.free.new_zeros(unknowns.size)
        for part in self.parts(unknowns):
            rows, jacobian = self.jacobian(unknowns, part)
            gradient += 2 * jacobian.T @ rows
            loss += (rows @ rows).item()
        return loss, gradient

    def accumulate(self, unknowns: Unknowns, into: NormalEquations) -> None:
        for part in self.parts(unknowns):
            into.add(*self.jacobian(unknowns, part))


class PointBlock(RowBlock):
    """A term whose rows belong to single points.

    Args:
        name: the user's name of the term.
        program: its residuals, `k` expressions.
        points: x (n, d), weights that are normalized to sum 1, normals.
        surrogate: for what its trial space fixes at points; any surrogate of the problem serves.
        factor: what one unit of the residual counts.
        target: measured values (n,) that the expression should equal, or None for zero.
        sums: whether the weights are used as they are (data) instead of making a mean.
        part: the part of the trial space (n,) that each point lies in; found by the cells of the points if it is not given.
    """

    def __init__(
        self,
        name: str,
        program: Program,
        points: Points,
        surrogate: Surrogate,
        factor: float = 1.0,
        target: Tensor | None = None,
        sums: bool = False,
        part: Tensor | None = None,
    ) -> None:
        self.name, self.program, self.factor = name, program, factor
        like = surrogate.center
        self.x = torch.as_tensor(points.x).to(like)
        self.normal = None if points.normal is None else torch.as_tensor(points.normal).to(like)
        weight = torch.as_tensor(points.weight).to(like)
        self.root = (weight if sums else weight / weight.sum()).sqrt()
        self.target = None if target is None else target.to(like)
        self.space = surrogate.space(program.jets)
        if part is None:
            part = surrogate.trial.part_of(points.x, points.cell)
        self.fixed = surrogate.tabulate(self.x, self.space, part)
        self.tables = program.tabulate(self.x)

    def rows(self, unknowns: Unknowns, part: slice, parameters: Tensor, tape: Tape | None = None) -> Tensor:
        """(k, n) weighted residuals of the points in `part`."""
        jets = unknowns.surrogate.jets(self.x[part], self.space, tape, self.fixed.at(part))
        return self._rows(select(jets, self.program.jets, self.space), part, parameters)

    def _rows(self, z: Tensor, part: slice, parameters: Tensor) -> Tensor:
        """(k, n) weighted residuals of the points in `part` from the jets `z` there."""
        x = self.x[part]
        normal = None if self.normal is None else self.normal[part]
        values = self.program(z, x, normal, parameters, self.tables[:, part])
        if self.target is not None:
            values = values - self.target[part]
        return values * (self.factor * self.root[part])

    def parts(self, unknowns: Unknowns) -> list[slice]:
        """The chunks of points that are treated one after another."""
        size = chunk_size(unknowns)
        return [slice(start, start + size) for start in range(0, len(self.x), size)]

    def residuals(self, unknowns: Unknowns) -> Tensor:
        """(k, n) weighted residuals of all points."""
        with torch.no_grad():
            parameters = unknowns.parameters()
            return torch.cat([self.rows(unknowns, part, parameters) for part in self.parts(unknowns)], 1)

    def gradient(self, unknowns: Unknowns) -> tuple[float, Tensor]:
        """By one backward pass, without the Jacobian."""
        losses: list[float] = []

        def twice(rows: Tensor, _: slice) -> Tensor:
            losses.append(rows.square().sum().item())
            return 2 * rows

        gradient = self._pulled(unknowns, twice)
        return sum(losses), gradient

    def pull(self, unknowns: Unknowns, adjoint: Tensor) -> Tensor:
        """(P,): the gradient of the sum of `adjoint` (k, n) times the residuals."""
        return self._pulled(unknowns, lambda rows, part: adjoint[:, part].to(rows))

    def _pulled(self, unknowns: Unknowns, adjoint: Callable[[Tensor, slice], Tensor]) -> Tensor:
        free = unknowns.free.clone().requires_grad_()
        wanted = [*unknowns.surrogate.network.parameters(), free]
        total = [torch.zeros_like(one) for one in wanted]
        for part in self.parts(unknowns):
            with torch.enable_grad():
                rows = self.rows(unknowns, part, unknowns.parameters(free))
            outward = adjoint(rows.detach(), part)
            if rows.requires_grad:
                found = torch.autograd.grad(rows, wanted, outward, allow_unused=True)
                for sums, own in zip(total, found, strict=True):
                    if own is not None:
                        sums += own
        return torch.cat([one.flatten() for one in total])

    def slopes(self, unknowns: Unknowns) -> Tensor:
        """(k, n, p): derivatives of the residuals in the free numbers of the parameters."""
        found = []
        for part in self.parts(unknowns):
            with torch.no_grad():
                jets = unknowns.surrogate.jets(self.x[part], self.space, None, self.fixed.at(part))
                z = select(jets, self.program.jets, self.space)
            with torch.enable_grad():
                free = unknowns.free[:, None].expand(-1, z.shape[-1]).clone().requires_grad_()
                rows = self._rows(z, part, unknowns.parameters(free))
                slopes = [
                    torch.autograd.grad(row.sum(), free, retain_graph=True, allow_unused=True)[0]
                    if row.requires_grad
                    else None
                    for row in rows
                ]
            found.append(torch.stack([torch.zeros_like(free) if own is None else own for own in slopes]).mT)
        return torch.cat(found, 1)

    def jacobians(self, unknowns: Unknowns, part: slice) -> Iterator[tuple[Tensor, list[Tensor]]]:
        """For each of the k residuals its values (n,) and their Jacobian, as blocks (n, .) that follow each other.

        One backward pass for each residual, none for each point. The blocks stay apart, since to join them costs as much as to
        make them.
        """
        n = len(self.x[part])
        tape = Tape(unknowns.sparse)
        with torch.enable_grad():
            free = unknowns.free[:, None].expand(-1, n).clone().requires_grad_()
            rows = self.rows(unknowns, part, unknowns.parameters(free), tape)
            wanted = [*tape.outputs, free] if len(free) else tape.outputs
            for row in rows:
                adjoints: Sequence[Tensor | None] = [None] * len(wanted)
                if row.requires_grad:
                    adjoints = torch.autograd.grad(row.sum(), wanted, retain_graph=True, allow_unused=True)
                blocks = tape.blocks(adjoints[: len(tape.outputs)])
                if len(free):
                    blocks.append((torch.zeros_like(free) if adjoints[-1] is None else adjoints[-1]).T)
                yield row.detach(), blocks

    def jacobian(self, unknowns: Unknowns, part: slice) -> tuple[Tensor, Tensor]:
        """Rows (k n,) and their Jacobian (k n, P)."""
        found = [(row, torch.cat(blocks, 1)) for row, blocks in self.jacobians(unknowns, part)]
        return torch.cat([row for row, _ in found]), found[0][1] if len(found) == 1 else torch.cat(
            [j for _, j in found]
        )

    def accumulate(self, unknowns: Unknowns, into: NormalEquations) -> None:
        for part in self.parts(unknowns):
            for row, blocks in self.jacobians(unknowns, part):
                into.add(row, torch.cat(blocks, 1))


class PairBlock(RowBlock):
    """What has to be equal at pairs of points: the rows of `far` minus those of `near`."""

    def __init__(self, far: PointBlock, near: PointBlock) -> None:
        self.name, self.far, self.near = far.name, far, near

    def residuals(self, unknowns: Unknowns) -> Tensor:
        return self.far.residuals(unknowns) - self.near.residuals(unknowns)

    def parts(self, unknowns: Unknowns) -> list[slice]:
        return self.far.parts(unknowns)

    def jacobian(self, unknowns: Unknowns, part: slice) -> tuple[Tensor, Tensor]:
        far, near = (block.jacobian(unknowns, part) for block in (self.far, self.near))
        return far[0] - near[0], far[1] - near[1]
