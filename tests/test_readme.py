"""What the README shows runs, and what it says about commands is what CI runs."""

import functools
import re
from pathlib import Path

import pytest
import sympy as sp

import kinn

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = [line for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]


def run(code, tmp_path, monkeypatch, **limits):
    """The names that an example leaves behind; it runs in a folder of its own, with a short limit."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "problems").symlink_to(ROOT / "problems")
    monkeypatch.setattr(kinn, "solve", functools.partial(kinn.solve, progress=False, **limits))
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    return names


def test_the_first_example_solves_the_lshape(tmp_path, monkeypatch, capsys):
    assert len(EXAMPLES[0].splitlines()) <= 12
    solution = run(EXAMPLES[0], tmp_path, monkeypatch, steps=25, time_limit=60)["solution"]
    reference = kinn.fem.solve(solution.problem, tolerance=1e-2)
    assert solution.error(reference)["u"].relative_l2 < 2e-2 and 1e-3 < solution.estimate < 0.2
    assert (tmp_path / "lshape.vtu").is_file() and (tmp_path / "lshape.png").is_file()
    shown = capsys.readouterr().out
    assert "u: weak form, since the mesh has a re-entrant corner at (0, 0)" in shown and "relative H1" in shown


def test_the_second_example_identifies_two_numbers(tmp_path, monkeypatch, capsys):
    solution = run(EXAMPLES[1], tmp_path, monkeypatch, time_limit=60)["solution"]
    for name, truth in {"k": 2.5, "h": 5.0}.items():
        found = solution.parameters[name]
        assert found.estimate == pytest.approx(truth, rel=0.04) and 0.001 < found.sd / truth < 0.03
        assert abs(found.estimate - truth) < 3 * found.sd
    assert "estimate" in capsys.readouterr().out


def test_the_third_example_finds_a_source(tmp_path, monkeypatch, capsys):
    names = run(EXAMPLES[2], tmp_path, monkeypatch, steps=20)
    (deviation,) = names["solution"].deviation(names["q"], [[0.5]])
    (value,) = names["solution"].evaluate(names["q"], [[0.5]])
    assert abs(value - 3.141592653589793**2) < 3 * deviation < 9
    assert "+-" in capsys.readouterr().out


def test_the_fourth_example_heats_a_bracket(tmp_path, monkeypatch, capsys):
    names = run(EXAMPLES[3], tmp_path, monkeypatch, steps=20, time_limit=60)
    solution, mesh = names["solution"], names["mesh"]
    reference = kinn.fem.solve(solution.problem, tolerance=1e-2)
    assert solution.error(reference)["T"].relative_l2 < 2e-2
    # what comes in through the pipe and out through the bolt differs by the friction's heat
    heat = [solution.integral(names["flux"].dot(mesh.normal), over=name) for name in ("pipe", "bolt")]
    friction = solution.integral(sp.Integer(3000), over="joint", side="steel")
    assert mesh.order == 2 and friction == pytest.approx(120, rel=1e-6)
    assert heat[0] == pytest.approx(949.7, rel=5e-3)  # by finite elements with an estimate of 6e-4
    assert heat[0] + friction + heat[1] == pytest.approx(0, abs=1e-6 * heat[0])


def test_the_fifth_example_opens_a_crack(tmp_path, monkeypatch, capsys):
    solution = run(EXAMPLES[4], tmp_path, monkeypatch, steps=25, time_limit=60)["solution"]
    above, below = solution([[-0.9, 1e-6], [-0.9, -1e-6]])
    assert solution.estimate < 0.02 and above - below > 0.5
    assert abs(above + below - 1) < 0.02  # by symmetry
    assert "r^0.5" in capsys.readouterr().out


def test_the_sixth_example_reads_a_load_cell(tmp_path, monkeypatch, capsys):
    solution = run(EXAMPLES[5], tmp_path, monkeypatch, time_limit=60)["solution"]
    found = solution.parameters["E"]
    # a uniform stress: the force is E 0.3 / 60 * 20, its mean 631 / 3, known to 2 / sqrt(3)
    assert found.estimate == pytest.approx(6310 / 3, rel=1e-3) and found.sd == pytest.approx(20 / 3**0.5, rel=0.1)
    assert (tmp_path / "sample.vtu").is_file()


def test_the_seventh_example_runs_around_a_ring(tmp_path, monkeypatch, capsys):
    solution = run(EXAMPLES[6], tmp_path, monkeypatch, steps=25, time_limit=60)["solution"]
    left, right = solution([[0.0, 0.05], [1.0, 0.05]])
    assert solution.estimate < 5e-3 and abs(left - right) < 1e-9
    assert len(list(tmp_path.glob("ring_*.vtu"))) == 3 and (tmp_path / "ring.gif").is_file()


def test_the_test_command_is_what_ci_runs():
    (command,) = [line for line in COMMANDS if "pytest" in line]
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert command in lines and "set -euo pipefail" in lines


def test_commands_and_files_exist():
    solving = next(line for line in COMMANDS if "kinn solve" in line)
    assert "pip install -c constraints.txt -e ." in solving
    for path in re.findall(r"problems/\S+\.\w+", README):
        assert (ROOT / path.strip('`"')).is_file()
    for name in re.findall(r"`(\w+\.py)`", README):
        assert (ROOT / "problems" / name).is_file()
    listed = set(re.findall(r"^\| `(\w+\.py)`", README, re.MULTILINE))
    assert listed == {file.name for file in (ROOT / "problems").glob("*.py")}
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_constraints_pin_what_is_installed():
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").split())
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    wanted = re.findall(r'"([\w-]+)>=', text)
    assert pins["torch"] == "2.13.0" and set(wanted) - {"setuptools"} <= set(pins)


def test_its_numbers_are_those_of_the_committed_results():
    rows = re.findall(r"^\| \w+(?: to 1e-9| --no-singular| clean)? \| .* \| (?:yes|no) \|$", README, re.MULTILINE)
    measured = (ROOT / "benchmarks" / "results" / "figures.md").read_text(encoding="utf-8")
    assert len(rows) >= 10 and all(row in measured for row in rows)
