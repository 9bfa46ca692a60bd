"""Time and parameters: values at chosen ones, the mesh of space, series of files, curves and animations."""

from __future__ import annotations

from xml.etree import ElementTree

import meshio
import numpy as np
import pytest
from made_results import made_solution
from PIL import Image

from kinn.geometry import Interval, Mesh
from kinn.report.reference import Reference
from kinn.report.section import spatial_mesh
from kinn.report.surface import surface_of
from kinn.statement import Dirichlet, Field, Initial, Problem, StatementError, div, grad

BASE = Mesh.box((0, 0), (2, 1), cells=4)


def heat(space, *axes, functions=None):
    mesh = space
    for axis in axes:
        mesh = mesh * axis
    u = Field("u", mesh)
    problem = Problem(mesh, {"heat": u.diff(mesh.coordinates[-1]) - div(grad(u))}, [Dirichlet(u, 0, on="left")])
    return made_solution(problem, [functions or (lambda *a: sum((k + 1) * x for k, x in enumerate(a)))]), u


@pytest.fixture(scope="module")
def rod():
    # x in [0, 1], t in [0, 4]: u = (2 x - 1)^2 + (t - 2) / 2
    return heat(Mesh.box(0, 1, cells=4), Interval("t", 0, 4, cells=3), functions=lambda a, b: a**2 + b)[0]


@pytest.fixture(scope="module")
def plate():
    # x in [0, 2], y in [0, 1], t in [0, 4]: u = (x - 1)^2 + (t - 2) / 2 (2 y - 1 does not enter)
    return heat(BASE, Interval("t", 0, 4, cells=2), functions=lambda a, b, c: a**2 + c + 0 * b)[0]


def tagged():
    mesh = Mesh.box((0, 0), (2, 1), cells=4)
    cells = np.arange(len(mesh.cells))
    steel = cells[mesh.points[mesh.cells].mean(axis=1)[:, 0] < 1]
    inner = np.flatnonzero((mesh.skfem.p[0][mesh.skfem.facets] == 1).all(axis=0))
    return Mesh(
        mesh.points, mesh.cells, "triangle", {**mesh.boundaries, "contact": inner},
        {"steel": steel, "air": np.setdiff1d(cells, steel)},
    )  # fmt: skip


def quads():
    points = np.array([[i, j] for j in range(4) for i in range(3)], dtype=float)
    cells = np.array([[a, a + 1, a + 4, a + 3] for a in (0, 1, 3, 4, 6, 7)])
    return Mesh(points, cells, "quad", subdomains={"low": [0, 1]}).tag("wall", lambda x, y: x == 0)


@pytest.mark.parametrize("make", [tagged, quads, lambda: Mesh.box(0, 2, cells=3)])
def test_the_mesh_of_space_is_the_first_factor_of_the_product(make):
    space = make()
    found = spatial_mesh(space * Interval("t", 1, 3, cells=2))
    assert found.cell_type == space.cell_type and found.coordinate_names == space.coordinate_names
    assert found.spatial_dimension == space.dimension
    np.testing.assert_array_equal(found.points, space.points)

    def parts(mesh):
        vertices = {tuple(sorted(row)) for row in mesh.cells.tolist()}
        borders = {
            n: {tuple(sorted(r)) for r in mesh.skfem.facets[:, f].T.tolist()} for n, f in mesh.boundaries.items()
        }
        domains = {n: {tuple(sorted(r)) for r in mesh.cells[c].tolist()} for n, c in mesh.subdomains.items()}
        return vertices, borders, domains

    assert parts(found) == parts(space)


def test_of_two_axes_that_are_not_space_one_may_stay():
    mesh = Mesh.box(0, 1, cells=3) * Interval("t", 0, 2, cells=2) * Interval("nu", 5, 6, cells=2)
    left = spatial_mesh(mesh, {"t": 1.0})
    assert left.coordinate_names == ("x", "nu") and left.spatial_dimension == 1
    assert left.measure == pytest.approx(1) and set(left.boundaries) == {"left", "right", "nu=5", "nu=6"}
    assert spatial_mesh(mesh).coordinate_names == ("x",)
    assert spatial_mesh(mesh, {"nu": 5}).interval_ends == ("t=0", "t=2")
    with pytest.raises(StatementError, match="'x' is an axis of space, whose section has no cells"):
        spatial_mesh(mesh, {"x": 0})


