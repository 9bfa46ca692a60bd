"""VTU files with named expressions: scalars, vectors, tensors, crack faces, and what is refused."""

from __future__ import annotations

from pathlib import Path

import meshio
import numpy as np
import pytest
import sympy as sp
from made_results import made_solution

from kinn.geometry import Interval, Mesh
from kinn.statement import Coefficient, Dirichlet, Equation, Field, Parameter, Problem, StatementError, div, grad

MESHES = Path(__file__).parents[1] / "problems" / "meshes"
MESH = Mesh.box((-1, -1), (1, 1), cells=4)
X, Y = MESH.coordinates
V, K = Field("v", MESH, components=2), Parameter("k", 2.0)


@pytest.fixture(scope="module")
def solution():
    # v = (x y, x^2 - y^2)... of the scaled coordinates, here x and y themselves; a sum of functions per axis
    problem = Problem(MESH, {"e": K * div(grad(V))}, [Dirichlet(V, 0, on="boundary")])
    return made_solution(problem, [lambda a, b: a**2 + b, lambda a, b: 3 * a - b**2])


def test_expressions_go_into_the_file_as_scalars_vectors_and_tensors(solution, tmp_path):
    slope = grad(V)
    solution.write(
        tmp_path / "v.vtu", slope=slope, trace=slope[0, 0] + slope[1, 1], flux=K * grad(V[0]), law=[X, Y, X * Y]
    )
    data = meshio.read(tmp_path / "v.vtu").point_data
    x, y = MESH.points.T
    zero, one = np.zeros_like(x), np.ones_like(x)
    tensor = np.stack([2 * x, one, zero, 3 * one, -2 * y, zero, zero, zero, zero], axis=1)
    np.testing.assert_allclose(data["slope"], tensor, atol=1e-11)
    np.testing.assert_allclose(data["trace"], 2 * x - 2 * y, atol=1e-11)
    np.testing.assert_allclose(data["flux"], np.stack([4 * x, 2 * one, zero], axis=1), atol=1e-11)
    np.testing.assert_allclose(data["law"], np.stack([x, y, x * y], axis=1), atol=1e-14)
    assert set(data) == {"v", "slope", "trace", "flux", "law"}


def test_fields_are_taken_by_name_and_from_other_meshes(solution, tmp_path):
    other = Field("v", Mesh.box((-1, -1), (1, 1), cells=3), components=2)
    solution.write(tmp_path / "v.vtu", copy="v", first=other[0])
    data = meshio.read(tmp_path / "v.vtu").point_data
    np.testing.assert_array_equal(data["copy"], data["v"])
    np.testing.assert_array_equal(data["first"], data["v"][:, 0])


def test_an_equation_on_a_subdomain_has_no_residual_elsewhere(tmp_path):
    cells = np.arange(len(MESH.cells))
    left = cells[MESH.points[MESH.cells].mean(axis=1)[:, 0] < 0]
    mesh = Mesh(MESH.points, MESH.cells, "triangle", None, {"left": left, "right": np.setdiff1d(cells, left)})
    u = Field("u", mesh)
    equations = {name: Equation(div(grad(u)) - k, on=name) for k, name in enumerate(("left", "right"))}
    found = made_solution(Problem(mesh, equations, [Dirichlet(u, 0, on="boundary")]), [lambda a, b: a**2 / 2])
    found.write(tmp_path / "u.vtu")
    data = meshio.read(tmp_path / "u.vtu").cell_data
    for k, name in enumerate(("left", "right")):
        values = data[f"residual {name}"][0]
        inside = mesh.subdomains[name]
        np.testing.assert_allclose(values[inside], 1 - k, atol=1e-10)
        assert np.isnan(np.delete(values, inside)).all()


@pytest.mark.parametrize(
    ("named", "text"),
    [
        ({"v": X}, "'v' is written anyway; give the expression v=... another name"),
        ({"k": X}, "'k' is written anyway"),
        ({"t": 0.5}, "t=0.5: 't' is no coordinate of the mesh; it has: 'x', 'y'"),
        ({"x": 0.5}, "'x' is an axis of space, whose section has no cells"),
        ({"x": X}, "x=x: a coordinate is held at one number"),
        ({"w": "w"}, "'w' is no field and no parameter of the problem"),
        ({"w": object()}, "is no expression"),
        ({"w": sp.Symbol("q")}, "q"),
    ],
)
def test_what_cannot_be_written_is_refused(solution, tmp_path, named, text):
    with pytest.raises(StatementError) as error:
        solution.write(tmp_path / "v.vtu", **named)
    assert text in str(error.value) and not (tmp_path / "v.vtu").exists()


def test_a_snapshot_is_written_on_the_mesh_of_space(tmp_path):
    mesh = MESH * Interval("t", 0, 2, cells=2)
    x, y, t = mesh.coordinates
    u = Field("u", mesh)
    heat = Problem(mesh, {"heat": u.diff(t) - div(grad(u))}, [Dirichlet(u, 0, on="left")])
    found = made_solution(heat, [lambda a, b, c: a**2 + b + 3 * c])  # x^2 + y + 3 (t - 1)
    found.write(tmp_path / "u.vtu", t=0.5, flux=-grad(u))
    file = meshio.read(tmp_path / "u.vtu")
    assert len(file.points) == len(MESH.points) and len(file.cells[0].data) == len(MESH.cells)
    np.testing.assert_allclose(file.point_data["u"], file.points[:, 0] ** 2 + file.points[:, 1] - 1.5, atol=1e-11)
    np.testing.assert_allclose(file.point_data["flux"][:, 0], -2 * file.points[:, 0], atol=1e-11)
    np.testing.assert_allclose(file.cell_data["residual heat"][0], 1, atol=1e-9)
    assert set(Mesh.read(tmp_path / "u.vtu").boundaries) == set(MESH.boundaries)


def test_the_two_faces_of_a_crack_have_their_own_values(tmp_path):
    mesh = Mesh.read(MESHES / "crack_mode_iii.msh")
    u = Field("u", mesh)
    side = Coefficient("side", mesh, lambda x, y: (y > 0) * 1.0 - (y < 0) * 1.0, continuous=False)
    problem = Problem(mesh, {"e": div(grad(u))}, [Dirichlet(u, 0, on="right")])
    found = made_solution(problem, [lambda a, b: a + b])
    found.write(tmp_path / "u.vtu", side=side)
    values = meshio.read(tmp_path / "u.vtu").point_data["side"]
    for name, sign in (("upper face", 1), ("lower face", -1)):
        on = np.setdiff1d(mesh.facet_nodes[mesh.boundaries[name]], [np.argmin(np.abs(mesh.nodes).sum(axis=1))])
        assert len(on) == 8 and (values[on] == sign).all()


def test_curved_cells_have_values_on_their_edges_too(tmp_path):
    mesh = Mesh.read(MESHES / "plate_with_hole.msh")
    x, y = mesh.coordinates
    u = Field("u", mesh)
    problem = Problem(mesh, {"e": div(grad(u))}, [Dirichlet(u, 0, on="left")])
    found = made_solution(problem, [lambda a, b: a**2 + b])
    found.write(tmp_path / "u.vtu", square=x**2)
    file = meshio.read(tmp_path / "u.vtu")
    assert file.cells[0].type == "triangle6" and len(file.points) > len(mesh.points)
    np.testing.assert_allclose(file.point_data["square"], file.points[:, 0] ** 2, atol=1e-12)
    np.testing.assert_allclose(
        file.point_data["u"], ((file.points[:, 0] - 10) / 10) ** 2 + (file.points[:, 1] - 10) / 10, atol=1e-9
    )
