"""Errors against references whose answer is known in closed form, pictures, files, records."""

from __future__ import annotations

import json
from dataclasses import astuple
from pathlib import Path
from types import SimpleNamespace

import meshio
import numpy as np
import pytest
import sympy as sp
from made_results import made_solution

from kinn.comparison.error_map import error_map
from kinn.formulations.null_space import null_space
from kinn.geometry import Interval, Mesh
from kinn.report.balance import flux_jumps
from kinn.report.errors import Comparison, errors
from kinn.report.export import write
from kinn.report.plots import plot_error, plot_field, plot_history, plot_residual
from kinn.report.quantities import quantities
from kinn.report.record import record, write_json
from kinn.report.reference import Reference
from kinn.report.tables import comparison_lines, describe, parameter_text
from kinn.result import Estimated
from kinn.statement import (
    Coefficient,
    Dirichlet,
    Equation,
    Field,
    Initial,
    Neumann,
    Observations,
    Parameter,
    Problem,
    StatementError,
    div,
    grad,
)

MESH = Mesh.box((-1, -1), (1, 1), cells=4)
X, Y = MESH.coordinates
U, V = Field("u", MESH), Field("v", MESH, components=2)
EXACT = X**2 - Y**2


def saddle(a, b):
    return a**2 - b**2


def scalar_problem() -> Problem:
    return Problem(MESH, {"laplace": -div(grad(U))}, [Dirichlet(U, EXACT, on="boundary")])


def vector_problem() -> Problem:
    return Problem(MESH, {"vector": div(grad(V))}, [Dirichlet(V, [EXACT, X], on="boundary")])


@pytest.fixture(scope="module")
def solution():
    return made_solution(scalar_problem(), [saddle])


def save(axes, tmp_path, name):
    axes.figure.savefig(tmp_path / f"{name}.png", dpi=60)
    assert (tmp_path / f"{name}.png").stat().st_size > 2000


def test_the_exact_solution_has_no_error_and_a_tenth_more_has_one_eleventh(solution):
    exact = errors(solution, {U: EXACT})["u"]
    assert max(astuple(exact)) < 1e-13
    off = errors(solution, {"u": sp.Rational(11, 10) * EXACT})["u"]
    assert astuple(off) == pytest.approx((1 / 11,) * 3, rel=1e-12)


def test_h1_weighs_the_gradient_by_half_the_largest_extent():
    mesh = Mesh.box((0, 0), (4, 2), cells=4)
    x, y = mesh.coordinates
    u = Field("u", mesh)
    found = made_solution(Problem(mesh, [div(grad(u))], [Dirichlet(u, x, on="boundary")]), [lambda a, b: 2 * a + 2])
    error = errors(found, {u: x + sp.sin(sp.pi * x / 2)})["u"]
    # |e|^2 = |sin|^2 = 1/2, |grad e|^2 = pi^2/8, |u|^2 = 16/3 + 1/2 - 4/pi, |grad u|^2 = 1 + pi^2/8, L = 2
    top = 0.5 + 4 * np.pi**2 / 8
    bottom = 16 / 3 + 0.5 - 4 / np.pi + 4 * (1 + np.pi**2 / 8)
    assert error.relative_h1 == pytest.approx(np.sqrt(top / bottom), rel=2e-3)


def test_vectors_count_with_their_norm():
    found = made_solution(vector_problem(), [saddle, lambda a, b: a])
    error = errors(found, {V: [EXACT, X + 1]})["v"]
    # |e|^2 = 1, |u|^2 = int (x^2 - y^2)^2 + (x + 1)^2 = 8/45 + 4/3 on average
    assert error.relative_l2 == pytest.approx(1 / np.sqrt(8 / 45 + 4 / 3), rel=1e-3)
    assert error.maximum == pytest.approx(1 / np.sqrt(5), rel=0.01)  # the largest vector, at (1, 0)
    same = errors(found, {"v": lambda p: np.stack([p[:, 0] ** 2 - p[:, 1] ** 2, p[:, 0]], axis=1)})["v"]
    assert same.relative_l2 < 1e-13 and same.relative_h1 is None


