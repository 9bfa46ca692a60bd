"""Adaptive meshes of periodic problems: whatever the errors, both sides stay alike."""

from pathlib import Path

import numpy as np
import pytest

import kinn
from kinn import div, grad
from kinn.formulations.galerkin import GalerkinSpace
from kinn.formulations.growth import grown
from kinn.geometry import graded
from kinn.statement.terms import weak_terms

CELL = kinn.Mesh.read(Path(__file__).parents[1] / "problems" / "meshes" / "periodic_cell.msh")
MESHES = {
    "square": lambda: kinn.Mesh.box((0, 0), (1, 1), cells=3),
    "cell": lambda: CELL,
    "cube": lambda: kinn.Mesh.box((0, 0, 0), (1, 1, 1), cells=2),
}
PAIRS = (("left", "right", 0), ("bottom", "top", 1))


def problem_on(mesh, pairs=PAIRS):
    u = kinn.Field("u", mesh)
    periodic = [kinn.Periodic(u, first, second) for first, second, _ in pairs]
    return kinn.Problem(mesh, {"heat": -div(grad(u)) + u - 1}, periodic)


def side(mesh, name, axis):
    points = mesh.points[np.unique(np.asarray(mesh.skfem.facets)[:, mesh.boundaries[name]])]
    points = np.delete(points, axis, axis=1)
    return points[np.lexsort(np.round(points, 9).T)]


def alike(mesh, pairs=PAIRS):
    for first, second, axis in pairs:
        one, two = side(mesh, first, axis), side(mesh, second, axis)
        if len(one) != len(two) or not np.allclose(one, two, rtol=0, atol=1e-9):
            return False
    return True


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name, rounds", [("square", 5), ("cell", 3), ("cube", 2)])
def test_periodic_sides_stay_alike_under_random_errors(name, rounds, seed):
    mesh, rng = MESHES[name](), np.random.default_rng(seed)
    weak = weak_terms(problem_on(mesh))
    for _ in range(rounds):
        errors = rng.random(len(mesh.cells)) ** 12  # a few cells hold most of it
        finer = grown(mesh, errors, weak)
        assert alike(finer) and len(finer.cells) > len(mesh.cells)
        assert np.isclose(finer.measure, mesh.measure, rtol=1e-10)
        mesh = finer
    assert sorted(mesh.boundaries) == sorted(MESHES[name]().boundaries)


def test_random_grading_alone_would_break_them():
    mesh, rng = MESHES["square"](), np.random.default_rng(0)
    for _ in range(3):
        mesh = graded(mesh, rng.random(len(mesh.cells)) ** 12)
    assert not alike(mesh)


def test_a_grown_mesh_carries_a_galerkin_space():
    problem, rng = problem_on(CELL), np.random.default_rng(5)
    weak = weak_terms(problem)
    mesh = grown(CELL, rng.random(len(CELL.cells)) ** 12, weak)
    space = GalerkinSpace(problem, weak, mesh, 2)
    assert len(space.ties[0].slaves) > 0


def test_the_cells_with_the_errors_are_cut_and_few_others():
    """An error at one point of the left side: the right one gets its partner, the rest of the mesh stays."""
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=8)
    weak = weak_terms(problem_on(mesh))
    near = np.linalg.norm(mesh.points[mesh.cells].mean(1) - [0.05, 0.45], axis=1) < 0.08
    finer = grown(mesh, near.astype(float), weak)
    assert alike(finer) and len(finer.cells) < len(mesh.cells) + 30


def test_without_periods_nothing_but_the_errors_counts():
    mesh = MESHES["square"]()
    u = kinn.Field("u", mesh)
    weak = weak_terms(kinn.Problem(mesh, {"heat": -div(grad(u)) + u - 1}, []))
    errors = np.random.default_rng(0).random(len(mesh.cells)) ** 12
    assert np.array_equal(grown(mesh, errors, weak).points, graded(mesh, errors).points)


def test_one_period_leaves_the_other_sides_free():
    mesh, rng = MESHES["square"](), np.random.default_rng(2)
    weak = weak_terms(problem_on(mesh, PAIRS[:1]))
    for _ in range(4):
        mesh = grown(mesh, rng.random(len(mesh.cells)) ** 12, weak)
    assert alike(mesh, PAIRS[:1]) and not alike(mesh, PAIRS[1:])
