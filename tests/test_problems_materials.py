"""What is known about the committed problems beside their statements: balances, theory, series, values of others."""

import math
from pathlib import Path

import numpy as np
import pytest

import kinn
from kinn.problem_file import ProblemFile
from kinn.report.errors import Comparison
from kinn.report.quantities import quantity
from kinn.report.reference import Reference

FOLDER = Path(__file__).parents[1] / "problems"
SIZES = {  # of the exact geometry, and the order of the mesh
    "composite_disc": (4.0, 2),
    "conduction_3d": (0.08 * 0.04 * 0.04 - math.pi * 0.01**2 * 0.04, 2),
    "crack_mode_iii": (4.0, 1),
    "elastic_bracket_3d": (30 * (108 * 12 + (1 - math.pi / 4) * 100) - math.pi * 36 * 12, 2),
    "flower": (5 * math.pi / 2 + 5 / math.tan(math.pi / 5), 2),
    "heat_bracket_2d": (0.16 * 0.04 + (1 - math.pi / 4) * 1e-4 - math.pi * (0.01**2 + 0.008**2), 2),
    "inverse_flow": (3 - math.pi * 0.15**2, 2),
    "inverse_inclusion": (1e4, 2),
    "koch_snowflake": (10 * math.sqrt(3) / 3, 1),
    "lshape": (3.0, 1),
    "periodic_cell": (1.0, 2),
    "plate_with_hole": (400 - math.pi * 25 / 4, 2),
}


def load(name, **options):
    return ProblemFile.load(FOLDER / f"{name}.py", options)


def measured(name, solution) -> dict[str, float]:
    """The quantities of a problem file, of a solution or an exact one."""
    problem = solution.problem
    known = solution if isinstance(solution, Reference) else Reference(problem, solution)
    return {key: quantity(what, known) for key, what in load(name).quantities(problem).items()}


def test_every_mesh_is_what_an_engineer_brings():
    files = {file.stem: file for file in (FOLDER / "meshes").glob("*.msh")}
    assert files.keys() == SIZES.keys()
    for name, (size, order) in SIZES.items():
        assert files[name].stat().st_size < 300_000
        mesh = kinn.Mesh.read(files[name])
        assert mesh.order == order and mesh.subdomains
        assert 300 <= len(mesh.cells) <= (2000 if mesh.dimension == 2 else 4000)
        assert mesh.measure == pytest.approx(size, rel=2e-5)
        named = np.unique(np.concatenate(list(mesh.boundaries.values())))
        assert np.isin(mesh.exterior, named).all()


def test_the_disk_fills_thirty_percent_and_its_sides_match():
    mesh = kinn.Mesh.read(FOLDER / "meshes" / "periodic_cell.msh")
    assert mesh.volumes[mesh.cells_of("inclusion")].sum() == pytest.approx(0.3, rel=1e-5)


def test_two_materials_have_one_flux_and_no_strong_form():
    problem = load("two_materials_1d").problem()
    (u,) = problem.components
    (x,) = problem.mesh.coordinates
    sides = np.array([[0.5 - 1e-9], [0.5 + 1e-9]])
    slopes = Reference(problem, problem.exact).evaluate(u.diff(x), sides)
    assert slopes[0] == pytest.approx(10 * slopes[1], rel=1e-6) and abs(slopes[1]) > 0.1
    solution = kinn.fem.solve(problem, tolerance=1e-3)
    assert Comparison(problem, problem.exact).errors(solution)["u"].relative_l2 < 1e-5
    with pytest.raises(kinn.StatementError, match="discontinuous"):
        kinn.solve(problem, form="strong")


def test_the_crack_has_its_energy():
    file = load("crack_mode_iii")
    problem = file.problem()
    points, weights = file.names["around_tip"]()
    r = np.linalg.norm(points, axis=1)
    assert weights.sum() == pytest.approx(4, rel=1e-12)
    assert weights @ (1 / r) == pytest.approx(8 * np.log(1 + np.sqrt(2)), rel=1e-9)
    exact = measured("crack_mode_iii", Reference(problem, problem.exact))
    assert exact["energy"] == pytest.approx(np.log(1 + np.sqrt(2)), rel=1e-9)
    assert exact["intensity"] == pytest.approx(1, rel=1e-9)
    solution = kinn.fem.solve(problem, tolerance=1e-2)
    assert measured("crack_mode_iii", solution)["energy"] == pytest.approx(np.log(1 + np.sqrt(2)), rel=5e-4)
    assert Comparison(problem, problem.exact).errors(solution)["u"].relative_l2 < 1e-3


