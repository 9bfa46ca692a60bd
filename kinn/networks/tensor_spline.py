"""Tensor products of B-splines: functions that are linear in their weights, each of which acts on a few cells."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from kinn.bases import BSpline
from kinn.networks.jets import JetSpace
from kinn.networks.network import Network, Tape

CELLS = {1: 64, 2: 32, 3: 6}  # along each axis: elements eliminate one to two thousand weights in a few seconds
DEGREE = 6


class TensorSpline(Network):
    """`f_o(x) = sum_j w_oj B_j1(x_1) ... B_jd(x_d)` on [-1, 1]^d, zero at first.

    The products of edges that KAN 2.0 (arXiv 2408.10205) adds to sums, each with a weight of its own: more weights than a KAN of
    few nodes, and a linear least-squares problem in the place of one with many minima.

    Args:
        n_inputs, n_outputs: the number of coordinates and of functions.
        axes: the inputs that it depends on, 1 to 3 of them; all by default.
        basis: of every one of these.
    """

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        axes: Sequence[int] | None = None,
        basis: BSpline | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        self.n_inputs, self.n_outputs = n_inputs, n_outputs
        self.axes = tuple(range(n_inputs)) if axes is None else tuple(axes)
        self.basis = BSpline(DEGREE, CELLS[len(self.axes)]) if basis is None else basis
        count = self.basis.n_functions ** len(self.axes)
        self.weight = nn.Parameter(torch.zeros(n_outputs, count, dtype=dtype, device=device))

    def compose(self, inputs: Tensor, space: JetSpace, tape: Tape | None = None) -> Tensor:
        with torch.no_grad():
            local, place = self._products(inputs, space)
        weight = self.weight if tape is None else self.weight.detach()
        output = torch.einsum("mnl,onl->mno", local, weight[:, place])
        if tape is None:
            return output
        jacobian = self._sparse_jacobian if tape.sparse else self._jacobian
        return tape.record(output, lambda adjoint: jacobian(adjoint, local, place))

    def _products(self, inputs: Tensor, space: JetSpace) -> tuple[Tensor, Tensor]:
        """Jets (m, n, l) of the products that are not zero at each point, and their numbers (n, l)."""
        local, place = None, None
        for axis in self.axes:
            values, index = self.basis.local(inputs[0, :, axis], space.order)
            jets = space.compose(values, inputs[..., axis, None])
            if local is None or place is None:
                local, place = jets, index
                continue
            local = space.multiply(local[..., :, None], jets[..., None, :]).flatten(-2)
            place = (self.basis.n_functions * place[:, :, None] + index[:, None, :]).flatten(1)
        assert local is not None and place is not None
        return local, place

    def _jacobian(self, adjoint: Tensor, local: Tensor, place: Tensor) -> Tensor:
        found = torch.einsum("mno,mnl->nol", adjoint, local)
        whole = found.new_zeros(len(place), *self.weight.shape)
        return whole.scatter_(2, place[:, None].expand_as(found), found).flatten(1)

    def _sparse_jacobian(self, adjoint: Tensor, local: Tensor, place: Tensor) -> Tensor:
        found, (outputs, count) = torch.einsum("mno,mnl->nol", adjoint, local), self.weight.shape
        columns = place[:, None] + count * torch.arange(outputs, device=place.device)[:, None]
        rows = torch.arange(len(place), device=place.device)[:, None, None].expand_as(columns)
        indices = torch.stack([rows.flatten(), columns.flatten()])
        size = len(place), outputs * count
        return torch.sparse_coo_tensor(indices, found.flatten(), size, check_invariants=False)

    def coarser(self) -> tuple[TensorSpline, Tensor] | None:
        """A spline on cells of twice the size, zero at first, and the matrix (p_coarse, p) that turns the weights of each of its
        functions into those of the same function here; None where the cells cannot be joined."""
        if self.basis.cells % 2:
            return None
        basis = BSpline(self.basis.degree, self.basis.cells // 2)
        matrix = reduce(torch.kron, [basis.refined()[1]] * len(self.axes))
        return TensorSpline(self.n_inputs, self.n_outputs, self.axes, basis), matrix

    @property
    def smoothness(self) -> int:
        return self.basis.smoothness

    @property
    def linear(self) -> bool:
        return True

    def settings(self) -> dict[str, Any]:
        sizes = {"inputs": self.n_inputs, "outputs": self.n_outputs, "axes": list(self.axes)}
        return {"kind": "tensor_spline", **sizes, **self.basis.settings()}

    @staticmethod
    def from_settings(settings: dict[str, Any]) -> TensorSpline:
        basis = BSpline(settings["degree"], settings["cells"])
        return TensorSpline(settings["inputs"], settings["outputs"], settings["axes"], basis)
