"""The weak loss of trial spaces with materials, jumps and periods: still the squared norm of the error."""

import numpy as np
import pytest
import sympy as sp
import torch
from made_meshes import halves, jumping
from oracles import network_of
from torch import nn

import kinn
from kinn import div, grad
from kinn.formulations.blocks import NormalEquations
from kinn.formulations.correction import Correction
from kinn.formulations.galerkin import GalerkinSpace
from kinn.formulations.galerkin_form import GalerkinForm
from kinn.formulations.on_elements import jets_on
from kinn.formulations.parts import Parts
from kinn.formulations.scaling import initial_surrogate
from kinn.formulations.surrogate import Surrogate
from kinn.formulations.trial import Trial
from kinn.formulations.unknowns import Unknowns
from kinn.formulations.weak import WeakBlock
from kinn.networks import ModuleNetwork
from kinn.statement.terms import weak_terms

LIKE = torch.zeros(0, dtype=torch.float64)


class Formulas(nn.Module):
    """Expressions of the coordinates, one for each output."""

    def __init__(self, expressions, coordinates):
        super().__init__()
        self.unit = nn.Parameter(torch.ones((), dtype=torch.float64))
        self.functions = [sp.lambdify(coordinates, e + 0 * coordinates[0]) for e in expressions]

    def forward(self, x):
        return self.unit * torch.stack([f(*x.unbind(1)) + 0 * x[:, 0] for f in self.functions], 1)


def trial_of(problem, expressions, trial):
    """Unknowns whose outputs are formulas in physical coordinates."""
    coordinates = problem.mesh.coordinates
    network = ModuleNetwork(Formulas(expressions, coordinates), len(coordinates), len(expressions))
    zeros, ones, count = torch.zeros(3).double(), torch.ones(3).double(), len(problem.components)
    surrogate = Surrogate(
        network, zeros[: len(coordinates)], ones[: len(coordinates)], zeros[:count], ones[:count], trial
    )
    return Unknowns.at_guess(problem, surrogate)


def block_of(problem, unknowns):
    """The block around a surrogate with its own scaling, and its form."""
    form, _ = GalerkinForm.prepare(problem, weak_terms(problem), unknowns.surrogate, unknowns.parameters())
    block = form.blocks(unknowns, 0, seed=0)[0]
    assert isinstance(block, WeakBlock)
    return block, form


def interpolated(space, expressions, problem):
    """Nodal values of one formula for each part."""
    values = np.stack(
        [
            sp.lambdify(problem.mesh.coordinates, e + 0 * problem.mesh.coordinates[0])(*space.nodes.T)
            for e in expressions
        ]
    )
    return values[space.part, np.arange(space.n)]


@pytest.mark.parametrize("side", ["a", "b"])
def test_an_exact_solution_that_jumps_has_no_loss_and_others_their_error(side):
    problem, exact = jumping(kinn.Mesh.box((0, 0), (1, 1), cells=4), side)
    x, y = problem.mesh.coordinates
    parts = Parts.of(problem)
    first = int(parts.of_cells(problem.mesh.subdomains["a"])[0])
    order = exact if first == 0 else exact[::-1]
    unknowns = trial_of(problem, order, Trial(parts=parts))
    block, _ = block_of(problem, unknowns)
    assert block.loss(unknowns) < 1e-20
    errors = (x**2 - y, 1 + x * y)  # jump in value and flux
    wrong = trial_of(problem, [e + d for e, d in zip(order, errors, strict=True)], Trial(parts=parts))
    block, form = block_of(problem, wrong)
    space = block.space
    error = space.vector(interpolated(space, errors, problem))
    assert np.abs(error[space.pairs[0]]).max() > 0.5
    expected = (space.norm(error)[0] / form.sizes[0]) ** 2
    assert block.loss(wrong) == pytest.approx(expected, rel=1e-9)


