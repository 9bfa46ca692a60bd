"""Fluxes through the boundary by the weak form: exact where the solution is, balanced always, superconvergent for elements."""

from itertools import pairwise

import numpy as np
import pytest
import sympy as sp
from made_meshes import halves
from made_results import made_solution

import kinn
from kinn import Dirichlet, Equation, Field, Mesh, Neumann, Parameter, Periodic, Robin, div, grad
from kinn.report.quantities import quantity
from kinn.report.reference import Reference
from kinn.result import Estimated

SQUARE = Mesh.box((-1, -1), (1, 1), cells=3)
X, Y = SQUARE.coordinates
U = Field("u", SQUARE)
SIDES = ("left", "right", "bottom", "top")


def plain(solution, expression, over):
    """The flux by plain quadrature: a factor that is not constant is no reaction."""
    (first, *_) = solution.problem.mesh.coordinates
    one = solution.integral((first + 7) * expression, over)
    return (one - solution.integral(first * expression, over)) / 7


def outflow(flux, over, mesh=SQUARE):
    """The exact flux out of [-1, 1]^2 through one side."""
    axis, sign = {"left": (0, -1), "right": (0, 1), "bottom": (1, -1), "top": (1, 1)}[over]
    along, across = mesh.coordinates[1 - axis], mesh.coordinates[axis]
    return sign * float(sp.integrate(flux[axis].subs(across, sign), (along, -1, 1)))


def quadratic_problem(held, k=2 + X):
    """u = x^2 + 2 y^2 + x, its flux stated on the sides that do not hold it."""
    exact = X**2 + 2 * Y**2 + X
    flux = k * grad(U)
    truth = k * grad(exact)
    source = sp.Add(*(f.diff(x) for f, x in zip(truth, SQUARE.coordinates, strict=True)))
    at = {"left": (X, -1), "right": (X, 1), "bottom": (Y, -1), "top": (Y, 1)}
    normals = {"left": (-1, 0), "right": (1, 0), "bottom": (0, -1), "top": (0, 1)}
    conditions: list = [Dirichlet(U, exact, on=held)] if held else []
    for side in sorted(set(SIDES) - set(held)):
        value = sp.Add(*(n * f for n, f in zip(normals[side], truth, strict=True))).subs(*at[side])
        conditions.append(Robin(flux, U, 3, exact + value / 3, on=side))
    problem = kinn.Problem(SQUARE, {"heat": -div(flux) + source}, conditions)
    return problem, flux.dot(SQUARE.normal), {side: outflow(truth, side) for side in SIDES}


@pytest.mark.parametrize("held", [("left",), ("left", "right"), ("left", "top"), SIDES, ()])
def test_fluxes_of_an_exact_solution_are_exact(held):
    problem, flux, truths = quadratic_problem(held)
    found = made_solution(problem, [lambda a, b: a**2 + 2 * b**2 + a])
    for side, truth in truths.items():
        assert found.integral(flux, over=side) == pytest.approx(truth, abs=1e-10)
        assert found.integral(-3 * flux, over=side) == pytest.approx(-3 * truth, abs=1e-10)
    pair = found.integral(flux, over=["left", "top"])
    assert pair == pytest.approx(truths["left"] + truths["top"], abs=1e-10)
    assert found.integral(flux) == pytest.approx(sum(truths.values()), abs=1e-10)
    assert quantity(flux, found) == found.integral(flux, over="boundary")


@pytest.mark.parametrize("held", [("left",), ("left", "right"), ("left", "top"), SIDES])
def test_fluxes_of_any_function_balance_the_sources(held):
    problem, flux, _ = quadratic_problem(held)
    (equation,) = problem.rows
    source = equation.expression + div((2 + X) * grad(U))
    wrong = made_solution(problem, [lambda a, b: (2 * a).sin() + a * 0.3 + (3 * b + 1).cos()])
    out = {side: wrong.integral(flux, over=side) for side in SIDES}
    whole = wrong.integral(source)
    assert sum(out.values()) == pytest.approx(whole, rel=1e-11)
    assert wrong.integral(flux) == pytest.approx(whole, rel=1e-11)
    assert wrong.integral(flux, over=["left", "top"]) == pytest.approx(out["left"] + out["top"], rel=1e-11)
    assert abs(sum(plain(wrong, flux, side) for side in SIDES) / whole - 1) > 0.1


