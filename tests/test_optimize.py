"""Optimizers of sums of squares on problems whose answer is known."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from kinn.optimize import AdamState, LBFGSState, LeastSquares, LevenbergMarquardt
from kinn.race import race


class Residuals(LeastSquares):
    """A sum of squares of a torch function."""

    def __init__(self, function, start, rows=True):
        self.function, self.theta, self.rows = function, torch.as_tensor(start, dtype=torch.float64), rows

    def vector(self):
        return self.theta.clone()

    def assign(self, theta):
        self.theta = theta

    def loss(self):
        return self.function(self.theta).square().sum().item()

    def _linear(self):
        return self.function(self.theta), torch.func.jacrev(self.function)(self.theta)

    def gradient(self):
        r, jacobian = self._linear()
        return (r @ r).item(), 2 * jacobian.T @ r

    def normal_equations(self, sharp=True):
        r, jacobian = self._linear()
        return (r @ r).item(), jacobian.T @ jacobian, jacobian.T @ r

    def triangle(self):
        if not self.rows:
            return None
        r, jacobian = self._linear()
        q, triangle = torch.linalg.qr(jacobian)
        return triangle, q.T @ r


def rosenbrock(theta):
    return torch.stack([10 * (theta[1] - theta[0] ** 2), 1 - theta[0]])


def ill_conditioned(condition, n=12):
    """A consistent linear problem whose conditioning no scaling of columns can cure."""
    generator = torch.Generator().manual_seed(0)
    u = torch.linalg.qr(torch.randn(30, n, generator=generator, dtype=torch.float64))[0]
    v = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))[0]
    matrix = u * torch.logspace(0, -torch.log10(torch.tensor(condition)).item(), n, dtype=torch.float64) @ v.T
    return matrix, matrix @ torch.ones(n, dtype=torch.float64)


def run(system, steps, **settings):
    optimizer, losses = LevenbergMarquardt(**settings), [system.loss()]
    for _ in range(steps):
        loss = optimizer.step(system)
        if loss is None:
            break
        losses.append(loss)
    return losses


@pytest.mark.parametrize("exact", [False, True])
def test_rosenbrock(exact):
    system = Residuals(rosenbrock, [-1.2, 1.0])
    losses = run(system, 60, exact=exact)
    assert all(after < before for before, after in zip(losses, losses[1:], strict=False))
    assert torch.allclose(system.theta, torch.ones(2, dtype=torch.float64), atol=1e-7)


def test_orthogonal_factorization_keeps_the_digits_that_normal_equations_lose():
    matrix, right = ill_conditioned(1e9)
    errors = {}
    for exact in (False, True):
        system = Residuals(lambda t: matrix @ t - right, torch.zeros(12))
        LevenbergMarquardt(damping=1e-26, exact=exact).step(system)
        errors[exact] = (system.theta - 1).norm().item()
    assert errors[True] < 1e-5 and errors[False] > 100 * errors[True]


def test_both_factorizations_take_the_same_step_where_nothing_is_lost():
    matrix, right = ill_conditioned(10.0)

    def bent(theta):
        return matrix @ theta - right + 0.1 * (matrix @ theta) ** 2

    steps = []
    for exact in (False, True):
        system = Residuals(bent, torch.zeros(12))
        LevenbergMarquardt(damping=0.3, exact=exact).step(system)
        steps.append(system.theta)
    assert torch.allclose(*steps, rtol=1e-10, atol=1e-12)


def test_without_rows_exact_falls_back_to_normal_equations():
    system = Residuals(rosenbrock, [-1.2, 1.0], rows=False)
    run(system, 60, exact=True)
    assert system.loss() < 1e-12


class Uphill(Residuals):
    """Its gradient has the wrong sign, so that every step raises the loss."""

    def normal_equations(self, sharp=True):
        loss, gram, gradient = super().normal_equations()
        return loss, gram, -gradient


def test_stays_put_when_nothing_lowers_the_loss():
    start = torch.tensor([-1.2, 1.0], dtype=torch.float64)
    system, optimizer = Uphill(rosenbrock, start), LevenbergMarquardt()
    assert optimizer.step(system) is None and optimizer.damping > 1
    assert torch.equal(system.theta, start)


def test_a_minimum_is_left_alone():
    system = Residuals(lambda t: torch.stack([t[0] - 1, 1 + 0 * t[1]]), [1.0, 4.0])
    assert LevenbergMarquardt().step(system) is None
    assert torch.equal(system.theta, torch.tensor([1.0, 4.0], dtype=torch.float64))


def test_a_residual_that_is_not_finite_stops_the_optimizer():
    system = Residuals(lambda t: torch.log(t), [-1.0])
    assert LevenbergMarquardt().step(system) is None and AdamState().step(system) is None
    assert system.theta.item() == -1


def test_a_step_into_the_infinite_is_damped():
    system = Residuals(lambda t: torch.log(t) + 2, [1.0])  # a full step of -2 leaves the domain
    losses = run(system, 60, damping=1e-6)
    assert losses[-1] < 1e-20 and abs(system.theta.item() - torch.tensor(-2.0).exp().item()) < 1e-6


def test_units_of_the_unknowns_do_not_matter():
    units = torch.tensor([1e3, 1e-2], dtype=torch.float64)
    plain = run(Residuals(rosenbrock, [-1.2, 1.0]), 12)
    scaled = run(Residuals(lambda t: rosenbrock(t * units), torch.tensor([-1.2, 1.0], dtype=torch.float64) / units), 12)
    assert plain[6:] != plain[:6] and len(plain) == len(scaled)
    assert all(abs(a - b) < 1e-6 * a + 1e-20 for a, b in zip(plain, scaled, strict=True))


def test_adam_takes_the_steps_of_torch():
    system, state = Residuals(rosenbrock, [-1.2, 1.0]), AdamState(learning_rate=0.01)
    theta = torch.tensor([-1.2, 1.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([theta], lr=0.01, eps=1e-30)
    for _ in range(20):
        state.step(system)
        optimizer.zero_grad()
        rosenbrock(theta).square().sum().backward()
        optimizer.step()
    assert torch.allclose(system.theta, theta.detach(), rtol=1e-6)


def test_adam_lowers_a_quadratic_and_ignores_the_unit_of_the_loss():
    paths = []
    for unit in (1.0, 1e-6):
        matrix, right = ill_conditioned(30.0)
        system = Residuals(lambda t, m=matrix, r=right, u=unit: u * (m @ t - r), torch.zeros(12))
        state, before = AdamState(learning_rate=0.02), system.loss()
        for _ in range(400):
            assert state.step(system) is not None
        assert system.loss() < 1e-3 * before
        paths.append(system.theta)
    assert torch.allclose(*paths, rtol=1e-6, atol=1e-9)


def descended(system, iterations):
    state = LBFGSState()
    while state.count < iterations and not state.ended:
        assert state.step(system) is not None
    return state


def test_lbfgs_solves_what_has_a_curved_valley_and_ends_by_itself():
    system = Residuals(rosenbrock, [-1.2, 1.0])
    state = descended(system, 200)
    assert state.ended and state.count < 60 and torch.allclose(system.theta, torch.ones(2).double(), atol=1e-8)
    assert state.loss == system.loss()


def test_lbfgs_does_not_mind_the_unit_of_the_loss():
    """torch's own forgets curvatures below 1e-10, so that it stops learning where losses are small."""
    paths = []
    for unit in (1.0, 1e-9):
        matrix, right = ill_conditioned(1e3)
        system = Residuals(lambda t, m=matrix, r=right, u=unit: u * (m @ t - r), torch.zeros(12))
        before = system.loss()
        descended(system, 200)
        paths.append(system.loss() / before)
    assert max(paths) < 1e-12


