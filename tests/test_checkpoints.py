"""Checkpoints during training: a run that goes on is the run that never ended, and nothing wrong goes on silently."""

from __future__ import annotations

import json
import math
from dataclasses import fields

import numpy as np
import pytest
import sympy as sp
import torch
from torch import Tensor, nn

import kinn
from kinn import LBFGS, Adam, GaussNewton, StatementError, Status, checkpoints, cli, div, grad, hashed_file, training
from kinn import race as racing
from kinn.checkpoints import Checkpoints
from kinn.formulations.choice import choose
from kinn.formulations.scaling import initial_surrogate
from kinn.formulations.strong import StrongForm
from kinn.formulations.trial import Trial
from kinn.formulations.unknowns import Unknowns
from kinn.limits import Clock, Course, Limits
from kinn.optimize import AdamState, LBFGSState, LevenbergMarquardt
from kinn.problem_file import ProblemFile
from kinn.training import Training


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def rod(value=0.0):
    """-u'' = f with u = sin(3 x) + x, its slope at the right."""
    mesh = kinn.Mesh.box(0, 2, cells=8)
    (x,) = mesh.coordinates
    u, exact = kinn.Field("u", mesh), sp.sin(3 * x) + x
    conditions = [kinn.Dirichlet(u, value, on="left"), kinn.Neumann(grad(u), exact.diff(x), on="right")]
    return kinn.Problem(mesh, {"rod": -div(grad(u)) + exact.diff(x, 2)}, conditions)


def noisy():
    """-(k u')' = 1 with k unknown and data of unknown noise around k = 2, so that weights of data change in training."""
    mesh = kinn.Mesh.box(0, 1, cells=8)
    u, k = kinn.Field("u", mesh), kinn.Parameter("k", guess=1.0, lower=0)
    at = np.linspace(0.1, 0.9, 15)[:, None]
    values = (at * (1 - at) / 4)[:, 0] + 0.002 * np.cos(40 * at[:, 0])
    data = kinn.Observations(u, at, values)
    return kinn.Problem(mesh, {"p": -div(k * grad(u)) - 1}, [kinn.Dirichlet(u, 0, on="boundary")], [data])


def sourced():
    """-u'' = q with q unknown and data that are exact to five digits, so that many rounds follow what elements say of q."""
    mesh = kinn.Mesh.box(0, 1, cells=8)
    u, q = kinn.Field("u", mesh), kinn.Field("q", mesh)
    at = np.linspace(0.05, 0.95, 20)[:, None]
    data = kinn.Observations(u, at, np.sin(np.pi * at[:, 0]) + 1e-5 * np.cos(40 * at[:, 0]), sigma=1e-5)
    return kinn.Problem(mesh, {"p": -div(grad(u)) - q}, [kinn.Dirichlet(u, 0, on="boundary")], [data])


def ell():
    """-lap u = 1 on a square without its lower right quarter, whose re-entrant corner asks for the weak form."""
    x, y = np.meshgrid(np.linspace(-1, 1, 5), np.linspace(-1, 1, 5), indexing="ij")
    full, squares = np.stack([x.ravel(), y.ravel()], 1), []
    for i in range(4):
        for j in range(4):
            if i < 2 or j >= 2:
                a, b, c, d = (5 * i + j, 5 * i + 5 + j, 5 * i + 6 + j, 5 * i + 1 + j)
                squares += [[a, b, c], [a, c, d]]
    used, cells = np.unique(np.array(squares), return_inverse=True)
    mesh = kinn.Mesh(full[used], cells.reshape(-1, 3), "triangle")
    u = kinn.Field("u", mesh)
    return kinn.Problem(mesh, {"poisson": -div(grad(u)) - 1}, [kinn.Dirichlet(u, 0, on="boundary")])


def bending():
    """-((1 + u^2) u')' = 5, in the weak form: its blocks hold a tangent."""
    mesh = kinn.Mesh.box(0, 1, cells=8)
    u = kinn.Field("u", mesh)
    return kinn.Problem(mesh, {"p": -div((1 + u**2) * grad(u)) - 5}, [kinn.Dirichlet(u, 0, on="boundary")])


def stream():
    """A boundary layer, at which the tests are refined before the training."""
    mesh = kinn.Mesh.box(0, 1, cells=8)
    u = kinn.Field("u", mesh)
    carried = -div(grad(u)) / 200 + u.diff(mesh.coordinates[0]) - 1
    return kinn.Problem(mesh, {"p": carried}, [kinn.Dirichlet(u, 0, on="boundary")])


