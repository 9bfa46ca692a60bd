"""Terms that join two points: the periodic conditions that a trial space does not fulfil by itself."""

import numpy as np
import pytest
import sympy as sp
import torch
from made_meshes import halves, tilted
from oracles import network_of

import kinn
from kinn import div, grad
from kinn.formulations.blocks import NormalEquations, PairBlock
from kinn.formulations.choice import choose
from kinn.formulations.scaling import initial_surrogate
from kinn.formulations.strong import StrongForm
from kinn.formulations.trial import Trial
from kinn.formulations.unknowns import Unknowns
from kinn.geometry import sample

LIKE = torch.zeros(0, dtype=torch.float64)
SLOPE = 0.25


def sheared(jump=None):
    """A parallelogram that repeats along (1, 1/4): u = 4 s (1 - s) + x with s = y - x / 4, which grows by 1."""
    mesh = tilted(kinn.Mesh.box((0, 0), (1, 1), cells=6), SLOPE)
    x, y = mesh.coordinates
    u = kinn.Field("u", mesh)
    s = y - SLOPE * x
    exact = 4 * s * (1 - s) + x
    source = -sp.diff(exact, x, 2) - sp.diff(exact, y, 2) + exact
    jump = sp.Integer(1) if jump is None else jump(mesh)
    return kinn.Problem(
        mesh,
        {"heat": -div(grad(u)) + u - source},
        [
            kinn.Periodic(u, "left", "right", jump),
            kinn.Dirichlet(u, exact, on="bottom"),
            kinn.Dirichlet(u, exact, on="top"),
        ],
        exact={u: exact},
    )


def partial():
    """One field of two repeats, by an unknown jump."""
    mesh = kinn.Mesh.box((0, 0), (2, 1), cells=3)
    x, y = mesh.coordinates
    u, v = kinn.Field("u", mesh), kinn.Field("v", mesh)
    c = kinn.Parameter("c", guess=0.5)
    equations = {"u": -div((1 + v**2) * grad(u)) - 1, "v": -div(grad(v)) + u}
    return kinn.Problem(
        mesh,
        equations,
        [kinn.Periodic(u, "left", "right", jump=c * y), kinn.Dirichlet(v, x, on="boundary")],
        [kinn.Observations(u, points=np.array([[1.0, 0.5]]), values=[1.0], sigma=0.1, name="probe")],
    )


def prepared(problem, n=100):
    trial = Trial.of(problem)
    assert not trial.periodic
    network = network_of("chebyshev", trial.n_inputs(2), trial.n_outputs(len(problem.components)))
    unknowns = Unknowns.at_guess(problem, initial_surrogate(problem, network, trial, LIKE))
    choice = choose(problem, "strong")
    form, unknowns.surrogate = StrongForm.prepare(problem, choice, unknowns.surrogate, unknowns.parameters())
    (block,) = [block for block in form.blocks(unknowns, n, seed=1) if isinstance(block, PairBlock)]
    return block, unknowns