def test_lbfgs_agrees_with_scipy_on_how_far_an_iteration_leads():
    matrix, right = ill_conditioned(100.0)
    system = Residuals(lambda t: matrix @ t - right, torch.zeros(12))
    found = minimize(lambda t: float(((matrix.numpy() @ t - right.numpy()) ** 2).sum()), np.zeros(12), method="L-BFGS-B",
                     jac=lambda t: 2 * matrix.numpy().T @ (matrix.numpy() @ t - right.numpy()),
                     options={"maxiter": 25, "maxcor": 50, "ftol": 0, "gtol": 0})  # fmt: skip
    descended(system, 25)
    assert system.loss() < 10 * found.fun


def test_lbfgs_stays_where_it_was_when_interrupted_or_not_finite():
    system = Residuals(lambda t: torch.log(t), [-1.0])
    assert LBFGSState().step(system) is None and system.theta.item() == -1
    system, calls = Residuals(rosenbrock, [-1.2, 1.0]), []
    gradient = system.gradient

    def interrupted():
        calls.append(0)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return gradient()

    system.gradient, state, stood = interrupted, LBFGSState(), system.theta.clone()
    with pytest.raises(KeyboardInterrupt):
        while True:
            stood = system.theta.clone()
            state.step(system)
    assert len(calls) == 3 and torch.equal(system.theta, stood)


