"""One conformance suite for every family of basis functions, and what is special about each."""

import math

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline as ScipySpline

from kinn.bases import ALL_BASES, BSpline, Chebyshev, Fourier, Gaussian
from kinn.networks import KAN, JetSpace

MEMBERS = [
    BSpline(1, 4), BSpline(3, 2), BSpline(5, 1), BSpline(6, 5), Chebyshev(1), Chebyshev(7), Gaussian(2), Gaussian(5),
    Gaussian(4).refined()[0], Fourier(1), Fourier(4),
]  # fmt: skip
every_basis = pytest.mark.parametrize("basis", MEMBERS, ids=lambda b: f"{b.name}-{b.n_functions}")
X = torch.linspace(-1, 1, 42, dtype=torch.float64)[1:-1]  # no knot of the splines above


def test_the_suite_knows_every_basis():
    assert {basis.name for basis in MEMBERS} == set(ALL_BASES)


@every_basis
def test_derivatives_up_to_order_5_are_those_of_autograd(basis):
    values = basis.derivatives(X, 5)
    assert values.shape == (6, len(X), basis.n_functions)
    for b in range(basis.n_functions):
        x = X.clone().requires_grad_()
        function = basis.derivatives(x, 0)[0, :, b]
        for order in range(6):
            expected = function.detach()
            size = max(values[order].abs().max().item(), 1.0)
            assert (values[order, :, b] - expected).abs().max() < 1e-12 * size, order
            if function.requires_grad:
                (function,) = torch.autograd.grad(function.sum(), x, create_graph=True)
            else:
                function = torch.zeros_like(function)


@every_basis
def test_lower_orders_and_shapes_do_not_matter(basis):
    grid = X[:12].view(3, 4)
    assert torch.equal(basis.derivatives(grid, 4)[:2], basis.derivatives(grid, 1))
    assert torch.equal(basis.derivatives(grid, 3).view(4, 12, -1), basis.derivatives(X[:12], 3))


@every_basis
def test_refinement_keeps_every_function_and_its_derivatives(basis):
    finer, matrix = basis.refined()
    assert matrix.shape == (basis.n_functions, finer.n_functions) and finer.n_functions > basis.n_functions
    x = (
        torch.linspace(-1.2, 1.2, 101, dtype=torch.float64)
        if basis.name != "bspline"
        else torch.cat([X, X[:1] * 0 + 1])
    )
    before, after = basis.derivatives(x, 2), finer.derivatives(x, 2) @ matrix.T
    for order in range(3):
        assert (before[order] - after[order]).abs().max() < 1e-12 * max(before[order].abs().max().item(), 1)


@every_basis
def test_stated_smoothness_holds_at_every_knot(basis):
    knots = torch.linspace(-1, 1, (basis.cells if isinstance(basis, BSpline) else 4) + 1, dtype=torch.float64)[1:-1]
    if not len(knots):
        return
    step = 1e-9
    order = 3 if basis.smoothness is None else basis.smoothness
    left, right = basis.derivatives(knots - step, order + 1), basis.derivatives(knots + step, order + 1)
    for k in range(order + 1):
        size = basis.derivatives(X, k + 1)[k + 1].abs().max().item() + 1
        assert (left[k] - right[k]).abs().max() < 10 * step * size, k
    if basis.smoothness is not None:
        assert (left[-1] - right[-1]).abs().max() > 1e-2  # and it is not understated


@every_basis
def test_settings_build_the_basis_again(basis):
    again = ALL_BASES[basis.name](**basis.settings())
    assert torch.equal(again.derivatives(X, 2), basis.derivatives(X, 2)) and again.settings() == basis.settings()


@every_basis
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_and_device_are_those_of_the_points(basis, dtype):
    values = basis.derivatives(X.to(dtype), 2)
    assert values.dtype is dtype and values.device == X.device
    exact = basis.derivatives(X, 2)
    assert (values - exact).abs().max() < 200 * torch.finfo(dtype).eps * exact.abs().max()
    assert basis.derivatives(X.to("meta", dtype), 1).device.type == "meta"


@pytest.mark.parametrize("degree", range(1, 7))
@pytest.mark.parametrize("cells", [1, 2, 5])
def test_splines_are_a_partition_of_unity_and_those_of_scipy(degree, cells):
    x = torch.linspace(-1, 1, 101, dtype=torch.float64)
    values = BSpline(degree, cells).derivatives(x, min(degree, 3))
    assert (values[0].sum(-1) - 1).abs().max() < 1e-13 and (values[0] >= -1e-15).all()
    assert values[1].sum(-1).abs().max() < 1e-11
    knots = -1 + 2 / cells * np.arange(-degree, cells + degree + 1)
    scipy = ScipySpline(knots, np.eye(cells + degree), degree)
    inside = x[:-1].numpy()  # scipy takes the last knot from outside
    for k in range(degree):  # the degree-th derivative jumps at the knots
        expected = scipy.derivative(k)(inside) if k else scipy(inside)
        if k < len(values):
            assert np.abs(values[k, :-1].numpy() - expected).max() < 1e-11 * max(np.abs(expected).max(), 1)


def test_chebyshev_polynomials_are_those_of_numpy():
    values = Chebyshev(9).derivatives(X, 4)
    for order in range(5):
        for m in range(10):
            expected = np.polynomial.Chebyshev.basis(m)
            expected = (expected.deriv(order) if order else expected)(X.numpy())
            assert np.abs(values[order, :, m].numpy() - expected).max() <= 1e-12 * max(np.abs(expected).max(), 1)


def test_waves_are_orthogonal_and_repeat_after_2():
    x = torch.linspace(-1, 1, 65, dtype=torch.float64)[:-1]
    values = Fourier(5).derivatives(x, 4)
    gram = values[0].T @ values[0] / len(x)
    assert (gram - torch.diag(torch.tensor([1.0] + [0.5] * 10, dtype=torch.float64))).abs().max() < 1e-14
    again = Fourier(5).derivatives(x + 2, 4)
    for order in range(5):
        wave = (math.pi * 5) ** order
        assert (again[order] - values[order]).abs().max() < 1e-13 * wave
        # cos and sin of the third wave, by their phase
        angle = 3 * math.pi * x + order * math.pi / 2
        expected = (3 * math.pi) ** order * torch.stack([torch.cos(angle), torch.sin(angle)], 1)
        assert (values[order, :, 5:7] - expected).abs().max() < 1e-13 * wave


def test_fourier_edges_without_base_make_a_network_periodic():
    space = JetSpace.of([(2,)], 1)
    x = torch.linspace(-1, 1, 21, dtype=torch.float64)[:, None]
    network = KAN([1, 5, 1], Fourier(3), base=False, seed=1)
    for member in (network, network.refined()):
        here, there = member.jets(x, space), member.jets(x + 2, space)
        for order in range(3):
            size = here[order].abs().max()
            assert (here[order] - there[order]).abs().max() < 1e-12 * size
            assert (here[order, 0] - here[order, -1]).abs().max() < 1e-12 * size
    silu = KAN([1, 5, 1], Fourier(3), base=True, seed=1)
    assert (silu(x[:1]) - silu(x[-1:])).abs().max() > 1e-3  # the base function has no period


@pytest.mark.parametrize(
    "build", [lambda: BSpline(0), lambda: BSpline(3, 0), lambda: Chebyshev(0), lambda: Gaussian(1), lambda: Fourier(0)]
)
def test_impossible_bases_are_refused(build):
    with pytest.raises(ValueError, match="at least|needs"):
        build()
