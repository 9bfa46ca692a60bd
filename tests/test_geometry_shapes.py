"""Shapes, names and corners: boxes, products, tags, box detection, re-entrant corners, bad arrays."""

from pathlib import Path

import numpy as np
import pytest

from kinn.geometry import Interval, Mesh, gauss
from kinn.statement.errors import StatementError

HERE = Path(__file__).parent


def lshape() -> Mesh:
    return Mesh.read(HERE.parent / "problems/meshes/lshape.msh")


def test_boxes_and_intervals():
    mesh = Mesh.box((0, 0, 0), (1, 2, 3), (1, 2, 3))
    assert sorted(mesh.boundaries) == ["back", "bottom", "front", "left", "right", "top"]
    for name, axis, value in (("front", 2, 0), ("back", 2, 3), ("top", 1, 2), ("left", 0, 0)):
        assert np.allclose(gauss(mesh, 1, name).x[:, axis], value)
    assert len(Mesh.box((0, 0), (2, 1)).cells) == 2 * 16 * 8
    assert [str(c) for c in mesh.coordinates] == ["x", "y", "z"] and mesh.normal.shape == (3, 1)
    line = Interval("t", -0.5, 1)
    assert sorted(line.boundaries) == ["t=-0.5", "t=1"] and line.coordinate_names == ("t",)
    assert sorted(Interval("t", 1e6, 1e6 + 1e-3).boundaries) == ["t=1000000.0", "t=1000000.001"]
    for lower, upper, cells, text in (
        ((0, 0), (1, 0), None, "below the upper"), ((0, 0), (1,), None, "equally many"), (0, 1, 0, "number >= 1"),
    ):  # fmt: skip
        with pytest.raises(StatementError, match=text):
            Mesh.box(lower, upper, cells)
    with pytest.raises(StatementError, match="interval t from 1 to 0"):
        Interval("t", 1, 0)


def test_products():
    mesh = Mesh.read(HERE / "meshes/two_41_ascii.msh") * Interval("t", 0, 2, 4)
    assert mesh.cell_type == "tetra" and mesh.spatial_dimension == 2 and mesh.interval_ends == ("t=0", "t=2")
    assert mesh.coordinate_names == ("x", "y", "t") and len(mesh.normal) == 2
    assert np.isclose(gauss(mesh, 1, "inlet").weight.sum(), 2) and np.isclose(gauss(mesh, 1, "t=0").weight.sum(), 2)
    assert np.isclose(gauss(mesh, 1, "steel").weight.sum(), 2)
    assert mesh.refined().interval_ends == ("t=0", "t=2")
    # every cell face is shared by two cells or lies on the boundary, so the boundary has the right area
    assert np.isclose(gauss(mesh, 1, "boundary").weight.sum(), 2 * 2 + 2 * 6)
    hexes = Mesh.read(HERE / "meshes/quad_41_ascii.msh") * Interval("t", 0, 2, 2)
    assert hexes.cell_type == "hexahedron" and np.isclose(hexes.measure, 4)
    assert np.isclose(gauss(hexes, 1, "inlet").weight.sum(), 2)
    with pytest.raises(StatementError, match="3-D mesh times an interval .* not supported yet"):
        _ = Mesh.box((0, 0, 0), (1, 1, 1), 1) * Interval("t", 0, 1)
    with pytest.raises(StatementError, match="share a coordinate 'x'"):
        _ = Mesh.box(0, 1) * Interval("x", 0, 1)
    with pytest.raises(StatementError, match="must be an interval"):
        _ = Mesh.box(0, 1) * Mesh.box((0, 0), (1, 1), 1)
    assert Mesh.box(0, 1).interval_ends is None


def test_identity_is_content_without_names():
    one, two = Mesh.box((0, 0), (1, 1), 2), Mesh.box((0, 0), (1, 1), 2)
    assert one.identity == two.identity and one.coordinates == two.coordinates
    one.tag("inlet", lambda x, y: x == 0)
    assert one.identity == two.identity
    assert one.identity != Mesh.box((0, 0), (1, 2), 2).identity
    renamed = Mesh(one.points, one.cells, "triangle", coordinate_names=("r", "z"))
    assert renamed.identity != one.identity
    with pytest.raises(ValueError, match="read-only"):
        one.points[0] = 3


def test_tag():
    mesh = Mesh.box((0, 0), (2, 1), 4)
    assert mesh.tag("inlet", lambda x, y: (x == 0) & (y < 0.5)) is mesh
    assert np.isclose(gauss(mesh, 1, "inlet").weight.sum(), 0.5)
    mesh.tag("inlet", lambda x, y: (x == 0) & (y < 0.5))  # a notebook cell run twice
    with pytest.raises(StatementError, match=r"tag 'out' selects none of the 12 .*x in \[0, 2\], y in \[0, 1\]"):
        mesh.tag("out", lambda x, y: x > 2)
    with pytest.raises(StatementError, match="the name 'inlet' is taken"):
        mesh.tag("inlet", lambda x, y: x == 2)
    with pytest.raises(StatementError, match="the name 'boundary' is kept"):
        mesh.tag("boundary", lambda x, y: x == 2)
    with pytest.raises(StatementError, match=r"boundary 'wal' is not in the mesh; it has: 'left'"):
        mesh.facets_of("wal")
    with pytest.raises(StatementError, match="subdomain 'a' is not in the mesh; it has none"):
        mesh.cells_of("a")
    mesh.tag("all", lambda x, y: True)
    assert np.array_equal(mesh.facets_of("all"), mesh.facets_of("boundary"))


