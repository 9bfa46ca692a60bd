"""One assembly for finite elements, weak training and the error estimate: each against what is known exactly."""

import numpy as np
import pytest
import sympy as sp
import torch
from oracles import network_of
from torch import nn

import kinn
from kinn import div, grad
from kinn.formulations.blocks import NormalEquations
from kinn.formulations.estimate import ErrorEstimate, estimation_space
from kinn.formulations.galerkin import GalerkinSpace
from kinn.formulations.galerkin_form import GalerkinForm
from kinn.formulations.on_elements import nodal_values
from kinn.formulations.scaling import initial_surrogate
from kinn.formulations.surrogate import Surrogate
from kinn.formulations.trial import Trial
from kinn.formulations.unknowns import Unknowns
from kinn.geometry import gauss
from kinn.networks import ModuleNetwork
from kinn.statement.terms import weak_terms

LIKE = torch.zeros(0, dtype=torch.float64)


class Formula(nn.Module):
    """A SymPy expression of the coordinates as a torch module."""

    def __init__(self, *expressions, coordinates):
        super().__init__()
        self.unit = nn.Parameter(torch.ones((), dtype=torch.float64))
        functions = {"sin": torch.sin, "cos": torch.cos, "exp": torch.exp}
        self.functions = [sp.lambdify(coordinates, e, modules=[functions]) for e in expressions]

    def forward(self, x):
        return self.unit * torch.stack([f(*x.unbind(1)) for f in self.functions], 1)


def trial(problem, *expressions):
    """Unknowns whose fields are the given formulas, in physical coordinates."""
    coordinates = problem.mesh.coordinates
    network = ModuleNetwork(Formula(*expressions, coordinates=coordinates), len(coordinates), len(expressions))
    zeros, ones = torch.zeros(len(coordinates)).double(), torch.ones(len(coordinates)).double()
    surrogate = Surrogate(network, zeros, ones, zeros[:1].repeat(len(expressions)), ones[:1].repeat(len(expressions)))
    return Unknowns.at_guess(problem, surrogate)


def exchange(mesh, exact, nonlinear=False):
    """Diffusion, reaction and drift with all kinds of conditions, satisfied by `exact`."""
    x, y = mesh.coordinates
    u = kinn.Field("u", mesh)

    def flux(v):
        return (1 + v**2 if nonlinear else 2 + x) * grad(v, mesh)

    def rest(v):
        return 3 * v + v.diff(x)

    f, n = flux(exact), mesh.normal
    return kinn.Problem(
        mesh,
        {"exchange": -div(flux(u)) + rest(u) - (-div(f).doit() + rest(exact))},
        [
            kinn.Dirichlet(u, exact, on="left"),
            kinn.Neumann(flux(u), f.dot(sp.Matrix([0, 1])).subs(y, mesh.upper[1]), on="top"),
            kinn.Robin(flux(u), u, 5, exact + f.dot(sp.Matrix([1, 0])) / 5, on="right"),
            kinn.Neumann(flux(u), -f[1], on="bottom"),
        ],
        exact={u: exact},
    ), n


@pytest.mark.parametrize("nonlinear", [False, True])
def test_strong_and_weak_pieces_are_the_same_residual_for_smooth_fields(nonlinear):
    mesh = kinn.Mesh.box((0, 0), (2, 1), cells=3)
    x, y = mesh.coordinates
    problem, _ = exchange(mesh, x**2 - x * y + y, nonlinear)
    problem.verify()
    weak = weak_terms(problem)
    space = GalerkinSpace(problem, weak, mesh, 2, extra=12)  # enough for every polynomial here
    unknowns = trial(problem, x**3 - 2 * x * y**2 + y)
    residuals = []
    for pieces in (space.pieces, space.strong_pieces):
        jets = [unknowns.surrogate.values(p.x, p.program.jets).detach() for p in pieces]
        residuals.append(space.residual(pieces, jets, unknowns.parameters()))
    fixed, _ = space.essential_values(unknowns.parameters())
    free = np.setdiff1d(np.arange(space.size), fixed)
    assert np.abs(residuals[0][free]).max() > 0.1
    assert np.abs(residuals[0] - residuals[1])[free].max() < 1e-12 * np.abs(residuals[0]).max()


def test_the_residual_of_the_exact_solution_is_zero():
    mesh = kinn.Mesh.box((0, 0), (2, 1), cells=3)
    x, y = mesh.coordinates
    problem, _ = exchange(mesh, x**2 - x * y + y)
    space = GalerkinSpace(problem, weak_terms(problem), mesh, 2)
    unknowns = trial(problem, x**2 - x * y + y)
    jets = [unknowns.surrogate.values(p.x, p.program.jets).detach() for p in space.pieces]
    residual = space.residual(space.pieces, jets, unknowns.parameters())
    fixed, _ = space.essential_values(unknowns.parameters())
    assert np.abs(np.delete(residual, fixed)).max() < 1e-13


