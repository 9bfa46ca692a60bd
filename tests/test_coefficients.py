"""Coefficients from subdomains, nodes and tables: values, derivatives, what jumps."""

import numpy as np
import pytest
import skfem
import sympy as sp
import torch

from kinn.formulations.program import Program
from kinn.geometry import Mesh
from kinn.statement import (
    Coefficient,
    Dirichlet,
    Field,
    Parameter,
    Problem,
    StatementError,
    div,
    grad,
    strong_terms,
    weak_terms,
)

SQUARE = Mesh.box((0, 0), (1, 2), cells=4)
LOW = SQUARE.points[SQUARE.cells, 1].mean(axis=1) < 1
PARTS = {"air": np.flatnonzero(~LOW), "steel": np.flatnonzero(LOW)}
MESH = Mesh(SQUARE.points, SQUARE.cells, "triangle", SQUARE.boundaries, PARTS)
X, Y = MESH.coordinates
U = Field("u", MESH)
POINTS = np.random.default_rng(1).uniform([0, 0], [1, 2], (50, 2))


def tabulated(k, expressions, points=POINTS, mesh=MESH):
    """Expressions of a coefficient as the torch programs of the formulations see them."""
    problem = Problem(mesh, {"heat": div(k * grad(Field("u", mesh)))})
    x = torch.tensor(points)
    program = Program(expressions, problem)
    return program(x.new_zeros(len(program.jets), len(x)), x).numpy()


def test_one_value_per_subdomain():
    k = Coefficient("k", MESH, {"steel": 50, "air": 1 + X * Y})
    expected = np.where(POINTS[:, 1] < 1, 50.0, 1 + POINTS[:, 0] * POINTS[:, 1])
    assert np.allclose(k.numeric(*POINTS.T), expected, rtol=1e-14)
    values = tabulated(k, [k, k.diff(X), k.diff(X, Y)])
    above = POINTS[:, 1] > 1
    assert np.allclose(values, [expected, above * POINTS[:, 1], above], rtol=1e-14)
    assert k.pieces == {"steel": 50, "air": 1 + X * Y} and not k.continuous
    assert (
        k == Coefficient("k", MESH, {"steel": 50, "air": 1 + X * Y}) != Coefficient("k", MESH, {"steel": 5, "air": 1})
    )


def test_values_per_subdomain_need_the_weak_form_unless_they_are_equal():
    k = Coefficient("k", MESH, {"steel": 50, "air": 2})
    problem = Problem(MESH, {"heat": -div(k * grad(U)) - 1}, [Dirichlet(U, 0, on="left")]).check()
    assert problem.jumps == ("coefficient 'k' under the div of 'heat'",)
    assert weak_terms(problem).rows[0].flux == tuple(k * grad(U))
    assert Coefficient("k", MESH, {"steel": 3.0, "air": 3.0}) == 3.0
    single = torch.tensor(POINTS[:, 0], dtype=torch.float32)
    assert k.function(single, single).dtype == torch.float32


def test_an_unknown_value_per_subdomain():
    a = Parameter("a", 1.0, lower=0)
    k = Coefficient("k", MESH, {"steel": a, "air": 0.5})
    problem = Problem(MESH, {"heat": div(k * grad(U))})
    assert list(problem.parameters) == ["a"] and len(problem.coefficients) == 2
    x = torch.tensor(POINTS)
    program = Program([k, k.diff(a)], problem)
    values = program(x.new_zeros(0, len(x)), x, parameters=torch.tensor([7.0], dtype=x.dtype)).numpy()
    assert np.allclose(values, [np.where(POINTS[:, 1] < 1, 7.0, 0.5), POINTS[:, 1] < 1])


def test_an_exact_solution_with_a_value_per_subdomain():
    k = Coefficient("k", MESH, {"steel": 5, "air": 1})
    exact = sp.Piecewise((Y, Y < 1), (5 * Y - 4, True))  # the flux 5 everywhere
    problem = Problem(MESH, {"heat": div(k * grad(U))}, [Dirichlet(U, exact, on=["top", "bottom"])], exact={U: exact})
    assert max(problem.verify().values()) < 1e-12


@pytest.mark.parametrize("kind", ["line", "triangle", "quad", "tetra", "hexahedron"])
def test_nodal_values_of_a_linear_function_are_the_function(kind):
    d = {"line": 1, "triangle": 2, "quad": 2, "tetra": 3, "hexahedron": 3}[kind]
    mesh = Mesh.box((0,) * d, (1, 2, 3)[:d], cells=3) if d > 1 else Mesh.box(0, 1, cells=3)
    if kind == "quad":
        p = np.array([[0, 0], [1, 0], [1.2, 1], [0, 1.3], [2, -0.2], [2.1, 1.1]])
        mesh = Mesh(p, [[0, 1, 2, 3], [1, 4, 5, 2]], kind)
    if kind == "hexahedron":
        line = Mesh.box(0, 1, cells=2)
        mesh = _cube(line.points[:, 0])
    slope = np.array([2.0, -1.0, 0.5])[:d]
    k = Coefficient("k", mesh, 3 + mesh.points @ slope)
    cells = np.random.default_rng(0).integers(0, len(mesh.cells), 30)
    points = mesh.points[mesh.cells[cells]].mean(axis=1)
    points += 0.3 * (mesh.points[mesh.cells[cells, 0]] - points)
    values = tabulated(k, [k, *grad(k)], points, mesh)
    assert np.allclose(values, [3 + points @ slope, *np.repeat(slope[:, None], 30, 1)], atol=1e-12)


