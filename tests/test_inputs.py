"""What networks see of a point: derivatives in physical coordinates, units, exact periods."""

import math

import pytest
import torch
from oracles import NETWORKS, all_indices, derivative, network_of

from kinn.networks import Inputs, JetSpace, Tape
from kinn.statement.errors import StatementError


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def inputs_of(center, scale, periods=None):
    return Inputs(tensor(*center), tensor(*scale), periods or (None,) * len(center))


def points(inputs, n=7):
    generator = torch.Generator().manual_seed(0)
    unit = 2 * torch.rand(n, inputs.dimension, generator=generator, dtype=torch.float64) - 1
    return inputs.center + inputs.scale * unit


def plain(inputs, x):
    """The inputs as an ordinary function."""
    columns = []
    for axis, period in enumerate(inputs.periods):
        offset = x[:, axis] - inputs.center[axis]
        if period is None:
            columns.append(offset / inputs.scale[axis])
        else:
            columns += [torch.cos(2 * math.pi * offset / period), torch.sin(2 * math.pi * offset / period)]
    return torch.stack(columns, 1)


@pytest.mark.parametrize("periods", [(None, None, None), (None, 3.0, None), (2.0, None, 0.7)])
def test_derivatives_are_those_of_the_map_of_a_point(periods):
    inputs = inputs_of((1.0, -2.0, 0.3), (1.0, 1.5, 0.2), periods)
    x, space = points(inputs), JetSpace.of(all_indices(3, 4), 3)
    found = inputs.jets(x, space)
    assert found.shape == (len(space.indices), len(x), inputs.size) and inputs.size == 3 + sum(map(bool, periods))
    for position, index in enumerate(space.indices):
        expected = derivative(lambda at: plain(inputs, at), x, index)
        assert (found[position] - expected).abs().max() <= 1e-12 * max(expected.abs().max().item(), 1e-300), index


@pytest.mark.parametrize("unit", [1e3, 1.0, 1e-6])
@pytest.mark.parametrize("name", NETWORKS)
def test_units_cost_no_digits(name, unit):
    """Derivatives taken in x agree with those in scaled coordinates times powers of the scale, Jacobians too."""
    network, inputs = network_of(name, 2, 2), inputs_of((5.0 * unit, -2.0 * unit), (0.7 * unit, 3.0 * unit))
    x, space = points(inputs), JetSpace.of(all_indices(2, 3), 2)
    powers = space.rescale(inputs.scale)[:, None, None]
    tape, scaled = Tape(), Tape()
    found = network.compose(inputs.jets(x, space), space, tape)
    expected = network.jets((x - inputs.center) / inputs.scale, space, scaled) * powers
    for position, index in enumerate(space.indices):
        size = expected[position].abs().max()
        assert (found[position] - expected[position]).abs().max() <= 1e-14 * size, index
        rows = [values[position].prod(-1).sum() for values in (found, expected)]
        jacobians = [
            at.jacobian(torch.autograd.grad(row, at.outputs, retain_graph=True, allow_unused=True))
            for at, row in zip((tape, scaled), rows, strict=True)
        ]
        assert (jacobians[0] - jacobians[1]).abs().max() <= 3e-14 * jacobians[1].abs().max(), index


@pytest.mark.parametrize("lower, period", [(0.0, 1.0), (100.0, 2.5), (-3e3, 1e3), (0.0, 1e-6)])
@pytest.mark.parametrize("name", NETWORKS)
def test_any_network_is_periodic_with_all_derivatives(name, lower, period):
    inputs = inputs_of((lower + period / 2, 0.0), (period / 2, 1.0), (period, None))
    network, space = network_of(name, inputs.size, 2), JetSpace.of(all_indices(2, 3), 2)
    along = torch.linspace(-1, 1, 5, dtype=torch.float64)
    start = torch.stack([torch.full_like(along, lower), along], 1)
    inside = start + tensor(0.3 * period, 0)
    for here in (start, inside):
        with torch.no_grad():
            first, again = (network.compose(inputs.jets(x, space), space) for x in (here, here + tensor(period, 0)))
        # a point near `lower` has this relative place in its period, and no better one
        blur = 1e-13 + 8 * torch.finfo(torch.float64).eps * abs(lower) / period
        for position, index in enumerate(space.indices):
            assert (first[position] - again[position]).abs().max() <= 20 * blur * first[position].abs().max(), index
    # half a period on it is another function value, so the equality above says something
    half = network.compose(inputs.jets(start + tensor(period / 2, 0), space), space)
    assert (half[0] - network.compose(inputs.jets(start, space), space)[0]).abs().max() > 1e-2


def test_precision_is_that_of_the_points():
    inputs = Inputs(torch.tensor([1.0, 2.0]), torch.tensor([1e-6, 3.0]), (None, 6.0))
    jets = inputs.jets(torch.tensor([[1.0, 2.5]]), JetSpace.of([(2, 0), (0, 2)], 2))
    assert jets.dtype is torch.float32 and torch.isfinite(jets).all()
    double = inputs.to(torch.zeros(0, dtype=torch.float64))
    again = double.jets(tensor(1.0, 2.5)[None], JetSpace.of([(2, 0), (0, 2)], 2))
    assert again.dtype is torch.float64 and torch.allclose(again.float(), jets, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "center, scale, periods, reason",
    [
        ((0.0,), (1.0, 1.0), (None,), "one of each"),
        ((0.0,), (1.0,), (None, None), "one of each"),
        ((0.0,), (0.0,), (None,), "scale 0.0"),
        ((0.0,), (1.0,), (-2.0,), "period -2.0"),
        ((0.0,), (1.0,), (math.nan,), "period nan"),
    ],
)
def test_impossible_inputs_are_refused(center, scale, periods, reason):
    with pytest.raises(StatementError, match=reason):
        inputs_of(center, scale, periods)