def test_box_sides():
    for mesh in (Mesh.box((3, -1), (5, 0), 3), Mesh.read(HERE / "meshes/hex_41_ascii.msh"), Mesh.box(2, 3)):
        sides = mesh.box_sides()
        assert sides is not None and len(sides) == 2 * mesh.dimension
        assert sum(map(len, sides.values())) == len(mesh.facets_of("boundary"))
    box = Mesh.box((3, -1), (5, 0), 3)
    sides = box.box_sides()
    assert sides is not None and np.array_equal(sides[1, 1], box.boundaries["top"])
    assert lshape().box_sides() is None and Mesh.read(HERE / "meshes/disk_41_ascii.msh").box_sides() is None
    assert (Mesh.box(0, 1, 2) * Interval("t", 0, 1, 2)).box_sides() is not None
    # a slit square fills its bounding box, but the slit is no side
    slit = [[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1], [0, 2], [1, 2], [2, 2], [1, 0]]
    cells = [[0, 1, 3], [1, 4, 3], [9, 2, 4], [2, 5, 4], [3, 4, 6], [4, 7, 6], [4, 5, 7], [5, 8, 7]]
    mesh = Mesh(slit, cells, "triangle")
    assert mesh.box_sides() is None
    assert mesh.reentrant_corners().tolist() == [[1, 1]]
    assert mesh.refined().reentrant_corners().tolist() == [[1, 1]]


def test_reentrant_corners():
    assert lshape().reentrant_corners().tolist() == [[0, 0]]
    edges = (lshape() * Interval("t", 0, 1, 2)).reentrant_corners()
    assert sorted(edges.tolist()) == [[0, 0, 0.25], [0, 0, 0.75]]
    plain = Mesh.read(HERE.parent / "problems/meshes/lshape.msh")
    extruded = plain * Interval("z", 0, 1, 2)
    solid = Mesh(extruded.points, extruded.cells, "tetra")
    assert sorted(solid.reentrant_corners().tolist()) == [[0, 0, 0.25], [0, 0, 0.75]]
    ell = Mesh([[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1], [0, 2], [1, 2]],
               [[0, 1, 4, 3], [1, 2, 5, 4], [3, 4, 7, 6]], "quad")  # fmt: skip
    assert ell.reentrant_corners().tolist() == [[1, 1]]
    block = ell * Interval("z", 0, 1, 1)
    assert Mesh(block.points, block.cells, "hexahedron").reentrant_corners().tolist() == [[1, 1, 0.5]]
    for mesh in (Mesh.box((0, 0), (1, 1), 3), Mesh.box((0, 0, 0), (1, 1, 1), 2), Mesh.box(0, 1)):
        assert len(mesh.reentrant_corners()) == 0


def test_bad_arrays():
    square, triangles = [[0, 0], [1, 0], [1, 1], [0, 1.0]], [[0, 1, 2], [0, 2, 3]]
    for points, cells, kind, text in (
        (square, triangles, "triangel", "cell type 'triangel' is not known.*Did you mean 'triangle'"),
        (square, [[0, 1, 1]], "triangle", "belongs to no cell"),
        (square, [[0, 1, 2], [0, 2, 4]], "triangle", "a cell names point 4"),
        ([[0, 0], [1, 0], [2, 0.0]], [[0, 1, 2]], "triangle", "cell 0 at .* zero volume"),
        (square, [[0, 1, 3, 2]], "quad", "not convex"),
        (square, [[0, 1, 2], [0, 2, 3], [0, 1, 3], [1, 2, 3], [0, 1, 2]], "triangle", "more than two cells"),
        ([[0, 0], [1, 0], [1, np.nan]], [[0, 1, 2]], "triangle", "point 2 is not finite"),
        (np.zeros((3, 3)), [[0, 1, 2]], "triangle", r"need \(n, 2\)"),
    ):
        with pytest.raises(StatementError, match=text):
            Mesh(points, cells, kind)
    with pytest.raises(StatementError, match="names facet 99"):
        Mesh(square, triangles, "triangle", {"wall": [99]})
    with pytest.raises(StatementError, match="the name 'a' is taken"):
        Mesh(square, triangles, "triangle", {"a": [0]}, {"a": [0]})
    with pytest.raises(StatementError, match="must be distinct words"):
        Mesh(square, triangles, "triangle", coordinate_names=("x", "x"))
