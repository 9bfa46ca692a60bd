"""Corners and curves: which angles of a boundary are true ones, and what straight facets do to a curve."""

from pathlib import Path

import numpy as np
import pytest

from kinn.geometry import Interval, Mesh
from kinn.geometry.cells import shape_functions

MESHES = Path(__file__).parent / "meshes"


def around(hole: np.ndarray, quads: bool = False, out: float = 2.0, layers: int = 3) -> Mesh:
    """The plane between a polygon (n, 2) round the origin and a circle far out; all cells of one layer turn alike."""
    n = len(hole)
    far = out * hole / np.linalg.norm(hole, axis=1, keepdims=True)
    points = np.concatenate([hole + share * (far - hole) for share in np.linspace(0, 1, layers + 1)])
    first = (np.arange(layers)[:, None] * n + np.arange(n)).ravel()
    following = (np.arange(layers)[:, None] * n + (np.arange(n) + 1) % n).ravel()
    cells = np.stack([first, following, following + n, first + n], axis=1)
    if not quads:
        cells = np.concatenate([cells[:, [0, 1, 2]], cells[:, [0, 2, 3]]])
    return Mesh(points, cells, "quad" if quads else "triangle")


def circle(n: int) -> np.ndarray:
    angle = 2 * np.pi * np.arange(n) / n
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def polygon(corners: np.ndarray, facets: int) -> np.ndarray:
    share = np.arange(facets)[:, None] / facets
    return np.concatenate([a + share * (b - a) for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True)])


def rounded_square(facets: int, arc: int) -> np.ndarray:
    """Sides from -0.5 to 0.5 at distance 1, quarter circles of radius 0.5 between them."""
    angle = np.pi / 2 * np.arange(1, arc) / arc - np.pi / 2
    corner = np.array([0.5, -0.5]) + 0.5 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    side = np.stack([np.ones(facets + 1), np.linspace(-0.5, 0.5, facets + 1)], axis=1)
    quarter = np.concatenate([corner, side])
    turns = [np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) for a in np.pi / 2 * np.arange(4)]
    return np.concatenate([quarter @ turn.T for turn in turns])


@pytest.mark.parametrize("quads", [False, True])
@pytest.mark.parametrize("n", [9, 12, 40, 200])
def test_a_circle_of_straight_facets_has_no_corners(n, quads):
    mesh = around(circle(n), quads)
    assert len(mesh.reentrant_corners()) == 0
    exact = 2 * (1 - np.cos(np.pi / n)) / 4  # of the circle far out; the extent is 4
    assert mesh.straight_error() == pytest.approx(exact, rel=0.05)


@pytest.mark.parametrize("quads", [False, True])
def test_corners_of_polygons(quads):
    for count, facets in ((4, 1), (4, 5), (6, 1), (6, 4), (8, 3), (40, 2)):
        mesh = around(polygon(circle(count), facets), quads)
        corners = mesh.reentrant_corners()
        assert sorted(np.round(corners, 9).tolist()) == sorted(np.round(circle(count), 9).tolist()), (count, facets)


def test_curves_that_end():
    assert len(around(rounded_square(4, 4)).reentrant_corners()) == 0  # straight sides run on into the arcs
    assert len(around(rounded_square(4, 12)).reentrant_corners()) == 0
    # half a circle and its diameter: two corners, where the arc meets the line at a right angle
    arc = circle(24)[:13] - [0, 0.3]
    half = np.concatenate([arc, np.linspace(arc[-1], arc[0], 7)[1:-1]])
    corners = around(half, out=3).reentrant_corners()
    assert sorted(np.round(corners, 9).tolist()) == [[-1, -0.3], [1, -0.3]]
    # two arcs that meet smoothly and bend in opposite senses, and a circle of unequal facets
    wave = 2 * np.pi * np.arange(120) / 120
    assert len(around(circle(120) * (1 + 0.3 * np.cos(3 * wave))[:, None]).reentrant_corners()) == 0
    angle = np.cumsum(np.resize([0.1, 0.2], 42))
    uneven = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    assert len(around(uneven).reentrant_corners()) == 0


