"""The yardstick measured: observed orders of convergence, exact polynomials, refinement and what it keeps."""

import sys

import numpy as np
import pytest
import sympy as sp
import torch

import kinn
from kinn import div, fem, grad
from kinn.fem.keeping import keeping
from kinn.fem.solve import FemSolution, newton
from kinn.formulations.galerkin import GalerkinSpace
from kinn.geometry import gauss, graded
from kinn.statement.terms import weak_terms

NONE = torch.zeros(0, dtype=torch.float64)


def on_mesh(problem, order):
    """The finite element solution on the problem's own mesh."""
    space = GalerkinSpace(problem, weak_terms(problem), problem.mesh, order)
    values = newton(space, NONE, None).values
    return FemSolution(space, values.reshape(len(problem.components), -1), NONE, np.nan, 0.0)


def errors(problem, solution, exact):
    """L2 and H1 errors by quadrature."""
    points, coordinates = gauss(problem.mesh, 7), problem.mesh.coordinates
    (u,) = problem.components
    wanted = [u, *grad(u)]
    truths = [exact, *(exact.diff(x) for x in coordinates[: problem.mesh.spatial_dimension])]
    found = solution.evaluate(wanted, points.x)
    squares = [
        points.weight @ (found[:, k] - sp.lambdify(coordinates, truth)(*points.x.T)) ** 2
        for k, truth in enumerate(truths)
    ]
    return np.sqrt(squares[0]), np.sqrt(sum(squares))


def mixed(mesh, exact, conductivity=lambda u: 1, reaction=0):
    """-div(k(u) grad u) + c u = f with values on the left, exchange on the right, fluxes elsewhere."""
    u = kinn.Field("u", mesh)

    def flux(v):
        return conductivity(v) * grad(v, mesh)

    f = flux(exact)
    conditions = [
        kinn.Dirichlet(u, exact, on="left"),
        kinn.Robin(flux(u), u, 2, exact + f[0] / 2, on="right"),
    ]
    for axis, (low, high) in enumerate([("bottom", "top"), ("front", "back")][: mesh.spatial_dimension - 1], start=1):
        conditions += [kinn.Neumann(flux(u), -f[axis], on=low), kinn.Neumann(flux(u), f[axis], on=high)]
    source = -div(f).doit() + reaction * exact
    return kinn.Problem(mesh, {"p": -div(flux(u)) + reaction * u - source}, conditions, exact={u: exact})


LAWS = {
    "poisson": (lambda u: 1, 0),
    "reaction": (lambda u: 1, 4),
    "helmholtz": (lambda u: 1, -3),
    "nonlinear": (lambda u: 1 + u**2, 0),
}


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("order", [1, 2])
def test_observed_order_is_that_of_theory_in_2d(order, law):
    found = []
    for cells in (6, 12):
        mesh = kinn.Mesh.box((0, 0), (1, 1), cells=cells)
        x, y = mesh.coordinates
        exact = sp.sin(2 * x + y) + x * y
        problem = mixed(mesh, exact, *LAWS[law])
        found.append(errors(problem, on_mesh(problem, order), exact))
    l2, h1 = np.log2(np.array(found[0]) / np.array(found[1]))
    assert abs(l2 - order - 1) < 0.25 and abs(h1 - order) < 0.2, (l2, h1)


@pytest.mark.parametrize("order", [1, 2])
def test_observed_order_is_that_of_theory_in_1d(order):
    found = []
    for cells in (8, 16):
        mesh = kinn.Mesh.box(0, 2, cells=cells)
        exact = sp.exp(sp.sin(2 * mesh.coordinates[0]))
        problem = mixed(mesh, exact, reaction=1)
        found.append(errors(problem, on_mesh(problem, order), exact))
    l2, h1 = np.log2(np.array(found[0]) / np.array(found[1]))
    assert abs(l2 - order - 1) < 0.25 and abs(h1 - order) < 0.2, (l2, h1)


def test_quadratics_are_exact_on_tetrahedra():
    mesh = kinn.Mesh.box((0, 0, 0), (1, 2, 1), cells=2)
    x, y, z = mesh.coordinates
    exact = x**2 - y * z + 2 * z**2 + y
    problem = mixed(mesh, exact, reaction=2)
    problem.verify()
    l2, h1 = errors(problem, on_mesh(problem, 2), exact)
    assert l2 < 1e-12 and h1 < 1e-11