def test_a_trial_solution_that_is_not_periodic_has_its_jump_in_the_loss():
    """u = 2 x + x y - y plus an error that does not repeat, which quadratics hold."""
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=3)
    u, (x, y) = kinn.Field("u", mesh), mesh.coordinates
    exact, error = 2 * x + x * y - y, x**2 + 3 * y - x * y
    periodic = [kinn.Periodic(u, "left", "right", jump=2 + y), kinn.Periodic(u, "bottom", "top", jump=x - 1)]
    problem = kinn.Problem(mesh, {"heat": -div(grad(u)) + u - exact}, periodic)
    unknowns = trial_of(problem, [exact], Trial(periodic=False))
    block, _ = block_of(problem, unknowns)
    assert block.loss(unknowns) < 1e-20
    wrong = trial_of(problem, [exact + error], Trial(periodic=False))
    block, form = block_of(problem, wrong)
    whole = block.space.vector(interpolated(block.space, [error], problem))
    assert block.loss(wrong) == pytest.approx((block.space.norm(whole)[0] / form.sizes[0]) ** 2, rel=1e-9)


def layers(nonlinear):
    """Two materials, a jump between them, a period across, and given values at both ends."""
    mesh = halves(kinn.Mesh.box((0, 0), (1, 1), cells=2))
    x, y = mesh.coordinates
    u, v = kinn.Field("u", mesh), kinn.Field("v", mesh)
    k = kinn.Coefficient("k", mesh, {"a": 1, "b": 10})
    law = 1 + u**2 if nonlinear else 1
    equations = {"u": -div(k * law * grad(u)) + v - x, "v": -div(k * grad(v)) - 2 * u}
    conditions = [
        kinn.Dirichlet(u, y * (1 - y), on="left"),
        kinn.Dirichlet(u, 1, on="right"),
        kinn.Dirichlet(v, 0, on="left"),
        kinn.Periodic(u, "bottom", "top"),
        kinn.Periodic(v, "bottom", "top", jump=x),
        kinn.Condition(kinn.jump(u) - 1, "middle", side="a"),
    ]
    return kinn.Problem(mesh, equations, conditions)


@pytest.mark.parametrize("nonlinear", [False, True])
def test_gradient_and_gauss_newton_matrix_with_ties(nonlinear):
    problem = layers(nonlinear)
    trial = Trial.of(problem, weak_terms(problem))
    assert trial.parts is not None and not trial.periodic
    network = network_of("chebyshev", trial.n_inputs(2), trial.n_outputs(2))
    unknowns = Unknowns.at_guess(problem, initial_surrogate(problem, network, trial, LIKE))
    block, _ = block_of(problem, unknowns)
    total = NormalEquations.zeros(unknowns)
    block.accumulate(unknowns, total)
    total.complete()
    loss, gradient = block.gradient(unknowns)
    assert loss > 1e-3 and abs(loss - block.loss(unknowns)) < 1e-11 * loss and abs(total.loss - loss) < 1e-12 * loss
    assert torch.allclose(gradient, 2 * total.gradient, rtol=1e-10, atol=1e-10 * float(gradient.norm()))
    theta, generator = unknowns.vector(), torch.Generator().manual_seed(0)
    for _ in range(3):
        direction = torch.randn(len(theta), generator=generator, dtype=torch.float64)
        step, losses, rows = 1e-6, [], []
        for sign in (1, -1):
            unknowns.assign(theta + sign * step * direction)
            losses.append(block.loss(unknowns))
            residual, misfit = block.residuals(unknowns)
            rows.append(block.correction(residual.numpy(), misfit.numpy()))
        unknowns.assign(theta)
        slope = (losses[0] - losses[1]) / (2 * step)
        assert abs(slope - float(gradient @ direction)) < 1e-6 * float(gradient.norm() * direction.norm())
        change = (rows[0] - rows[1]) / (2 * step)
        expected = change @ (block.correction.metric @ change)
        assert abs(float(direction @ total.gram @ direction) - expected) < 1e-6 * expected


