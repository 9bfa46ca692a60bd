"""Sparse factorizations: the ordering for large systems gives the same answers, and singular systems are told in both."""

import numpy as np
import pytest
import torch
from scipy import sparse

import kinn
from kinn import div, grad
from kinn.formulations import factor
from kinn.formulations.factor import Factor, SingularTangent
from kinn.formulations.galerkin import GalerkinSpace
from kinn.statement.terms import weak_terms

MESH = kinn.Mesh.box((0, 0), (1, 1), cells=6)
SOLID = kinn.Mesh.box((0, 0, 0), (1, 2, 3), cells=4)


def flow(mesh=MESH):
    u = kinn.Field("u", mesh)
    return kinn.Problem(
        mesh, {"t": -div(0.01 * grad(u)) + u.diff(mesh.coordinates[0]) - 1}, [kinn.Dirichlet(u, 0, on="boundary")]
    )


def flow_in_space():
    return flow(SOLID)


def elastic():
    u = kinn.Field("u", MESH, components=2)
    stress = kinn.physics.plane_stress(u, 1000, 0.3)
    return kinn.Problem(
        MESH,
        {"equilibrium": -div(stress)},
        [kinn.Dirichlet(u, 0, on="left"), kinn.Neumann(stress, [1, 0], on="right")],
    )


def elastic_in_space():
    """Three components at each place."""
    u = kinn.Field("u", SOLID, components=3)
    stress = kinn.physics.elastic_stress(u, 1000, 0.3)
    return kinn.Problem(SOLID, {"equilibrium": -div(stress)}, [kinn.Dirichlet(u, 0, on="left")])


@pytest.mark.parametrize("build", [flow, elastic, flow_in_space, elastic_in_space])
def test_all_orderings_solve_the_system(build, monkeypatch):
    problem = build()
    space = GalerkinSpace(problem, weak_terms(problem), problem.mesh)
    nothing = torch.zeros(0, dtype=torch.float64)
    tangent = space.tangent(space.jets_of(np.zeros(space.size)), nothing)
    free = np.setdiff1d(np.arange(space.size), space.fixed)
    right = np.random.default_rng(1).standard_normal((len(free), 3))
    plain = Factor(space, tangent, free).solve(right)
    used, splu = [], factor.linalg.splu
    monkeypatch.setattr(factor, "LARGE", 0)
    monkeypatch.setattr(factor, "LARGE_SOLID", 0)
    monkeypatch.setattr(
        factor.linalg, "splu", lambda matrix, **settings: used.append(settings) or splu(matrix, **settings)
    )
    found = Factor(space, tangent, free).solve(right)
    order = "NATURAL" if problem.mesh.dimension == 3 else "MMD_AT_PLUS_A"
    assert used == [{**factor.SYMMETRIC, "permc_spec": order}]  # and no second attempt
    np.testing.assert_allclose(found, plain, rtol=1e-9, atol=1e-11 * np.abs(plain).max())
    np.testing.assert_allclose(tangent[free][:, free] @ found, right, atol=1e-9)


def drifting():
    """No boundary value: constants are open, and what is orthogonal to the image is no constant, since A is not symmetric."""
    u = kinn.Field("u", MESH)
    return kinn.Problem(
        MESH, {"t": -div(grad(u)) + 3 * u.diff(MESH.coordinates[0])}, [kinn.Neumann(grad(u), 0, on="boundary")]
    )


@pytest.mark.parametrize("build", [flow, elastic, drifting])
def test_the_adjoint_is_the_transpose_of_the_solve(build):
    problem = build()
    space = GalerkinSpace(problem, weak_terms(problem), MESH)
    nothing = torch.zeros(0, dtype=torch.float64)
    tangent = space.tangent(space.jets_of(np.zeros(space.size)), nothing)
    free = np.setdiff1d(np.arange(space.size), space.fixed)
    solver = Factor(space, tangent, free)
    assert solver.null.shape[1] == (build is drifting)
    right, weights = np.random.default_rng(2).standard_normal((2, len(free), 3))
    assert np.allclose(weights.T @ solver.solve(right), solver.adjoint(weights).T @ right, rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("large", [0, 15_000])
def test_singular_systems_are_told(large, monkeypatch):
    monkeypatch.setattr(factor, "LARGE", large)
    ones = sparse.csc_array(np.array([[1.0, 1.0], [1.0, 1.0 + 1e-15]]))
    for matrix in (ones, sparse.csc_array(np.array([[1.0, 0.0], [0.0, 0.0]]))):
        with pytest.raises(SingularTangent):
            factor._factorized(matrix, np.zeros((2, 2)))


def test_a_saddle_point_that_the_symmetric_ordering_cannot_solve_falls_back(monkeypatch):
    monkeypatch.setattr(factor, "LARGE", 0)
    saddle = sparse.csc_array(np.array([[0.0, 1.0], [1.0, 0.0]]))
    np.testing.assert_allclose(factor._factorized(saddle, np.zeros((2, 2))).solve(np.array([2.0, 3.0])), [3.0, 2.0])
