"""Kolmogorov-Arnold networks: a learnable function of one variable on every edge, sums and constants on the nodes."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from kinn.bases import ALL_BASES, Basis, Chebyshev
from kinn.networks import activations
from kinn.networks.jets import JetSpace
from kinn.networks.network import Network, Tape


class _EdgeSum(torch.autograd.Function):
    """`Y_alpha[o, n] = sum_i sum_k c_{alpha,k}[i, n] phi_{o,i}^(k)(x[i, n])` with `phi = C B`, and constants in `Y_0`.

    Points come last, so that all operations run along memory. Written as one autograd node because the derivative of `B^(k)` is
    `B^(k+1)`: nothing is differentiated through a recurrence.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, c: Tensor, weight: Tensor, bias: Tensor, basis: Tensor, space: JetSpace) -> Tensor:
        edges = weight @ basis  # (i, o, b) and (orders, i, b, n)
        output = x.new_zeros(len(space.indices), weight.shape[1], x.shape[1])
        torch.add(edges[0].sum(0), bias[:, None], out=output[0])
        for row, (alpha, k) in enumerate(space.chain):
            if k:
                output[alpha] += (c[row, :, None] * edges[k]).sum(0)
        ctx.save_for_backward(c, edges, basis, weight)
        ctx.space = space
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        (adjoint,) = gradients
        c, edges, basis, weight = ctx.saved_tensors
        space: JetSpace = ctx.space
        x_gradient, c_gradient = (edges[1] * adjoint[0]).sum(1), torch.zeros_like(c)
        for row, (alpha, k) in enumerate(space.chain):
            if k:
                torch.sum(edges[k] * adjoint[alpha], 1, out=c_gradient[row])
                x_gradient += c[row] * (edges[k + 1] * adjoint[alpha]).sum(1)
        weight_gradient = None
        if ctx.needs_input_grad[2]:
            weight_gradient = torch.zeros_like(weight)
            for k, q in enumerate(_edge_adjoints(adjoint, c, space)):
                weight_gradient += q @ basis[k].mT
        bias_gradient = adjoint[0].sum(1) if ctx.needs_input_grad[3] else None
        return x_gradient, c_gradient, weight_gradient, bias_gradient, None, None


def _edge_adjoints(adjoint: Tensor, c: Tensor, space: JetSpace) -> Tensor:
    """(orders, i, o, n): `Q_k = sum_alpha G_alpha[o, n] c_{alpha,k}[i, n]`, the adjoint of derivative k of every edge."""
    q = adjoint.new_zeros(space.order + 1, c.shape[1], *adjoint.shape[1:])
    for row, (alpha, k) in enumerate(space.chain):
        if k:
            q[k].addcmul_(adjoint[alpha], c[row, :, None])
        else:
            q[k] += adjoint[alpha]
    return q


def _weight_jacobian(adjoint: Tensor, c: Tensor, basis: Tensor, space: JetSpace) -> Tensor:
    """(n, i o b + o): derivatives in the weights, `sum_k Q_k[i, o, n] B^(k)[i, b, n]`, and in the constants, `G_0[o, n]`."""
    q, (_, o, n) = _edge_adjoints(adjoint, c, space), adjoint.shape
    _, i, b, _ = basis.shape
    found = adjoint.new_empty(i * o * b + o, n)
    weights = found[:-o].view(i, o, b, n)
    torch.mul(q[0, :, :, None], basis[0, :, None], out=weights)
    for k in range(1, len(q)):
        weights.addcmul_(q[k, :, :, None], basis[k, :, None])
    found[-o:] = adjoint[0]
    return found.T


