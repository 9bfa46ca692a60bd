"""Cracks: faces that lie on one another keep their sides, their names and their tips."""

from pathlib import Path

import numpy as np
import pytest

from kinn.geometry import Interval, Mesh, gauss, graded
from kinn.statement.errors import StatementError

HERE = Path(__file__).parent


def left(x, y):
    return (abs(y) < 1e-9) & (x < 0)


def square(n: int = 8) -> Mesh:
    return Mesh.box((-1, -1), (1, 1), n)


def sides(mesh: Mesh, name: str, axis: int = 1) -> np.ndarray:
    """Where the cells of the faces lie along an axis, relative to the face."""
    points = gauss(mesh, 0, name)
    assert points.cell is not None
    return mesh.points[mesh.cells[points.cell]].mean(axis=1)[:, axis] - points.x[:, axis]


@pytest.mark.parametrize(
    "mesh",
    [
        square().cut("crack", left), square().cut("crack", left).refined(), square().refined().cut("crack", left),
        Mesh.read(HERE / "meshes/crack_41.msh"), Mesh.read(HERE / "meshes/crack2_22.msh"),
    ],
    ids=["cut", "cut then refined", "refined then cut", "Gmsh", "Gmsh, second order"],
)  # fmt: skip
def test_both_faces(mesh):
    up, down = (gauss(mesh, 2, f"crack{sign}") for sign in "+-")
    assert (sides(mesh, "crack+") > 0).all() and (sides(mesh, "crack-") < 0).all()
    assert up.normal is not None and down.normal is not None and up.cell is not None and down.cell is not None
    assert np.allclose(up.normal, [0, -1]) and np.allclose(down.normal, [0, 1])  # out of the domain: into the crack
    assert np.isclose(up.weight.sum(), 1) and np.isclose(down.weight.sum(), 1)
    assert np.array_equal(mesh.slit, mesh.boundaries["crack"])
    assert np.array_equal(np.union1d(mesh.boundaries["crack+"], mesh.boundaries["crack-"]), mesh.slit)
    assert np.isclose(mesh.measure, 4) and mesh.box_sides() is None
    assert mesh.reentrant_corners().tolist() == [[0, 0]]
    jump = np.arctan2(*mesh.inward(up.x, up.cell).T[::-1]) - np.arctan2(*mesh.inward(down.x, down.cell).T[::-1])
    assert np.allclose(jump.mean(), 2 * np.pi, atol=1e-6)  # the angle jumps by 2 pi across the crack
    # the theorem of Gauss with the angle itself: both faces count
    inside, around = gauss(mesh, 8), gauss(mesh, 8, "boundary")
    assert around.normal is not None and around.cell is not None
    angle = np.arctan2(*mesh.inward(around.x, around.cell).T[::-1])
    slope = -inside.x[:, 1] / (inside.x**2).sum(axis=1)
    # of x^3 y^3 angle: smooth enough at the tip for the rule
    cube = (inside.x**3).prod(axis=1)
    volume = 3 * inside.x[:, 0] ** 2 * inside.x[:, 1] ** 3 * np.arctan2(*inside.x.T[::-1]) + cube * slope
    surface = (around.x**3).prod(axis=1) * angle * around.normal[:, 0]
    assert np.isclose((inside.weight * volume).sum(), (around.weight * surface).sum(), atol=1e-3)


def test_inward():
    mesh = square().cut("crack", left)
    faces = gauss(mesh, 3, "crack")
    assert faces.cell is not None
    moved = mesh.inward(faces.x, faces.cell)
    assert np.allclose(moved, faces.x, atol=1e-8) and (np.sign(moved[:, 1]) != 0).all()
    assert (mesh.locate(moved, 0) == faces.cell).all()
    # not past the center
    center = mesh.points[mesh.cells].mean(axis=1)
    assert np.allclose(mesh.inward(center, np.arange(len(center))), center, atol=1e-14)


def test_grading_keeps_the_faces_apart():
    mesh = square().cut("crack", left)
    for _ in range(4):
        mesh = graded(mesh, 1 / (0.01 + np.linalg.norm(mesh.points[mesh.cells].mean(axis=1), axis=1)) ** 2)
    assert len(mesh.cells) > 200 and mesh.volumes.min() < 0.1 * mesh.volumes.max()
    assert (sides(mesh, "crack+") > 0).all() and (sides(mesh, "crack-") < 0).all()
    lengths = {name: gauss(mesh, 0, name).weight.sum() for name in mesh.boundaries}
    assert lengths == pytest.approx(
        {side: 2 for side in ("left", "right", "top", "bottom", "crack")} | {"crack+": 1, "crack-": 1}
    )


