"""Boundary values that hold exactly on disks, which meshes are disks, and that nothing leaks into them from inside."""

from pathlib import Path

import numpy as np
import pytest
import sympy as sp
import torch
from oracles import all_indices, derivative, network_of

import kinn
from kinn import div, grad
from kinn.formulations.choice import choose
from kinn.formulations.disk_lift import DiskLift
from kinn.formulations.scaling import initial_surrogate
from kinn.formulations.trial import Trial
from kinn.geometry import sample
from kinn.networks import JetSpace

LIKE = torch.zeros(0, dtype=torch.float64)
HERE = JetSpace.of([], 2)
MESHES = Path(__file__).parent / "meshes"


def disk(radius=1.0, center=(0.0, 0.0)):
    """The disk of a file, elsewhere and of another size."""
    mesh = kinn.Mesh.read(MESHES / "disk2_tri6.msh")
    place = lambda x: np.asarray(center) + radius * x  # noqa: E731
    names = mesh.boundaries, mesh.subdomains, mesh.coordinate_names, 2
    return kinn.Mesh(place(mesh.points), mesh.cells, "triangle", *names, curved=place(mesh.nodes[mesh.cell_nodes]))


def smooth(mesh):
    x, y = mesh.coordinates
    return sp.sin(x + 2 * y) + x * y**2


def problem_of(mesh, value, on="boundary"):
    u = kinn.Field("u", mesh)
    return kinn.Problem(mesh, {"p": -div(grad(u)) - 1}, [kinn.Dirichlet(u, value, on=on)])


def lift_of(problem):
    lift = DiskLift.of(problem)
    assert lift is not None
    return lift


def inside(mesh, n=40):
    return torch.as_tensor(sample(mesh, n, seed=5).x)


every_disk = pytest.mark.parametrize("radius, center", [(1.0, (0.0, 0.0)), (0.4, (3.0, -1.0))])


@every_disk
def test_a_disk_is_known_by_its_nodes(radius, center):
    circle = disk(radius, center).disk()
    assert circle is not None and circle.radius == pytest.approx(radius) and circle.center == pytest.approx(center)
    assert np.array_equal(np.sort(circle.facets), np.sort(disk().exterior))


@pytest.mark.parametrize("name", ["disk_41_ascii", "ring2_hex20", "crack2_22", "quad_41_ascii"])
def test_other_meshes_are_no_disks(name):
    assert (
        kinn.Mesh.read(MESHES / f"{name}.msh").disk() is None
    )  # the first has straight facets, which stand for themselves


def test_an_ellipse_and_a_ring_are_no_disks():
    mesh = disk()
    squeezed = [1.0, 1 + 1e-5]
    nodes = mesh.nodes[mesh.cell_nodes] * squeezed
    assert kinn.Mesh(mesh.points * squeezed, mesh.cells, "triangle", curved=nodes).disk() is None
    outer = np.linalg.norm(mesh.points[mesh.cells].mean(axis=1), axis=1) > 0.4
    used, cells = np.unique(mesh.cells[outer], return_inverse=True)
    parts = mesh.points[used], cells.reshape(-1, 3), "triangle"
    assert kinn.Mesh(*parts, curved=mesh.nodes[mesh.cell_nodes[outer]]).disk() is None


@every_disk
def test_a_network_with_any_weights_takes_the_boundary_values(radius, center):
    mesh = disk(radius, center)
    problem = problem_of(mesh, smooth(mesh))
    trial = Trial.of(problem)
    assert isinstance(trial.lift, DiskLift) and trial.lift.covers(0, mesh.exterior).all()
    surrogate = initial_surrogate(problem, network_of("gaussian", 2), trial, LIKE)
    exact = sp.lambdify(mesh.coordinates, smooth(mesh))
    angle = np.linspace(0, 2 * np.pi, 50)
    x = center + radius * np.column_stack([np.cos(angle), np.sin(angle)])
    values = surrogate.values(torch.as_tensor(x), ((0, (0, 0)),))[0].detach().numpy()
    assert np.abs(values - exact(*x.T)).max() < 1e-12 * np.abs(values).max()
    surrogate.amplitude[:] = 1.0
    within = surrogate.values(inside(mesh), ((0, (0, 0)),))[0].detach().numpy()
    assert np.abs(within - exact(*inside(mesh).numpy().T)).max() > 0.05  # only the boundary is given


