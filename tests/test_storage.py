"""Checkpoints: what is saved comes back bit for bit, and nothing wrong comes back silently."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from made_results import made_result, made_solution
from safetensors.torch import load_file, save_file

from kinn.geometry import Mesh
from kinn.networks import ModuleNetwork
from kinn.report import storage
from kinn.solution import Solution, load
from kinn.statement import Dirichlet, Field, Observations, Parameter, Problem, StatementError, div, grad


def problem(cells: int = 3, value: float = 0, noise: float = 0.0) -> Problem:
    mesh = Mesh.box((-1, -1), (1, 1), cells=cells)
    u, k = Field("u", mesh), Parameter("k", 1.0, lower=0)
    data = Observations(u, [[0.0, 0.1], [0.5, 0.5]], [1.0, 2.0 + noise], sigma=0.1)
    return Problem(mesh, {"poisson": -div(k * grad(u)) - 1}, [Dirichlet(u, value, on="boundary")], [data])


def saddle(a, b):
    return a**2 - b**2


@pytest.fixture
def saved(tmp_path):
    made_solution(problem(), [saddle], sigmas={"u": 0.1}).save(tmp_path / "s.kinn")
    return tmp_path / "s.kinn"


def test_everything_comes_back(saved):
    first, again = made_result(problem(), [saddle], sigmas={"u": 0.1}), load(saved, problem()).result
    points = np.random.default_rng(1).uniform(-1, 1, (50, 2))
    u = again.problem.components[0]
    x = again.problem.mesh.coordinates[0]
    assert np.array_equal(first.evaluate([u, u.diff(x, 2)], points), again.evaluate([u, u.diff(x, 2)], points))
    names = "parameters form reason network status message seed seconds steps tolerance estimate estimate_note terms"
    for name in [*names.split(), "history", "sigmas", "n_parameters"]:
        assert getattr(first, name) == getattr(again, name), name


def test_single_precision_and_networks_of_the_user(tmp_path):
    result = made_result(problem(), [saddle])
    old = result.surrogate
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    points, u = [[0.1, 0.2], [0.5, -0.5]], result.problem.components[0]
    for network in (old.network, ModuleNetwork(module, 2, 1)):
        parts = {name: getattr(old, name).float() for name in ("center", "scale", "offset", "amplitude")}
        single = replace(result, surrogate=replace(old, network=network.float(), **parts))
        Solution(single).save(tmp_path / "s.kinn")
        fresh = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
        again = load(tmp_path / "s.kinn", problem(), None if network is old.network else fresh)
        assert np.array_equal(single.evaluate([u], np.array(points))[:, 0], again(points))
    with pytest.raises(StatementError, match="its network cannot be rebuilt: .*; pass one as network="):
        load(tmp_path / "s.kinn", problem())


def test_every_flipped_byte_is_found(saved):
    content = bytearray(saved.read_bytes())
    good = bytes(content)
    for place in (*range(0, len(content), 97), len(content) - 1):
        content[place] ^= 4
        saved.write_bytes(content)
        with pytest.raises(StatementError, match="corrupt|not written by kinn|newer kinn"):
            load(saved, problem())
        content[place] ^= 4
    assert bytes(content) == good


@pytest.mark.parametrize("length", [0, 5, 100, -3])
def test_truncated_files_are_corrupt(saved, length):
    saved.write_bytes(saved.read_bytes()[:length])
    with pytest.raises(StatementError, match="s.kinn' is corrupt .*take another copy or solve again"):
        load(saved, problem())


def test_missing_and_foreign_files(tmp_path):
    with pytest.raises(StatementError, match="there is no file .*none.kinn'; give what solution.save"):
        load(tmp_path / "none.kinn", problem())
    save_file({"a": torch.zeros(2)}, tmp_path / "other.kinn")
    with pytest.raises(StatementError, match="was not written by kinn"):
        load(tmp_path / "other.kinn", problem())


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (
            lambda: problem(value=1),
            r"it says 'u on boundary: u\(x, y\) = 0', this one 'u on boundary: u\(x, y\) - 1 = 0'",
        ),
        (lambda: problem(cells=4), "the mesh has other points or cells"),
        (lambda: problem(noise=0.1), "guesses, bounds or data differ"),
    ],
)
def test_another_problem_is_refused_and_the_difference_told(saved, other, text):
    with pytest.raises(StatementError, match=f"holds a solution of another problem: {text}"):
        load(saved, other())


@pytest.mark.parametrize("change, remedy", [(1, "install a newer kinn"), (-1, "solve again")])
def test_another_format_is_refused(saved, change, remedy, monkeypatch):
    own = storage.FORMAT
    monkeypatch.setattr(storage, "FORMAT", own + change)
    made_solution(problem(), [saddle]).save(saved)
    monkeypatch.undo()
    with pytest.raises(StatementError, match=f"has format {own + change}, this kinn reads {own}; {remedy}"):
        load(saved, problem())


def test_a_failed_save_leaves_the_earlier_file(saved, monkeypatch):
    before = saved.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(StatementError, match="cannot write .*No space left on device"):
        made_solution(problem(), [saddle], seed=7).save(saved)
    assert saved.read_bytes() == before and [p.name for p in saved.parent.iterdir()] == ["s.kinn"]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(StatementError, match="cannot write .*No such file"):
        made_solution(problem(), [saddle]).save(tmp_path / "none" / "s.kinn")


def test_tensors_are_stored_in_full_precision_and_the_rest_as_json(saved):
    assert {tensor.dtype for tensor in load_file(saved).values()} == {torch.float64}
    length = int.from_bytes(saved.read_bytes()[:8], "little")
    header = json.loads(saved.read_bytes()[8 : 8 + length])
    assert json.loads(header["__metadata__"]["kinn"])["statement"] == problem().pretty()