def test_straight_error():
    assert Mesh.box((0, 0), (2, 1), 5).straight_error() == 0
    assert Mesh.box(0, 1).straight_error() == 0 and Mesh.box((0, 0, 0), (1, 1, 1), 2).straight_error() == 0
    assert Mesh.read(MESHES.parent.parent / "problems/meshes/lshape.msh").straight_error() == 0
    disk = Mesh.read(MESHES / "disk_41_ascii.msh")
    assert disk.straight_error() == pytest.approx((1 - np.cos(np.pi / 16)) / 2, rel=0.01)  # 16 facets
    assert Mesh.read(MESHES / "disk2_tri6.msh").straight_error() == 0


def on_circles(mesh: Mesh, radius=lambda x: np.linalg.norm(x, axis=-1)) -> Mesh:
    """The second-order mesh whose new nodes lie on the circles of their neighbors."""
    corners = mesh.points[mesh.cells]
    shapes = shape_functions(mesh.kind.reference, mesh.kind.nodes(2))[0]
    straight = shapes @ corners
    wanted = np.einsum("qk,ck->cq", shapes, radius(corners))
    return Mesh(mesh.points, mesh.cells, mesh.cell_type, curved=straight * (wanted / radius(straight))[:, :, None])


@pytest.mark.parametrize("quads", [False, True])
def test_second_order(quads):
    for n in (6, 8, 24):
        assert len(on_circles(around(circle(n), quads)).reentrant_corners()) == 0
    # the arcs of a lens, of radius sqrt 2 about (0, -1) and (0, 1), meet in two corners
    angle = np.pi / 4 + np.pi / 2 * np.arange(8) / 8
    upper = np.sqrt(2) * np.stack([np.cos(angle), np.sin(angle)], axis=1) - [0, 1]
    lens = np.concatenate([upper, -upper])

    mesh = around(lens, quads, layers=1)
    shapes = shape_functions(mesh.kind.reference, mesh.kind.nodes(2))[0]
    nodes = shapes @ mesh.points[mesh.cells]
    inner = np.isclose(np.einsum("qk,ck->cq", shapes, (mesh.cells < len(lens)).astype(float)), 1)
    center = np.where(nodes[inner][:, 1:] > -1e-9, -1, 1) * [0, 1]
    arm = nodes[inner] - center
    nodes[inner] = center + np.sqrt(2) * arm / np.linalg.norm(arm, axis=1, keepdims=True)
    bent = Mesh(mesh.points, mesh.cells, mesh.cell_type, curved=nodes)
    assert sorted((np.round(bent.reentrant_corners(), 9) + 0.0).tolist()) == [[-1, 0], [1, 0]]
    square = around(polygon(circle(4), 3), quads)
    straight = shapes @ square.points[square.cells]
    again = Mesh(square.points, square.cells, square.cell_type, curved=straight)
    assert sorted(again.reentrant_corners().tolist()) == sorted(square.reentrant_corners().tolist())


def test_along_time_and_in_space():
    time = Interval("t", 0, 1, 2)
    for quads in (False, True):
        assert len((around(circle(16), quads) * time).reentrant_corners()) == 0
        edges = (around(polygon(circle(4), 3), quads) * time).reentrant_corners()
        assert len(edges) == 8 and np.allclose(np.linalg.norm(edges[:, :2], axis=1), 1)
        kind = "hexahedron" if quads else "tetra"
        for hole, count in ((circle(16), 0), (polygon(circle(4), 3), 8), (polygon(circle(8), 2), 16)):
            block = around(hole, quads) * time
            assert len(Mesh(block.points, block.cells, kind).reentrant_corners()) == count


def test_no_corner_on_committed_curves():
    for path in (MESHES.parent.parent / "problems/meshes").glob("*.msh"):
        mesh = Mesh.read(path)
        if path.stem in ("plate_with_hole", "conduction_3d"):
            assert mesh.order == 2 and len(mesh.reentrant_corners()) == 0