@every_disk
def test_derivatives_of_g_and_of_the_distance(radius, center):
    mesh = disk(radius, center)
    lift, x = lift_of(problem_of(mesh, smooth(mesh))), inside(mesh, 10)
    space = JetSpace.of(all_indices(2, 3), 2)
    for function in (lift.values, lift.distance):
        jets = function(0, x, space)
        for position, index in enumerate(space.indices):
            expected = derivative(lambda at, f=function: f(0, at, HERE)[0], x, index)
            assert (jets[position] - expected).abs().max() <= 1e-10 * max(expected.abs().max().item(), 1), index
    distance = lift.distance(0, inside(mesh, 400), HERE)[0]
    assert (distance > -1e-3).all() and 0.9 < distance.max() <= 1


def test_a_table_of_boundary_values_gives_the_same_function_as_the_formula():
    """The exact solution cannot leak: a coefficient that is NaN everywhere but on the circle does as well."""
    mesh = disk()
    formula = sp.lambdify(mesh.coordinates, smooth(mesh), modules=[{"sin": torch.sin}])

    def table(x, y):
        return torch.where((x**2 + y**2 - 1).abs() < 1e-12, formula(x, y), torch.full_like(x, torch.nan))

    x, space = inside(mesh), JetSpace.of(all_indices(2, 2), 2)
    by_table = problem_of(mesh, kinn.Coefficient("table", mesh, table))
    first, second = (lift_of(p).values(0, x, space) for p in (problem_of(mesh, smooth(mesh)), by_table))
    assert (first - second).abs().max() < 1e-12 * first.abs().max()


def test_the_continuation_is_harmonic():
    mesh = disk()
    x, y = mesh.coordinates
    lift, at = lift_of(problem_of(mesh, sp.exp(x) * sp.cos(y))), inside(mesh)
    space = JetSpace.of([(2, 0), (0, 2)], 2)
    jets = lift.values(0, at, space)
    assert torch.allclose(jets[0], torch.exp(at[:, 0]) * torch.cos(at[:, 1]), rtol=0, atol=1e-13)
    laplacian = jets[space.position[2, 0]] + jets[space.position[0, 2]]
    assert laplacian.abs().max() < 1e-11


def test_only_the_whole_circle_and_smooth_known_values_are_lifted():
    mesh = disk()
    x, y = mesh.coordinates
    mesh.tag("half", lambda x, y: x > 0.1)
    nodal = kinn.Coefficient("nodal", mesh, np.ones(len(mesh.points)))
    for value, on in (
        (0, "half"),
        (sp.Abs(x), "boundary"),
        (kinn.Parameter("p", guess=1.0), "boundary"),
        (nodal, "boundary"),
    ):
        assert DiskLift.of(problem_of(mesh, value, on)) is None
    u = kinn.Field("u", mesh, components=2)
    conditions = [kinn.Dirichlet(u[0], 0, on="half"), kinn.Dirichlet(u[1], x, on="boundary")]
    lift = lift_of(kinn.Problem(mesh, {"p": kinn.div(grad(u)) + u}, conditions))
    assert [lift.holds(c) for c in (0, 1)] == [False, True]
    assert not lift.covers(0, mesh.exterior).any() and lift.covers(1, mesh.exterior).all()
    assert torch.allclose(lift.values(1, inside(mesh), HERE)[0], inside(mesh)[:, 0])


def test_finite_elements_keep_the_boundary_of_the_mesh():
    problem = problem_of(disk(), 0)
    assert Trial.of(problem, choose(problem).weak).lift is None


@every_disk
def test_a_solution_on_a_disk(radius, center, tmp_path):
    """With terms for the boundary values these steps end a hundred times farther away."""
    mesh = disk(radius, center)
    u, (x, y) = kinn.Field("u", mesh), mesh.coordinates
    s, t = (x - center[0]) / radius, (y - center[1]) / radius
    exact = sp.sin(2 * s) * sp.exp(t) + s * t**2
    problem = kinn.Problem(
        mesh, {"p": -div(grad(u)) + exact.diff(x, 2) + exact.diff(y, 2)}, [kinn.Dirichlet(u, exact, on="boundary")],
        exact={u: exact},
    )  # fmt: skip
    solution = kinn.solve(problem, steps=50, tolerance=1e-9, progress=False)
    assert solution.result.form == "strong"
    (error,) = solution.error(problem.exact).values()
    assert error.relative_l2 < 1e-6
    assert solution.estimate == pytest.approx(error.relative_h1, rel=0.5)
    solution.save(tmp_path / "disk.kinn")
    (again,) = kinn.load(tmp_path / "disk.kinn", problem).error(problem.exact).values()
    assert again.relative_l2 == error.relative_l2