def test_what_is_stated_is_taken_as_stated():
    flux = 5 * grad(U)
    conditions = [Dirichlet(U, 0, on="left"), Robin(flux, U, 2, 30, on="right"), Neumann(-flux, 7 * X**2, on="top")]
    problem = kinn.Problem(SQUARE, {"heat": -div(flux)}, conditions)
    wrong = made_solution(problem, [lambda a, b: a**3 + b**2 + b])
    through = flux.dot(SQUARE.normal)
    assert wrong.integral(through, over="right") == pytest.approx(2 * (2 * 30 - 2 - 2 / 3))  # h (30 - u)
    assert wrong.integral(through, over="top") == pytest.approx(-14 / 3)
    assert wrong.integral(through, over="bottom") == 0  # nothing is stated: insulated
    assert plain(wrong, through, "right") == pytest.approx(30)
    left = -wrong.integral(through, over=["right", "top"])
    assert wrong.integral(through, over="left") == pytest.approx(left)
    assert wrong.integral(grad(U).dot(SQUARE.normal), over="left") == pytest.approx(left / 5)


def test_a_name_may_be_held_in_part():
    mesh = Mesh.box((-1, -1), (1, 1), cells=4).tag("cold", lambda x, y: (x < -0.99) & (y < 0))
    mesh.tag("rest", lambda x, y: (x < -0.99) & (y > 0))
    u, (x, _) = Field("u", mesh), mesh.coordinates
    conditions = [
        Dirichlet(u, x**2, on=["cold", "right"]),
        Neumann(grad(u), 2, on="left"),  # where u is held too, that holds
    ]
    problem = kinn.Problem(mesh, {"heat": -div(grad(u)) + 2}, conditions)
    flux = grad(u).dot(mesh.normal)
    found = made_solution(problem, [lambda a, b: a**2 + 0 * b])
    assert found.integral(flux, over="left") == pytest.approx(4, abs=1e-10)
    assert found.integral(flux, over="cold") == pytest.approx(2, abs=1e-10)
    wrong = made_solution(problem, [lambda a, b: a.exp() + b.sin()])
    parts = wrong.integral(flux, over="cold") + wrong.integral(flux, over="rest")
    assert wrong.integral(flux, over="rest") == pytest.approx(2)
    assert wrong.integral(flux, over="left") == pytest.approx(parts, rel=1e-11)


@pytest.mark.parametrize("d", [1, 3])
def test_other_dimensions(d):
    mesh = Mesh.box((-1,) * d, (1,) * d, cells=2)
    u, x = Field("u", mesh), mesh.coordinates
    exact = sum((k + 1) * a**2 for k, a in enumerate(x)) + x[0]
    held = ["left", "right"] if d == 1 else ["left", "right", "front", "top"]
    conditions = [Dirichlet(u, exact, on=held)]
    if d == 3:
        conditions += [Neumann(grad(u), 6, on="back"), Neumann(grad(u), 4, on="bottom")]
    problem = kinn.Problem(mesh, {"heat": -div(grad(u)) + d * (d + 1)}, conditions)
    found = made_solution(problem, [lambda a, *b: a**2 + a + sum((k + 2) * c**2 for k, c in enumerate(b))])
    flux, area = grad(u).dot(mesh.normal), 2.0 ** (d - 1)
    truths = {"left": 1, "right": 3, "front": 6, "top": 4} if d == 3 else {"left": 1, "right": 3}
    for side, slope in truths.items():
        assert found.integral(flux, over=side) == pytest.approx(slope * area, abs=1e-9)


def test_reactions_are_better_than_gradients_of_a_solution_with_an_error():
    # exact u = x on (-1, 1)^2; the error 1e-3 (x - x^3) is 0 where u is held
    problem = kinn.Problem(SQUARE, {"heat": -div(grad(U))}, [Dirichlet(U, X, on=["left", "right"])])
    wiggled = made_solution(problem, [lambda a, b: a + 1e-3 * (a - a**3) + 0 * b])
    flux = grad(U).dot(SQUARE.normal)
    assert abs(wiggled.integral(flux, over="right") - 2) < 1e-10
    assert abs(plain(wiggled, flux, "right") - 2) > 3e-3


@pytest.mark.parametrize("order", [1, 2])
def test_reactions_of_elements_converge_twice_as_fast_as_gradients(order):
    errors = []
    for cells in (3, 6, 12):
        mesh = Mesh.box((0, 0), (1, 1), cells=cells)
        (x, y), u = mesh.coordinates, Field("u", mesh)
        exact = sp.sin(sp.pi * x) * sp.exp(x) * (1 + y**2)
        source = -exact.diff(x, 2) - exact.diff(y, 2)
        conditions = [
            Dirichlet(u, 0, on=["left", "right"]),
            Neumann(grad(u), 2 * sp.sin(sp.pi * x) * sp.exp(x), on="top"),
        ]
        problem = kinn.Problem(mesh, {"p": -div(grad(u)) - source}, conditions)
        reference = Reference(problem, kinn.fem.solve(problem, order=order, tolerance=1))
        flux, truth = grad(u).dot(mesh.normal), -np.pi * np.e * 4 / 3
        right = reference.integral(flux, over="right")
        errors.append([abs(right - truth), abs(plain(reference, flux, "right") - truth)])
        whole = reference.integral(flux, over="boundary")
        parts = sum(reference.integral(flux, over=part) for part in mesh.boundaries)
        assert parts == pytest.approx(whole, rel=1e-10)
        formula = Reference(problem, {u: exact})
        assert formula.computed is None and formula.integral(flux, over="right") == pytest.approx(truth)
    rates = np.log2([np.divide(*two) for two in pairwise(np.array(errors))])
    assert rates[-1, 0] > 1.8 * order and rates[-1, 1] < 1.3 * order