def test_a_constant_that_nothing_holds_is_taken_away():
    n = Neumann(grad(U), grad(EXACT).dot(MESH.normal), on="boundary")
    free = Problem(MESH, [div(grad(U))], [n])
    assert null_space(free).names() == ["a constant of u"] and not len(null_space(scalar_problem()))
    assert not len(null_space(Problem(MESH, [div(grad(U)) - U], [n])))
    shifted = made_solution(free, [lambda a, b: saddle(a, b) + 5])
    assert errors(shifted, {U: EXACT - 2})["u"].relative_l2 < 1e-12
    p = Field("p", MESH)
    stokes = {
        "momentum": [div(list(grad(V[i]) - p * sp.Matrix([1 - i, i]))) for i in (0, 1)],
        "mass": V[0].diff(X) + V[1].diff(Y),
    }
    flow = Problem(MESH, {k: sp.Matrix(e) if isinstance(e, list) else e for k, e in stokes.items()},
                   [Dirichlet(V, [Y, X], on="boundary")])  # fmt: skip
    assert null_space(flow).names() == ["a constant of p"]


def test_space_time_errors_use_the_spatial_gradient():
    mesh = Mesh.box(0, 1, cells=4) * Interval("t", 0, 10, cells=4)
    x, t = mesh.coordinates
    u = Field("u", mesh)
    problem = Problem(mesh, {"heat": u.diff(t) - div(grad(u))}, [Initial(u, x), Dirichlet(u, x, on=["left", "right"])])
    found = made_solution(problem, [lambda a, b: (a + 1) / 2 + 0 * b])
    error = errors(found, {u: x + t})["u"]
    # |e|^2 = 100/3 with no spatial gradient; |u|^2 = 1/3 + 5 + 100/3, L = 1/2
    assert error.relative_h1 == pytest.approx(np.sqrt(100 / 3 / (1 / 3 + 5 + 100 / 3 + 0.25)), rel=2e-3)


def test_solutions_on_other_meshes_are_references_by_name(solution):
    fine = Mesh.box((-1, -1), (1, 1), cells=7)
    u, w = Field("u", fine), Field("w", fine)
    other = made_solution(
        Problem(fine, [div(grad(w)), div(grad(u))], [Dirichlet(f, 0, on="boundary") for f in (u, w)]),
        [lambda a, b: a, lambda a, b: 2 * saddle(a, b)],
    )
    for reference in (other, {"u": other}, {u: other}):
        error = errors(solution, reference)["u"]
        assert error.relative_l2 == pytest.approx(0.5) and error.relative_h1 == pytest.approx(0.5)
    assert solution.evaluate(u.diff(fine.coordinates[0]), [0.5, 0.5]) == pytest.approx(1.0)


def test_points_of_comparison_are_spread_and_reproducible():
    first, again = Comparison(scalar_problem(), {U: 1 + X}), Comparison(scalar_problem(), {U: 1 + X})
    assert np.array_equal(first.points, again.points) and len(first.points) == 20_000


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ({"w": 1}, "the reference names 'w', no field or parameter of the problem; it has: 'u'"),
        ({"u": "sin(x)"}, "'sin(x)' is no field and no parameter"),
        ({"u": [1, 2]}, "has 2 expressions for 1 components"),
        ({"u": sp.Symbol("q") * X}, "holds q; give an expression of the coordinates"),
        ({"u": 0}, "is zero everywhere"),
        ({"u": sp.log(X)}, "is not finite at "),
        ({"u": lambda p: np.zeros((3, 3))}, "gave shape (3, 3) at 20000 points; give (n, 1)"),
        ({"u": lambda x, y: x}, "failed on points (n, d)"),
        (3.0, "the reference is a float"),
    ],
)
def test_bad_references_are_refused(solution, reference, text):
    with pytest.raises(StatementError) as error:
        errors(solution, reference)
    assert text in str(error.value)


def test_pictures_in_a_plane(solution, tmp_path):
    save(plot_field(solution), tmp_path, "u")
    save(plot_field(solution, grad(U)), tmp_path, "gradient")
    save(plot_field(made_solution(vector_problem(), [saddle, lambda a, b: a]), "v"), tmp_path, "v")
    axes = plot_error(solution, {U: EXACT + sp.sin(3 * X)})
    assert axes.get_title() == "u - reference" and axes.get_xlabel() == "x"
    save(axes, tmp_path, "error")
    save(plot_residual(solution, "laplace"), tmp_path, "residual")
    with pytest.raises(StatementError, match="has no equation 'laplac'; it has: 'laplace'. Did you mean"):
        plot_residual(solution, "laplac")


