"""The partition of a mesh by its materials: the same one on every mesh that is refined from the problem's."""

import numpy as np
import pytest
import torch
from made_meshes import halves, quarters

import kinn
from kinn import div, grad
from kinn.formulations.parts import Parts
from kinn.geometry import graded


def centers(mesh):
    return mesh.points[mesh.cells].mean(axis=1)


def heat(mesh, k, **conditions):
    u = kinn.Field("u", mesh)
    return kinn.Problem(mesh, {"heat": -div(k * grad(u)) - 1}, [kinn.Dirichlet(u, 0, on="boundary")])


def test_cells_are_in_one_part_if_and_only_if_they_lie_in_the_same_subdomains():
    mesh = quarters()
    for names, count in (((), 1), (("bright",), 2), (("bright", "dark"), 2), (("bright", "upper"), 4)):
        parts = Parts(mesh, names)
        own = parts.numbers(mesh)
        table = np.stack(
            [np.isin(np.arange(len(mesh.cells)), mesh.subdomains[name]) for name in names] or [own == 0], 1
        )
        same = (table[:, None] == table[None]).all(2)
        assert parts.count == count == len(np.unique(own))
        assert np.array_equal(own[:, None] == own[None], same), names
        assert np.array_equal(parts.of_cells(np.arange(len(own))[::-1]), own[::-1])


def test_a_name_twice_counts_once_and_the_text_names_every_part():
    parts = Parts(quarters(), ["bright", "bright", "upper"])
    assert parts.names == ("bright", "upper")
    assert sorted(str(parts).split(", ")) == ["bright", "bright+upper", "rest", "upper"]


def test_refined_and_graded_meshes_have_the_parts_of_the_places_where_their_cells_are():
    mesh, rng = quarters(), np.random.default_rng(0)
    parts = Parts(mesh, ["bright", "upper"])
    finer = mesh.refined()
    assert np.array_equal(parts.numbers(finer), parts.at(centers(finer)))
    for _ in range(3):
        finer = graded(finer, rng.random(len(finer.cells)) ** 4)
        assert np.array_equal(parts.numbers(finer), parts.at(centers(finer)))


def test_points_on_both_sides_of_an_interface_are_told_apart():
    mesh = halves(kinn.Mesh.box((0, 0), (1, 1), cells=4))
    parts = Parts(mesh, ["a", "b"])
    y = np.linspace(0.01, 0.99, 50)
    left, right = (parts.at(np.stack([np.full(50, 0.5 + e), y], 1)) for e in (-1e-8, 1e-8))
    assert len(set(left)) == len(set(right)) == 1 and left[0] != right[0]
    assert left[0] == parts.of_cells(mesh.subdomains["a"])[0]
    assert parts.at(np.array([[7.0, 7.0]])).tolist() == [0]


def test_coefficients_per_subdomain_make_parts():
    mesh = halves(kinn.Mesh.box((0, 0), (1, 1), cells=2))
    x, _ = mesh.coordinates
    parts = Parts.of(heat(mesh, kinn.Coefficient("k", mesh, {"a": 1, "b": 10 + x})))
    assert parts.count == 2 and set(parts.names) == {"a", "b"}
    unknown = kinn.Parameter("kb", guess=2)
    assert Parts.of(heat(mesh, kinn.Coefficient("k", mesh, {"a": 1, "b": unknown}))).count == 2


def test_smooth_coefficients_make_none():
    mesh = halves(kinn.Mesh.box((0, 0), (1, 1), cells=2))
    x, _ = mesh.coordinates
    for k in (
        2 + x,
        kinn.Coefficient("k", mesh, lambda x, y: torch.exp(x)),
        kinn.Coefficient("k", mesh, {"a": 3, "b": 3}),
    ):
        parts = Parts.of(heat(mesh, k))
        assert parts.count == 1 and not parts.names
        assert not parts.at(np.array([[0.2, 0.2], [0.9, 0.2]])).any()


def test_equations_per_subdomain_make_parts():
    mesh = halves(kinn.Mesh.box((0, 0), (1, 1), cells=2))
    u = kinn.Field("u", mesh)
    equations = {
        "left": kinn.Equation(-div(grad(u)) - 1, on="a"),
        "right": kinn.Equation(-div(5 * grad(u)), on="b"),
    }
    problem = kinn.Problem(mesh, equations, [kinn.Dirichlet(u, 0, on="boundary")])
    assert Parts.of(problem).count == 2


def test_a_name_that_the_mesh_lacks_is_a_mistake():
    with pytest.raises(KeyError):
        Parts(quarters(), ["air"])