def test_the_clamped_end_of_a_cantilever_carries_the_load():
    mesh = Mesh.box((0, 0), (4, 1), cells=(8, 2)).tag("roller", lambda x, y: (y < 1e-9) & (x > 3))
    u = Field("u", mesh, components=2)
    stress = kinn.physics.plane_stress(u, 1000, 0.3)
    load = [Dirichlet(u, 0, on="left"), Neumann(stress, [2, -3], on="right")]
    problem = kinn.Problem(mesh, {"balance": -div(stress)}, load)
    reference = Reference(problem, kinn.fem.solve(problem, tolerance=1))
    traction = stress * sp.Matrix(mesh.normal)
    forces = [reference.integral(t, over="left") for t in traction]
    assert forces == pytest.approx([-2, 3], rel=1e-8)
    assert abs(plain(reference, traction[1], "left") - 3) > 1e-3
    # a second support for u_y alone: the roller takes no force along x, both together take the load
    propped = kinn.Problem(mesh, {"balance": -div(stress)}, [*load, Dirichlet(u[1], 0, on="roller")])
    reference = Reference(propped, kinn.fem.solve(propped, tolerance=1))
    along, up = ([reference.integral(t, over=part) for part in ("left", "roller")] for t in traction)
    assert along == pytest.approx([-2, 0], abs=1e-8)
    assert sum(up) == pytest.approx(3, rel=1e-8) and up[1] > 3


def test_materials_and_jumps():
    mesh = halves(Mesh.box((0, 0), (1, 1), cells=4))
    u = Field("u", mesh)
    k = kinn.Coefficient("k", mesh, {"a": 1.0, "b": 3.0})
    flux = k * grad(u)
    ends = [Dirichlet(u, 0, on="left"), Dirichlet(u, 2, on="right")]
    for conditions in ([], [kinn.Condition(kinn.jump(u) - 1, on="middle", side="a")]):
        # the resistances 1/2 and 1/6 in a row take the difference without the jump
        problem = kinn.Problem(mesh, {"heat": -div(flux)}, [*ends, *conditions])
        reference = Reference(problem, kinn.fem.solve(problem, tolerance=1))
        through = (2 - len(conditions)) / (1 / 2 + 1 / 6)
        assert reference.integral(flux.dot(mesh.normal), over="right") == pytest.approx(through, rel=1e-9)
        assert reference.integral(flux.dot(mesh.normal), over="left") == pytest.approx(-through, rel=1e-9)
    equations = {name: Equation(-div(k_ * grad(u)), on=name) for name, k_ in (("a", 1), ("b", 3))}
    reference = Reference(problem := kinn.Problem(mesh, equations, ends), kinn.fem.solve(problem, tolerance=1))
    assert reference.integral(3 * grad(u).dot(mesh.normal), over="right") == pytest.approx(3, rel=1e-9)
    assert reference.integral(grad(u).dot(mesh.normal), over="right") == pytest.approx(1, rel=1e-9)


def test_periodic_sides_are_asked_themselves():
    conditions = [Periodic(U, "left", "right"), Dirichlet(U, Y, on=["bottom", "top"])]
    problem = kinn.Problem(SQUARE, {"heat": -div(grad(U))}, conditions)
    flux = grad(U).dot(SQUARE.normal)
    found = made_solution(problem, [lambda a, b: b + 1e-3 * a.cos()])
    assert found.integral(flux, over="right") == pytest.approx(-2e-3 * np.sin(1))
    assert found.integral(flux, over="left") == pytest.approx(-2e-3 * np.sin(1))
    assert found.integral(flux, over="top") == pytest.approx(2, abs=1e-8)
    wave = made_solution(problem, [lambda a, b: (np.pi * a).cos() + b.exp()])
    assert wave.integral(flux, over="top") == pytest.approx(-wave.integral(flux, over="bottom"))
    assert wave.integral(flux, over="top") == pytest.approx(2 * np.sinh(1), rel=1e-6)