def test_columns_are_corrected_one_by_one_and_sizes_divide():
    problem = layers(False)
    weak, none = weak_terms(problem), torch.zeros(0).double()
    space = GalerkinSpace(problem, weak, problem.mesh, 2)
    rng = np.random.default_rng(0)
    tangent = space.tangent(space.jets_of(np.zeros(space.size)), none)
    one, two = (Correction(space, tangent, sizes, [1.0, 1.0]) for sizes in ([1.0, 1.0], [2.0, 5.0]))
    residual, misfit = rng.standard_normal((space.size, 3)), rng.standard_normal((len(space.fixed), 3))
    e = one(residual, misfit)
    for k in range(3):
        assert np.allclose(e[:, k], one(residual[:, k], misfit[:, k]), rtol=1e-10, atol=1e-12)
    assert np.array_equal(two(residual, misfit), e)
    norms = space.norm(e[:, 0])
    assert e[:, 0] @ (two.metric @ e[:, 0]) == pytest.approx((norms[0] / 2) ** 2 + (norms[1] / 5) ** 2, rel=1e-10)


def test_the_correction_leads_to_the_finite_element_solution_from_anywhere():
    """A linear problem with ties: u + e is the same function for every finite element function u."""
    problem = layers(False)
    space = GalerkinSpace(problem, weak_terms(problem), problem.mesh, 2)
    none, rng = torch.zeros(0).double(), np.random.default_rng(1)
    fixed, given = space.essential_values(none)
    correction = Correction(space, space.tangent(space.jets_of(np.zeros(space.size)), none), [1.0, 1.0], [1.0, 1.0])
    found = []
    for _ in range(2):
        u = rng.standard_normal(space.size)
        e = correction(space.residual(space.pieces, space.jets_of(u), none), u[fixed] - given)
        found.append(u + e)
    assert np.allclose(found[0], found[1], rtol=0, atol=1e-11)
    assert np.allclose(found[0][fixed], given, rtol=0, atol=1e-12)
    rest = np.setdiff1d(np.arange(space.size), fixed)
    assert np.abs(space.residual(space.pieces, space.jets_of(found[0]), none)[rest]).max() < 1e-11


def test_jets_of_the_trial_space_are_taken_on_the_side_of_each_element():
    """Quadrature points on an interface see the part of their own cell, on facets too."""
    problem, _ = jumping(kinn.Mesh.box((0, 0), (1, 1), cells=2), "a")
    parts = Parts.of(problem)
    space = GalerkinSpace(problem, weak_terms(problem), problem.mesh, 2, parts=parts)
    unknowns = trial_of(problem, [sp.Integer(0), sp.Integer(1)], Trial(parts=parts))
    for piece, jets in zip(space.pieces, jets_on(unknowns.surrogate, space.pieces), strict=True):
        for (_, index), values in zip(piece.program.jets, jets, strict=True):
            if not any(index):
                assert torch.equal(values, piece.part.double())


def test_values_that_are_given_twice_count_once():
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=2)
    u, (x, y) = kinn.Field("u", mesh), mesh.coordinates
    conditions = [kinn.Dirichlet(u, x * y, on="boundary"), kinn.Dirichlet(u, 0, on="left")]
    problem = kinn.Problem(mesh, {"p": -div(grad(u))}, conditions).check()
    unknowns = trial_of(problem, [x * y], Trial())
    block, _ = block_of(problem, unknowns)
    assert block.loss(unknowns) < 1e-20


def prepared(problem):
    """The block of a problem with one smooth field, and a random trial solution."""
    network = kinn.KAN([2, 3, 1], kinn.Chebyshev(3), base=False, seed=0)
    surrogate = initial_surrogate(problem, network, Trial(periodic=False), LIKE)
    parameters = Unknowns.at_guess(problem, surrogate).parameters()
    form, surrogate = GalerkinForm.prepare(problem, weak_terms(problem), surrogate, parameters)
    unknowns = Unknowns.at_guess(problem, surrogate)
    block = form.blocks(unknowns, 0, seed=0)[0]
    assert isinstance(block, WeakBlock)
    return block, unknowns


