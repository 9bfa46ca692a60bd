"""Theorems of the geometry: Gauss's theorem on every kind of mesh, names through products and refinement."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import Delaunay

from kinn.geometry import Interval, Mesh, Points, gauss, reference_rule, sample
from kinn.statement.errors import StatementError

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("meshes/*.msh")) + [HERE.parent / "problems/meshes/lshape.msh"]


def bent_quads(n: int = 3) -> Mesh:
    """Quadrilaterals with no two sides parallel."""
    x, y = (g.ravel() for g in np.meshgrid(np.arange(n + 1.0), np.arange(n + 1.0), indexing="ij"))
    points = np.column_stack([x + 0.2 * np.sin(2 * y + x), y + 0.15 * np.cos(3 * x + y)])
    i, j = (g.ravel() for g in np.meshgrid(np.arange(n), np.arange(n), indexing="ij"))
    first = i * (n + 1) + j
    return Mesh(points, np.column_stack([first, first + n + 1, first + n + 2, first + 1]), "quad")


def bent_hexes() -> Mesh:
    """Hexahedra with faces that are not flat."""
    flat = Mesh.box((0, 0), (1, 1), 2)
    square = Mesh([[0, 0], [1, 0], [2, 0], [0, 1], [1, 1.2], [2, 1]], [[0, 1, 4, 3], [1, 2, 5, 4]], "quad")
    assert flat.dimension == square.dimension
    block = square * Interval("z", 0, 1, 2)
    points = np.array(block.points)
    points += 0.1 * np.sin(np.roll(3 * points, 1, axis=1) + points)
    return Mesh(points, block.cells, "hexahedron")


def lshape() -> Mesh:
    return Mesh.read(HERE.parent / "problems/meshes/lshape.msh")


MESHES = {
    "interval": lambda: Interval("x", -1, 2, 5),
    "square": lambda: Mesh.box((0, -1), (2, 1), 5),
    "cube": lambda: Mesh.box((0, 0, 0), (1, 2, 0.5), 3),
    "quads": bent_quads,
    "hexes": bent_hexes,
    "line x time": lambda: Mesh.box(0, 1, 5) * Interval("t", 0, 2, 3),
    "lshape x time": lambda: lshape() * Interval("t", 0, 2, 2),
    "quads x time": lambda: bent_quads(2) * Interval("t", 1, 2, 2),
    **{path.stem: (lambda path=path: Mesh.read(path)) for path in FILES},
}


def divergence_defect(mesh: Mesh, order: int = 4) -> float:
    """Largest of |int div F dx - int F.n ds| / int |F| over monomials F = x^a e_i of degree up to `order`."""
    # a polynomial in space has twice the degree in a reference cell of second order
    inside, around = (gauss(mesh, mesh.order * order, on) for on in (None, "boundary"))
    assert around.normal is not None
    x, y = ((p.x - mesh.lower) / mesh.scale - 1 for p in (inside, around))
    worst = 0.0
    for power in itertools.product(range(order + 1), repeat=mesh.dimension):
        if not 0 < sum(power) <= order:
            continue
        for axis in range(mesh.dimension):
            lowered = np.array(power)
            lowered[axis] = max(lowered[axis] - 1, 0)
            volume = (inside.weight * power[axis] * (x**lowered).prod(axis=1)).sum() / mesh.scale[axis]
            surface = around.weight * (y ** np.array(power)).prod(axis=1) * around.normal[:, axis]
            worst = max(worst, abs(volume - surface.sum()) / around.weight.sum())
    return worst


@pytest.mark.parametrize("name", MESHES)
def test_divergence_theorem(name):
    mesh = MESHES[name]()
    assert divergence_defect(mesh) < 1e-12
    around = gauss(mesh, 3, "boundary")
    assert around.normal is not None and around.cell is not None
    assert np.allclose(np.linalg.norm(around.normal, axis=1), 1, atol=1e-14)
    # a step along the exterior normal leaves the mesh (a search cuts bent faces into flat triangles: a longer step)
    step = (0.1 if name == "hexes" else 1e-3) * mesh.scale.min()
    outer = ~np.isin(around.cell, mesh.skfem.f2t[0, mesh.slit])  # across a crack lies its other side
    assert not mesh.contains((around.x + step * around.normal)[outer], 1e-9).any()
    assert np.isclose(gauss(mesh, 1).weight.sum(), mesh.measure, rtol=1e-14)


@pytest.mark.parametrize("name", MESHES)
def test_refinement_keeps_names_and_measures(name):
    mesh = MESHES[name]()
    if len(mesh.cells) > 1000:
        pytest.skip("large; its cell type is covered by the others")
    fine = mesh.refined()
    assert len(fine.cells) == 2**mesh.dimension * len(mesh.cells)
    assert fine.coordinate_names == mesh.coordinate_names and fine.spatial_dimension == mesh.spatial_dimension
    assert list(fine.boundaries) == list(mesh.boundaries) and list(fine.subdomains) == list(mesh.subdomains)
    for part in [*mesh.boundaries, *mesh.subdomains, "boundary"]:
        coarse, new = gauss(mesh, 3, part), gauss(fine, 3, part)
        assert np.isclose(coarse.weight.sum(), new.weight.sum(), rtol=2e-4)  # bent faces: the area is no polynomial
        assert np.allclose(coarse.weight @ coarse.x, new.weight @ new.x, rtol=1e-3, atol=1e-12)
    assert divergence_defect(fine, 2) < 1e-12


@pytest.mark.parametrize("path", sorted(HERE.parent.glob("problems/meshes/*.msh")), ids=lambda path: path.stem)
def test_divergence_theorem_on_the_meshes_of_the_problems(path):
    mesh = Mesh.read(path)
    around = gauss(mesh, 2, "boundary")
    assert around.normal is not None
    flux = (around.weight * (around.x * around.normal).sum(axis=1)).sum()
    assert abs(flux - mesh.dimension * mesh.measure) < 1e-12 * max(
        mesh.measure, np.abs(around.x).max() * around.weight.sum()
    )
    assert divergence_defect(mesh, 2) < 1e-12
    assert np.isclose(gauss(mesh, 1).weight.sum(), mesh.measure, rtol=1e-14)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([2, 3]))
def test_divergence_theorem_on_random_meshes(seed, dimension):
    points = np.random.default_rng(seed).normal(size=(25, dimension))
    mesh = Mesh(points, Delaunay(points).simplices, "triangle" if dimension == 2 else "tetra")
    assert divergence_defect(mesh, 3) < 1e-12
    assert len(mesh.reentrant_corners()) == 0  # a convex hull


@pytest.mark.parametrize(("dimension", "simplex"), [(1, True), (2, True), (3, True), (2, False), (3, False)])
def test_rules_are_positive_and_exact(dimension, simplex):
    for order in (*range(9), 20):
        nodes, weights = reference_rule(dimension, simplex, order)
        assert (weights > 0).all() and (nodes > 0).all()
        for power in itertools.product(range(order + 1), repeat=dimension):
            if sum(power) > order or (order == 20 and sum(power) < order):
                continue
            factorials = [sp.factorial(k) for k in power]
            exact = sp.prod(factorials) / sp.factorial(sum(power) + dimension)
            if not simplex:
                exact = sp.prod([sp.Rational(1, k + 1) for k in power])
            assert abs((weights * (nodes ** np.array(power)).prod(axis=1)).sum() - float(exact)) < 1e-14


def test_gauss_on_a_subdomain_and_an_interface():
    mesh = Mesh.read(HERE / "meshes/two_41_ascii.msh")
    steel = gauss(mesh, 2, "steel")
    assert np.isclose(steel.weight.sum(), 1) and steel.x[:, 0].max() < 1
    assert steel.cell is not None and set(steel.cell) == set(mesh.subdomains["steel"])
    interface = gauss(mesh, 2, "interface")
    assert interface.normal is not None
    assert np.isclose(interface.weight.sum(), 1) and np.allclose(np.abs(interface.normal[:, 0]), 1)
    assert np.isclose(gauss(mesh, 2, ["inlet", "openings"]).weight.sum(), 2)  # no facet twice
    with pytest.raises(StatementError, match="mixes boundaries and subdomains"):
        gauss(mesh, 2, ("steel", "inlet"))
    with pytest.raises(StatementError, match=r"'stel' names no part of the mesh; it has: .*Did you mean 'steel'\?"):
        gauss(mesh, 2, "stel")
    with pytest.raises(StatementError, match="order -1"):
        gauss(mesh, -1)


@pytest.mark.parametrize("name", MESHES)
def test_sampling(name):
    mesh = MESHES[name]()
    points = sample(mesh, 300, seed=1)
    assert len(points) == 300 and np.isclose(points.weight.sum(), mesh.measure)
    assert mesh.order == 2 or np.ptp(points.weight) == 0
    bent = name == "hexes"  # samples and searches cut bent faces flat in different ways
    assert points.cell is not None and mesh.contains(points.x, 5e-2 if bent else 1e-12).all()
    assert np.array_equal(points.x, sample(mesh, 300, seed=1).x)
    assert not np.array_equal(points.x, sample(mesh, 300, seed=2).x)
    many = sample(mesh, 4096)
    exact = gauss(mesh, 2)
    mean = exact.weight @ exact.x / exact.weight.sum()
    assert (np.abs(many.weight @ many.x / mesh.measure - mean) < 0.003 * mesh.scale).all()  # plain random numbers: 0.03
    around, rule = sample(mesh, 256, "boundary"), gauss(mesh, 6, "boundary")
    assert around.normal is not None and np.isclose(around.weight.sum(), rule.weight.sum(), rtol=2e-2)
    assert np.abs(around.weight @ around.normal).max() < 0.1 * rule.weight.sum()
    assert mesh.contains(around.x, 5e-2 if bent else 1e-9).all()


def test_sampling_parts():
    mesh = Mesh.read(HERE / "meshes/two_41_ascii.msh")
    part = sample(mesh, 10, ["steel"])
    assert np.isclose(part.weight.sum(), 1) and (part.x[:, 0] <= 1).all()
    outlet = sample(mesh, 7, "outlet")
    assert outlet.normal is not None and np.allclose(outlet.normal, [1, 0])
    ends = sample(Interval("x", 0, 1), 50, "boundary")
    assert sorted(ends.x[:, 0]) == [0, 1] and ends.weight.tolist() == [1, 1]
    with pytest.raises(StatementError, match="cannot sample 0 points"):
        sample(mesh, 0)
    both = Points.concat([part, outlet])
    assert len(both) == 17 and both.normal is None and both.cell is not None


@pytest.mark.parametrize("name", MESHES)
def test_locate(name):
    mesh = MESHES[name]()
    rule = gauss(mesh, 2)
    found = mesh.locate(rule.x)
    assert (found == rule.cell).all()
    if mesh.dimension > 1:
        assert mesh.contains(gauss(mesh, 6).x, 1e-2 if name == "hexes" else 1e-9).all()  # no gaps
    around = gauss(mesh, 2, "boundary")
    if name != "hexes":
        assert around.normal is not None and around.cell is not None
        size = 2 * mesh.scale.min()
        assert mesh.contains(around.x + 1e-7 * size * around.normal).all()
        outer = ~np.isin(around.cell, mesh.skfem.f2t[0, mesh.slit])
        assert not mesh.contains((around.x + 1e-4 * size * around.normal)[outer]).any()
    assert mesh.contains(mesh.points).all()
    assert mesh.locate(np.array([mesh.upper + 1, np.full(mesh.dimension, np.nan)])).tolist() == [-1, -1]
    with pytest.raises(StatementError, match="this mesh needs"):
        mesh.locate(np.zeros(mesh.dimension))


def test_locate_on_a_graded_mesh():
    x = np.concatenate([[0], np.geomspace(1e-6, 1, 30)])
    mesh = Mesh(x, np.column_stack([np.arange(30), np.arange(1, 31)]), "line")
    points = np.geomspace(1e-7, 0.999, 500)[:, None]
    assert np.array_equal(mesh.locate(points, 1e-12), np.searchsorted(x, points[:, 0]) - 1)
    assert not lshape().contains([[0.5, -0.5], [1e-3, -1e-3]]).any()