def test_test_functions_are_periodic_too():
    """u = sin(pi x) + y has fluxes -+pi through the periodic sides, which cancel only for a periodic v."""
    mesh = Mesh.box((-1, -1), (1, 1), cells=4).tag("cold", lambda x, y: (y < -0.99) & (x < 0))
    mesh.tag("rest", lambda x, y: (y < -0.99) & (x > 0))
    u, (x, y) = Field("u", mesh), mesh.coordinates
    exact = sp.sin(sp.pi * x) + y
    held = [Periodic(u, "left", "right"), Dirichlet(u, exact, on=["cold", "top"]), Neumann(grad(u), -1, on="rest")]
    problem = kinn.Problem(mesh, {"heat": -div(grad(u)) - sp.pi**2 * sp.sin(sp.pi * x)}, held)
    found = made_solution(problem, [lambda a, b: (np.pi * a).sin() + b])
    assert found.integral(grad(u).dot(mesh.normal), over="top") == pytest.approx(2, abs=2e-3)
    assert found.integral(grad(u).dot(mesh.normal), over="cold") == pytest.approx(-1, abs=2e-3)


def test_the_factor_may_hold_parameters():
    k = Parameter("k", 2.0)
    conditions = [Dirichlet(U, X, on="left"), Neumann(grad(U), 3, on="right")]
    problem = kinn.Problem(SQUARE, {"heat": -div(grad(U))}, [*conditions, kinn.Condition(kinn.Integral(U) - k)])
    estimates = {"k": Estimated(5.0, None, None, None)}
    found = made_solution(problem, [lambda a, b: a + 0 * b], parameters=estimates)
    through = grad(U).dot(SQUARE.normal)
    assert found.integral(k * through, over="right") == pytest.approx(30)  # what is stated, not the gradient
    assert found.integral(k * through, over="left") == pytest.approx(-30)


def test_elsewhere_the_solution_itself_is_asked():
    through = grad(U).dot(SQUARE.normal)
    found = made_solution(kinn.Problem(SQUARE, {"heat": -div(grad(U))}, []), [lambda a, b: a + 0 * b])
    assert found.integral(through, over="right") == 0
    assert found.integral(X * through, over="right") == pytest.approx(2)
    assert found.integral(through**2, over="right") == pytest.approx(2)
    assert found.integral(through + 1, over="right") == pytest.approx(4)
    assert found.integral(U.diff(X) * SQUARE.normal[0], over="right") == pytest.approx(2)  # not all of F . n
    assert found.integral((2 * grad(U)).dot(SQUARE.normal), over="right") == 0
    mesh = halves(Mesh.box((-1, -1), (1, 1), cells=4), at=0)
    w = Field("u", mesh)
    inside = kinn.Problem(mesh, {"heat": -div(grad(w))}, [Dirichlet(w, 0, on=["left", "middle"])])
    found = made_solution(inside, [lambda a, b: a**2 + 0 * b])  # the flux of a line inside is on two sides
    assert found.integral(grad(w).dot(mesh.normal), over="left") == pytest.approx(4)
    mesh = Mesh.box(-1, 1, cells=4) * kinn.Interval("t", 0, 1)
    v = Field("v", mesh)
    heat = kinn.Problem(mesh, {"heat": v.diff(mesh.coordinates[1]) - div(grad(v))}, [])
    found = made_solution(heat, [lambda a, b: a + 0 * b])
    assert found.integral(grad(v)[0] * mesh.normal[0], over="right") == pytest.approx(1)
    wave = kinn.Problem(SQUARE, {"plate": div(grad(U)) + U.diff(X, 2)}, [])  # has no weak form
    found = made_solution(wave, [lambda a, b: a + 0 * b])
    assert found.integral(through, over="right") == pytest.approx(2)


def test_curved_sides_far_from_the_origin():
    mesh = Mesh.read("tests/meshes/disk2_tri6.msh").moved(1.0, 1e4)
    u, (x, y) = Field("u", mesh), mesh.coordinates
    middle, (width, height) = (mesh.lower + mesh.upper) / 2, mesh.scale
    exact = (x - middle[0]) ** 2 + (y - middle[1]) ** 2
    flux = grad(u)
    problem = kinn.Problem(mesh, {"heat": -div(flux) + 4}, [Robin(flux, u, 3, exact + 1, on="boundary")])
    # networks read coordinates scaled to [-1, 1]
    found = made_solution(problem, [lambda a, b: (width * a) ** 2 + (height * b) ** 2])
    around = found.integral(sp.Integer(1), over="boundary")
    assert abs(found.integral(flux.dot(mesh.normal), over="boundary")) == pytest.approx(3 * around, rel=1e-6)