class Approximate(Residuals):
    """Residuals with an approximation of their Jacobian, `wrong` times the sharp one plus a constant; counts what is asked."""

    def __init__(self, function, start, wrong, constant=0.0):
        super().__init__(function, start)
        self.wrong, self.constant, self.asked = wrong, constant, []

    @property
    def approximates(self):
        return True

    def normal_equations(self, sharp=True):
        self.asked.append(sharp)
        r, jacobian = self._linear()
        if not sharp:
            jacobian = self.wrong * jacobian + self.constant
        return (r @ r).item(), jacobian.T @ jacobian, jacobian.T @ r


def test_an_approximate_jacobian_that_serves_is_all_that_is_used():
    matrix, right = ill_conditioned(10.0)
    system = Approximate(lambda theta: matrix @ theta - right, torch.zeros(12), 1.1)
    losses = run(system, 8)
    assert losses[-1] < 1e-6 * losses[0] and not any(system.asked)


@pytest.mark.parametrize("wrong, constant", [(-1.0, 0.0), (0.0, 0.3), (0.3, 5.0)])
def test_the_minimum_is_found_where_the_approximate_jacobian_leads_nowhere(wrong, constant):
    """Uphill, past the minimum, and to another point."""
    system = Approximate(rosenbrock, [-1.2, 1.0], wrong, constant)
    assert run(system, 200)[-1] < 1e-20
    assert system.asked[0] is False and True in system.asked


def test_steps_stay_sharp_only_while_that_pays():
    matrix, right = ill_conditioned(10.0)
    system = Approximate(lambda theta: torch.cat([matrix @ theta - right, right.new_ones(1)]), torch.zeros(12), 1.0)
    run(system, 40)  # ends at the floor of 1, where neither kind of step is worth anything
    late = system.asked[system.asked.index(True) + 1 :]
    assert late.count(True) <= 1 + len(late) // 8


@pytest.mark.parametrize("time_limit, winner", [(None, 2), (60.0, 2), (0.0, 0)])
def test_the_best_of_a_race_goes_on_or_the_first_where_there_is_no_time(time_limit, winner):
    class Racer(Residuals):
        def losses(self):
            return {"misfit": self.loss()}

    # the first two cannot come below 4 and 1
    least = [4.0, 1.0, 0.0]
    racers = [
        Racer(lambda t, c=c: torch.stack([t[0] * t[1], t[1] - 1, t.new_tensor(c).sqrt()]), [2.0, 2.0]) for c in least
    ]
    system_of: Any = racers.__getitem__
    candidates: Any = range(3)
    found: Any = race(candidates, system_of, lambda: False, time_limit)
    assert found == winner and (racers[found].loss() < 1e-3) == (time_limit != 0.0)
