"""Masters, slaves and jumps: elements on two sides of an interface or of a period, against solutions they hold exactly."""

from pathlib import Path

import numpy as np
import pytest
import sympy as sp
import torch
from made_meshes import jumping, quarters, tilted

import kinn
from kinn import Condition, div, grad, jump
from kinn.fem.solve import newton
from kinn.formulations.galerkin import GalerkinSpace
from kinn.formulations.parts import Parts
from kinn.geometry import graded, sample
from kinn.statement import StatementError
from kinn.statement.terms import weak_terms

CELL = kinn.Mesh.read(Path(__file__).parents[1] / "problems" / "meshes" / "periodic_cell.msh")
NONE = torch.zeros(0, dtype=torch.float64)
MESHES = {
    "line": lambda: kinn.Mesh.box(0, 1, cells=4),
    "triangle": lambda: kinn.Mesh.box((0, 0), (1, 1), cells=4),
    "tetra": lambda: kinn.Mesh.box((0, 0, 0), (1, 1, 1), cells=2),
}


def space_of(problem, mesh=None, order=2, parts=None):
    return GalerkinSpace(problem, weak_terms(problem), mesh or problem.mesh, order, parts=parts)


def poisson(mesh, k=1, source=1):
    u = kinn.Field("u", mesh)
    return kinn.Problem(mesh, {"heat": -div(k * grad(u)) - source}, [kinn.Dirichlet(u, 0, on="boundary")])


def points_of(mesh, n=60):
    return sample(mesh, n, seed=3).x


# Elements of their own in every part.


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", ["quarters", "cell"])
def test_values_and_vector_are_inverse_to_each_other(name, order):
    mesh = quarters() if name == "quarters" else CELL
    names = ["bright", "upper"] if name == "quarters" else ["matrix", "inclusion"]
    space = space_of(poisson(mesh), order=order, parts=Parts(mesh, names))
    assert len(space.pairs[0]) == space.n - space.basis.N > 0
    vector = np.random.default_rng(0).standard_normal(space.size)
    assert np.allclose(space.vector(space.values(vector)), vector, rtol=0, atol=1e-14)
    assert np.allclose(space.values(space.vector(vector)), vector, rtol=0, atol=1e-14)