def test_error_maps_of_a_comparison_share_their_colors(solution):
    for part in (1e-2, 1e-6):
        axes = error_map(solution, Reference(solution.problem, {U: (1 + part) * EXACT})).axes[0]
        (colors,) = (one for one in axes.collections if one.get_array() is not None)
        assert (colors.norm.vmin, colors.norm.vmax) == (1e-9, 1e-1)
        assert np.asarray(colors.get_array()).max() == pytest.approx(part / (1 + part), rel=1e-6)


def test_pictures_of_lines_quadrilaterals_space_time_and_solids(tmp_path):
    line = Mesh.box(0, 1, cells=4)
    solid = Mesh.box((0, 0, 0), (1, 1, 2), cells=3)
    base = Mesh.box((0, 0), (1, 1), cells=2)
    time = Mesh.box(0, 1, cells=4) * Interval("t", 0, 1, cells=4)
    quads = Mesh(*_quads(), "quad")
    for name, mesh in {
        "line": line,
        "solid": solid,
        "t": time,
        "xyt": base * Interval("t", 0, 3, 2),
        "quads": quads,
    }.items():
        u = Field("u", mesh)
        problem = Problem(mesh, {"e": div(grad(u)) - 1}, [Dirichlet(u, 0, on="boundary")])
        found = made_solution(problem, [lambda *a: sum(k**2 for k in a)])
        save(plot_field(found), tmp_path, name)
        save(plot_residual(found), tmp_path, f"{name}_residual")
        save(plot_error(found, {u: mesh.coordinates[0]}), tmp_path, f"{name}_error")


def _quads():
    points = np.array([[i, j] for j in range(3) for i in range(3)], dtype=float)
    cells = [[a, a + 1, a + 4, a + 3] for a in (0, 1, 3, 4)]
    return points, np.array(cells)


def test_the_history_is_drawn_on_a_logarithmic_scale(solution, tmp_path):
    axes = plot_history(solution.history, [{"u": 10.0**-k} if k != 3 else None for k in range(1, 8)])
    assert axes.get_yscale() == "log" and len(axes.get_lines()) == 4
    save(axes, tmp_path, "history")
    plot_history([])


def test_vtu_holds_fields_residuals_and_names(tmp_path):
    k = Parameter("k", 2.0)
    problem = Problem(MESH, {"vector": k * div(grad(V)) - sp.Matrix([1, 0])}, [Dirichlet(V, 0, on="left")])
    write(made_solution(problem, [saddle, lambda a, b: a]), tmp_path / "v.vtu")
    file = meshio.read(tmp_path / "v.vtu")
    assert file.point_data["v"].shape == (len(MESH.points), 3)
    np.testing.assert_allclose(file.point_data["v"][:, 1], MESH.points[:, 0], atol=1e-12)
    np.testing.assert_allclose(file.cell_data["residual vector"][0], 1, atol=1e-9)
    np.testing.assert_allclose(file.cell_data["k"][0], 2)
    assert set(Mesh.read(tmp_path / "v.vtu").boundaries) == set(MESH.boundaries)
    with pytest.raises(StatementError, match="kinn writes .vtu files"):
        write(made_solution(scalar_problem(), [saddle]), tmp_path / "v.xyz")


def test_quantities_stand_beside_those_of_the_reference():
    k = Parameter("k", 2.0)
    problem = Problem(MESH, {"e": k * div(grad(U))}, [Dirichlet(U, EXACT, on="boundary")])
    found = made_solution(problem, [lambda a, b: 2 * a**2 - 2 * b**2 + 1])
    wanted = {
        "tip": lambda s: s([1.0, 0.0]),
        "double k": 2 * k,
        "integral": U,
        "outflow": (U + X) * MESH.normal[0],
        "history": lambda s: len(s.history),
        "k": lambda s: s.parameters["k"].estimate,
    }
    table = quantities(wanted, found, Reference(problem, {U: EXACT + 1, k: 4}))
    assert table["tip"] == pytest.approx({"value": 3.0, "reference": 2.0, "relative_error": 0.5})
    assert table["double k"] == pytest.approx({"value": 4.0, "reference": 8.0, "relative_error": 0.5})
    assert table["integral"] == pytest.approx({"value": 4.0, "reference": 4.0, "relative_error": 0.0}, abs=1e-12)
    assert table["outflow"]["value"] == pytest.approx(4.0) and table["outflow"]["reference"] == pytest.approx(4.0)
    assert table["history"] == {"value": 7.0, "reference": None, "relative_error": None}
    assert table["k"]["reference"] == 4.0
    assert quantities(wanted, found)["tip"]["reference"] is None
    with pytest.raises(StatementError, match="quantity 'bad' failed: ZeroDivisionError"):
        quantities({"bad": lambda s: 1 / 0}, found)