def test_the_tangent_is_the_derivative_of_the_residual():
    mesh = kinn.Mesh.box((0, 0), (2, 1), cells=2)
    x, y = mesh.coordinates
    problem, _ = exchange(mesh, sp.sin(x + y), nonlinear=True)
    space = GalerkinSpace(problem, weak_terms(problem), mesh, 2)
    rng = np.random.default_rng(0)
    at, direction, step = rng.standard_normal(space.size), rng.standard_normal(space.size), 1e-6
    none = torch.zeros(0, dtype=torch.float64)
    ends = [space.residual(space.pieces, space.jets_of(at + s * step * direction), none) for s in (1, -1)]
    expected = (ends[0] - ends[1]) / (2 * step)
    assert np.abs(space.tangent(space.jets_of(at), none) @ direction - expected).max() < 1e-7 * np.abs(expected).max()


@pytest.mark.parametrize("make", [lambda: kinn.Mesh.box(-1, 2), lambda: kinn.Mesh.box((0, 0, 0), (2, 1, 1), cells=2)])
def test_the_h1_norm_is_that_of_quadrature(make):
    mesh = make()
    u = kinn.Field("u", mesh)
    problem = kinn.Problem(mesh, {"p": -div(grad(u)) - 1}, [kinn.Dirichlet(u, 0, on="boundary")])
    space = GalerkinSpace(problem, weak_terms(problem), mesh, 2)
    x = mesh.coordinates[0]
    points, length = gauss(mesh, 4), float(mesh.scale.max())
    at = points.x[:, 0]
    expected = np.sqrt(points.weight @ ((at**2 - at) ** 2 / length**2 + (2 * at - 1) ** 2))
    assert abs(space.norm(nodal_values(trial(problem, x**2 - x).surrogate, space))[0] - expected) < 1e-12 * expected


ESTIMATES = {
    "inside": (lambda x, y: sp.sin(sp.pi * x) * sp.sin(2 * sp.pi * y), 1e-3),
    "on the boundary": (lambda x, y: sp.cos(2 * x - y), 1e-3),
    "large": (lambda x, y: x * y * (1 - x), 0.1),
    "small": (lambda x, y: sp.sin(sp.pi * x) * sp.sin(2 * sp.pi * y), 1e-7),
}


# the quadrature errors of the weak pieces would hide a small error: only the strong pieces see it
CASES = [(name, smooth) for name in ESTIMATES for smooth in (True, False) if smooth or name != "small"]


@pytest.mark.parametrize("name, smooth", CASES)
@pytest.mark.parametrize("nonlinear", [False, True], ids=["linear", "nonlinear"])
def test_the_error_estimate_finds_a_known_error(name, smooth, nonlinear):
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=8)
    x, y = mesh.coordinates
    exact = sp.sin(sp.pi * x) * sp.cos(y)
    problem, _ = exchange(mesh, exact, nonlinear)
    shape, size = ESTIMATES[name]
    error = size * shape(x, y)
    estimate = ErrorEstimate(problem, estimation_space(problem, weak_terms(problem)), smooth)
    found = estimate(trial(problem, exact + error))
    points = gauss(mesh, 10)
    squares = []
    for f in (error, exact):
        columns = [sp.lambdify((x, y), e)(*points.x.T) for e in (2 * f, f.diff(x), f.diff(y))]
        squares.append(sum(points.weight @ (np.zeros(len(points)) + c) ** 2 for c in columns))
    true = np.sqrt(squares[0] / squares[1])
    assert 0.5 < found / true < 2, (found, true)


@pytest.mark.parametrize("smooth", [True, False])
def test_an_error_that_only_the_boundary_shows_is_found(smooth):
    """A harmonic error leaves no residual inside: the correction must come from the boundary values alone."""
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=4)
    x, y = mesh.coordinates
    u, exact, error = kinn.Field("u", mesh), x**2 + x - y, (x**2 - y**2 + x) / 100
    problem = kinn.Problem(mesh, {"p": -div(grad(u)) + 2}, [kinn.Dirichlet(u, exact, on="boundary")])
    space = GalerkinSpace(problem, weak_terms(problem), mesh, 2)
    estimate = ErrorEstimate(problem, space, smooth)
    found = estimate(trial(problem, exact + error))
    assert np.abs(estimate.error + nodal_values(trial(problem, error).surrogate, space)).max() < 1e-12
    norms = [space.norm(nodal_values(trial(problem, e).surrogate, space))[0] for e in (error, exact + error)]
    assert found == pytest.approx(norms[0] / norms[1], rel=1e-10)