def test_values_at_chosen_times(rod, plate):
    x = np.array([0.0, 0.25, 1.0])
    np.testing.assert_allclose(rod(x, t=3), (2 * x - 1) ** 2 + 0.5, atol=1e-12)
    np.testing.assert_allclose(rod.evaluate("u", x, t=[0, 2, 4]), (2 * x - 1) ** 2 + [-1, 0, 1], atol=1e-12)
    assert float(rod(0.5, t=4)) == pytest.approx(1) and rod.evaluate(["u", 1], 0.5, t=4).shape == (2,)
    flux = plate.evaluate(grad(plate.problem.components[0]), [[1.5, 0.5], [0.0, 1.0]], t=1)
    np.testing.assert_allclose(flux, [[1, 0], [-2, 0]], atol=1e-11)
    np.testing.assert_allclose(plate([[1.5, 0.5], [0.5, 0]], t=4 + 1e-12), [1.25, 1.25], atol=1e-12)
    np.testing.assert_allclose(plate([[1.5, 0.0]], y=0.5), plate([[1.5, 0.5, 0.0]]))
    exact = Reference(rod.problem, {"u": rod.problem.mesh.coordinates[1]})
    np.testing.assert_allclose(exact(x, t=3), 3)


@pytest.mark.parametrize(
    ("ask", "text"),
    [
        (lambda s: s([0.5], t=5), "t=5 lies outside the mesh, where t goes from 0 to 4"),
        (lambda s: s([0.5], tt=1), "'tt' is no coordinate of the mesh; it has: 'x', 't'"),
        (lambda s: s([[0.5, 1.0]], t=1), "points of shape (1, 2): give (n, 1)"),
        (lambda s: s([0.5], x=0.5, t=1), "x, t leave no coordinate free; give the whole point"),
        (lambda s: s([0.5], t="now"), "t='now' is no number"),
        (lambda s: s([0.5, 0.6], t=[1, 2, 3]), "t has 3 values for 2 points"),
        (lambda s: s([1.5], t=1), "1 of 1 points lie outside the mesh"),
        (lambda s: s.plot("u", t=[]), "t has no value; give one or more"),
        (lambda s: s.plot("u", t=[0, 1], x=[0, 1]), "have several values each"),
        (lambda s: s.write_series("u.pvd", []), "give a list of 1 to"),
        (lambda s: s.write_series("u.pvd", [0, 9]), "t=9 lies outside the mesh"),
        (lambda s: s.write_series("u.vtu", [0]), "a series is a .pvd or .xdmf file; change the ending"),
        (lambda s: s.write_series("no/folder/u.pvd", [0]), "its folder does not exist; make it first"),
        (lambda s: s.write_series("u.pvd", [0], t=0), "no axis of time or of a parameter to run along"),
        (lambda s: s.animate("u.mp4"), "an animation is a .gif file; change the ending"),
        (lambda s: s.animate("no/folder/u.gif"), "its folder does not exist; make it first"),
        (lambda s: s.animate("u.gif", frames=1), "does not move; give 2 or more"),
    ],
)
def test_mistakes_are_told(rod, ask, text):
    with pytest.raises(StatementError) as error:
        ask(rod)
    assert text in str(error.value) and "\n" not in str(error.value)


def test_a_series_of_files_has_the_values_at_exactly_these_times(plate, tmp_path):
    times = [0.0, 0.3, 4.0]
    flux = -grad(plate.problem.components[0])
    plate.write_series(tmp_path / "heat.pvd", times, flux=flux)
    sets = ElementTree.parse(tmp_path / "heat.pvd").getroot().findall("Collection/DataSet")
    assert [float(entry.attrib["timestep"]) for entry in sets] == times
    assert [entry.attrib["file"] for entry in sets] == ["heat_000.vtu", "heat_001.vtu", "heat_002.vtu"]
    for entry, time in zip(sets, times, strict=True):
        file = meshio.read(tmp_path / entry.attrib["file"])
        x = file.points[:, 0]
        assert len(x) == len(BASE.points)
        np.testing.assert_allclose(file.point_data["u"], (x - 1) ** 2 + (time - 2) / 2, atol=1e-11)
        np.testing.assert_allclose(file.point_data["flux"], np.stack([-2 * (x - 1), 0 * x, 0 * x], 1), atol=1e-11)
    assert set(Mesh.read(tmp_path / "heat_000.vtu").boundaries) == set(BASE.boundaries)


def test_xdmf_series_stand_in_one_file_wherever_it_goes(rod, tmp_path):
    rod.write_series(tmp_path / "heat.xdmf", [1, 3.5])
    assert [path.name for path in tmp_path.iterdir()] == ["heat.xdmf"]
    with meshio.xdmf.TimeSeriesReader(tmp_path / "heat.xdmf") as reader:
        points, cells = reader.read_points_cells()
        points = np.asarray(points)
        assert points.shape == (5, 3) and cells[0].type == "line" and reader.num_steps == 2
        for k, time in enumerate((1, 3.5)):
            t, on_points, on_cells = reader.read_data(k)
            assert t == time and "residual heat" in on_cells
            np.testing.assert_allclose(on_points["u"], (2 * points[:, 0] - 1) ** 2 + time / 2 - 1, atol=1e-12)


