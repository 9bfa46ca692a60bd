"""What statements leave open: constants and rigid motions are named, taken out of the elements, and no error."""

import numpy as np
import pytest
import sympy as sp
import torch

import kinn
from kinn import Integral, div, grad
from kinn.formulations.choice import choose
from kinn.formulations.factor import Factor
from kinn.formulations.galerkin import GalerkinSpace
from kinn.formulations.null_space import Motions, null_space
from kinn.geometry import gauss
from kinn.physics import elastic_stress, plane_stress
from kinn.report.errors import Comparison
from kinn.solver import plan
from kinn.statement.terms import weak_terms

NONE = torch.zeros(0, dtype=torch.float64)
MESH = kinn.Mesh.box((0, 0), (2, 1), cells=4)
X, Y = MESH.coordinates
U, T = kinn.Field("u", MESH, components=2), kinn.Field("T", MESH)
STRESS = plane_stress(U, 1000, 0.3)
BODY = {"balance": -div(STRESS)}
ALONG_X, ALONG_Y, TURN = "a translation of u along x", "a translation of u along y", "a rotation of u"


def body(*conditions, observations=()):
    return kinn.Problem(MESH, BODY, conditions, observations)


TENSION = (kinn.Neumann(STRESS, [1, 0], on="right"), kinn.Neumann(STRESS, [-1, 0], on="left"))
MOMENT = Integral((X - 1) * U[1] - (Y - sp.Rational(1, 2)) * U[0])
TWO = kinn.Field("v", MESH)
EXCHANGE = {"one": -div(grad(T)) + T - TWO, "two": -div(grad(TWO)) + TWO - T}

OPEN = {
    "floats": (lambda: body(*TENSION), [ALONG_X, ALONG_Y, TURN]),
    "roller": (lambda: body(kinn.Dirichlet(U[0], 0, on="left")), [ALONG_Y]),
    "two rollers": (lambda: body(kinn.Dirichlet(U[0], 0, on="left"), kinn.Dirichlet(U[1], 0, on="bottom")), []),
    "clamped": (lambda: body(kinn.Dirichlet(U, 0, on="left")), []),
    "slides": (lambda: body(kinn.Condition(U[0] + U[1], on="left")), [f"{ALONG_X} with {ALONG_Y}"]),
    "periodic": (lambda: body(kinn.Periodic(U, "left", "right", [0.1, 0])), [ALONG_X, ALONG_Y]),
    "settled": (lambda: body(kinn.Condition(Integral(U))), [TURN]),
    "settled by a moment": (lambda: body(kinn.Condition(MOMENT)), [ALONG_X, ALONG_Y]),
    "a spring": (lambda: body(kinn.Neumann(STRESS, [-2 * U[0], 0], on="left")), [ALONG_Y]),
    "measured": (lambda: body(observations=[kinn.Observations(U[0], [[0.3, 0.2], [0.4, 0.7]], [0, 0])]), [ALONG_Y]),
    "measured flux": (
        lambda: body(observations=[kinn.Observations(Integral(STRESS[0, 0], "left"), values=[1.0])]), [ALONG_X, ALONG_Y, TURN],
    ),
    "insulated": (lambda: kinn.Problem(MESH, [-div((1 + grad(T).dot(grad(T))) * grad(T))]), ["a constant of T"]),
    "reacts": (lambda: kinn.Problem(MESH, [-div(grad(T)) + T**3]), []),
    "exchange": (lambda: kinn.Problem(MESH, EXCHANGE), ["a constant of T with a constant of v"]),
}  # fmt: skip


@pytest.mark.parametrize("name", OPEN)
def test_what_is_open_is_named(name):
    make, names = OPEN[name]
    assert null_space(make().check()).names() == names