def test_the_record_is_json_with_the_names_of_the_issue(solution, tmp_path):
    found = errors(solution, {U: 2 * EXACT})
    made = record(solution.result, problem="p", options={"n": 1, "on": (1, 2)}, device="cpu", threads=1, errors=found)
    assert (
        list(made)
        == (
            "problem network form seed options n_parameters singular status seconds steps relative_l2 relative_h1 derived quantities "
            "estimate check history parameters versions device threads"
        ).split()
    )
    assert made["relative_l2"]["u"] == pytest.approx(0.5) and made["status"] == "step_limit"
    assert set(made["history"][0]) == {"seconds", "step", "loss", "check", "relative_l2"}
    assert made["check"] == pytest.approx(2e-7) and made["options"] == {"n": 1, "on": [1, 2]}
    write_json({"value": made, "none": None}, tmp_path / "run.json")
    assert json.loads((tmp_path / "run.json").read_text())["value"] == made
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_summaries_name_everything(solution):
    text = describe(solution.result)
    for part in (
        "strong form",
        "promise a smooth",
        "step_limit: the limit on steps",
        "2.50e-05",
        "laplace",
        "1.00e-09",
    ):
        assert part in text
    assert "no estimate (time" in describe(made_solution(scalar_problem(), [saddle], estimate=None,
                                                          estimate_note="time-dependent problem").result)  # fmt: skip
    assert (
        parameter_text(Estimated(1.5, 0.1, 1.3, 1.7), truth=1.4)
        == "1.5 +- 0.1, 95 %: 1.3 to 1.7; truth 1.4, 1.0 sd away"
    )
    assert "not determined" in parameter_text(Estimated(1.0))
    k, sensors = Parameter("k", 2.0), [[0.0, 0.0]]
    for sigma in (None, 0.3):
        data = [Observations(U, sensors, [1.0], sigma=sigma)]
        problem = Problem(MESH, {"e": k * div(grad(U))}, observations=data)
        text = describe(made_solution(problem, [saddle], sigmas={"u": 0.3}).result, truths={"k": 2.1})
        assert ("sd 0.3, estimated from the data" in text) == (sigma is None) and "truth 2.1, 1.0 sd away" in text
    fem = SimpleNamespace(n_unknowns=81, estimate=1e-4, seconds=0.5)
    table = {"tip": {"value": 1.0, "reference": 2.0, "relative_error": 0.5}}
    lines = comparison_lines(errors(solution, {U: 2 * EXACT}), [fem], table)
    assert "reference: FEM, 81 unknowns, estimate 1.0e-04 (relative H1), 0.5 s" in lines
    assert lines[-1].split() == ["tip", "1", "2", "5.00e-01"]
    assert lines[1].split() == ["u", "5.00e-01", "5.00e-01", "5.00e-01"]


def test_formulas_of_single_components_make_the_reference_of_a_vector():
    problem = Problem(MESH, {"eq": [V[0] - X, V[1] - Y]}, [])
    reference = Reference(problem, {V[0]: X, V[1]: 3 * Y})
    assert np.allclose(reference.evaluate(list(V), [[0.5, 0.25]]), [[0.5, 0.75]])
    with pytest.raises(StatementError, match="lacks its component v_1"):
        Reference(problem, {V[0]: X})


def halves(cells=4, d=2):
    """A square or cube of two materials that meet at x = 0, the interface named `contact`."""
    box = Mesh.box((-1,) * d, (1,) * d, cells=cells)
    center = box.points[box.cells].mean(axis=1)[:, 0]
    inner = np.flatnonzero((box.skfem.p[0][box.skfem.facets] == 0).all(axis=0))
    parts = {"steel": np.flatnonzero(center < 0), "air": np.flatnonzero(center > 0)}
    return Mesh(box.points, box.cells, box.cell_type, {**box.boundaries, "contact": inner}, parts)