@pytest.mark.parametrize("cell_type", ["quad", "hexahedron"])
def test_quadratics_are_exact_on_cells_that_are_no_simplices(cell_type):
    d = 2 if cell_type == "quad" else 3
    grid = np.stack(np.meshgrid(*[[0.0, 0.6, 1.0]] * d, indexing="ij"), -1).reshape(-1, d)
    corner = [[0, 0], [1, 0], [1, 1], [0, 1]]
    corners = corner if d == 2 else [[*c, k] for k in (0, 1) for c in corner]
    starts = np.stack(np.meshgrid(*[[0, 1]] * d, indexing="ij"), -1).reshape(-1, d)
    cells = np.array([[int(np.ravel_multi_index(tuple(s + np.array(c)), (3,) * d)) for c in corners] for s in starts])
    if d == 3:  # the order that scikit-fem numbers hexahedra in
        cells = cells[:, [0, 1, 3, 4, 2, 5, 7, 6]]
    mesh = kinn.Mesh(grid, cells, cell_type, {}, {})
    u, x = kinn.Field("u", mesh), mesh.coordinates
    exact = x[0] ** 2 - x[0] * x[1]
    problem = kinn.Problem(mesh, {"p": -div(grad(u)) + 2}, [kinn.Dirichlet(u, exact, on="boundary")])
    assert abs(mesh.measure - 1) < 1e-12 and errors(problem, on_mesh(problem, 2), exact)[1] < 1e-11


def test_heat_in_space_time():
    mesh = kinn.Mesh.box(0, 1, cells=4) * kinn.Interval("t", 0, 1, cells=4)
    x, t = mesh.coordinates
    u = kinn.Field("u", mesh)
    conditions = [kinn.Dirichlet(u, t, on="left"), kinn.Neumann(grad(u), 1, on="right"), kinn.Initial(u, x**2 / 2)]
    problem = kinn.Problem(mesh, {"heat": u.diff(t) - div(grad(u))}, conditions, exact={u: t + x**2 / 2})
    problem.verify()
    assert errors(problem, on_mesh(problem, 2), t + x**2 / 2)[1] < 1e-11


def test_coupled_fields():
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=3)
    x, y = mesh.coordinates
    u, v = kinn.Field("u", mesh), kinn.Field("v", mesh)
    p, q = x**2 + y, x * y - y**2
    equations = {"u": -div(grad(u)) + v - (-2 + q), "v": -div(2 * grad(v)) + u.diff(x) - (4 + 2 * x)}
    problem = kinn.Problem(
        mesh, equations, [kinn.Dirichlet(u, p, on="boundary"), kinn.Dirichlet(v, q, on="boundary")], exact={u: p, v: q}
    )
    problem.verify()
    at = np.random.default_rng(0).uniform(0, 1, (50, 2))
    expected = np.column_stack([sp.lambdify((x, y), e)(*at.T) for e in (p, q)])
    assert np.abs(on_mesh(problem, 2)(at) - expected).max() < 1e-12


def test_solve_refines_until_its_estimate_meets_the_tolerance_and_the_estimate_is_true():
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=4)
    x, y = mesh.coordinates
    exact = sp.sin(3 * x) * sp.exp(y)
    problem = mixed(mesh, exact)
    for tolerance in (1e-2, 1e-3):
        solution = fem.solve(problem, tolerance=tolerance)
        l2, h1 = errors(problem, solution, exact)
        _, size = errors(problem, solution, 0 * x + 1e-300 * x)
        assert solution.estimate < tolerance and h1 / size < 1.5 * solution.estimate


def test_meshes_become_graded_towards_a_reentrant_corner():
    full = kinn.Mesh.box((-1, -1), (1, 1), cells=4)
    middle = full.points[full.cells].mean(1)
    kept = full.cells[~((middle[:, 0] > 0) & (middle[:, 1] < 0))]
    used = np.unique(kept)
    mesh = kinn.Mesh(full.points[used], np.searchsorted(used, kept), "triangle", {}, {})
    u = kinn.Field("u", mesh)
    problem = kinn.Problem(mesh, {"p": -div(grad(u)) - 1}, [kinn.Dirichlet(u, 0, on="boundary")])
    solution = fem.solve(problem, tolerance=1e-2)
    corners = solution.mesh.points[solution.mesh.cells]
    size = np.ptp(corners, axis=1).max(1)
    distance = np.linalg.norm(corners.mean(1), axis=1)
    assert size[distance.argmin()] < 0.1 * size[distance > 0.8].max()
    assert abs(solution.mesh.measure - 3) < 1e-12