def test_bodies_in_space_have_six_motions():
    mesh = kinn.Mesh.box((0, 0, 0), (1, 2, 1), cells=2)
    v = kinn.Field("v", mesh, components=3)
    equations = {"balance": -div(elastic_stress(v, 1, 0.3))}
    assert len(null_space(kinn.Problem(mesh, equations))) == 6
    on_a_floor = kinn.Problem(mesh, equations, [kinn.Dirichlet(v[2], 0, on="front")])
    left = "a translation of v along x, a translation of v along y and a rotation of v about z"
    assert str(null_space(on_a_floor)) == left


def test_constants_per_material_stay_together():
    mesh = kinn.Mesh(MESH.points, MESH.cells, "triangle", MESH.boundaries, {"a": range(8), "b": range(8, 16)})
    u, k = kinn.Field("u", mesh), kinn.Coefficient("k", mesh, {"a": 1.0, "b": 5.0})
    assert str(null_space(kinn.Problem(mesh, [-div(k * grad(u))]))) == "a constant of u"
    held = kinn.Problem(mesh, [-div(k * grad(u))], [kinn.Dirichlet(u, 0, on="left")])
    assert str(null_space(held)) == ""


def factor_of(problem, order=2):
    space = GalerkinSpace(problem, weak_terms(problem), problem.mesh, order)
    fixed, _ = space.essential_values(NONE)
    free = np.setdiff1d(np.arange(space.size), fixed)
    tangent = space.tangent(space.jets_of(np.zeros(space.size)), NONE)
    return space, tangent, free, Factor(space, tangent, free)


@pytest.mark.parametrize("name", ["floats", "roller", "two rollers", "periodic", "a spring", "exchange"])
def test_the_tangent_finds_the_same_motions_and_is_solved_without_them(name):
    make, names = OPEN[name]
    space, tangent, free, factor = factor_of(make())
    assert factor.null.shape[1] == len(names)
    assert np.abs((tangent @ factor.null)[free]).max(initial=0) < 1e-10 * abs(tangent).max()
    right = tangent[free] @ np.sin(np.arange(space.size) * np.isin(np.arange(space.size), free))  # in the range
    found = np.zeros(space.size)
    found[free] = factor.solve(right)
    assert np.abs((tangent @ found)[free] - right).max() < 1e-9 * np.abs(right).max()
    assert np.abs(factor.without_null(found) - found).max() < 1e-9 * np.abs(found).max()
    # orthonormal in L2, by a quadrature of its own
    points = gauss(space.mesh, 6)
    basis = [
        [space.basis.interpolator(part)(points.x.T) for part in space.values(z).reshape(-1, space.n)]
        for z in factor.null.T
    ]
    for a, one in enumerate(basis):
        for b, two in enumerate(basis):
            product = sum((points.weight * f * g).sum() for f, g in zip(one, two, strict=True))
            assert product == pytest.approx(float(a == b), abs=1e-10)


def test_a_right_side_outside_the_range_is_made_compatible():
    space, tangent, free, factor = factor_of(OPEN["floats"][0]())
    right = np.random.default_rng(0).standard_normal(len(free))
    found = np.zeros(space.size)
    found[free] = factor.solve(right)
    left = (tangent @ found)[free] - right  # what was taken off: as many directions as there are motions
    assert np.linalg.norm(left) > 0.01 and np.isfinite(found).all()
    forces = factor._weighted
    assert np.linalg.norm(left - forces @ np.linalg.lstsq(forces, left, rcond=None)[0]) < 1e-9 * np.linalg.norm(left)


def test_advection_has_another_left_null_vector():
    # -T'' + 10 T' without boundary values: constants are open, the compatible right sides are those orthogonal to e^(10 x)...
    mesh = kinn.Mesh.box(0, 1, cells=20)
    (x,) = mesh.coordinates
    t = kinn.Field("t", mesh)
    space, tangent, free, factor = factor_of(kinn.Problem(mesh, [-div(grad(t)) + 10 * t.diff(x)]))
    assert factor.null.shape[1] == 1 and np.ptp(factor.null) < 1e-12
    right = tangent @ np.cos(3 * space.places[:, 0])
    assert np.abs(tangent @ factor.solve(right) - right).max() < 1e-10 * np.abs(right).max()