@pytest.mark.parametrize("d", [2, 3])
def test_the_jump_of_the_flux_between_materials_is_measured(d):
    mesh = halves(d=d)
    u, x = Field("u", mesh), mesh.coordinates
    k = {"steel": 1, "air": 10}
    equations = {name: Equation(-div(k[name] * grad(u)), on=name) for name in k}
    problem = Problem(mesh, equations, [Dirichlet(u, 0, on="boundary")])
    across = made_solution(problem, [lambda a, *b: a + 0 * sum(b)])
    # fluxes 1 and 10 along x on the two sides: |10 - 1| / sqrt((1 + 100) / 2)
    assert flux_jumps(across) == {"u": pytest.approx(9 / np.sqrt(50.5))}
    assert "flux continuous to 1.3e+00" in describe(across.result)
    along = made_solution(problem, [lambda a, *b: b[0] + 0 * a])
    assert flux_jumps(along)["u"] < 1e-12
    right = Reference(problem, {u: sp.Piecewise((x[0], x[0] < 0), (x[0] / 10, True))})
    assert flux_jumps(right)["u"] < 1e-12


def test_interfaces_with_a_condition_and_one_material_are_not_judged():
    mesh = halves()
    u = Field("u", mesh)
    equations = {name: Equation(-div(k * grad(u)), on=name) for name, k in {"steel": 1, "air": 10}.items()}
    conditions = [Dirichlet(u, 0, on="boundary"), Dirichlet(u, 0, on="contact")]
    assert not flux_jumps(made_solution(Problem(mesh, equations, conditions), [lambda a, b: a + b]))
    found = made_solution(Problem(mesh, [div(grad(u))], [Dirichlet(u, 0, on="boundary")]), [lambda a, b: a + b])
    assert not flux_jumps(found) and "interfaces" not in describe(found.result)


def test_a_field_of_one_material_has_no_flux_to_compare():
    mesh = halves()
    u, w = Field("u", mesh), Field("w", mesh)
    steel = Equation([div(grad(u)), div(grad(w))], on="steel")
    problem = Problem(mesh, {"steel": steel, "air": Equation(3 * div(grad(u)), on="air")}, [])
    assert flux_jumps(made_solution(problem, [lambda a, b: a + b, lambda a, b: a - b])).keys() == {"u"}


def test_each_flux_is_judged_by_its_own_size():
    mesh = halves()
    v, w = Field("v", mesh, components=2), Field("w", mesh)
    stress = {"steel": 1, "air": 3}
    equations = {name: Equation(list(div(k * grad(v))) + [div(grad(w))], on=name) for name, k in stress.items()}
    problem = Problem(mesh, equations, [Dirichlet(f, 0, on="boundary") for f in (v, w)])
    found = made_solution(problem, [lambda a, b: 1e6 * b, lambda a, b: 1e-6 * a, lambda a, b: a])
    jumps = flux_jumps(found)
    assert jumps["v_0"] < 1e-9 and jumps["w"] < 1e-9 and jumps["v_1"] == pytest.approx(2 / np.sqrt(5))
    assert "v_0" in describe(found.result)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_integrals_over_named_parts_obey_the_divergence_theorem(d):
    mesh = halves(cells=2, d=d)
    u = Field("u", mesh)
    # u = x^2 + 2 x: grad u . n integrates to 2 over the volume, 0 at x = -1 and 4 at x = 1, 2 at the interface
    # doit: an equation without div has no weak form, so that its flux is integrated as it is
    problem = Problem(mesh, [div(grad(u)).doit() - 2], [])
    found = made_solution(problem, [lambda a, *b: a**2 + 2 * a + 0 * sum(b)])
    flux, side = grad(u).dot(mesh.normal), 2.0 ** (d - 1)
    for some in (found, Reference(found.problem, {u: mesh.coordinates[0] ** 2 + 2 * mesh.coordinates[0]})):
        assert some.integral(flux) == pytest.approx(4 * side) == some.integral(div(grad(u)))
        assert some.integral(flux, over="left") == pytest.approx(0, abs=1e-10)
        assert some.integral(flux, over=["left", "right"]) == pytest.approx(4 * side)
        assert some.integral(u, over="right") == pytest.approx(3 * side)
        assert some.integral(1, over="steel") == pytest.approx(side)
        assert some.integral(flux, over="contact", side="steel") == pytest.approx(2 * side)
        assert some.integral(flux, over="contact", side="air") == pytest.approx(-2 * side)
    table = quantities(
        {"out": lambda s: s.integral(flux, over="right")}, found, Reference(found.problem, {u: 0 + u.args[0] ** 2})
    )
    assert table["out"] == pytest.approx({"value": 4 * side, "reference": 2 * side, "relative_error": 1.0})
    with pytest.raises(StatementError, match="'steel' is no boundary, so "):
        found.integral(flux, over="steel")
    with pytest.raises(StatementError, match="has 2 entries; an integral takes a scalar"):
        found.integral([u, u])
    with pytest.raises(StatementError, match="two senses; give side=, the subdomain it points out of; it has: 'steel'"):
        found.integral(flux, over="contact")
    with pytest.raises(StatementError, match="'left' has facets without subdomain 'air' on exactly one"):
        found.integral(flux, over="left", side="air")
    with pytest.raises(StatementError, match="'stel' names no part of the mesh"):
        found.integral(u, over="stel")