def test_a_parameter_is_an_axis_like_time(tmp_path):
    found, u = heat(BASE, Interval("nu", 0.2, 0.4, cells=2), functions=lambda a, b, c: a * 2 + b + c)
    assert found([[1.0, 0.5]], nu=0.3) == pytest.approx([0])
    found.write_series(tmp_path / "family.pvd", times=[0.2, 0.4])
    assert meshio.read(tmp_path / "family_001.vtu").point_data["u"].max() == pytest.approx(4)
    assert found.plot(u, nu=0.3).get_title() == "u at nu = 0.3"
    both, _ = heat(Mesh.box(0, 1, cells=3), Interval("t", 0, 1, cells=2), Interval("nu", 0.2, 0.4, cells=2))
    assert both([0.5], t=0.5, nu=0.4) == pytest.approx([3])
    with pytest.raises(StatementError, match="has the axes t, nu; hold all but one, such as t="):
        both.write_series(tmp_path / "b.pvd", [0.2])
    both.write_series(tmp_path / "b.pvd", [0.25, 1], nu=0.3)
    np.testing.assert_allclose(meshio.read(tmp_path / "b_000.vtu").point_data["u"], np.linspace(-2, 0, 4), atol=1e-11)


def test_curves_at_several_times_have_a_legend_and_the_values(rod):
    axes = rod.plot("u", t=[0, 1, 4])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["t = 0", "t = 1", "t = 4"]
    for line, time in zip(axes.get_lines(), (0, 1, 4), strict=True):
        x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        assert len(x) > 200 and x.min() == 0 and x.max() == 1
        np.testing.assert_allclose(y, (2 * x - 1) ** 2 + time / 2 - 1, atol=1e-11)
    assert rod.plot("u", t=0.5).get_title() == "u at t = 0.5" and rod.plot().get_ylabel() == "t"
    across = rod.plot("u", x=0.5)
    assert across.get_xlabel() == "t" and across.get_title() == "u at x = 0.5"
    error = rod.plot("error", {"u": rod.problem.mesh.coordinates[1] / 2 - 1}, t=2)
    line = error.get_lines()[0]
    np.testing.assert_allclose(line.get_ydata(), (2 * np.asarray(line.get_xdata()) - 1) ** 2, atol=1e-11)
    assert error.get_title() == "u - reference at t = 2" and "at t = 2" in rod.plot("residual", t=2).get_title()


def test_snapshots_in_a_plane_show_the_cells_of_space(plate):
    mesh = plate.problem.mesh
    surface = surface_of(mesh, {"t": 1.5})
    corners = surface.corners[surface.pieces]
    area = np.abs(np.linalg.det(corners[:, 1:] - corners[:, :1])).sum() / 2
    assert area == pytest.approx(2) and (surface.places[:, 2] == 1.5).all() and surface.spatial
    axes = plate.plot("u", t=1.5)
    assert axes.get_aspect() == 1 and axes.get_title() == "u at t = 1.5" and axes.get_xlim()[1] >= 2
    mixed = plate.plot("u", x=1.5)
    assert (mixed.get_xlabel(), mixed.get_ylabel()) == ("y", "t") and mixed.get_aspect() == "auto"
    with pytest.raises(StatementError, match="several values give curves, but x, y are left here"):
        plate.plot("u", t=[0, 1])
    assert len(plate.plot("u", y=0.5, t=[0, 1]).get_lines()) == 2


def test_animations_have_their_frames_and_one_scale(rod, plate, tmp_path):
    for found, name in ((rod, "rod"), (plate, "plate")):
        found.animate(tmp_path / f"{name}.gif", frames=4)
        with Image.open(tmp_path / f"{name}.gif") as picture:
            assert picture.n_frames == 4  # type: ignore[attr-defined]
            frames = []
            for k in range(4):
                picture.seek(k)
                frames.append(np.asarray(picture.convert("RGB")).astype(int))
        moved = (frames[0] != frames[3]).any(axis=(0, 2))
        assert moved.any() and frames[3].std() > 10
        # what stands still, as the bar of the colors, has the same colors throughout
        assert name == "rod" or not moved[int(0.9 * len(moved)) :].any()


def test_a_steady_problem_has_nothing_to_animate(tmp_path):
    u = Field("u", BASE)
    found = made_solution(Problem(BASE, [div(grad(u))], [Dirichlet(u, 0, on="left")]), [lambda a, b: a + b])
    for call in (lambda: found.animate(tmp_path / "u.gif"), lambda: found.write_series(tmp_path / "u.pvd", [0])):
        with pytest.raises(StatementError, match="no axis of time or of a parameter to run along"):
            call()


def test_initial_conditions_do_not_mind(tmp_path):
    mesh = BASE * Interval("t", 0, 1, cells=2)
    u = Field("u", mesh)
    problem = Problem(mesh, {"e": u.diff(mesh.coordinates[2])}, [Initial(u, 0)])
    made_solution(problem, [lambda a, b, c: a + b + c]).write_series(tmp_path / "u.pvd", [1.0])
    assert (tmp_path / "u_000.vtu").exists()
