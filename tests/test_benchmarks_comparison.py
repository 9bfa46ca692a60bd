"""The suites that compare: the KINN paper's examples, kernels, scaling laws."""

import math

import numpy as np
import pytest
import torch

import kinn
from benchmarks import kernels, kinn_paper, laws, two_stage
from benchmarks.conditions import ROOT
from kinn import div, grad
from kinn.comparison.kernel import kernel_spectrum
from kinn.comparison.run import Run
from kinn.comparison.summary import groups


def row(problem, solver, error, seed=0, **more):
    run = Run(f"../{problem}.py", "0", solver, seed=seed, match=more.pop("match", None))
    return run.row("time_limit", error=error, seconds=20.0, history=[], seconds_to={}, **more)


def test_every_example_names_a_problem_that_is_there_or_none():
    for example in kinn_paper.EXAMPLES:
        assert example.problem is None or (ROOT / "problems" / f"{example.problem}.py").is_file()
    assert kinn_paper._by_seconds("flower, inverse_painting") == {8.0: ["flower"], 5.0: ["inverse_painting"]}
    with pytest.raises(SystemExit, match="no problem 'beam' in this suite; it has: crack_mode_iii"):
        kinn_paper._by_seconds("beam")


def test_a_line_of_the_paper_has_medians_and_elements():
    rows = [
        row("plate_with_hole", "kan", e, seed, derived={"von Mises": 10 * e})
        for seed, e in enumerate((3e-4, 1e-4, 2e-4))
    ]
    rows += [
        row("plate_with_hole", "mlp", None, match="time"),
        row("plate_with_hole", "fem", 1e-5, derived={"von Mises": 2e-3}),
    ]
    displacement, stress = (e for e in kinn_paper.EXAMPLES if e.problem == "plate_with_hole")
    line = kinn_paper.cells(displacement, groups(rows))
    assert line[2:] == [1.54e-3, 9.19e-4, 2e-4, 3e-4, math.inf, math.inf, None, None, 20.0, 1e-5, 20.0]
    assert kinn_paper.cells(stress, groups(rows))[4:6] == pytest.approx([2e-3, 3e-3])
    assert len(line) == len(kinn_paper.HEADER)


def test_what_an_example_is_judged_by():
    found = row("a", "kan", 0.5, errors={"u": {"l2": 0.5, "max": 0.7}, "k": {"l2": 0.1, "max": 0.2}}, derived={"s": 0.3},
                parameters={"E": {"estimate": 1100.0, "truth": 1000.0}})  # fmt: skip
    expected = {"error": 0.5, "k": 0.1, "max": 0.7, "s": 0.3, "E": 0.1, "nothing": math.inf}
    assert {what: kinn_paper.measured(what, found) for what in expected} == pytest.approx(expected)


def test_slopes_hold_as_long_as_errors_fall():
    sizes = [10, 20, 40, 80, 160]
    assert laws.slopes([1.0, 1 / 16, 1 / 256, 1 / 300, 1 / 300], sizes) == pytest.approx([-4, -4])
    assert laws.slopes([1.0, 0.9, 0.1, 0.1, 0.1], sizes) == [None, None]
    assert laws.slopes([1.0, 0.25, None, None, None], sizes) == pytest.approx([-2, -2])


def test_two_stages_find_a_modulus_where_the_data_say_all():
    """A bar of which the displacement is linear: fitted exactly, its stress is the traction for the true modulus."""
    mesh = kinn.Mesh.box((0, 0), (2, 1), cells=(2, 1))
    u, young = kinn.Field("u", mesh, components=2), kinn.Parameter("E", guess=1, lower=0)
    stress = kinn.physics.plane_stress(u, young, 0.3)
    at = np.random.default_rng(0).uniform((0, 0), (2, 1), (40, 2))
    data = [kinn.Observations(u[0], at, 0.1 * at[:, 0]), kinn.Observations(u[1], at, -0.03 * at[:, 1])]
    conditions = [kinn.Neumann(stress, [50, 0], on="right"), kinn.Dirichlet(u, 0, on="left")]
    problem = kinn.Problem(mesh, {"e": -div(stress)}, conditions, data)
    unknowns = two_stage.fitted(problem, kinn.KAN([2, 2], kinn.Chebyshev(2), base=False))
    assert two_stage.modulus(problem, unknowns) == pytest.approx(500, rel=1e-4)


def sine(network):
    mesh = kinn.Mesh.box(0, 1, cells=4)
    (x,), u = mesh.coordinates, kinn.Field("u", mesh)
    problem = kinn.Problem(mesh, {"p": -div(grad(u)) - x}, [kinn.Dirichlet(u, 0, on="boundary")])
    return kinn.solve(problem, network=network, steps=2, progress=False)


def test_the_kernel_is_that_of_the_derivatives_in_the_weights():
    solution, points = sine(kinn.MLP([1, 4, 1])), np.linspace(0.05, 0.95, 30)[:, None]
    found = kernel_spectrum(solution, points)
    unknowns = solution.result.unknowns()
    start = unknowns.vector()

    def values(theta):
        unknowns.assign(theta)
        return torch.from_numpy(
            solution.result.surrogate.values(torch.from_numpy(points), ((0, (0,)),)).detach().numpy()[0]
        )

    columns = []
    for k in range(len(start)):
        step = torch.zeros_like(start)
        step[k] = 1e-5
        columns.append((values(start + step) - values(start - step)) / 2e-5)
    expected = np.linalg.svd(torch.stack(columns, 1).numpy(), compute_uv=False) ** 2
    assert len(found) == 30 and found[: len(expected)] == pytest.approx(expected, abs=1e-8 * expected[0])
    assert (np.diff(found) <= 0).all() and not found[13:].any()


def test_spectra_are_kept_at_the_start_on_the_way_and_at_the_end():
    problem = sine("mlp").problem
    found = kernels.spectra_of(problem, "kan", 0.5, np.linspace(0.05, 0.95, 100)[:, None])
    assert len(found) == 3 and all(len(one["eigenvalues"]) == 100 for one in found)
    assert kernels.values_of(found[0]["eigenvalues"])[0] == 1