class Sines(nn.Module):
    """A module that a user might bring."""

    def __init__(self, seed=0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.inner = nn.Parameter(torch.randn(2, 3, generator=generator, dtype=torch.float64))
        self.outer = nn.Parameter(0.3 * torch.randn(3, 1, generator=generator, dtype=torch.float64))

    def forward(self, x):
        return torch.sin(2 * x * self.inner[0] + self.inner[1]) @ self.outer


def spike():
    """u = x (1 - x) plus a of a spike that cells of the judge are too large for, of which the truth has nothing."""
    mesh = kinn.Mesh.box(0, 1, cells=16)
    (x,), u, a = mesh.coordinates, kinn.Field("u", mesh), kinn.Parameter("a", guess=1e-3)
    at = np.linspace(0.01, 0.99, 41)[:, None]
    data = kinn.Observations(u, at, at[:, 0] * (1 - at[:, 0]), sigma=1e-6)
    source = x * (1 - x) + a * sp.exp(-(((x - 0.5) / 0.002) ** 2))
    return kinn.Problem(mesh, {"p": -div(1e-6 * grad(u)) + u - source}, [kinn.Dirichlet(u, 0, on="boundary")], [data])


def kan(d):
    return kinn.KAN([d, 3, 1], kinn.Chebyshev(3), base=False, seed=0)


RUNS = {
    "strong": (rod, {"network": kan(1), "steps": 40, "tolerance": 1e-9}),
    "race": (rod, {"network": lambda seed: kinn.KAN([1, 2, 1], seed=seed), "steps": 25, "tolerance": 1e-9}),
    "single precision": (rod, {"network": kan(1), "steps": 30, "dtype": torch.float32, "tolerance": 1e-9}),
    "splines": (rod, {"network": kinn.KAN([1, 3, 1], kinn.BSpline(5, 2), seed=0), "steps": 30, "tolerance": 1e-9}),
    "module": (rod, {"network": Sines(), "steps": 12, "tolerance": 1e-12}),
    "data": (noisy, {"network": kan(1), "steps": 10}),
    "sharp": (spike, {"network": kan(1), "steps": 90, "form": "strong", "tolerance": 1e-9}),
    "weak": (ell, {"network": kan(2), "steps": 24, "tolerance": 1e-4}),
    "weak, nonlinear": (bending, {"network": kan(1), "form": "weak", "steps": 28, "tolerance": 1e-9}),
    "weak, data": (noisy, {"network": kan(1), "form": "weak", "steps": 20}),
    "field": (sourced, {"steps": 40}),
    "weak, layer": (stream, {"network": kan(2), "steps": 28, "tolerance": 1e-9}),
    "adam": (rod, {"network": kan(1), "stages": [Adam(25, 0.03), Adam(20, 0.01), GaussNewton()], "steps": 60}),
    "lbfgs": (rod, {"network": kan(1), "stages": [Adam(25, 0.03), LBFGS(400)], "steps": 250}),
    "exact": (rod, {"network": kan(1), "stages": [GaussNewton(exact=True)], "steps": 30, "tolerance": 1e-9}),
}


def solve(problem, **options):
    return kinn.solve(problem, progress=False, **options)


def assert_equal(one, two):
    """Every number of two runs that does not tell the time."""
    one, two = one.result, two.result
    for first, second in zip(one.surrogate.network.parameters(), two.surrogate.network.parameters(), strict=True):
        assert first.dtype is second.dtype and torch.equal(first, second)
    for part in fields(one.surrogate):
        first, second = getattr(one.surrogate, part.name), getattr(two.surrogate, part.name)
        assert not isinstance(first, Tensor) or torch.equal(first, second)
    for name in "status message steps estimate terms parameters sigmas network estimate_note".split():
        assert getattr(one, name) == getattr(two, name), name
    # records in between follow the clock; those of judgements are part of the run
    histories = [[(r.step, r.loss, r.check, r.estimate, r.n_parameters) for r in run.history if r.check is not None]
                 for run in (one, two)]  # fmt: skip
    assert histories[0] == histories[1]


def interrupt_after(step, raised):
    def callback(now, seconds, solution):
        if now >= step and not raised:
            raised.append(now)
            raise KeyboardInterrupt

    return callback


@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_goes_on_is_the_run_that_never_ended(name, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "STRIDE", 5)
    monkeypatch.setattr(racing, "STEPS", 3)
    build, options = RUNS[name]
    whole = solve(build(), **options)
    part = solve(build(), checkpoint=tmp_path, **{**options, "steps": math.ceil(0.6 * options["steps"])})
    assert part.result.steps < whole.result.steps
    tensors, document = hashed_file.read(tmp_path / checkpoints.NAME, build(), checkpoints.KIND, checkpoints.FORMAT, "")
    assert 0 < document["steps"] < part.result.steps  # it goes on from the middle
    assert name != "sharp" or any("growth" in key for key in tensors)
    assert_equal(whole, solve(build(), resume=tmp_path, **options))


def test_a_run_that_is_interrupted_again_and_again_ends_the_same(tmp_path):
    whole = solve(rod(), **RUNS["strong"][1])
    saved, folder = [], {"checkpoint": tmp_path}
    for step in (0, 9, 9, 23, 31):
        raised = []
        part = solve(rod(), callback=interrupt_after(step, raised), **folder, **RUNS["strong"][1])
        assert part.status is Status.INTERRUPTED and raised
        saved.append(json.loads(header(tmp_path / checkpoints.NAME))["steps"])
        folder = {"resume": tmp_path}
    assert saved == sorted(saved) and saved[0] == 0 and saved[-1] > 20
    assert_equal(whole, solve(rod(), **folder, **RUNS["strong"][1]))


def header(path):
    """The JSON in a file, read without kinn."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length])["__metadata__"]["kinn"]


def test_every_part_of_the_course_of_a_run_comes_back(tmp_path):
    course = Course(
        raced=True, stage=1, rounds=4, ratio=2, idle=1, best_check=math.pi, damping=0.1, estimate_per_residual=1 / 3, held=True,
        adam=AdamState(0.1, 3, torch.ones(2), torch.full((2,), 2.0)), losses=[0.3, 0.1], before=torch.full((1,), 0.7),
        optimizer=LevenbergMarquardt(0.2, True, torch.full((2,), 3.0)),
        lbfgs=LBFGSState(2, True, 0.5, torch.ones(2), torch.ones(1, 2), torch.full((1, 2), 0.1)),
    )  # fmt: skip
    assert all(getattr(course, part.name) != part.default for part in fields(Course))  # none is left out here
    problem, runs = rod(), []
    choice = choose(problem)
    for _ in range(2):
        surrogate = initial_surrogate(problem, kan(1), Trial.of(problem), torch.zeros(0, dtype=torch.float64))
        guess = Unknowns.at_guess(problem, surrogate)
        form, surrogate = StrongForm.prepare(problem, choice, surrogate, guess.parameters())
        runs.append(Training(problem, form, [guess], Limits(), 0, Clock(), lambda *_: None))
    runs[0].course, folder = course, Checkpoints(problem, tmp_path)
    folder.keep(runs[0])
    Checkpoints(problem, resume=tmp_path).restore(runs[1])
    assert str(runs[1].course) == str(course)


def test_a_run_interrupted_in_the_race_starts_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(racing, "STEPS", 3)
    options = {**RUNS["race"][1], "steps": 8}
    whole = solve(rod(), **options)
    step = training.LevenbergMarquardt.step
    calls = []

    def interrupted(self, system):
        calls.append(0)
        if len(calls) == 9:
            raise KeyboardInterrupt
        return step(self, system)

    monkeypatch.setattr(training.LevenbergMarquardt, "step", interrupted)
    assert solve(rod(), checkpoint=tmp_path, **options).status is Status.INTERRUPTED
    assert_equal(whole, solve(rod(), resume=tmp_path, **options))


def test_a_run_that_ended_by_itself_ends_again(tmp_path):
    first = solve(rod(), network=kan(1), tolerance=1e-4, checkpoint=tmp_path)
    assert first.status is Status.CONVERGED
    again = solve(rod(), network=kan(1), tolerance=1e-4, resume=tmp_path)
    assert_equal(first, again)
    assert again.result.seconds > first.result.seconds / 2  # seconds count from the start of the first run


def test_checkpoints_do_not_change_a_run_and_the_last_one_is_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    options = RUNS["strong"][1]
    assert_equal(solve(rod(), **options), solve(rod(), checkpoint=tmp_path / "a" / "b", **options))
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == [checkpoints.NAME]


def test_files_are_written_at_the_start_then_seldom_and_at_the_end(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(
        hashed_file, "write", lambda path, problem, tensors, document: written.append(document["steps"])
    )
    solve(rod(), checkpoint=tmp_path, **RUNS["strong"][1])
    assert len(written) == 2 and written[0] == 0 and written[1] > 20


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    solve(rod(), network=kan(1), steps=5, checkpoint=folder)
    return folder


@pytest.mark.parametrize(
    ("other", "text"),
    [
        ({"seed": 3}, "has seed 0, this one 3; give the same to resume it, or start=solution"),
        ({"tolerance": 1e-3}, "has tolerance 1e-06, this one 0.001"),
        ({"form": "weak"}, "has form 'strong', this one 'weak'"),
        ({"network": kinn.MLP([1, 4, 1])}, r"has network 'KAN \[1, 3, 1\].*', this one 'MLP \[1, 4, 1\]"),
        ({"dtype": torch.float32}, "has dtype 'torch.float64', this one 'torch.float32'"),
        ({"stages": [Adam(5)]}, r"has stages 'GaussNewton\(exact=False, refine=True\)', this one 'Adam\(steps=5"),
    ],
)
def test_other_settings_are_refused_and_the_difference_told(kept, other, text):
    with pytest.raises(StatementError, match=text):
        solve(rod(), resume=kept, **{"network": kan(1), "steps": 5, **other})


def test_another_problem_is_refused(kept):
    with pytest.raises(StatementError, match=r"holds a checkpoint of another problem: it says 'u on left: u\(x\) = 0'"):
        solve(rod(value=1.0), network=kan(1), resume=kept)


def test_files_that_are_no_checkpoints_are_refused(kept, tmp_path):
    with pytest.raises(StatementError, match="there is no file .*checkpoint.kinn'; give the folder that a run wrote"):
        solve(rod(), resume=tmp_path)
    content = bytearray((kept / checkpoints.NAME).read_bytes())
    for place in (len(content) // 4, len(content) - 3):
        content[place] ^= 1
        (tmp_path / checkpoints.NAME).write_bytes(content)
        content[place] ^= 1
        with pytest.raises(StatementError, match="is corrupt"):
            solve(rod(), network=kan(1), resume=tmp_path)
    with pytest.raises(StatementError, match="holds a checkpoint, not a solution; give what solution.save"):
        kinn.load(kept / checkpoints.NAME, rod())
    solve(rod(), network=kan(1), steps=1).save(tmp_path / checkpoints.NAME)
    with pytest.raises(StatementError, match="holds a solution, not a checkpoint"):
        solve(rod(), network=kan(1), resume=tmp_path)


def test_a_folder_that_cannot_be_written_to_is_said_before_training(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(StatementError, match="cannot make the folder"):
        solve(rod(), checkpoint=tmp_path / "file")
    (tmp_path / checkpoints.NAME).mkdir()
    with pytest.raises(StatementError, match="cannot write"):
        solve(rod(), network=kan(1), checkpoint=tmp_path)


def test_a_disk_that_fills_up_costs_the_checkpoint_but_not_the_run(tmp_path, monkeypatch):
    write = hashed_file.write
    calls = []

    def fail(*arguments):
        calls.append(0)
        if len(calls) > 1:
            raise StatementError("cannot write: No space left on device")
        write(*arguments)

    monkeypatch.setattr(hashed_file, "write", fail)
    with pytest.warns(UserWarning, match="no checkpoint: cannot write: No space left"):
        solution = solve(rod(), checkpoint=tmp_path, **RUNS["strong"][1])
    assert solution.result.steps == RUNS["strong"][1]["steps"] and len(calls) == 2


def test_the_command_line_goes_on_with_a_run(tmp_path, monkeypatch, capsys):
    (tmp_path / "rod.py").write_text(PROBLEM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(racing, "STEPS", 2)
    assert cli.main(["solve", "rod.py", "--quiet", "--network", "mlp", "--steps", "12", "-o", "part"]) == 0
    saved = json.loads(header(tmp_path / "part" / checkpoints.NAME))
    assert cli.main(["solve", "rod.py", "--quiet", "--network", "mlp", "--steps", "16", "--resume", "part"]) == 0
    again = kinn.load(tmp_path / "part" / "solution.kinn", ProblemFile.load("rod.py").problem()).result
    assert 0 < saved["steps"] < 12 and again.steps == 16
    assert [vars(record) for record in again.history[: len(saved["history"])]] == saved["history"]  # with their seconds
    assert json.loads((tmp_path / "part" / "run.json").read_text())["status"] == "step_limit"
    assert cli.main(["solve", "rod.py", "--quiet", "--network", "mlp", "--seed", "1", "--resume", "part"]) == 2
    assert "the run in 'part' has seed 0, this one 1" in capsys.readouterr().err


PROBLEM = """
import kinn
from kinn import div, grad

def problem():
    mesh = kinn.Mesh.box(0, 2, cells=4)
    (x,) = mesh.coordinates
    u = kinn.Field("u", mesh)
    return kinn.Problem(mesh, {"p": -div(grad(u)) - x**3}, [kinn.Dirichlet(u, 0, on="boundary")])
"""