def test_files_and_products(tmp_path):
    mesh = square(4).cut("crack", left)
    mesh.write(tmp_path / "m.vtu")
    again = Mesh.read(tmp_path / "m.vtu")
    assert again.identity == mesh.identity
    assert all(np.array_equal(again.boundaries[name], facets) for name, facets in mesh.boundaries.items())
    assert list(again.boundaries) == list(mesh.boundaries)
    moving = mesh * Interval("t", 0, 1, 2)
    assert np.isclose(gauss(moving, 1, "crack+").weight.sum(), 1) and (sides(moving, "crack+") > 0).all()
    assert len(moving.slit) == len(moving.boundaries["crack"])
    assert np.allclose(moving.reentrant_corners()[:, :2], 0)


def test_a_crack_inside_and_one_along_y():
    mesh = square().cut("crack", lambda x, y: (abs(x) < 1e-9) & (abs(y) < 0.6))
    assert sorted(mesh.reentrant_corners().tolist()) == [[0, -0.5], [0, 0.5]]
    assert (sides(mesh, "crack+", axis=0) > 0).all() and len(mesh.points) == len(square().points) + 3
    # an L: the side that runs along y continues the one along x
    mesh = square().cut(
        "bent", lambda x, y: (abs(y) < 1e-9) & (abs(x) < 0.5) | (abs(x - 0.5) < 1e-9) & (y > 0) & (y < 0.5)
    )
    corner = gauss(mesh, 0, "bent+")
    assert np.isclose(corner.weight.sum(), 1.5) and corner.normal is not None
    assert {tuple(normal) for normal in np.round(corner.normal) + 0.0} == {(0, -1), (1, 0)}
    # branches: three parts meet
    mesh = square().cut("tee", lambda x, y: (abs(y) < 1e-9) & (abs(x) < 0.5) | (abs(x) < 1e-9) & (y > 0) & (y < 0.5))
    assert np.isclose(gauss(mesh, 0, "tee").weight.sum(), 3) and len(mesh.reentrant_corners()) == 3
    # a closed one takes a piece out: the domain is in two parts
    mesh = square().cut("ring", lambda x, y: np.isclose(np.maximum(abs(x), abs(y)), 0.5))
    assert np.isclose(gauss(mesh, 0, "ring+").weight.sum(), 4) and np.isclose(mesh.measure, 4)


def test_a_crack_in_space():
    box = Mesh.box((-1, -1, -1), (1, 1, 1), 4)
    mesh = box.cut("crack", lambda x, y, z: (abs(z) < 1e-9) & (x < 0))
    up = gauss(mesh, 1, "crack+")
    assert np.isclose(up.weight.sum(), 2) and up.normal is not None and np.allclose(up.normal, [0, 0, -1])
    assert (sides(mesh, "crack+", 2) > 0).all() and len(mesh.slit) == len(mesh.boundaries["crack"])
    front = mesh.reentrant_corners()
    assert len(front) == 4 and np.allclose(front[:, [0, 2]], 0)


def test_second_order_and_named_lines():
    mesh = Mesh.read(HERE / "meshes/disk2_tri6.msh").cut("interface")
    assert mesh.order == 2 and {"interface+", "interface-"} <= set(mesh.boundaries)
    assert np.isclose(gauss(mesh, 4, "interface").weight.sum(), 2 * 2 * np.pi * 0.4, rtol=1e-3)
    assert set(mesh.boundaries["interface+"]) <= set(mesh.slit)


def test_bad_cuts():
    mesh = square()
    with pytest.raises(StatementError, match="cut 'c' selects none of the .* interior facets"):
        mesh.cut("c", lambda x, y: x > 2)
    with pytest.raises(StatementError, match=r"cut 'c': 1 of its 1 facets cannot open.*refine the mesh there"):
        mesh.cut("c", lambda x, y: (abs(y) < 1e-9) & (abs(x - 0.1) < 0.1))
    with pytest.raises(StatementError, match="the name 'left' is taken"):
        mesh.cut("left", left)
    with pytest.raises(StatementError, match="cut 'left': this boundary has no facets inside the domain"):
        mesh.cut("left")
    assert len(mesh.slit) == 0 and mesh.slit.dtype == np.int64
    assert len(Mesh.box(0, 1, 4).slit) == 0