class KANLayer(nn.Module):
    """`n_outputs` sums of a constant `bias` and `n_inputs` edge functions `phi(x) = sum_b weight_b B_b(x) + weight_base silu(x)`
    on [-1, 1].

    A constant of the basis is left out: of the constants of all edges that meet in a node only the sum matters. With an input
    spread over [-1, 1], an initial output has variance `gain^2`.
    """

    def __init__(self, n_inputs: int, n_outputs: int, basis: Basis, base: bool, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.n_inputs, self.n_outputs, self.basis, self.base = n_inputs, n_outputs, basis, base
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    @staticmethod
    def initial(
        n_inputs: int, n_outputs: int, basis: Basis, base: bool, gain: float, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Weights (i, o, b) and constants (o) that are normal and give every function the same share of the variance."""
        size = basis.mean_square.sqrt()
        if base:
            x = torch.linspace(-1, 1, 201, dtype=torch.float64)
            size = torch.cat([size, activations.silu(x, 0)[0].square().mean().sqrt()[None]])
        weight = torch.randn(n_inputs, n_outputs, len(size), generator=generator, dtype=torch.float64)
        weight *= gain / (size * math.sqrt(n_inputs * len(size)))
        return weight[..., basis.constants :].contiguous(), weight[..., : basis.constants].sum((0, 2))

    def functions(self, x: Tensor, order: int) -> Tensor:
        """The basis and the base function with derivatives at `x` (any shape s): (order + 1, *s, b)."""
        values = self.basis.derivatives(x, order)[..., self.basis.constants :]
        return torch.cat([values, activations.silu(x, order)[..., None]], -1) if self.base else values

    def edges(self, x: Tensor, order: int = 0) -> Tensor:
        """Every edge function at its input `x` (n, i), with derivatives: (order + 1, n, o, i); the one definition of an edge."""
        return torch.einsum("knib,iob->knoi", self.functions(x, order), self.weight)

    def jets(self, x: Tensor, space: JetSpace, tape: Tape | None) -> Tensor:
        """Jets (m, o, n) of the layer from the jets `x` (m, i, n) of its input."""
        # one derivative more than the jets, where gradients will be asked for
        order = space.order + torch.is_grad_enabled()
        with torch.no_grad():
            basis = self.functions(x[0], order).mT
        c = space.chain_coefficients(x)
        weight, bias = (self.weight, self.bias) if tape is None else (self.weight.detach(), self.bias.detach())
        output = _EdgeSum.apply(x[0], c, weight, bias, basis, space)
        assert isinstance(output, Tensor)
        if tape is None:
            return output
        chain = c.detach()
        return tape.record(output, lambda adjoint: _weight_jacobian(adjoint, chain, basis, space))

    def refined(self) -> KANLayer:
        basis, matrix = self.basis.refined()
        weight, few = self.weight.detach(), self.basis.constants
        old = self.basis.n_functions - few
        finer = torch.cat([weight[..., :old] @ matrix[few:, few:].to(weight), weight[..., old:]], -1)
        return KANLayer(self.n_inputs, self.n_outputs, basis, self.base, finer, self.bias.detach().clone())


class KAN(Network):
    """A Kolmogorov-Arnold network (arXiv 2404.19756) with layers of `widths`, tanh between the layers.

    tanh keeps every activation inside [-1, 1], the interval of the bases, so that no grid must follow the activations.

    Args:
        widths: nodes of each layer, inputs first, as in `[2, 5, 5, 1]`.
        basis: the functions on the edges; refinement makes it richer without changing the network's function.
        base: whether each edge also carries `silu`.
        seed: of the initial weights; no global random state is touched.
        gain: standard deviation of a layer's initial output over the reference interval, roughly; small edges train best.
    """

    def __init__(
        self,
        widths: list[int],
        basis: Basis | None = None,
        base: bool = True,
        seed: int = 0,
        gain: float = 0.35,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        if len(widths) < 2 or min(widths) < 1:
            raise ValueError(
                f"widths {widths} must name at least an input and an output layer, each with 1 node or more"
            )
        basis = Chebyshev() if basis is None else basis
        generator = torch.Generator().manual_seed(seed)
        self.widths, self.n_inputs, self.n_outputs = list(widths), widths[0], widths[-1]
        self.layers = nn.ModuleList(
            KANLayer(i, o, basis, base, *KANLayer.initial(i, o, basis, base, gain, generator))
            for i, o in zip(widths, widths[1:], strict=False)
        )
        self.to(dtype=dtype, device=device)

    def _layers(self) -> list[KANLayer]:
        return [layer for layer in self.layers if isinstance(layer, KANLayer)]

    def compose(self, inputs: Tensor, space: JetSpace, tape: Tape | None = None) -> Tensor:
        values = inputs.mT.contiguous()
        for depth, layer in enumerate(self._layers()):
            if depth:
                values = space.compose(activations.tanh(values[0], space.order), values)
            values = layer.jets(values, space, tape)
        return values.mT

    @property
    def basis(self) -> Basis:
        return self._layers()[0].basis

    @property
    def smoothness(self) -> int | None:
        return self.basis.smoothness

    def refined(self) -> KAN:
        finer = KAN(self.widths, Chebyshev(1), base=False)
        finer.layers = nn.ModuleList(layer.refined() for layer in self._layers())
        return finer

    def settings(self) -> dict[str, Any]:
        return {
            "kind": "kan",
            "widths": self.widths,
            "basis": {"name": self.basis.name, **self.basis.settings()},
            "base": self._layers()[0].base,
        }

    @staticmethod
    def from_settings(settings: dict[str, Any]) -> KAN:
        basis = dict(settings["basis"])
        return KAN(settings["widths"], ALL_BASES[basis.pop("name")](**basis), settings["base"])