@pytest.mark.parametrize("order", [1, 2])
def test_jumps_are_differences_over_the_interface_and_zero_for_continuous_functions(order):
    mesh = quarters()
    parts = Parts(mesh, ["bright", "upper"])
    space = space_of(poisson(mesh), order=order, parts=parts)
    x, y = space.nodes.T
    slaves, masters = space.pairs
    assert np.abs(space.vector(np.cos(3 * x - y))[slaves]).max() < 1e-15
    stepped = space.part.astype(float)
    assert np.array_equal(space.vector(stepped)[slaves], stepped[slaves] - stepped[masters])
    assert np.allclose(space.nodes[slaves], space.nodes[masters])
    # the center is in four parts: one master and three slaves
    assert np.sum(np.hypot(*space.nodes[slaves].T) < 1e-12) == 3


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", ["quarters", "cell"])
def test_parts_with_zero_jumps_do_not_change_the_finite_element_solution(name, order):
    mesh = quarters() if name == "quarters" else CELL
    names = {"quarters": {"bright": 1, "dark": 10}, "cell": {"matrix": 1, "inclusion": 10}}[name]
    problem = poisson(mesh, kinn.Coefficient("k", mesh, names))
    plain, own = space_of(problem, order=order), space_of(problem, order=order, parts=Parts.of(problem))
    expected, found = newton(plain, NONE, None).values, own.values(newton(own, NONE, None).values)
    assert np.abs(expected).max() > 1e-2
    assert np.allclose(found[: plain.n], expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    assert np.allclose(found[own.pairs[0]], found[own.pairs[1]], rtol=0, atol=1e-14)


# Stated jumps.


@pytest.mark.parametrize("side", ["a", "b"])
@pytest.mark.parametrize("name", ["line", "triangle"])
def test_stated_jumps_of_value_and_flux_are_reproduced(name, side):
    problem, exact = jumping(MESHES[name](), side)
    solution = kinn.fem.solve(problem, tolerance=1e-6)
    assert solution.estimate < 1e-9
    x = points_of(problem.mesh)
    x = x[np.abs(x[:, 0] - 0.5) > 1e-6]
    inner, outer = (sp.lambdify(problem.mesh.coordinates, e)(*x.T) for e in exact)
    assert np.allclose(solution(x), np.where(x[:, 0] < 0.5, inner, outer), rtol=0, atol=1e-9)


def test_given_values_that_jump_where_an_interface_ends_are_taken_on_each_side():
    problem, exact = jumping(MESHES["triangle"](), "a", held=True)
    space = space_of(problem)
    found = space.values(newton(space, NONE, None).values)
    inner, outer = (sp.lambdify(problem.mesh.coordinates, e)(*space.nodes.T) for e in exact)
    inside = space.part == space.cell_part[problem.mesh.subdomains["a"]][0]
    assert np.allclose(found, np.where(inside, inner, outer), rtol=0, atol=1e-7)


def test_only_the_stated_interface_jumps():
    """Three materials in a row: a value jumps at the first interface, the second is continuous."""
    mesh = kinn.Mesh.box(0, 3, cells=6)
    third = (mesh.points[mesh.cells, 0].mean(1)).astype(int)
    facets = {
        name: np.flatnonzero(np.isclose(mesh.points[mesh.skfem.facets[0], 0], at))
        for name, at in (("ab", 1), ("bc", 2))
    }
    parts = {name: np.flatnonzero(third == k) for k, name in enumerate("abc")}
    mesh = kinn.Mesh(mesh.points, mesh.cells, "line", {**mesh.boundaries, **facets}, parts)
    u = kinn.Field("u", mesh)
    k = kinn.Coefficient("k", mesh, {"a": 1, "b": 2, "c": 4})
    ends = [kinn.Dirichlet(u, 0, on="left"), kinn.Dirichlet(u, 0, on="right")]
    solution = kinn.fem.solve(
        kinn.Problem(mesh, {"heat": -div(k * grad(u))}, [*ends, Condition(jump(u) + 7, "ab", side="a")])
    )
    # a current q through resistances 1, 1/2, 1/4 against the jump: q (1 + 1/2 + 1/4) = 7
    expected = {0.5: 2, 0.999999: 4, 1.000001: -3, 1.999999: -1, 2.000001: -1, 2.5: -0.5}
    assert np.allclose(solution(np.array([*expected])[:, None]), [*expected.values()], rtol=0, atol=1e-5)


@pytest.mark.parametrize("side", ["matrix", "inclusion"])
def test_a_jump_over_a_curved_interface_of_a_second_order_mesh(side):
    """u = 1 + 2 x inside and 2 x outside: isoparametric elements hold linear functions exactly."""
    u, (x, _) = kinn.Field("u", CELL), CELL.coordinates
    value = -1 if side == "inclusion" else 1
    problem = kinn.Problem(
        CELL,
        {"heat": -div(grad(u))},
        [
            kinn.Dirichlet(u, 2 * x, on=["left", "right", "top", "bottom"]),
            Condition(jump(u) - value, "interface", side=side),
        ],
    )
    space = space_of(problem)
    found = space.values(newton(space, NONE, None).values)
    inside = space.part == space.cell_part[CELL.subdomains["inclusion"]][0]
    assert np.allclose(found, 2 * space.nodes[:, 0] + inside, rtol=0, atol=1e-10)


# Periods.


@pytest.mark.parametrize("order", [1, 2])
def test_where_two_periods_meet_all_corners_have_one_master(order):
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=3)
    u = kinn.Field("u", mesh)
    periodic = [kinn.Periodic(u, "left", "right"), kinn.Periodic(u, "bottom", "top")]
    space = space_of(kinn.Problem(mesh, {"heat": -div(grad(u)) + u - 1}, periodic), order=order)
    slaves, masters = space.pairs
    cells = 3 * order
    assert len(slaves) == (cells + 1) ** 2 - cells**2
    corners = np.flatnonzero((np.abs(space.nodes - 0.5) > 0.49).all(1))
    assert len(corners) == 4 and len(np.setdiff1d(corners, slaves)) == 1
    assert set(masters[np.isin(slaves, corners)]) == set(np.setdiff1d(corners, slaves))
    assert not np.isin(masters, slaves).any()


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("name", ["triangle", "tilted"])
def test_jumps_over_two_periods_add_up_to_the_exact_solution(name, turned):
    """u = (2 x + x y - y), which quadratics hold: from left to right it grows by 2 + y, from bottom to top by x - 1."""
    mesh = MESHES["triangle"]()
    slope = 0.25 if name == "tilted" else 0
    mesh = tilted(mesh, slope) if slope else mesh
    u, (x, y) = kinn.Field("u", mesh), mesh.coordinates
    exact = 2 * x + x * y - y
    right, top = (
        sp.expand(exact.subs({x: x + a, y: y + b}, simultaneous=True) - exact) for a, b in ((1, slope), (0, 1))
    )
    # x y is periodic in its slope only along the axes: the jump of the flux over a tilted period is a source on its side
    outflow = grad(exact, mesh)
    periods = [(("left", "right"), right), (("bottom", "top"), top)]
    if turned:  # taken on the other sides, where the coordinates are one period further
        right, top = right.subs({x: x - 1, y: y - slope}, simultaneous=True), top.subs(y, y - 1)
        periods = [(("right", "left"), -right), (("top", "bottom"), -top)]
    problem = kinn.Problem(
        mesh,
        {"heat": -div(grad(u) - outflow) + u - exact},
        [kinn.Periodic(u, *sides, jump=jump) for sides, jump in periods],
    )
    space = space_of(problem)
    found = space.values(newton(space, NONE, None).values)
    at = sp.lambdify((x, y), exact)(*space.nodes.T)
    assert np.allclose(found, at, rtol=0, atol=1e-11)


