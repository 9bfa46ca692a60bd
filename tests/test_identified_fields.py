"""Unknown coefficient fields: derivatives, modes of priors, what networks and elements find, and their bands."""

import numpy as np
import pytest
import sympy as sp
import torch

import kinn
from kinn import div, grad
from kinn.candidates import candidates
from kinn.fem.modes import modes_of
from kinn.formulations.choice import choose
from kinn.formulations.galerkin import GalerkinSpace
from kinn.formulations.galerkin_form import GalerkinForm
from kinn.formulations.reading import Reading
from kinn.formulations.scaling import initial_surrogate
from kinn.formulations.trial import Trial
from kinn.formulations.unknowns import Unknowns
from kinn.formulations.weak import WeakBlock
from kinn.statement.terms import weak_terms

MESH = kinn.Mesh.box(0, 1, cells=16)
(X,) = MESH.coordinates
U = kinn.Field("u", MESH)
AT = np.linspace(0.02, 0.98, 40)[:, None]
GRID = np.linspace(0, 1, 51)[:, None]


def source_problem(noise=0.01, mesh=MESH, u=U):
    """-u'' = q, u = sin(pi x): q = pi^2 sin(pi x)."""
    q = kinn.Field("q", mesh)
    values = np.sin(np.pi * AT[:, 0]) + noise * np.random.default_rng(0).standard_normal(len(AT))
    data = [kinn.Observations(u, AT, values, sigma=noise)]
    return kinn.Problem(mesh, {"heat": -div(grad(u)) - q}, [kinn.Dirichlet(u, 0, on="boundary")], data), q


def conductivity_problem():
    """-(k u')' = 1 with k = 1 + x, u = 0 on the left and no flux on the right: k u' = 1 - x."""
    k = kinn.Field("k", MESH, guess=1.0, lower=0)
    u = sp.integrate((1 - X) / (1 + X), X)
    values = sp.lambdify(X, u)(AT[:, 0]) - float(u.subs(X, 0))
    data = [kinn.Observations(U, AT, values, sigma=1e-4)]
    return kinn.Problem(MESH, {"heat": -div(k * grad(U)) - 1}, [kinn.Dirichlet(U, 0, on="left")], data), k


def prepared(problem):
    choice = choose(problem)
    assert choice.form == "weak" and choice.weak is not None
    like = torch.zeros(0, dtype=torch.float64)
    (*_, network), trial = candidates(problem, None, Trial.of(problem, choice.weak), 0, like.dtype, like.device)
    surrogate = initial_surrogate(problem, network, trial, like)
    guess = Unknowns.at_guess(problem, surrogate)
    form, surrogate = GalerkinForm.prepare(problem, choice.weak, surrogate, guess.parameters())
    return form, Unknowns(problem, surrogate, guess.free)


def test_the_correction_follows_a_coefficient():
    """Derivatives of the correction in all weights, projected and interpolated, against differences."""
    form, unknowns = prepared(conductivity_problem()[0])
    (block,) = form.blocks(unknowns, 300, 0)
    assert isinstance(block, WeakBlock)
    theta, changes = unknowns.vector(), [block._projected(unknowns), block._interpolated(unknowns)]
    generator, scale = torch.Generator().manual_seed(0), 1e-5
    for _ in range(3):
        direction = torch.randn(len(theta), generator=generator, dtype=theta.dtype)
        ends = []
        for side in (-1, 1):
            unknowns.assign(theta + side * scale * direction)
            residual, misfit = block.residuals(unknowns)
            ends.append(block.correction(residual.numpy(), misfit.numpy()))
        unknowns.assign(theta)
        rows = block._ruled
        expected = ((ends[1] - ends[0]) / (2 * scale))[rows]
        size = np.abs(expected).max()
        for change, tolerance in zip(changes, (1e-6, 2e-2), strict=True):
            assert np.abs((change @ direction).numpy()[rows] - expected).max() < tolerance * size


