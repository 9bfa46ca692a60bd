"""Where names lie on curved meshes: points and normals of the statement's own checks."""

from pathlib import Path

import numpy as np
import pytest
import sympy as sp

import kinn
from kinn import div, grad
from kinn.statement.places import facets, midpoints, sample_cells, sample_facets

MESHES = Path(__file__).parent / "meshes"
BEND = 0.3


def bent(kind="triangle", cells=3):
    """The square under (x, y) -> (x, y + BEND x^2), which cells of second order follow exactly; its sides keep their names."""
    flat = kinn.Mesh.box((0, 0), (1, 1), cells=cells)
    if kind == "quad":
        steps = np.arange(cells + 1) / cells
        points = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)
        first = (np.arange(cells)[:, None] * (cells + 1) + np.arange(cells)).ravel()
        flat = kinn.Mesh(points, np.stack([first, first + cells + 1, first + cells + 2, first + 1], 1), "quad")
        flat.tag("bottom", lambda x, y: y < 1e-9)
    shapes = flat.kind.nodes(2)
    mapping = flat.skfem.mapping().F(shapes.T)  # (2, cells, nodes)
    nodes = np.moveaxis(np.asarray(mapping), 0, -1)
    nodes = nodes + BEND * nodes[..., :1] ** 2 * [0, 1]
    points = flat.points + BEND * flat.points[:, :1] ** 2 * [0, 1]
    return kinn.Mesh(points, flat.cells, kind, flat.boundaries, curved=nodes)


@pytest.mark.parametrize("kind", ["triangle", "quad"])
def test_points_and_normals_follow_the_curve(kind):
    mesh = bent(kind)
    assert mesh.order == 2
    points, normals = sample_facets(mesh, facets(mesh, ["bottom"]), 200)
    x, y = points.T
    assert np.abs(y - BEND * x**2).max() < 1e-14
    exact = np.stack([2 * BEND * x, -np.ones_like(x)], 1) / np.sqrt(1 + 4 * BEND**2 * x**2)[:, None]
    assert np.abs(normals - exact).max() < 1e-12
    middle = midpoints(mesh, facets(mesh, ["bottom"]))
    assert (
        sorted(middle[:, 0]) == pytest.approx([1 / 6, 1 / 2, 5 / 6])
        and np.abs(middle[:, 1] - BEND * middle[:, 0] ** 2).max() < 1e-14
    )


@pytest.mark.parametrize("kind", ["triangle", "quad"])
def test_points_in_cells_fill_what_the_curve_adds(kind):
    mesh = bent(kind, cells=1)
    x, y = sample_cells(mesh, 2000).T
    inside = (y > BEND * x**2 - 1e-12) & (y < 1 + BEND * x**2 + 1e-12)
    assert inside.all() and ((y < BEND * x) & (x > 0.3) & (x < 0.7)).any()  # below the chord


@pytest.mark.parametrize("kind", ["triangle", "quad"])
def test_verify_knows_the_normal_of_a_curved_side(kind):
    mesh = bent(kind)
    x, y = mesh.coordinates
    u, exact = kinn.Field("u", mesh), sp.sin(x) * sp.exp(y)
    normal = sp.Matrix([2 * BEND * x, -1]) / sp.sqrt(1 + 4 * BEND**2 * x**2)
    slope = sp.Matrix([exact.diff(x), exact.diff(y)])

    def stated(value):
        conditions = [kinn.Neumann(grad(u), value, on="bottom")]
        return kinn.Problem(mesh, {"laplace": -div(grad(u))}, conditions, exact={u: exact})

    assert max(stated(slope.dot(normal)).verify(tolerance=1e-9).values()) < 1e-9
    with pytest.raises(kinn.StatementError, match="does not satisfy"):
        stated(slope.dot(sp.Matrix([BEND, -1])) / sp.sqrt(1 + BEND**2)).verify(tolerance=1e-9)  # one chord for the side


def test_verify_on_a_disk_of_second_order():
    mesh = kinn.Mesh.read(MESHES / "disk2_tri6.msh")
    (x, y), (n_x, n_y) = mesh.coordinates, mesh.normal
    u, exact = kinn.Field("u", mesh), sp.exp(x) * sp.sin(y) + x
    value = exact.diff(x) * n_x + exact.diff(y) * n_y
    problem = kinn.Problem(mesh, {"laplace": -div(grad(u))}, [kinn.Neumann(grad(u), value, on="rim")], exact={u: exact})
    assert max(problem.verify(tolerance=1e-9).values()) < 1e-9
    points, normals = sample_facets(mesh, facets(mesh, ["rim"]), 500)
    assert np.abs(np.linalg.norm(points, axis=1) - 1).max() < 2e-4 and np.abs(normals - points).max() < 5e-3


def test_normals_of_a_curved_interface_leave_the_side_that_is_named():
    mesh = kinn.Mesh.read(MESHES / "disk2_tri6.msh")
    on = facets(mesh, ["interface"])
    out, core = sample_facets(mesh, on, 300, side=("core",))
    same, shell = sample_facets(mesh, on, 300, side=("shell",))
    assert (out == same).all() and (core == -shell).all()
    assert ((out * core).sum(axis=1) > 0.99 * np.linalg.norm(out, axis=1)).all()


def test_points_of_meshes_of_first_order():
    rod = kinn.Mesh.box(0, 2, cells=3)
    points, normals = sample_facets(rod, rod.exterior, 30)
    assert set(zip(points.ravel(), normals.ravel(), strict=True)) == {(0.0, -1.0), (2.0, 1.0)}
    cube = kinn.Mesh.box((0, 0, 0), (1, 2, 3), cells=2)
    points, normals = sample_facets(cube, facets(cube, ["back"]), 50)
    assert np.allclose(points[:, 2], 3) and np.allclose(normals, [0, 0, 1])
    moving = rod * kinn.Interval("t", 0, 1)
    assert moving.contains(sample_cells(moving, 100)).all() and cube.contains(sample_cells(cube, 100)).all()


def test_a_mesh_without_names_says_how_to_give_one():
    mesh = kinn.Mesh([[0, 0], [1, 0], [0, 1]], [[0, 1, 2]], "triangle")
    u = kinn.Field("u", mesh)
    for on in ("wall", ("boundary", "wall")):
        problem = kinn.Problem(mesh, {"p": -div(grad(u)) - 1}, [kinn.Dirichlet(u, 0, on=on)])
        with pytest.raises(kinn.StatementError, match=r'which has no names; write mesh.tag\("wall", '):
            problem.check()
    kinn.Problem(mesh, {"p": -div(grad(u)) - 1}, [kinn.Dirichlet(u, 0, on="boundary")]).check()