def slopes_of(block, unknowns):
    """The derivative of the correction by projection and by interpolation, and how far they are apart in H1."""
    projected, interpolated = block._projected(unknowns), block._interpolated(unknowns)
    metric = block.correction.metric
    norm = [float(np.sqrt((c * (metric @ c)).sum())) for c in (projected.numpy(), (projected - interpolated).numpy())]
    return projected, interpolated, norm[1] / norm[0]


def floating(cells):
    """No boundary value: the level of the solution is open."""
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=cells)
    u, (x, _) = kinn.Field("u", mesh), mesh.coordinates
    return kinn.Problem(
        mesh, {"heat": -div(grad(u)) - x + sp.Rational(1, 2)}, [kinn.Neumann(grad(u), 0, on="boundary")]
    )


def tied(cells):
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=cells)
    u, x = kinn.Field("u", mesh), mesh.coordinates[0]
    conditions = [kinn.Periodic(u, "bottom", "top", jump=x), kinn.Dirichlet(u, x**2, on="left")]
    return kinn.Problem(mesh, {"heat": -div((1 + u**2) * grad(u)) - 1}, conditions)


@pytest.mark.parametrize("problem_of", [floating, tied])
def test_interpolated_tangents_come_near_the_projected_ones_with_finer_tests(problem_of):
    apart = []
    for cells in (4, 8, 16):
        problem = problem_of(cells)
        block, unknowns = prepared(problem)
        total = NormalEquations.zeros(unknowns)
        block.accumulate(unknowns, total)
        gradient = block.gradient(unknowns)[1]
        assert torch.allclose(gradient, 2 * total.gradient, rtol=1e-9, atol=1e-9 * float(gradient.norm()))
        apart.append(slopes_of(block, unknowns)[2])
    assert apart[1] < 0.35 * apart[0] and apart[2] < 0.35 * apart[1] and apart[2] < 0.02


def test_columns_of_parameters_are_sharp_in_both():
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=3)
    u, x = kinn.Field("u", mesh), mesh.coordinates[0]
    k, level, flow = (
        kinn.Parameter(name, guess=g, lower=0.01) for name, g in (("k", 1.5), ("level", 0.7), ("flow", 2))
    )
    conditions = [kinn.Dirichlet(u, level * x, on="bottom"), kinn.Neumann(k * grad(u), flow, on="right")]
    data = kinn.Observations(u, [[0.5, 0.5], [0.2, 0.8], [0.9, 0.4]], [0.1, 0.2, 0.3])
    problem = kinn.Problem(mesh, {"heat": -div(k * grad(u)) - 1}, conditions, observations=[data])
    block, unknowns = prepared(problem)
    projected, interpolated, apart = slopes_of(block, unknowns)
    assert torch.allclose(projected[:, -3:], interpolated[:, -3:], rtol=1e-9, atol=1e-12) and apart > 1e-6
    assert all(float(column.norm()) > 1e-3 for column in projected[:, -3:].T)


def test_a_loss_that_is_known_is_not_made_again_and_one_of_other_unknowns_is(monkeypatch):
    block, unknowns = prepared(floating(4))
    made, residuals = [], block.residuals
    monkeypatch.setattr(block, "residuals", lambda of: made.append(None) or residuals(of))
    theta, first = unknowns.vector(), block.loss(unknowns)
    total = NormalEquations.zeros(unknowns)
    block.accumulate(unknowns, total)
    assert len(made) == 1 and total.loss == first
    unknowns.assign(1.1 * theta)
    assert block.loss(unknowns) != first and len(made) == 2
    unknowns.assign(theta)
    assert block.loss(unknowns) == first and len(made) == 3