@pytest.mark.parametrize("make", [sheared, partial])
def test_residuals_are_differences_of_values_and_slopes_less_the_jump(make):
    problem = make()
    block, unknowns = prepared(problem)
    near, far = block.near.x, block.far.x
    shift = (far - near).mean(0)
    assert torch.allclose(far - near, shift.expand_as(near), rtol=0, atol=1e-12)
    if make is sheared:
        jump, direction = torch.ones(len(near)).double(), torch.tensor([1.0, SLOPE]).double()
    else:
        jump, direction = 0.5 * near[:, 1], torch.tensor([1.0, 0.0]).double()
    assert torch.allclose(shift / shift[0], direction, rtol=0, atol=1e-9)
    wanted = ((0, (0, 0)), (0, (1, 0)), (0, (0, 1)))
    one, two = (unknowns.surrogate.values(x, wanted).detach() for x in (near, far))
    value, slopes = (two - one)[0] - jump, direction @ (two - one)[1:]
    weight = block.near.factor * block.near.root
    assert torch.allclose(block.residuals(unknowns), torch.stack([value, slopes]) * weight, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("make", [sheared, partial])
def test_the_jacobian_is_that_of_finite_differences(make):
    block, unknowns = prepared(make())
    rows, jacobian = zip(*(block.jacobian(unknowns, part) for part in block.parts(unknowns)), strict=True)
    theta, step = unknowns.vector(), 1e-6
    assert torch.allclose(torch.cat(rows), block.residuals(unknowns).flatten())
    jacobian = torch.cat(jacobian)
    last = int(jacobian.norm(dim=0).nonzero()[-1])  # constants of fields with a period are the same at both points
    for column in (0, 5, len(theta) // 2, last):
        moved = []
        for side in (1, -1):
            other = theta.clone()
            other[column] += side * step
            unknowns.assign(other)
            moved.append(block.residuals(unknowns).flatten())
        difference = (moved[0] - moved[1]) / (2 * step)
        assert difference.norm() > 0
        assert (difference - jacobian[:, column]).norm() < 1e-6 * jacobian[:, column].norm()
    unknowns.assign(theta)


@pytest.mark.parametrize("make", [sheared, partial])
def test_chunks_add_up(make, monkeypatch):
    block, unknowns = prepared(make(), n=3000)
    whole = NormalEquations.zeros(unknowns)
    block.accumulate(unknowns, whole)
    loss, gradient = block.gradient(unknowns)
    monkeypatch.setattr("kinn.formulations.blocks.chunk_size", lambda unknowns: 50)
    assert len(block.parts(unknowns)) > 1
    parts = NormalEquations.zeros(unknowns)
    block.accumulate(unknowns, parts)
    assert torch.allclose(parts.gram.triu(), whole.gram.triu(), rtol=1e-9, atol=1e-9 * float(whole.gram.abs().max()))
    assert loss == pytest.approx(block.loss(unknowns), rel=1e-12) == pytest.approx(parts.loss, rel=1e-10)
    assert torch.allclose(gradient, 2 * parts.gradient, rtol=1e-9, atol=1e-9 * float(gradient.abs().max()))


def test_a_jump_that_varies_along_the_sides_is_trained_to_the_exact_solution():
    """u = 4 y (1 - y) (1 + sin(2 pi x) / 4) + x y grows by y from left to right: no circle can say that."""
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=6)
    x, y = mesh.coordinates
    u = kinn.Field("u", mesh)
    exact = 4 * y * (1 - y) * (1 + sp.sin(2 * sp.pi * x) / 4) + x * y
    source = -sp.diff(exact, x, 2) - sp.diff(exact, y, 2) + exact
    given = [kinn.Dirichlet(u, 0, on="bottom"), kinn.Dirichlet(u, x, on="top")]
    equation = {"heat": -div(grad(u)) + u - source}
    problem = kinn.Problem(mesh, equation, [kinn.Periodic(u, "left", "right", jump=y), *given])
    solution = kinn.solve(problem, form="strong", tolerance=2e-3, time_limit=10, progress=False)
    points = sample(mesh, 500, seed=9).x
    expected = sp.lambdify((x, y), exact)(*points.T)
    assert np.linalg.norm(solution(points) - expected) < 1e-3 * np.linalg.norm(expected)
    at = np.linspace(0.05, 0.95, 40)
    left, right = np.stack([0 * at, at], 1), np.stack([1 + 0 * at, at], 1)
    assert np.abs(solution(right) - solution(left) - at).max() < 3e-3


def test_two_materials_are_trained_to_their_exact_solution():
    """k = 1 | 10: u and its flux are continuous, its gradient is not; a single network could not follow the kink."""
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=6)
    mesh = halves(mesh)
    x, y = mesh.coordinates
    k = kinn.Coefficient("k", mesh, {"a": 1, "b": 10})
    u = kinn.Field("u", mesh)
    # sin(pi y) f(x): equal values and fluxes at x = 1/2
    inner = sp.sin(sp.pi * y) * (1 + 10 * (x - sp.Rational(1, 2)))
    outer = sp.sin(sp.pi * y) * (1 + (x - sp.Rational(1, 2)))
    source = kinn.Coefficient("f", mesh, {"a": sp.pi**2 * inner, "b": 10 * sp.pi**2 * outer})
    problem = kinn.Problem(
        mesh,
        {"heat": -div(k * grad(u)) - source},
        [
            kinn.Dirichlet(u, 0, on=["bottom", "top"]),
            kinn.Dirichlet(u, inner, on="left"),
            kinn.Dirichlet(u, outer, on="right"),
        ],
    )
    solution = kinn.solve(problem, form="weak", tolerance=2e-4, time_limit=10, progress=False)
    points = sample(mesh, 1000, seed=9).x
    one, two = (sp.lambdify((x, y), e)(*points.T) for e in (inner, outer))
    exact = np.where(points[:, 0] < 0.5, one, two)
    assert np.linalg.norm(solution(points) - exact) < 1e-4 * np.linalg.norm(exact)
