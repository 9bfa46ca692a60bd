"""A velocity and a pressure: Taylor-Hood elements, their solutions, and networks that are trained against them."""

from typing import Any

import numpy as np
import pytest
import sympy as sp
import torch

import kinn
from kinn import div, grad
from kinn.fem.solve import newton
from kinn.formulations.galerkin import GalerkinSpace
from kinn.formulations.galerkin_form import GalerkinForm
from kinn.formulations.mixed import lower_components
from kinn.formulations.scaling import initial_surrogate
from kinn.formulations.trial import Trial
from kinn.formulations.unknowns import Unknowns
from kinn.networks import KAN
from kinn.physics import navier_stokes, plane_stress, viscous_stress
from kinn.statement.terms import weak_terms

NONE = torch.zeros(0, dtype=torch.float64)


def flow(mesh, velocity, pressure, viscosity=1.0, density=1.0, outlet=None):
    """Navier-Stokes with the velocity and pressure given as functions of the coordinates, held on the boundary."""
    u, p = kinn.Field("u", mesh, components=mesh.dimension), kinn.Field("p", mesh)
    values, known = velocity(*mesh.coordinates), pressure(*mesh.coordinates)
    equations = navier_stokes(u, p, viscosity, density)
    exact = dict(zip([*u, p], [*values, known], strict=True))
    force = equations["momentum"].doit().xreplace(exact).doit()
    equations["momentum"] = equations["momentum"] - sp.ImmutableDenseMatrix(force)
    sides = [name for name in mesh.boundaries if name != outlet]
    conditions: list[Any] = [kinn.Dirichlet(u, list(values), on=sides)]
    if outlet:
        stress = viscous_stress(u, p, viscosity)
        traction = (stress * mesh.normal).subs(exact).doit()
        conditions.append(kinn.Neumann(stress, list(traction), on=outlet))
    else:
        conditions.append(kinn.Condition(kinn.Integral(p - known)))
    return kinn.Problem(mesh, equations, conditions, exact=exact)


def errors(problem, solution, n=200):
    """Largest errors of velocity and pressure at points inside."""
    mesh = problem.mesh
    x = mesh.points[mesh.cells].mean(1)[:n]
    known = [sp.lambdify(mesh.coordinates, sp.sympify(problem.exact[c]), "numpy")(*x.T) for c in problem.components]
    found = solution.evaluate(list(problem.components), x)
    misfit = np.abs(found - np.stack([np.broadcast_to(one, len(x)) for one in known], 1)).max(0)
    return misfit[1:].max(), misfit[0]  # p, u_x, u_y: by name


def test_a_pressure_is_one_order_lower_and_nothing_else_is():
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=2)
    u, p, q = kinn.Field("u", mesh, components=2), kinn.Field("p", mesh), kinn.Field("q", mesh, guess=1.0)
    stokes = {"balance": -div(grad(u) - p * sp.eye(2)), "mass": div(u)}
    cases = {
        "stokes": (stokes, ["p"]),
        "compressible": ({**stokes, "mass": div(u) + p / 1000}, ["p"]),
        "pressure by its gradient": ({"balance": -div(grad(u)) + grad(p), "mass": div(u)}, []),
        "elasticity": (-div(plane_stress(u, 1, 0.3)), []),
        "unknown source": ({"heat": -div(grad(p)) - q}, []),
    }
    for name, (equations, expected) in cases.items():
        problem = kinn.Problem(mesh, equations, [])
        found = [problem.components[c].name for c in lower_components(problem, weak_terms(problem))]
        assert found == expected, name


def quads():
    grid = np.array([[x, y] for y in (0, 0.4, 1) for x in (0, 0.7, 1.5, 2)])
    cells = [[4 * j + i, 4 * j + i + 1, 4 * j + i + 5, 4 * j + i + 4] for j in range(2) for i in range(3)]
    mesh = kinn.Mesh(grid, cells, "quad")
    return mesh.tag("right", lambda x, y: x > 2 - 1e-9).tag("rest", lambda x, y: x < 2 - 1e-9)


MESHES = {
    "triangles": kinn.Mesh.box((0, 0), (2, 1), cells=(3, 2)),
    "quads": quads(),
}


@pytest.mark.parametrize("outlet", [None, "right"])
@pytest.mark.parametrize("name", MESHES)
def test_quadratic_velocities_and_linear_pressures_are_exact(name, outlet):
    problem = flow(
        MESHES[name], lambda x, y: (y * (1 - y) + x**2, -2 * x * y), lambda x, y: 3 - 2 * x + y, 0.7, 1, outlet
    )
    problem.verify()
    solution = kinn.fem.solve(problem, tolerance=1)
    assert max(errors(problem, solution)) < 1e-9


