"""Boundary values that hold exactly on boxes, and that nothing leaks into them from inside."""

import numpy as np
import pytest
import sympy as sp
import torch
from oracles import all_indices, derivative, network_of

import kinn
from kinn import div, grad
from kinn.formulations.lift import BoxLift
from kinn.formulations.scaling import initial_surrogate
from kinn.formulations.trial import Trial
from kinn.geometry import sample
from kinn.networks import JetSpace

LIKE = torch.zeros(0, dtype=torch.float64)


def interval():
    return kinn.Mesh.box(-1, 2, cells=4)


def square():
    return kinn.Mesh.box((0, 1), (2, 2), cells=3)


def cube():
    return kinn.Mesh.box((0, 0, 0), (1, 2, 1), cells=2)


def rod_in_time():
    return kinn.Mesh.box(0, 3, cells=3) * kinn.Interval("t", 1, 2)


ALL_MESHES = [interval, square, cube, rod_in_time]
every_mesh = pytest.mark.parametrize("make", ALL_MESHES, ids=lambda make: make.__name__)


def smooth(mesh):
    """Something without symmetry."""
    s = sum((k + 1) * x for k, x in enumerate(mesh.coordinates))
    return sp.sin(s) + mesh.coordinates[0] * mesh.coordinates[-1] ** 2


def problem_of(mesh, value):
    u = kinn.Field("u", mesh)
    if mesh.spatial_dimension == mesh.dimension:
        return kinn.Problem(mesh, {"p": -div(grad(u)) - 1}, [kinn.Dirichlet(u, value, on="boundary")])
    equation = u.diff(mesh.coordinates[-1]) - div(grad(u))
    conditions = [kinn.Dirichlet(u, value, on=("left", "right")), kinn.Initial(u, value)]
    return kinn.Problem(mesh, {"p": equation}, conditions)


def lift_of(problem):
    lift = BoxLift.of(problem)
    assert lift is not None
    return lift


def inside(mesh, n=40):
    return torch.as_tensor(sample(mesh, n, seed=5).x)


@every_mesh
def test_a_network_with_any_weights_takes_the_boundary_values(make):
    mesh = make()
    problem = problem_of(mesh, smooth(mesh))
    lift = lift_of(problem)
    surrogate = initial_surrogate(problem, network_of("gaussian", mesh.dimension), Trial(lift), LIKE)
    exact = sp.lambdify(mesh.coordinates, smooth(mesh))
    carried = [condition.on for condition in problem.conditions]
    facets = mesh.facets_of([name for names in carried for name in names])
    assert lift.covers(0, facets).all()
    x = sample(mesh, 200, facets=facets.tolist(), seed=2).x
    values = surrogate.values(torch.as_tensor(x), ((0, (0,) * mesh.dimension),))[0].detach().numpy()
    assert np.abs(values - exact(*x.T)).max() < 1e-13 * np.abs(values).max()
    within = surrogate.values(inside(mesh), ((0, (0,) * mesh.dimension),))[0].detach().numpy()
    assert np.abs(within - exact(*inside(mesh).numpy().T)).max() > 0.05  # only the boundary is given


@every_mesh
def test_derivatives_of_g_and_of_the_distance(make):
    mesh = make()
    lift, x, d = lift_of(problem_of(mesh, smooth(mesh))), inside(mesh), mesh.dimension
    space, here = JetSpace.of(all_indices(d, 4 - d), d), JetSpace.of([], d)
    for function in (lift.values, lift.distance):
        jets = function(0, x, space)
        for position, index in enumerate(space.indices):
            expected = derivative(lambda at, f=function: f(0, at, here)[0], x, index)
            assert (jets[position] - expected).abs().max() <= 1e-11 * max(expected.abs().max().item(), 1), index


@every_mesh
def test_distance_is_zero_on_the_carried_sides_only_and_at_most_one(make):
    mesh = make()
    lift, here = lift_of(problem_of(mesh, smooth(mesh))), JetSpace.of([], mesh.dimension)
    x = inside(mesh, 400)
    within = lift.distance(0, x, here)[0]
    assert (within > 0).all() and within.max() <= 1 + 1e-12 and within.max() > 0.5
    for (axis, end), facets in (mesh.box_sides() or {}).items():
        on_side = lift.distance(0, torch.as_tensor(sample(mesh, 50, facets=facets.tolist()).x), here)[0]
        assert bool(on_side.abs().max() < 1e-14) is ((axis, end) in lift.sides[0])