def weak_block(nonlinear, lifted):
    mesh = kinn.Mesh.box((0, 0), (2, 1), cells=2)
    x, y = mesh.coordinates
    if lifted:
        u = kinn.Field("u", mesh)
        problem = kinn.Problem(mesh, {"p": -div((1 + u**2) * grad(u)) - 1}, [kinn.Dirichlet(u, x, on="boundary")])
    else:
        problem, _ = exchange(mesh, sp.sin(x + y) + 2, nonlinear)
    surrogate = initial_surrogate(problem, network_of("chebyshev", 2), Trial.of(problem) if lifted else Trial(), LIKE)
    unknowns = Unknowns.at_guess(problem, surrogate)
    form, unknowns.surrogate = GalerkinForm.prepare(problem, weak_terms(problem), surrogate, unknowns.parameters())
    (block,) = form.blocks(unknowns, 0, seed=0)
    return block, unknowns


@pytest.mark.parametrize("nonlinear, lifted", [(False, False), (True, False), (True, True)])
def test_gradient_and_gauss_newton_matrix_of_the_weak_loss(nonlinear, lifted):
    block, unknowns = weak_block(nonlinear, lifted)
    total = NormalEquations.zeros(unknowns)
    block.accumulate(unknowns, total)
    total.complete()
    loss, gradient = block.gradient(unknowns)
    assert abs(loss - block.loss(unknowns)) < 1e-11 * loss and abs(total.loss - loss) < 1e-12 * loss
    assert torch.allclose(gradient, 2 * total.gradient, rtol=1e-11)
    theta, step = unknowns.vector(), 1e-6
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        direction = torch.randn(len(theta), generator=generator, dtype=torch.float64)
        losses, rows = [], []
        for side in (1, -1):
            unknowns.assign(theta + side * step * direction)
            losses.append(block.loss(unknowns))
            rows.append(correction_of(block, unknowns))
        unknowns.assign(theta)
        slope = (losses[0] - losses[1]) / (2 * step)
        assert abs(slope - (gradient @ direction).item()) < 1e-6 * gradient.norm() * direction.norm()
        # the matrix is the squared norm of the derivative of the correction
        change = (rows[0] - rows[1]) / (2 * step)
        expected = change @ (block.correction.metric @ change)  # type: ignore[attr-defined]
        assert abs(direction @ total.gram @ direction - expected) < 1e-6 * expected


def correction_of(block, unknowns):
    residual, misfit = block.residuals(unknowns)
    return block.correction(residual.numpy(), misfit.numpy())


@pytest.mark.parametrize("stiffness, wind", [(1, 0), (1e4, 0), (1, 30)])
def test_the_weak_loss_is_the_squared_norm_of_the_error(stiffness, wind):
    """Where the error is a finite element function, the loss is its relative H1 norm, whatever the equation."""
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=4)
    x, y = mesh.coordinates
    u = kinn.Field("u", mesh)
    exact = x * y + x**2
    source = -stiffness * 2 + wind * exact.diff(x)
    equation = -div(stiffness * grad(u)) + wind * u.diff(x) - source
    problem = kinn.Problem(mesh, {"p": equation}, [kinn.Dirichlet(u, exact, on="boundary")], exact={u: exact})
    problem.verify()
    unknowns = trial(problem, exact + x**2 - 3 * x * y)
    form, _ = GalerkinForm.prepare(problem, weak_terms(problem), unknowns.surrogate, unknowns.parameters())
    (block,) = form.blocks(unknowns, 0, seed=0)
    space = block.space  # type: ignore[attr-defined]
    error, size = (space.norm(nodal_values(trial(problem, f).surrogate, space))[0] for f in (x**2 - 3 * x * y, exact))
    assert block.loss(unknowns) == pytest.approx((error / size) ** 2, rel=1e-10)
    e = correction_of(block, unknowns)
    assert np.abs(e + nodal_values(trial(problem, x**2 - 3 * x * y).surrogate, space)).max() < 1e-12


def test_without_an_inverse_the_inner_product_stands_in():
    """Elements of equal order, as a pressure with a slope has them, are singular for Stokes: the loss is then the dual norm of the
    residual."""
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=3)
    u, p = kinn.Field("u", mesh, components=2), kinn.Field("p", mesh)
    problem = kinn.Problem(
        mesh, {"balance": -div(grad(u)) + grad(p), "mass": div(u)}, [kinn.Dirichlet(u, [1, 0], on="top"),
        kinn.Dirichlet(u, 0, on=("left", "right", "bottom"))],
    )  # fmt: skip
    network = network_of("chebyshev", 2, 3)
    surrogate = initial_surrogate(problem, network, Trial(), LIKE)
    unknowns = Unknowns.at_guess(problem, surrogate)
    form, unknowns.surrogate = GalerkinForm.prepare(problem, weak_terms(problem), surrogate, unknowns.parameters())
    block = form.blocks(unknowns, 0, seed=0)[0]
    assert block.correction.singular  # type: ignore[attr-defined]
    assert 0 < block.loss(unknowns) < 1e3
