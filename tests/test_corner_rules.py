"""Quadrature at singular points: exact powers of r, every cell once, and a weak residual that vanishes as it should."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import nn

import kinn
from kinn.formulations.corner_rules import apex_rule, graded_rules
from kinn.formulations.correction import Correction
from kinn.formulations.galerkin import NOWHERE, GalerkinSpace
from kinn.formulations.on_elements import jets_on
from kinn.formulations.surrogate import Surrogate
from kinn.formulations.trial import Trial
from kinn.formulations.unknowns import Unknowns
from kinn.formulations.weak import WeakBlock
from kinn.geometry import graded
from kinn.networks import JetSpace, ModuleNetwork
from kinn.problem_file import ProblemFile
from kinn.statement.terms import weak_terms

LSHAPE = ProblemFile.load(Path(__file__).parents[1] / "problems" / "lshape_harmonic.py", {}).problem()
CORNER = np.array([[0.0, 0.0]])


@pytest.mark.parametrize("apex", [0, 1, 2])
@pytest.mark.parametrize("power", [0.5 - 1, 0.5445 - 1, 2 / 3 - 1, 0.9 - 1, 1.5 - 1, 0.0])
@pytest.mark.parametrize("a, b", [(0, 0), (1, 0), (0, 2), (1, 1)])
def test_powers_of_the_distance_times_polynomials_are_integrated(apex, power, a, b):
    """Homogeneous around the apex: int r^p x^a y^b = 2 area / (p + a + b + 2) times the mean over the opposite side."""
    corners = np.roll(np.array([[0.0, 0.0], [1.0, 0.1], [0.45, 0.8]]), apex, axis=0)
    nodes, weights = apex_rule(apex)
    jacobian = (corners[1:] - corners[0]).T
    x, y = jacobian @ nodes + corners[0][:, None]
    area2 = abs(np.linalg.det(jacobian))
    found = area2 * (weights @ (np.hypot(x, y) ** power * x**a * y**b))
    start, end = corners[(apex + 1) % 3], corners[(apex + 2) % 3]

    def side(s):
        u, v = start + s * (end - start)
        return np.hypot(u, v) ** power * u**a * v**b

    expected = area2 / (power + a + b + 2) * quad(side, 0, 1, epsabs=1e-14)[0]
    # smooth factors of the second degree come with h^2
    assert abs(found - expected) < (5e-10 if a + b < 2 else 1e-7) * abs(expected)


def test_a_galerkin_space_with_corners_integrates_over_the_whole_mesh():
    weak = weak_terms(LSHAPE)
    space = GalerkinSpace(LSHAPE, weak, LSHAPE.mesh, 2, corners=CORNER)
    cells = [piece for piece in space.pieces if piece.normal is None]
    assert len(cells) > 2
    assert np.isclose(sum(float(piece.weight.sum()) for piece in cells), LSHAPE.mesh.measure, rtol=1e-12)


@pytest.mark.parametrize("apex", [0, 1, 2])
def test_polynomials_stay_exact(apex):
    nodes, weights = apex_rule(apex)
    assert (weights > 0).all() and (nodes > 0).all() and (nodes.sum(0) < 1).all()
    for a, b in ((0, 0), (2, 0), (1, 1), (0, 2)):
        exact = quad(lambda s, a=a, b=b: s**a * (1 - s) ** (b + 1) / (b + 1), 0, 1)[0]
        assert np.isclose(weights @ (nodes[0] ** a * nodes[1] ** b), exact, rtol=1e-12)


def test_every_cell_has_one_rule():
    mesh, rng = LSHAPE.mesh, np.random.default_rng(1)
    for _ in range(3):
        groups = graded_rules(mesh, CORNER)
        assert sorted(np.concatenate([cells for cells, _ in groups])) == list(range(len(mesh.cells)))
        rules = [rule for _, rule in groups if rule is not None]
        assert len(rules) == len(groups) - 1 > 1
        for _, weights in rules:
            assert np.isclose(weights.sum(), 0.5, rtol=1e-13)  # of the reference triangle
        # the special rule has its points around the corner
        at = np.linalg.norm(mesh.points[mesh.cells], axis=2).min(1) < 1e-12
        count = len(apex_rule(0)[1])
        special = [cells for cells, rule in groups if rule is not None and len(rule[1]) == count]
        assert np.array_equal(np.sort(np.concatenate(special)), np.flatnonzero(at))
        mesh = graded(mesh, rng.random(len(mesh.cells)))


def test_without_corners_or_on_other_cells_the_plain_rule_is_used():
    quads = kinn.Mesh([[0, 0], [1, 0], [1, 1], [0, 1]], [[0, 1, 2, 3]], "quad")
    for mesh, corners in ((LSHAPE.mesh, NOWHERE), (quads, CORNER)):
        ((cells, rule),) = graded_rules(mesh, corners)
        assert len(cells) == len(mesh.cells) and rule is None


class Constant(nn.Module):
    """Outputs that do not depend on the point."""

    def __init__(self, values):
        super().__init__()
        self.values = nn.Parameter(torch.tensor(values, dtype=torch.float64))

    def forward(self, x):
        return self.values + 0 * x[:, :1]


def exact(x, y):
    angle = np.arctan2(-x - y, y - x)
    return (x**2 + y**2) ** (1 / 3) * np.cos(2 * angle / 3)


def test_the_exact_singular_solution_has_no_weak_loss_with_the_corner_rules_only():
    """u = r^(2/3) sin(2 theta / 3) is the first mode of the L, its coefficient one number and the rest zero."""
    weak = weak_terms(LSHAPE)
    trial = Trial.of(LSHAPE, weak)
    first = int(np.argmin([abs(mode.exponent - 2 / 3) for mode in trial.modes]))
    mode = trial.modes[first]
    assert np.isinf(mode.radius)  # no cutoff: the whole solution
    at = torch.tensor([[-0.3, 0.3]], dtype=torch.float64)
    value = float(mode.jets(at, JetSpace.of([], 2))[0, 0, 0]) / trial.length ** (2 / 3)
    outputs = [0.0] * (1 + len(trial.modes))
    outputs[1 + first] = float(exact(*at[0].tolist())) / value
    zero, one = torch.zeros(2).double(), torch.ones(2).double()
    network = ModuleNetwork(Constant(outputs), 2, len(outputs))
    unknowns = Unknowns.at_guess(LSHAPE, Surrogate(network, zero, one, zero[:1], one[:1], trial))
    losses = []
    for corners in (trial.corners, NOWHERE):
        space = GalerkinSpace(LSHAPE, weak, LSHAPE.mesh, 2, corners=corners)
        none = torch.zeros(0).double()
        tangent = space.tangent(jets_on(unknowns.surrogate, space.pieces), none)
        correction = Correction(space, tangent, [1.0], [1.0])
        losses.append(WeakBlock("laplace", space, correction, unknowns.surrogate).loss(unknowns))
    assert losses[0] < 1e-10 and losses[1] > 1e-8
