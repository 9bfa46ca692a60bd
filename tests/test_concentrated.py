"""Points gather where a residual is large, and integrate the same."""

from functools import partial

import numpy as np
import pytest
import sympy as sp
import torch

import kinn
from kinn.formulations.blocks import PointBlock
from kinn.formulations.concentrated import concentrated, toward_ends
from kinn.formulations.program import Program
from kinn.formulations.scaling import initial_surrogate
from kinn.formulations.trial import Trial
from kinn.formulations.unknowns import Unknowns
from kinn.geometry import sample
from kinn.networks import KAN

MESH = kinn.Mesh.box((0, 0), (1, 1), cells=2)
X, Y = MESH.coordinates


def gathered(expression, n=400):
    """Points before and after, for a residual that is `expression` whatever the network is."""
    u = kinn.Field("u", MESH)
    problem = kinn.Problem(MESH, u - expression, [])
    like = torch.zeros(0, dtype=torch.float64)
    surrogate = initial_surrogate(problem, KAN([2, 2, 1]), Trial(), like)
    unknowns = Unknowns.at_guess(problem, surrogate)
    program = Program([expression + 0 * u], problem)
    before = sample(MESH, n, seed=1)
    block_of = partial(PointBlock, "", program, surrogate=surrogate)
    after = concentrated(before, block_of(before), partial(sample, MESH, seed=1), block_of, unknowns, 0)
    return before, after


def test_a_smooth_residual_keeps_its_points():
    before, after = gathered(sp.sin(3 * X) * sp.cos(2 * Y) + 2)
    assert after is before


@pytest.mark.parametrize("width", [0.02, 0.005])
def test_a_layer_gets_half_of_the_points_and_the_integral_stays(width):
    layer = sp.exp(-(((X - 0.43) / width) ** 2))
    before, after = gathered(layer)
    near = np.abs(after.x[:, 0] - 0.43) < 2 * width
    assert len(after) <= len(before) + 1 and near.mean() > 0.3
    assert (np.abs(before.x[:, 0] - 0.43) < 2 * width).mean() < 0.1
    value = np.exp(-2 * ((after.x[:, 0] - 0.43) / width) ** 2)
    exact = width * np.sqrt(np.pi / 2)
    assert after.weight @ value == pytest.approx(exact, rel=0.1)
    assert after.weight.sum() == pytest.approx(1, rel=0.1)


def test_points_of_a_line_are_dense_at_its_ends_and_the_integral_stays():
    line = kinn.Mesh.box(2, 6, cells=5)
    points = toward_ends(partial(sample, line, seed=1), 300, 0)
    gaps = np.diff(np.sort(points.x[:, 0]))
    assert 0.9 * 300 < len(points) <= 301
    assert np.r_[gaps[:3], gaps[-3:]].max() < 0.1 * gaps.max()
    assert points.weight @ points.x[:, 0] ** 2 == pytest.approx((6**3 - 2**3) / 3, rel=1e-2)