def test_the_crack_is_open():
    problem = load("crack_mode_iii").problem()
    above, below = kinn.fem.solve(problem, tolerance=3e-2)(np.array([[-0.5, 1e-7], [-0.5, -1e-7]]))
    assert above == pytest.approx(math.sqrt(0.5), rel=1e-2) and below == pytest.approx(-above, rel=1e-6)


@pytest.mark.parametrize("name", ["lshape_harmonic", "advection_diffusion"])
def test_finite_elements_find_the_exact_solutions(name):
    problem = load(name).problem()
    solution = kinn.fem.solve(problem, tolerance=3e-2)
    assert Comparison(problem, problem.exact).errors(solution)["u"].relative_l2 < 1e-3


def test_the_layers_neither_overflow_nor_shoot_over():
    problem = load("advection_diffusion").problem()
    with np.errstate(over="raise", invalid="raise"):
        values = Reference(problem, problem.exact)(problem.mesh.points)
        exact = measured("advection_diffusion", Reference(problem, problem.exact))
    assert values.min() >= 0 and values.max() < 1
    assert exact["lowest"] == pytest.approx(0, abs=1e-12) and 0.85 < exact["highest"] < 0.9
    mean = 0.5 - 0.01 + 1 / math.expm1(100)
    assert exact["mean"] == pytest.approx(mean**2, rel=1e-6)


def test_the_cantilever_obeys_beam_theory():
    problem = load("elastic_cantilever").problem()
    solution = kinn.fem.solve(problem, tolerance=1e-3)
    bending, shear = 4 * 100**3 / (210_000 * 10**2), 1.2 * 100 / (210_000 / 2.6)
    assert measured("elastic_cantilever", solution)["tip deflection"] == pytest.approx(bending + shear, rel=3e-3)
    # Across the middle the shear force is the load, the bending moment the load times its distance.
    stress = load("elastic_cantilever").names["stress_of"](problem.components)
    nodes, weights = np.polynomial.legendre.leggauss(12)
    section = np.column_stack([np.full(12, 50.0 + 1e-6), 5 * (nodes + 1)])
    along, shear = solution.evaluate([stress[0, 0], stress[0, 1]], section).T
    assert 5 * weights @ shear == pytest.approx(-10, rel=1e-2)
    assert 5 * weights @ (along * (section[:, 1] - 5)) == pytest.approx(500, rel=1e-2)


def test_the_plate_with_a_hole_agrees_with_abaqus():
    """The values that KINN's authors print of their Abaqus solution."""
    values = measured("plate_with_hole", kinn.fem.solve(load("plate_with_hole").problem(), tolerance=2e-3))
    assert values["peak stress"] == pytest.approx(358.27, rel=3e-3)
    assert values["u_x at the hole"] == pytest.approx(1.8117, rel=1e-4)
    assert values["u_x at the side"] == pytest.approx(2.7551, rel=1e-4)
    assert values["u_y at the hole"] == pytest.approx(-0.750, rel=1e-3)


def test_the_heat_of_the_bracket_is_balanced():
    values = measured("heat_bracket_2d", kinn.fem.solve(load("heat_bracket_2d").problem(), tolerance=1e-3))
    assert values["heat through bottom"] == pytest.approx(500, rel=5e-3)
    assert abs(sum(values.values())) < 3e-3 * values["heat through pipe"]
    assert values["heat through pipe"] > 500 and values["heat through bolt"] < -1000


def test_the_heat_of_the_block_is_balanced():
    values = measured("conduction_3d", kinn.fem.solve(load("conduction_3d").problem(), tolerance=1e-1))
    given = values["heat of the chip"]
    whole = 60_000 * math.pi * 0.015**2  # some of it falls beside the block
    assert 0.8 * whole < given < whole
    assert values["heat to the water"] + values["heat to the cold plate"] == pytest.approx(given, rel=2e-2)
    assert min(values["heat to the water"], values["heat to the cold plate"]) > 0.2 * given