def test_a_wave_with_a_ramp_is_found_by_solve():
    """u = 2 x + sin(2 pi x) on a line of period 1."""
    line = kinn.Mesh.box(0, 1, cells=4)
    u, (x,) = kinn.Field("u", line), line.coordinates
    exact = 2 * x + sp.sin(2 * sp.pi * x)
    problem = kinn.Problem(
        line, {"heat": -div(grad(u)) + u - (exact - exact.diff(x, 2))}, [kinn.Periodic(u, "left", "right", 2)]
    )
    at = np.linspace(0, 1, 50)[:, None]
    assert (
        np.abs(kinn.fem.solve(problem, tolerance=1e-4)(at) - 2 * at[:, 0] - np.sin(2 * np.pi * at[:, 0])).max() < 1e-4
    )


def test_dirichlet_sides_that_end_on_periodic_sides_hold():
    """u = 2 x + y (2 x - 1)^2 grows by 2 from left to right; at the corners the given value and the tie are both kept."""
    mesh = MESHES["triangle"]()
    u, (x, y) = kinn.Field("u", mesh), mesh.coordinates
    exact = 2 * x + y * (1 + x * (1 - x))
    flux = grad(exact, mesh)  # its jump between the sides is what the statement's flux brings with it
    problem = kinn.Problem(
        mesh,
        {"heat": -div(grad(u) - flux)},
        [
            kinn.Periodic(u, "left", "right", jump=2),
            kinn.Dirichlet(u, exact, on="bottom"),
            kinn.Dirichlet(u, exact, on="top"),
        ],
    )
    space = space_of(problem, mesh.refined())
    fixed, given = space.essential_values(NONE)
    assert np.array_equal(fixed, space.fixed)
    vector = np.zeros(space.size)
    vector[fixed] = given
    values, nodes = space.values(vector), space.nodes
    on = np.flatnonzero(np.isclose(nodes[:, 1], 0) | np.isclose(nodes[:, 1], 1))
    expected = sp.lambdify((x, y), exact)(*nodes.T)
    assert np.allclose(values[on], expected[on], rtol=0, atol=1e-13)
    found = space.values(newton(space, NONE, None).values)
    slaves, masters = space.pairs
    assert np.allclose(np.abs(found[slaves] - found[masters]), 2, rtol=0, atol=1e-12)


def test_sides_that_are_meshed_differently_are_refused():
    mesh = MESHES["triangle"]()
    u = kinn.Field("u", mesh)
    problem = kinn.Problem(mesh, {"heat": -div(grad(u)) + u}, [kinn.Periodic(u, "left", "right")])
    errors = np.zeros(len(mesh.cells))
    errors[np.asarray(mesh.skfem.f2t)[0, mesh.boundaries["right"][:1]]] = 1
    with pytest.raises(StatementError, match="the meshes on left and right do not match; mesh both sides alike"):
        space_of(problem, graded(mesh, errors))


def test_ties_of_one_component_leave_the_others_alone():
    mesh = MESHES["triangle"]()
    u, v = kinn.Field("u", mesh), kinn.Field("v", mesh)
    equations = {"u": -div(grad(u)) + u - 1, "v": -div(grad(v)) + v - 1}
    space = space_of(kinn.Problem(mesh, equations, [kinn.Periodic(v, "left", "right", jump=3)]))
    assert len(space.ties[0].slaves) == 0 and len(space.ties[1].slaves) == 9
    assert (space.pairs[0] >= space.n).all() and (space.pairs[1] >= space.n).all()
    assert np.allclose(space.essential_values(NONE)[1], 3)