def named(mesh):
    mesh.tag("corner", lambda *x: sum(c - a for c, a in zip(x, mesh.lower, strict=True)) < 0.6)
    return mesh


GRADED = {
    "2-D": lambda: named(kinn.Mesh.box((0, 0), (2, 1), cells=4)),
    "3-D": lambda: named(kinn.Mesh.box((0, 0, 0), (1, 1, 2), cells=2)),
    "1-D": lambda: kinn.Mesh.box(0, 1, cells=5),
    "space-time": lambda: kinn.Mesh.box(0, 1e3, cells=3) * kinn.Interval("t", 0, 1e-2, cells=3),
    "subdomains": lambda: kinn.Mesh(
        (box := kinn.Mesh.box((0, 0), (1, 1), cells=4)).points, box.cells, "triangle", box.boundaries,
        {"steel": np.flatnonzero(box.points[box.cells].mean(1)[:, 0] < 0.5)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GRADED)
def test_grading_keeps_names_and_measures(name):
    mesh = GRADED[name]()
    rng = np.random.default_rng(0)
    for _ in range(2):
        finer = graded(mesh, rng.random(len(mesh.cells)) ** 6)
        assert len(mesh.cells) < len(finer.cells) and set(finer.boundaries) == set(mesh.boundaries)
        assert abs(finer.measure - mesh.measure) < 1e-12 * mesh.measure
        assert finer.coordinate_names == mesh.coordinate_names and finer.spatial_dimension == mesh.spatial_dimension
        for part in mesh.boundaries:
            before, after = (gauss(m, 2, part) for m in (mesh, finer))
            assert np.isclose(before.weight.sum(), after.weight.sum(), rtol=1e-12)
            assert np.allclose(before.weight @ before.x, after.weight @ after.x, rtol=1e-11)
        for part in mesh.subdomains:
            assert np.isclose(gauss(mesh, 1, part).weight.sum(), gauss(finer, 1, part).weight.sum(), rtol=1e-12)
        mesh = finer


def test_only_the_cells_with_most_of_the_error_are_cut():
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=8)
    errors_ = np.where(np.linalg.norm(mesh.points[mesh.cells].mean(1), axis=1) < 0.2, 1.0, 1e-6)
    assert len(graded(mesh, errors_).cells) < 1.5 * len(mesh.cells)


def test_parameters_take_the_values_that_are_given():
    mesh = kinn.Mesh.box(0, 1, cells=4)
    (x,) = mesh.coordinates
    u, k = kinn.Field("u", mesh), kinn.Parameter("k", guess=1.0, lower=0)
    problem = kinn.Problem(mesh, {"p": -div(k * grad(u)) - 2}, [kinn.Dirichlet(u, 0, on="boundary")])
    for value, peak in ((None, 0.25), (4.0, 0.0625)):
        solution = fem.solve(problem, parameters=None if value is None else {"k": value})
        assert abs(solution([[0.5]])[0] - peak) < 1e-12


def test_what_elements_cannot_do_is_said():
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=2)
    x, y = mesh.coordinates
    u = kinn.Field("u", mesh)
    conditions = [kinn.Dirichlet(u, 0, on="boundary")]
    solution = fem.solve(kinn.Problem(mesh, {"p": -div(grad(u)) - 1}, conditions), tolerance=0.5)
    with pytest.raises(kinn.StatementError, match="no second derivatives"):
        solution.evaluate(u.diff(x, 2), [[0.5, 0.5]])
    with pytest.raises(kinn.StatementError, match="outside the mesh, the first at"):
        solution([[0.5, 0.5], [1.5, 0.5]])
    with pytest.raises(kinn.StatementError, match="second derivative"):
        fem.solve(kinn.Problem(mesh, {"p": u.diff(x, 2) + u.diff(y, 2) - 1}, conditions))
    general = kinn.Condition(u.diff(x) - u**2, on="right")
    with pytest.raises(kinn.StatementError, match="general condition"):
        fem.solve(kinn.Problem(mesh, {"p": -div(grad(u)) - 1}, [kinn.Dirichlet(u, 0, on="left"), general]))