def _cube(x):
    """A box of hexahedra in scikit-fem's order of vertices."""
    grid = skfem.MeshHex.init_tensor(x, x, x)
    return Mesh(grid.p.T, grid.t.T, "hexahedron")


def test_nodal_values_are_continuous_with_a_gradient_that_jumps():
    values = np.sin(3 * MESH.points[:, 0]) * MESH.points[:, 1]
    k = Coefficient("k", MESH, values)
    assert np.allclose(k.numeric(*MESH.points.T), values, atol=1e-12) and k.continuous
    problem = Problem(MESH, {"heat": div(k * grad(U))})
    with pytest.raises(StatementError, match="'k' \\(given on nodes: its gradient jumps\\) under the div of 'heat'"):
        strong_terms(problem)
    assert Problem(MESH, {"heat": div(grad(U)) + k * U}).jumps == ()
    with pytest.raises(StatementError, match="linear between nodes: it has first derivatives only"):
        tabulated(k, [k.diff(X, 2)])


def test_a_table_is_a_smooth_spline_with_derivatives():
    grids = np.linspace(0, 1, 5), np.linspace(-1, 2, 7)
    gx, gy = np.meshgrid(*grids, indexing="ij")
    k = Coefficient("k", MESH, (grids, gx**3 * gy**2 + gy))  # a cubic spline reproduces cubics
    x, y = POINTS.T
    expected = [x**3 * y**2 + y, 3 * x**2 * y**2, 6 * x**2 * y, 2 * x**3]
    assert np.allclose(tabulated(k, [k, k.diff(X), k.diff(X, Y), k.diff(Y, 2)]), expected, atol=1e-11)
    problem = Problem(MESH, {"heat": div(k * grad(U)) - 4 * X**3 * Y**2 - 2 * Y}, exact={U: X**2}).check()
    assert problem.jumps == ()
    load = 2 * (X**3 * Y**2 + Y) + 2 * X * 3 * X**2 * Y**2
    right = Problem(MESH, {"heat": div(k * grad(U)) - load}, exact={U: X**2})
    assert right.verify()["heat"] < 1e-12
    with pytest.raises(StatementError, match="does not satisfy 'heat'"):
        problem.verify()


def test_a_table_in_one_dimension_and_with_few_points():
    line = Mesh.box(0, 1, cells=3)
    (x,) = line.coordinates
    k = Coefficient("k", line, ([0, 0.5, 1], [0, 0.25, 1]))
    points = np.linspace(0, 1, 9)[:, None]
    assert np.allclose(tabulated(k, [k, k.diff(x)], points, line), [points[:, 0] ** 2, 2 * points[:, 0]], atol=1e-12)


def test_a_torch_function_still_has_autograd():
    k = Coefficient("k", MESH, lambda x, y: torch.exp(x) * y)
    assert np.allclose(tabulated(k, [k.diff(X)])[0], np.exp(POINTS[:, 0]) * POINTS[:, 1])
    problem = Problem(MESH, {"heat": div(k * grad(U))}, exact={U: X})
    with pytest.raises(StatementError, match="cannot differentiate k\\(x, y\\)"):
        problem.verify()


def test_the_fingerprint_reads_the_numbers():
    def stated(given):
        return Problem(MESH, {"heat": div(Coefficient("k", MESH, given) * grad(U))}).fingerprint()

    nodal = MESH.points[:, 0]
    given = [nodal, 2 * nodal, {"steel": 1, "air": 2}, {"steel": 1, "air": 3}, (([0, 1], [0, 2]), [[1, 2], [3, 4]])]
    assert len({stated(entry) for entry in given}) == 5 and stated(nodal) == stated(nodal.copy())


BAD = {
    "unknown part": ({"steal": 1, "air": 2}, "subdomain 'steal' is not in the mesh; it has: 'air', 'steel'. Did you"),
    "bare cells": ({"steel": 1}, "has no value in 8 of 16 cells, the first at (0.166667, 1.33333); it lacks 'air'"),
    "wrong length": ([1.0, 2.0], "an array of shape (2,) for a mesh with 15 points; give one value per point (nv,)"),
    "one grid": (([0, 1], [1, 2]), "give one grid per coordinate and one value per grid point"),
    "falling grid": ((([1, 0], [0, 2]), np.ones((2, 2))), "the grid of x does not rise"),
    "short table": ((([0, 1], [0, 1]), np.ones((2, 2))), "its table spans y in [0, 1], the mesh [0, 2]; extend the"),
    "not finite": (np.full(15, np.nan), "its nodal values hold a number that is not finite"),
    "text": ("table.csv", "give a torch function of the coordinates, a dict per subdomain"),
    "bad value": ({"steel": "a+", "air": 1}, "coefficient 'k' is 'a+'; give a SymPy expression or a number"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_coefficients_are_one_clear_line(case):
    given, text = BAD[case]
    with pytest.raises(StatementError) as error:
        Coefficient("k", MESH, given)
    assert text in str(error.value) and "\n" not in str(error.value)


def test_cells_with_two_values_are_named():
    mesh = Mesh(MESH.points, MESH.cells, "triangle", None, {**PARTS, "core": PARTS["steel"][:3]})
    with pytest.raises(StatementError, match="two values in the cells that 'steel' and 'core' share"):
        Coefficient("k", mesh, {"air": 1, "steel": 2, "core": 3})