@every_mesh
def test_a_table_of_boundary_values_gives_the_same_function_as_the_formula(make):
    """The exact solution cannot leak: a coefficient that is NaN everywhere but on the boundary does as well."""
    mesh = make()
    formula = smooth(mesh)
    torch_formula = sp.lambdify(mesh.coordinates, formula, modules=[{"sin": torch.sin}])
    lower, upper = mesh.lower, mesh.upper

    def table(*columns):
        pairs = zip(columns, zip(lower, upper, strict=True), strict=True)
        on_boundary = torch.stack([(c == float(a)) | (c == float(b)) for c, (a, b) in pairs]).any(0)
        return torch.where(on_boundary, torch_formula(*columns), torch.full_like(columns[0], torch.nan))

    by_table = problem_of(mesh, kinn.Coefficient("table", mesh, table))
    by_formula = problem_of(mesh, formula)
    x, space = inside(mesh), JetSpace.of(all_indices(mesh.dimension, 2), mesh.dimension)
    first, second = (lift_of(p).values(0, x, space) for p in (by_formula, by_table))
    assert torch.isfinite(second).all()
    assert (first - second).abs().max() < 1e-12 * first.abs().max()


def test_values_that_contradict_each_other_at_a_corner_give_no_lift():
    mesh = square()
    u = kinn.Field("u", mesh)
    conditions = [kinn.Dirichlet(u, 0, on=("left", "right", "bottom")), kinn.Dirichlet(u, 1, on="top")]
    assert BoxLift.of(kinn.Problem(mesh, {"p": -div(grad(u))}, conditions)) is None
    agreeing = [kinn.Dirichlet(u, 0, on="left"), kinn.Dirichlet(u, 1, on="right")]
    lift = lift_of(kinn.Problem(mesh, {"p": -div(grad(u))}, agreeing))
    x = inside(mesh)
    assert torch.allclose(lift.values(0, x, JetSpace.of([], 2))[0], x[:, 0] / 2)


def test_only_whole_sides_and_known_values_are_lifted():
    mesh = square().tag("half", lambda x, y: (x < 1e-9) & (y < 1.5))
    u, p = kinn.Field("u", mesh), kinn.Parameter("p", guess=1.0)
    part = kinn.Problem(mesh, {"p": -div(grad(u)) - 1}, [kinn.Dirichlet(u, 0, on="half")])
    assert BoxLift.of(part) is None
    unknown = kinn.Problem(mesh, {"p": -div(grad(u)) - 1}, [kinn.Dirichlet(u, p, on="left")])
    assert BoxLift.of(unknown) is None


def test_meshes_that_are_no_boxes_have_no_lift():
    mesh = kinn.Mesh(np.array([[0.0, 0], [1, 0], [0, 1]]), np.array([[0, 1, 2]]), "triangle", {}, {})
    assert BoxLift.of(problem_of(mesh, 0)) is None


def test_components_are_lifted_one_by_one():
    mesh = square()
    x, y = mesh.coordinates
    u = kinn.Field("u", mesh, components=2)
    equations = {"p": kinn.div(grad(u)) + u}
    problem = kinn.Problem(mesh, equations, [kinn.Dirichlet(u[1], x + y, on="top")])
    lift = lift_of(problem)
    surrogate = initial_surrogate(problem, network_of("mlp", 2, 2), Trial(lift), LIKE)
    surrogate.amplitude[:] = 2.0
    top = torch.stack([torch.linspace(0, 2, 9, dtype=torch.float64), torch.full((9,), 2.0, dtype=torch.float64)], 1)
    first, second = surrogate.values(top, ((0, (0, 0)), (1, (0, 0))))
    assert (second - top.sum(1)).abs().max() < 1e-14
    raw = surrogate.network((top - surrogate.center) / surrogate.scale)
    assert torch.allclose(first, surrogate.offset[0] + 2 * raw[:, 0])


def test_values_without_derivatives_are_left_to_the_loss():
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=4)
    x, y = mesh.coordinates
    u = kinn.Field("u", mesh)
    problem = kinn.Problem(mesh, {"eq": -div(grad(u))}, [kinn.Dirichlet(u, sp.Max(0, x - sp.Rational(1, 2)), on="top")])
    assert BoxLift.of(problem) is None
