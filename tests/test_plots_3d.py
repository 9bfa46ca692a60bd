"""Solids: their surface, slices by planes and lines, arrows; areas and values that are known."""

from __future__ import annotations

import numpy as np
import pytest
from made_results import made_solution
from mpl_toolkits.mplot3d.art3d import Line3DCollection, Poly3DCollection

from kinn.geometry import Mesh
from kinn.report.plots import tabulate
from kinn.report.surface import interface_facets, surface_of
from kinn.statement import Dirichlet, Field, Problem, StatementError, div, grad

BOX = Mesh.box((0, 0, 0), (2, 1, 1), cells=(4, 2, 2))


def tunnel():
    """The box without the cells around its middle: a hole along z with 1 < x < 1.5, 0.5 < y < 1."""
    center = BOX.points[BOX.cells].mean(axis=1)
    kept = ~((np.abs(center[:, 0] - 1.25) < 0.25) & (center[:, 1] > 0.5))
    used, cells = np.unique(BOX.cells[kept], return_inverse=True)
    return Mesh(BOX.points[used], cells.reshape(-1, 4), "tetra")


def cubes():
    points = np.array([[i, j, k] for k in range(2) for j in range(2) for i in range(3)], dtype=float)
    vtk = np.array([[a, a + 1, a + 4, a + 3, a + 6, a + 7, a + 10, a + 9] for a in (0, 1)])
    return Mesh(points, vtk[:, [0, 4, 3, 1, 7, 5, 2, 6]], "hexahedron")


def solved(mesh, *functions):
    u = Field("u", mesh, components=len(functions)) if len(functions) > 1 else Field("u", mesh)
    return made_solution(Problem(mesh, {"e": div(grad(u))}, [Dirichlet(u, 0, on="boundary")]), list(functions)), u


def area(surface):
    corners = surface.corners[surface.pieces]
    return np.abs(np.linalg.det(corners[:, 1:] - corners[:, :1])).sum() / 2


def length(surface):
    return np.abs(np.diff(surface.corners[surface.pieces][:, :, 0])).sum()


@pytest.mark.parametrize("z", [0, 0.25, 0.5, 0.5 + 1e-12, 0.7123, 1, 1 + 1e-9])
def test_a_slice_has_the_area_of_the_section_wherever_the_plane_goes(z):
    assert area(surface_of(BOX, {"z": z})) == pytest.approx(2)
    assert area(surface_of(tunnel(), {"z": z})) == pytest.approx(2 - 0.25)
    assert area(surface_of(cubes(), {"z": z})) == pytest.approx(2)


def test_the_outline_of_a_slice_is_the_rim_of_the_section():
    for value, rim in ((0.9, 2 * (1 + 1)), (1.2, 2 * (0.5 + 1))):  # beside the hole, and through it
        surface = surface_of(tunnel(), {"x": value})
        size = np.linalg.norm(surface.outline[:, 1] - surface.outline[:, 0], axis=1).sum()
        assert size == pytest.approx(rim)
        assert surface.names == ("y", "z") and surface.spatial and (surface.places[:, 0] == value).all()


def test_a_line_through_a_hole_has_a_gap():
    found, _ = solved(tunnel(), lambda a, b, c: a)
    assert length(surface_of(tunnel(), {"y": 0.75, "z": 0.3})) == pytest.approx(1.5)
    x, y = found.plot("u", y=0.75, z=0.3).get_lines()[0].get_data()
    x, y = np.asarray(x), np.asarray(y)
    assert np.isnan(x).sum() == 1 and not ((x > 1.001) & (x < 1.499)).any()
    np.testing.assert_allclose(y[~np.isnan(x)], x[~np.isnan(x)] - 1, atol=1e-10)
    flat = Mesh.box((0, 0), (1, 1), cells=3)
    assert length(surface_of(flat, {"y": 1 / 3})) == pytest.approx(1) == length(surface_of(flat, {"x": 0}))