def neumann_problem():
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=8)
    x, y = mesh.coordinates
    u, exact = kinn.Field("u", mesh), sp.cos(sp.pi * x) * sp.cos(sp.pi * y)
    return kinn.Problem(mesh, {"eq": -div(grad(u)) - 2 * sp.pi**2 * exact}, [], exact={u: exact})


def test_a_solution_that_is_open_by_a_constant_gets_mean_zero():
    solution = kinn.fem.solve(neumann_problem(), tolerance=1e-2)
    x = np.random.default_rng(0).uniform(0, 1, (200, 2))
    assert np.abs(solution(x) - np.cos(np.pi * x[:, 0]) * np.cos(np.pi * x[:, 1])).max() < 1e-3


def test_points_outside_the_mesh_and_unknown_parameters_are_refused():
    problem = neumann_problem()
    solution = kinn.fem.solve(problem, tolerance=0.5)
    with pytest.raises(kinn.StatementError, match="1 of 2 points lie outside the mesh"):
        solution([[0.5, 0.5], [1.5, 0.5]])
    with pytest.raises(kinn.StatementError, match="parameter 'kk' is not in the problem"):
        kinn.fem.solve(problem, parameters={"kk": 1.0})
    with pytest.raises(kinn.StatementError, match="elements of order 5"):
        kinn.fem.solve(problem, order=5)


def test_boundary_values_that_jump_do_not_break_the_mesh():
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=2)
    u = kinn.Field("u", mesh)
    sides = [kinn.Dirichlet(u, 1, on="top"), kinn.Dirichlet(u, 0, on=["left", "right", "bottom"])]
    solution = kinn.fem.solve(kinn.Problem(mesh, {"eq": -div(grad(u))}, sides), tolerance=0.3)
    assert abs(solution([[0.5, 0.5]])[0] - 0.25) < 5e-3  # by symmetry


def test_kept_solutions_are_found_again(tmp_path, monkeypatch):
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=3)
    u = kinn.Field("u", mesh)
    x, y = mesh.coordinates
    problem = kinn.Problem(mesh, {"p": -div(grad(u)) - sp.exp(5 * x)}, [kinn.Dirichlet(u, y, on=("left", "top"))])
    with keeping(tmp_path / "kept"):
        first = kinn.fem.solve(problem, tolerance=2e-2)
        kinn.fem.solve(problem, tolerance=5e-2)
    files = sorted((tmp_path / "kept").iterdir())
    assert len(files) == 2 and first.n_unknowns > 100

    def refused(*_):
        raise AssertionError("solved again")

    monkeypatch.setattr(sys.modules["kinn.fem.solve"], "newton", refused)  # the name of the package is the function
    with keeping(tmp_path / "kept"):
        again = kinn.fem.solve(problem, tolerance=2e-2)
    assert np.array_equal(again.coefficients, first.coefficients) and again.mesh.identity == first.mesh.identity
    assert (again.estimate, again.seconds) == (first.estimate, first.seconds)
    with pytest.raises(AssertionError, match="solved again"):  # outside nothing is kept
        kinn.fem.solve(problem, tolerance=2e-2)
    with (
        monkeypatch.context() as older,
        keeping(tmp_path / "kept"),
        pytest.raises(AssertionError, match="solved again"),
    ):
        older.setattr(sys.modules["kinn.fem.keeping"], "FORMAT", 3)  # what these files were not written in
        kinn.fem.solve(problem, tolerance=2e-2)
    monkeypatch.setattr(sys.modules["kinn.fem.solve"], "grown", lambda mesh, *_: mesh.refined())
    with keeping(tmp_path / "kept"), pytest.raises(AssertionError, match="solved again"):  # another mesh than was kept
        kinn.fem.solve(problem, tolerance=2e-2)
    for file in files:
        file.write_bytes(file.read_bytes()[:-9])
    with keeping(tmp_path / "kept"), pytest.raises(AssertionError, match="solved again"):
        kinn.fem.solve(problem, tolerance=2e-2)