EXACT = {U: sp.Matrix([X / 1000, -0.3 * Y / 1000])}
TURNED = {U: sp.Matrix([X / 1000 - 0.2 * Y + 3, -0.3 * Y / 1000 + 0.2 * X - 5])}


def test_elements_stretch_a_body_that_floats():
    problem = body(*TENSION)
    solution = kinn.fem.solve(problem, tolerance=1e-6)
    for truth in (EXACT, TURNED):
        error = Comparison(problem, truth).errors(solution)["u"]
        assert error.relative_l2 < 1e-10 and (error.relative_h1 or 1) < 1e-10
    points = gauss(MESH, 4)
    u, v = solution(points.x).T
    motions = (u, v, (points.x[:, 0] - 1) * v - (points.x[:, 1] - 0.5) * u)
    assert all(abs(points.weight @ motion) < 1e-12 for motion in motions)


def test_elements_take_rigid_motions_from_integrals():
    problem = body(
        *TENSION, kinn.Condition(Integral(U[0], "left") - 2), kinn.Condition(Integral(U[1])), kinn.Condition(MOMENT - 1)
    )
    solution = kinn.fem.solve(problem, tolerance=1e-6)
    assert not len(null_space(problem))
    side, inside = gauss(MESH, 4, "left"), gauss(MESH, 4)
    u, v = solution(inside.x).T
    assert side.weight @ solution(side.x)[:, 0] == pytest.approx(2) and abs(inside.weight @ v) < 1e-12
    assert inside.weight @ ((inside.x[:, 0] - 1) * v - (inside.x[:, 1] - 0.5) * u) == pytest.approx(1)


def test_a_body_on_a_roller_is_compared_up_to_its_translation():
    conditions = [kinn.Dirichlet(U[0], 0, on="left"), kinn.Neumann(STRESS, [1, 0], on="right")]
    problem = body(*conditions)
    solution = kinn.fem.solve(problem, tolerance=1e-6)
    shifted = {U: sp.Matrix([X / 1000, -0.3 * Y / 1000 + 4])}
    assert (Comparison(problem, shifted).errors(solution)["u"].relative_h1 or 1) < 1e-10
    wrong = {U: sp.Matrix([X / 1000 + 4, -0.3 * Y / 1000])}
    assert Comparison(problem, wrong).errors(solution)["u"].relative_l2 > 0.9


@pytest.mark.parametrize("form", [None, "strong"])
def test_a_body_that_floats_is_trained(form):
    problem = body(*TENSION)
    solution = kinn.solve(problem, form=form, tolerance=3e-2, steps=60, progress=False)
    assert solution.status is kinn.Status.CONVERGED and solution.result.form == (form or "weak")
    assert solution.result.estimate_note == f"the solution is determined up to: {ALONG_X}, {ALONG_Y} and {TURN}"
    assert (solution.error(TURNED)["u"].relative_h1 or 1) < 4e-2
    points = gauss(MESH, 6)
    drift = np.abs(points.weight @ solution(points.x)) / 2  # its mean stays far below its size, 1e-3
    assert drift.max() < 1e-4


def test_motions_are_functions_with_exact_derivatives():
    motions, x = Motions(body(*TENSION)), np.array([[0.3, 0.4]])
    ahead = x + [[0.0, 1e-3]]
    slope = (motions.jet(0, (0, 0), ahead) - motions.jet(0, (0, 0), x)) / 1e-3
    assert np.allclose(slope, motions.jet(0, (0, 1), x)) and not motions.jet(0, (0, 2), x).any()


def test_plans_say_what_is_open():
    assert plan(body(*TENSION)).left_open.endswith("along y and a rotation of u")
    assert plan(OPEN["clamped"][0]()).left_open == "" and str(choose(OPEN["clamped"][0]()).left_open) == ""