def test_modes_have_the_covariance_of_their_prior():
    mesh = kinn.Mesh.box(0, 1, cells=64)
    u, k = kinn.Field("u", mesh), kinn.Field("k", mesh, prior=kinn.GaussianField(length=0.1))
    problem = kinn.Problem(mesh, {"heat": -div(grad(u)) - k}, [kinn.Dirichlet(u, 0, on="boundary")])
    space = GalerkinSpace(problem, weak_terms(problem), mesh)
    modes = modes_of(space, problem.identified[0])
    x = space.nodes[modes.dofs - space.n * problem.index(modes.component), 0]
    covariance = modes.shapes @ modes.shapes.T
    middle, kappa = np.argmin(np.abs(x - 0.5)), np.sqrt(12.0) / 0.1
    r = kappa * np.abs(x - x[middle])
    assert covariance[middle] == pytest.approx((1 + r) * np.exp(-r), abs=2e-2)  # Matern of smoothness 3/2


def test_a_reading_and_its_derivatives():
    problem, _ = conductivity_problem()
    space = GalerkinSpace(problem, weak_terms(problem), MESH)
    k, values = problem.identified[0], np.random.default_rng(0).standard_normal(space.size)
    moved, none = np.random.default_rng(1).standard_normal((space.size, 2)), torch.zeros(0, dtype=torch.float64)
    flux = kinn.Observations(k * U.diff(X), AT, np.zeros(len(AT)))
    whole = kinn.Observations(kinn.Integral(k * U.diff(X)), values=[0.0, 1.0])
    for data in (flux, whole):
        reading = Reading(space, data)
        found = reading.derivatives(values, moved, none)
        for column, direction in zip(found.T, moved.T, strict=True):
            ends = [reading(values + side * 1e-6 * direction, none) for side in (-1, 1)]
            assert column == pytest.approx((ends[1] - ends[0]) / 2e-6, rel=1e-5, abs=1e-6)


def test_elements_identify_a_conductivity():
    problem, k = conductivity_problem()
    found = kinn.fem.identify(problem)
    inside = GRID[:40]
    error, deviation = found.solution.evaluate(k, inside) - (1 + inside[:, 0]), found.deviation(k, inside)
    assert np.abs(error).max() < 0.03 and (np.abs(error) < 3 * deviation).mean() > 0.9
    with pytest.raises(kinn.StatementError, match="is no unknown coefficient field of the problem"):
        found.deviation(U, inside)


def test_a_network_identifies_a_source_as_well_as_elements_do():
    problem, q = source_problem()
    truth = np.pi**2 * np.sin(np.pi * GRID[:, 0])
    solution = kinn.solve(problem, steps=36, progress=False)
    elements = kinn.fem.identify(problem)
    errors = [np.linalg.norm(s.evaluate(q, GRID) - truth) for s in (solution, elements.solution)]
    assert errors[0] < 0.25 * np.linalg.norm(truth) and errors[0] < 2 * errors[1]
    assert (np.abs(solution.evaluate(q, GRID) - truth) < 1.96 * solution.deviation("q", GRID)).mean() > 0.8
    assert solution.problem.identified == (q,)


def test_bands_survive_a_file_and_other_expressions_have_them(tmp_path):
    problem, q = source_problem()
    solution = kinn.solve(problem, steps=9, progress=False)
    solution.save(tmp_path / "source.kinn")
    loaded = kinn.load(tmp_path / "source.kinn", problem)
    assert (loaded.deviation(q, GRID) == solution.deviation(q, GRID)).all()
    assert loaded.deviation(3 * q + U, GRID) == pytest.approx(3 * solution.deviation(q, GRID))


def test_a_law_of_the_state():
    """-(k(u) u')' = 0 between 0 and 1 with a known flux: int_0^u k = flux x. Of k = 1 + 2 u: u + u^2 = 2 x."""
    values = (-1 + np.sqrt(1 + 8 * AT[:, 0])) / 2
    k = kinn.law("k", U, 0, 1, degree=1, positive=False)
    flux = k * grad(U)
    data = [kinn.Observations(U, AT, values, sigma=1e-3)]
    problem = kinn.Problem(
        MESH, {"heat": -div(flux)}, [kinn.Dirichlet(U, 0, on="left"), kinn.Neumann(flux, 2, on="right")], data
    )
    found = kinn.fem.identify(problem)
    at = [found.solution.evaluate(k.subs(U, state), AT[:1])[0] for state in (0.0, 0.5, 1.0)]
    assert at == pytest.approx([1.0, 2.0, 3.0], rel=2e-3)
    with pytest.raises(kinn.StatementError, match=r"law 'k' has lower=1 and upper=0; lower must be below upper"):
        kinn.law("k", U, 1, 0)
