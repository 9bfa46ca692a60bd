"""Boundary layers: found from the equations, read by networks, resolved by the tests."""

import numpy as np
import pytest
import sympy as sp
import torch
from oracles import network_of

import kinn
from kinn import div, grad
from kinn.candidates import candidates
from kinn.formulations.galerkin_form import GalerkinForm
from kinn.formulations.layers import boundary_layers, peclet
from kinn.formulations.trial import Trial
from kinn.networks import Inputs, JetSpace, Layer
from kinn.statement.terms import weak_terms

UNIT = kinn.Mesh.box((0, 0), (1, 1), cells=4)


def flow(mesh=UNIT, eps=0.01, wind=(1, 1), sign=1, conservative=False, reaction=0, on=("boundary",)):
    u = kinn.Field("u", mesh)
    carried = div(sp.Matrix(wind) * u) if conservative else sp.Matrix(wind).dot(grad(u))
    equation = sign * (-div(eps * grad(u)) + carried + reaction * u - 1)
    return kinn.Problem(mesh, {"transport": equation}, [kinn.Dirichlet(u, 0, on=on)])


def layers_of(problem):
    return {tuple(np.round(layer.normal, 6)): layer for layer in boundary_layers(problem, weak_terms(problem))}


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("conservative", [False, True])
def test_flow_makes_layers_where_it_leaves(sign, conservative):
    found = layers_of(flow(wind=(1, -2), sign=sign, conservative=conservative))
    assert set(found) == {(1, 0), (0, -1)}
    assert found[1, 0].width == pytest.approx(0.01) and found[1, 0].edge == 1
    # twice as much flow, half the width; thinner than the tests have room for, so twice that
    assert found[0, -1].width == pytest.approx(0.01) and found[0, -1].edge == 0
    problem = flow(wind=(1, -2), sign=sign, conservative=conservative)
    assert peclet(problem, weak_terms(problem)) == pytest.approx(0.5 * 5**0.5 / 0.01)


def test_reaction_makes_layers_on_all_sides_and_flow_parabolic_ones_along_it():
    found = layers_of(flow(eps=1e-3, wind=(0, 0), reaction=1))
    assert len(found) == 4 and all(layer.width == pytest.approx(1e-3**0.5) for layer in found.values())
    along = layers_of(flow(eps=1e-3, wind=(1, 0)))
    assert set(along) == {(1, 0), (0, 1), (0, -1)}
    assert along[0, 1].width == pytest.approx((1e-3 * 0.5) ** 0.5)


def test_smooth_solutions_free_sides_curves_and_re_entrant_sides_have_none():
    assert not layers_of(flow(wind=(0, 0))) and not layers_of(flow(eps=1.0))
    assert set(layers_of(flow(on=("left", "bottom", "top")))) == {(0, 1)}
    disk = kinn.Mesh.read("tests/meshes/disk_41_ascii.msh")
    assert not layers_of(flow(disk))
    lshape = kinn.Mesh.read("problems/meshes/lshape.msh")
    for normal, layer in layers_of(flow(lshape)).items():
        assert (lshape.nodes @ np.array(normal)).max() == pytest.approx(layer.edge)
    assert not layers_of(flow(UNIT * kinn.Interval("t", 0, 1)))


@pytest.mark.parametrize("length, shift", [(1e3, 0), (1, 100)])
def test_widths_follow_the_units(length, shift):
    mesh = kinn.Mesh.box((shift, shift), (shift + length, shift + length), cells=4)
    found = layers_of(flow(mesh, eps=0.01 * length))
    assert all(layer.width == pytest.approx(0.01 * length) for layer in found.values()) and len(found) == 2


def test_a_layer_is_an_input_with_exact_derivatives():
    layer = Layer((0.6, 0.8), 1.0, 0.3)
    inputs = Inputs(torch.zeros(2).double(), torch.ones(2).double(), (None, None), (layer,))
    x = torch.rand(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    space = JetSpace.of([(2, 0), (1, 1), (0, 2)], 2)
    found = inputs.jets(x, space)[..., 2]
    decay = torch.exp((x @ torch.tensor([0.6, 0.8], dtype=torch.float64) - 1) / 0.3)
    wanted = {
        (0, 0): 2 * decay - 1,
        (1, 0): 4 * decay,
        (1, 1): 2 * decay * 0.48 / 0.09,
        (0, 2): 2 * decay * 0.64 / 0.09,
    }
    for index, value in wanted.items():
        torch.testing.assert_close(found[space.position[index]], value)


def test_the_tests_resolve_layers_and_no_distance_divides_them():
    problem = flow(kinn.Mesh.box((0, 0), (1, 1), cells=8))
    weak = weak_terms(problem)
    trial = Trial.of(problem, weak)
    assert trial.lift is not None
    assert trial.n_inputs(2) == 4 and set(trial.lift.sides[0]) == {(0, 0), (1, 0)}
    form = GalerkinForm(problem, weak, problem.mesh)
    form._resolve(trial.layers)
    corners = form.mesh.points[form.mesh.cells]
    there = corners[..., 0].max(1) > 1 - 1e-9
    assert np.ptp(corners[there][..., 0], axis=1).max() <= 1.2 * 0.01 and len(form.mesh.points) < 4000


def test_a_network_that_reads_coordinates_only_goes_without_layers():
    problem = flow()
    trial = Trial.of(problem, weak_terms(problem))
    _, plain = candidates(problem, network_of("mlp", 2), trial, 0, torch.float64, torch.device("cpu"))
    assert not plain.layers and plain.lift is not None and len(plain.lift.sides[0]) == 4


def test_thin_layers_train_in_seconds_and_survive_saving(tmp_path):
    mesh = kinn.Mesh.box((0,), (1,), cells=16)
    (x,) = mesh.coordinates
    u = kinn.Field("u", mesh)
    eps = sp.Rational(1, 1000)
    exact = x - (sp.exp((x - 1) / eps) - sp.exp(-1 / eps)) / (1 - sp.exp(-1 / eps))
    problem = kinn.Problem(
        mesh, {"transport": -eps * div(grad(u)) + u.diff(x) - 1}, [kinn.Dirichlet(u, 0, on="boundary")]
    )
    solution = kinn.solve(problem, time_limit=5, tolerance=1e-4, progress=False)
    assert solution.error({u: exact})["u"].relative_l2 < 1e-4
    assert "layers" in str(solution)
    solution.save(tmp_path / "u.kinn")
    again = kinn.load(tmp_path / "u.kinn", problem)
    points = np.linspace(0, 1, 50)[:, None]
    assert np.array_equal(again(points), solution(points))