def test_the_composite_conducts_as_the_series_says():
    """Perrins, McKenzie and McPhedran 1979: a square array of disks, equation (14), good to 1e-5 at this filling."""
    fill, t = 0.3, (1 + 10) / (1 - 10)
    third = 0.305827 * fill**4 * t / (t**2 - 1.402958 * fill**8)
    series = 1 - 2 * fill / (t + fill - third - 0.013362 * fill**8 / t)
    problem = load("periodic_cell").problem()
    values = measured("periodic_cell", kinn.fem.solve(problem, tolerance=5e-3))
    assert values["effective conductivity"] == pytest.approx(series, rel=1e-4)
    assert abs(values["cross conductivity"]) < 1e-4


def test_the_periodic_cell_is_the_symmetric_one():
    """By symmetry T is constant on the left and right sides, and no heat crosses the others."""
    file = load("periodic_cell")
    problem = file.problem()
    mesh = kinn.Mesh.read(FOLDER / "meshes" / "periodic_cell.msh")
    T = kinn.Field("T", mesh)
    heat = {"heat": -kinn.div(file.names["flux_of"](T, mesh))}
    held = [kinn.Dirichlet(T, -0.5, on="left"), kinn.Dirichlet(T, 0.5, on="right")]
    symmetric = kinn.fem.solve(kinn.Problem(mesh, heat, held), tolerance=1e-2)
    periodic = kinn.fem.solve(problem, tolerance=1e-2)
    x = mesh.points[mesh.cells].mean(axis=1)
    one, other = periodic(x), symmetric(x)
    assert np.abs(one - one.mean() - other + other.mean()).max() < 1e-3


def test_the_bracket_bends_as_beams_do():
    """Linear elements: their energy is what the load does, and the tip moves about as that of a beam."""
    file = load("elastic_bracket_3d")
    problem = file.problem()
    solution = kinn.fem.solve(problem, order=1, tolerance=1)
    u = problem.components
    stress, mesh = file.names["stress_of"](u), problem.mesh
    strain = kinn.physics.strain(u)
    reference = Reference(problem, solution)
    stored = reference.integral(sum(s * e for s, e in zip(stress, strain, strict=True)))
    done = reference.integral(10 * u[2], over="tip")
    assert stored == pytest.approx(done, rel=5e-2)
    force, inertia = 3600, 30 * 12**3 / 12
    free = 60 - 12  # of the leg, which stands out of the other one
    deflection = measured("elastic_bracket_3d", solution)["tip deflection"]
    assert 0.9 < deflection / (force * free**3 / (3 * 210_000 * inertia)) < 1.3
    assert len(mesh.reentrant_corners()) == 0


def test_the_family_of_plates_is_one_solution():
    """The five plates between which the reference interpolates, beside elements in (x, y, nu)."""
    file = load("parametric_plate")
    problem = file.problem()
    reference = file.reference(problem)
    solution = kinn.fem.solve(problem, tolerance=1e-1)
    assert Comparison(problem, reference, n=4000).relative_l2(solution)["u"] < 1e-3
    assert reference is not None
    pulls = [*measured("parametric_plate", reference).values()]
    assert len(pulls) == 5 and (np.diff(pulls) < 0).all()
    space = kinn.Mesh.box((0, 0), (2, 1), cells=(8, 4))
    unseen = kinn.fem.solve(file.names["statement"](space, 0.26, 0.0, 1.0, 1.0), tolerance=3e-3)
    assert unseen(np.array([[2, 0.5]]))[0, 0] == pytest.approx(pulls[1], rel=1e-4)


@pytest.mark.parametrize("name", ["elastic_cantilever", "plate_with_hole", "elastic_bracket_3d"])
def test_derived_expressions_belong_to_the_problem(name):
    file = load(name)
    problem = file.problem()
    (mises,) = file.names["derived"](problem).values()
    solution = kinn.fem.solve(problem, order=1, tolerance=1)
    values = solution.evaluate(mises, problem.mesh.points[problem.mesh.cells].mean(axis=1)[::9])
    assert (values > 0).all() and np.isfinite(values).all()