def test_values_on_an_interface_are_those_of_its_side():
    mesh = halves()
    u = Field("u", mesh)
    k = Coefficient("k", mesh, {"steel": 1.0, "air": 10.0})
    found = made_solution(Problem(mesh, [div(k * grad(u))], [Dirichlet(u, 0, on="boundary")]), [lambda a, b: a + 0 * b])
    flux = k * grad(u).dot(mesh.normal)
    assert found.integral(flux, over="contact", side="steel") == pytest.approx(2)
    assert found.integral(flux, over="contact", side="air") == pytest.approx(-20)
    assert found.integral(k, over="contact", side="air") == pytest.approx(20)
    assert flux_jumps(found)["u"] == pytest.approx(9 / np.sqrt(50.5))
    reference = Reference(found.problem, {u: mesh.coordinates[0]})
    np.testing.assert_allclose(reference.evaluate(k * grad(u), [[-0.5, 0], [0.5, 0]]), [[1, 0], [10, 0]])


def test_derived_quantities_have_errors_of_their_own(tmp_path):
    problem = vector_problem()
    found = made_solution(problem, [saddle, lambda a, b: a])
    slope = grad(V)
    mises = sp.sqrt(slope[0, 0] ** 2 + 3 * slope[0, 1] ** 2)
    wanted = {"von_mises": mises, "slope": slope}
    table = found.error({V: [sp.Rational(5, 4) * EXACT, X]}, expressions=wanted)
    assert set(table) == {"v", "von_mises", "slope"}
    assert table["von_mises"].relative_l2 == pytest.approx(1 / 5) and table["von_mises"].relative_h1 is None
    assert table["von_mises"].maximum == pytest.approx(1 / 5)
    assert table["slope"].relative_l2 == pytest.approx(np.sqrt(8 / 3 / 16 / (8 / 3 * 25 / 16 + 1)), rel=1e-3)
    comparison = Comparison(problem, {V: [2 * EXACT, 2 * X]}, n=500, derived=wanted)
    assert set(comparison.errors(found)) == {"v"} and set(comparison.derived(found)) == set(wanted)
    derived = comparison.derived(found)
    made = record(found.result, problem="p", options={}, device="cpu", threads=1, derived=derived)
    assert made["derived"] == {"von_mises": pytest.approx(0.5), "slope": pytest.approx(0.5)}
    with pytest.raises(StatementError, match="is a function without derivatives"):
        found.error({V: lambda p: p}, expressions=wanted)
    with pytest.raises(StatementError, match="'v' is a field already; give the expression another name"):
        found.error({V: [X, Y]}, expressions={"v": mises})
    with pytest.raises(StatementError, match="'none' of the reference is zero everywhere"):
        found.error({V: [X, X]}, expressions={"none": slope[0, 1]})
    with pytest.raises(StatementError, match="'log' of the reference is not finite at"):
        found.error({V: [X, X]}, expressions={"log": sp.log(V[0])})


@pytest.mark.parametrize("name", ["plate_with_hole", "conduction_3d"])
def test_fluxes_through_curved_boundaries_obey_the_divergence_theorem(name):
    mesh = Mesh.read(Path(__file__).parents[1] / "problems" / "meshes" / f"{name}.msh")
    u = Field("u", mesh)
    problem = Problem(mesh, [div(grad(u)).doit()], [])  # has no weak form: its flux is integrated as it is
    found = made_solution(problem, [lambda *a: sum((k + 1) * x**2 for k, x in enumerate(a))])
    flux = grad(u).dot(mesh.normal)
    whole = found.integral(div(grad(u)))
    assert found.integral(flux) == pytest.approx(whole, rel=1e-10)
    assert sum(found.integral(flux, over=part) for part in mesh.boundaries) == pytest.approx(whole, rel=1e-10)
    axes = found.plot(u) if mesh.dimension == 2 else found.plot(u, z=0.02)  # the chords of a hole lie in it
    low, high = axes.collections[0].get_clim()
    assert low < 0.2 and high == pytest.approx(sum(range(1, mesh.dimension + (mesh.dimension == 2))), rel=0.01)