def test_solids_too():
    mesh = kinn.Mesh.box((0, 0, 0), (1, 1, 1), cells=2)
    problem = flow(mesh, lambda x, y, z: (y * z, x**2, -x * y), lambda x, y, z: x - 2 * z, 0.5, 0, "right")
    assert max(errors(problem, kinn.fem.solve(problem, tolerance=1))) < 1e-9


def kovasznay(cells):
    """The flow behind a row of obstacles, L. I. G. Kovasznay, doi:10.1017/S0305004100023999, at Reynolds number 40."""
    rate = float(20 - np.sqrt(400 + 4 * np.pi**2))
    mesh = kinn.Mesh.box((-0.5, -0.5), (1, 1), cells=cells)
    return flow(
        mesh,
        lambda x, y: (
            1 - sp.exp(rate * x) * sp.cos(2 * sp.pi * y),
            rate / (2 * sp.pi) * sp.exp(rate * x) * sp.sin(2 * sp.pi * y),
        ),
        lambda x, y: (1 - sp.exp(2 * rate * x)) / 2,
        1 / 40,
    )


def test_errors_of_velocity_and_pressure_fall_with_their_orders():
    found = []
    for cells in (8, 16):
        problem = kovasznay(cells)
        space = GalerkinSpace(problem, weak_terms(problem), problem.mesh)
        values = newton(space, NONE, None).values
        exact = nodal_values_of(space)
        found.append(space.norm(values - exact))
    velocity, pressure = (np.log2(found[0][c] / found[1][c]) for c in (1, 0))
    assert 1.8 < velocity < 2.6 and 1.8 < pressure < 3.5  # in H1 and L2


def nodal_values_of(space):
    known = [
        sp.lambdify(space.problem.mesh.coordinates, space.problem.exact[c], "numpy") for c in space.problem.components
    ]
    return space.vector(np.concatenate([np.broadcast_to(f(*space.nodes.T), space.n) for f in known]))


def test_a_surplus_is_no_unknown_and_no_misfit():
    problem = flow(MESHES["triangles"], lambda x, y: (y * (1 - y), 0 * x), lambda x, y: x**2, 1, 0, "right")
    space = GalerkinSpace(problem, weak_terms(problem), problem.mesh, order=1)
    assert space.order == 2 and space.lower == (0,)
    middles = np.arange(len(problem.mesh.points), space.n)
    fixed, given = space.essential_values(NONE)
    assert np.isin(middles, fixed).all() and np.isnan(given[np.isin(fixed, middles)]).all()
    values = space.values(space.vector(np.random.default_rng(0).standard_normal(space.size)))
    # a pressure is linear, so that what its corners say is all of it; a quadratic one is not kept
    assert np.allclose(space.values(space.vector(values)), values, rtol=0, atol=1e-14)
    x = space.nodes[:, 0]
    for power, kept in ((1, True), (2, False)):
        function = np.tile(x**power, 3)
        found = space.values(space.vector(function))
        assert np.allclose(found[: space.n], function[: space.n], rtol=0, atol=1e-14) == kept
        assert np.allclose(found[space.n :], function[space.n :], rtol=0, atol=1e-14)


def surrogate_of(problem):
    network = KAN([2, 4, 3])
    surrogate = initial_surrogate(problem, network, Trial(), torch.zeros(0, dtype=torch.float64))
    return Unknowns.at_guess(problem, surrogate)


@pytest.mark.parametrize("outlet", [None, "right"])
def test_the_gradient_of_the_loss_is_its_derivative(outlet):
    problem = flow(
        MESHES["triangles"], lambda x, y: (y * (1 - y) + x**2, -2 * x * y), lambda x, y: 3 - 2 * x, 0.7, 1, outlet
    )
    unknowns = surrogate_of(problem)
    form, unknowns.surrogate = GalerkinForm.prepare(
        problem, weak_terms(problem), unknowns.surrogate, unknowns.parameters()
    )
    block = form.blocks(unknowns, 0, seed=0)[0]
    assert not block.correction.singular  # type: ignore[attr-defined]
    loss, gradient = block.gradient(unknowns)  # type: ignore[attr-defined]
    weights, direction = unknowns.vector(), torch.linspace(-1, 1, unknowns.size, dtype=torch.float64)
    ends = []
    for step in (-1e-6, 1e-6):
        unknowns.assign(weights + step * direction)
        ends.append(block.loss(unknowns))
    assert loss > 0
    assert (ends[1] - ends[0]) / 2e-6 == pytest.approx(float(gradient @ direction), rel=1e-5)


def test_a_network_finds_velocity_and_pressure():
    problem = kovasznay(6)
    solution = kinn.solve(problem, time_limit=12, tolerance=1e-4, progress=False)
    assert solution.result.estimate is not None and solution.result.estimate < 2e-2
    velocity, pressure = errors(problem, solution)
    assert velocity < 2e-2 and pressure < 2e-2