def test_slices_show_values_and_the_arrows_in_their_plane():
    found, u = solved(BOX, lambda a, b, c: a, lambda a, b, c: 0 * b, lambda a, b, c: c)
    axes = found.plot(u, y=0.3)
    assert axes.get_title() == "|u| at y = 0.3" and axes.get_aspect() == 1
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", "z")
    picture, arrows = axes.collections[0], axes.collections[-1]
    assert picture.get_array().max() == pytest.approx(np.sqrt(2))  # type: ignore[union-attr]
    assert (np.asarray(arrows.U) * np.asarray(arrows.V) != 0).any()  # type: ignore[attr-defined]
    plain = found.plot(u[0], y=0.3)
    assert len(plain.collections) == 1 and len(axes.collections) == 2 and plain.get_title() == "u_0 at y = 0.3"


@pytest.mark.parametrize("make", [lambda: BOX, tunnel, cubes])
def test_the_surface_of_a_solid_has_its_area_and_its_sharp_edges(make):
    mesh = make()
    surface = surface_of(mesh)
    corners = surface.corners[surface.pieces]
    whole = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2
    # The tunnel is open at y = 1: two faces of 2 - 0.25 at z, two ends, below and above 2 + 2 - 0.5, three inner faces.
    assert whole == pytest.approx(10 if mesh is BOX or mesh.cell_type != "tetra" else 3.5 + 2 + 4 + 1)
    edges = np.linalg.norm(surface.outline[:, 1] - surface.outline[:, 0], axis=1).sum()
    assert edges == pytest.approx(16 if mesh is BOX or mesh.cell_type != "tetra" else 16 + 4 + 2 * 1.0)


def test_pictures_of_solids_have_equal_axes_and_colors_of_the_values(tmp_path):
    found, _ = solved(BOX, lambda a, b, c: a + 0 * b + 0 * c)
    axes = found.plot()
    assert axes.name == "3d" and axes.get_title() == "u"
    kinds = [type(entry) for entry in axes.collections]
    assert kinds == [Poly3DCollection, Line3DCollection]
    box = axes._box_aspect  # type: ignore[attr-defined]
    assert box[0] / box[1] == pytest.approx(2, rel=0.05)
    axes.get_figure(root=True).savefig(tmp_path / "u.png", dpi=50)  # type: ignore[union-attr]
    assert (tmp_path / "u.png").stat().st_size > 5000
    assert found.plot("residual", z=0.5).get_title() == "|residual of e| at z = 0.5"
    error = found.plot("error", {"u": BOX.coordinates[0] - 1.5}, z=0.5)
    low, high = error.collections[0].get_clim()
    assert low == pytest.approx(-0.5) and high == pytest.approx(0.5)


def test_points_of_straight_pieces_outside_a_curve_take_the_value_beside_them():
    # The solution's mesh lacks a corner that the drawn points have: as chords of a hole lie in the hole.
    found, _ = solved(BOX, lambda a, b, c: a + 0 * b + 0 * c)
    from_outside = surface_of(Mesh.box((0, 0, 0), (2.0001, 1, 1), cells=(4, 2, 2)))
    values = tabulate(found, [found.problem.components[0]], from_outside)
    assert values.max() == pytest.approx(1, abs=0.2) and np.isfinite(values).all()


def test_planes_and_names_that_are_not_there_are_told():
    found, _ = solved(BOX, lambda a, b, c: a)
    with pytest.raises(StatementError, match="z=1.5 lies outside the mesh, where z goes from 0 to 1"):
        found.plot("u", z=1.5)
    with pytest.raises(StatementError, match="'w' is no coordinate of the mesh; it has: 'x', 'y', 'z'"):
        found.plot("u", w=1.5)
    with pytest.raises(StatementError, match="x, y, z leave no coordinate free"):
        found.plot("u", x=1, y=1, z=1)


def test_interfaces_are_where_subdomains_meet():
    x = BOX.points[BOX.cells].mean(axis=1)[:, 0]
    parts = {"left": np.flatnonzero(x < 1), "right": np.flatnonzero(x > 1)}
    mesh = Mesh(BOX.points, BOX.cells, "tetra", None, parts)
    facets = interface_facets(mesh)
    assert (mesh.points[mesh.skfem.facets[:, facets]][..., 0] == 1).all() and len(facets) == 2 * 4
    assert not len(interface_facets(BOX))
