"""The command line: what it writes, what it says, how it ends. The solver is replaced by results made by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import meshio
import numpy as np
import pytest
from made_results import made_solution

import kinn.cli as cli
from kinn.problem_file import ProblemFile, parse_options
from kinn.report.record import write_json
from kinn.result import Status
from kinn.statement import StatementError

FILE = '''
"""A saddle."""
import sympy as sp
from kinn.geometry import Mesh
from kinn.statement import Dirichlet, Field, Parameter, Problem, div, grad

def problem(cells=4, kind="fine"):
    mesh = Mesh.box((-1, -1), (1, 1), cells=cells)
    x, y = mesh.coordinates
    u, k = Field("u", mesh), Parameter("k", 2.0, lower=0)
    return Problem(mesh, {"laplace": -k * div(grad(u))}, [Dirichlet(u, x**2 - y**2, on="boundary")])

def reference(problem):
    x, y = problem.mesh.coordinates
    return {"u": 2 * (x**2 - y**2), "k": 2.5}

def quantities(problem):
    return {"tip": lambda solution: solution([1.0, 0.0])}
'''


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "saddle.py").write_text(FILE)
    return tmp_path / "saddle.py"


@pytest.fixture
def calls(monkeypatch):
    """A solver that answers at once; the list holds the arguments it was called with."""
    seen = []

    def solve(problem, **arguments):
        seen.append(arguments)
        solution = made_solution(problem, [lambda a, b: a**2 - b**2])
        if arguments["callback"]:
            for entry in solution.history[:3]:
                arguments["callback"](entry.step, entry.seconds, solution)
        return solution

    monkeypatch.setattr(cli, "solve", solve)
    return seen


def test_solve_writes_everything(file, calls, capsys):
    assert cli.main(["solve", "saddle.py", "--set", "cells=5", "--json", "out.json", "--seed", "3", "-o", "run"]) == 0
    out, err = capsys.readouterr()
    assert {path.name for path in (file.parent / "run").iterdir()} == {
        "solution.kinn", "fields.vtu", "u.png", "u_error.png", "history.png", "run.json"
    }  # fmt: skip
    made = json.loads((file.parent / "out.json").read_text())
    assert list(made)[:5] == ["problem", "network", "form", "seed", "options"] and made["problem"] == "saddle"
    assert made["options"] == {"cells": 5, "kind": "fine"} and made["relative_l2"] == {"u": pytest.approx(0.5)}
    assert made["relative_h1"] == {"u": pytest.approx(0.5)}
    assert made["quantities"]["tip"] == pytest.approx({"value": 1.0, "reference": 2.0, "relative_error": 0.5})
    assert made["parameters"]["k"]["truth"] == 2.5 and made["device"] == "cpu" and made["threads"] >= 1
    assert [row["relative_l2"] for row in made["history"][2:4]] == [{"u": pytest.approx(0.5)}, None]
    assert "torch" in made["versions"]
    for part in ("step_limit", "2.50e-05", "5.00e-01", "tip", "truth 2.5", "written to run"):
        assert part in out
    assert calls[0]["seed"] == 3 and calls[0]["progress"] and calls[0]["network"] is None
    assert "u" in meshio.read(file.parent / "run" / "fields.vtu").point_data and not list(
        file.parent.glob("__pycache__")
    )


def test_quiet_prints_nothing_and_options_reach_the_solver(file, calls, capsys):
    options = ["--network", "mlp", "--form", "weak", "--tolerance", "1e-3", "--steps", "7", "--time-limit", "2.5"]
    assert cli.main(["solve", "saddle.py", "--quiet", "--threads", "1", "--device", "cpu", *options]) == 0
    assert capsys.readouterr() == ("", "")
    wanted = {"network": "mlp", "form": "weak", "tolerance": 1e-3, "steps": 7, "time_limit": 2.5, "progress": False}
    assert {name: calls[0][name] for name in wanted} == wanted
    assert (file.parent / "runs" / "saddle" / "run.json").is_file()


def test_without_reference_and_quantities(file, calls, capsys):
    file.write_text(FILE.split("def reference")[0])
    assert cli.main(["solve", "saddle.py", "-o", "run", "--json", "out.json"]) == 0
    made = json.loads((file.parent / "out.json").read_text())
    assert made["relative_l2"] == {} and made["quantities"] == {} and made["parameters"]["k"]["truth"] is None
    assert calls[0]["callback"] is None and not (file.parent / "run" / "u_error.png").exists()


@pytest.mark.parametrize(("status", "code"), [("NONFINITE", 1), ("INTERRUPTED", 130), ("STALLED", 0), ("CONVERGED", 0)])
def test_exit_codes(file, monkeypatch, capsys, status, code):
    monkeypatch.setattr(
        cli, "solve", lambda problem, **_: made_solution(problem, [lambda a, b: a - b], status=Status[status])
    )
    assert cli.main(["solve", "saddle.py", "--quiet"]) == code
    assert (file.parent / "runs" / "saddle" / "solution.kinn").is_file()
    out, err = capsys.readouterr()
    assert out == "" and (err.startswith(f"{status.lower()}: ") if code else err == "")


def test_help_without_arguments(capsys):
    assert cli.main([]) == 0 and "info" in capsys.readouterr().out


def test_an_interrupt_outside_training(file, monkeypatch, capsys):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "solve", stop)
    assert cli.main(["solve", "saddle.py"]) == 130


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ["saddle.py", "--set", "cell=3"],
            "problem() in saddle.py has no option 'cell'; it has: 'cells', 'kind'. Did you mean",
        ),
        (["saddle.py", "--set", "cells"], "--set 'cells' is not of the form NAME=VALUE"),
        (["saddle.py", "--set", "cells=many"], "saddle.py, line 8: "),
        (["none.py"], "cannot read the problem file 'none.py': No such file"),
        (
            ["saddle.py", "--network", "kann"],
            "--network 'kann' is not known; it has: 'kan', 'mlp'. Did you mean 'kan'?",
        ),
        (["saddle.py", "--form", "energy"], "--form 'energy' is not known"),
        (["saddle.py", "--steps", "0"], "--steps is 0; give a number above 0"),
        (["saddle.py", "--steps", "x"], "Invalid value for '--steps'"),
        (["saddle.py", "--tolerance", "nan"], "--tolerance is nan"),
        (["saddle.py", "--colour"], "--colour"),
        ([], "Missing argument 'FILE'"),
        (["saddle.py", "--json", "none/x.json"], "cannot write 'none/x.json': its folder does not exist"),
        (["saddle.py", "-o", "saddle.py"], "cannot make the folder 'saddle.py'"),
    ],
)
def test_bad_arguments_are_one_line_and_2(file, calls, capsys, arguments, text):
    assert cli.main(["solve", *arguments]) == 2
    out, err = capsys.readouterr()
    assert text in err and err.startswith("error: ") and err.count("\n") == 1 and not calls and not out


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("def problem(:\n  pass", "bad.py, line 1: SyntaxError: invalid syntax"),
        ("x = 1\ny = z", "bad.py, line 2: NameError: name 'z' is not defined"),
        ("def problm(): pass", "bad.py defines no function problem(); it has: 'problm'. Did you mean 'problm'?"),
        ("def problem(): return 3", "problem() in bad.py returned a int; return a kinn.Problem"),
        ("def problem(n): return 3", "problem() in bad.py needs the option 'n'; give --set n=VALUE"),
        (FILE.replace('on="boundary"', 'on="botom"'), "boundary 'botom' is not in the mesh"),
        (FILE.replace('"u": 2', '"w": 2'), "the reference names 'w'"),
        (FILE.replace("return {\"tip\"", "return [\"tip\"").replace("0.0])}", "0.0])]").replace("\"tip\":", "\"tip\","),
         "quantities() in bad.py returned a list; return a dict"),
    ],
)  # fmt: skip
def test_bad_problem_files_are_one_line_and_2(file, calls, capsys, content, text):
    (file.parent / "bad.py").write_text(content)
    assert cli.main(["solve", "bad.py"]) == 2
    err = capsys.readouterr().err
    assert text in err and err.count("\n") == 1 and not calls


def test_info_shows_the_statement_before_training(file, monkeypatch, capsys):
    planned = SimpleNamespace(
        form="strong", reason="it is smooth", network_text="KAN [2, 4, 4, 1]", n_points=400, terms=["laplace"],
        left_open="a constant of u", materials="steel, air", singular=["r^0.5 at (0, 0)"], periodic=("x",),
        layers=(),
        waves=(),
    )  # fmt: skip
    monkeypatch.setattr(cli, "plan", lambda problem, network, form, singular: planned)
    assert cli.main(["info", "saddle.py", "--set", "cells=2"]) == 0
    out = capsys.readouterr().out
    for part in ("steel, air", "r^0.5 at (0, 0)", "in x, exactly", "cells=2", "up to: a constant of u", "laplace: -k*div(", "8 triangles", "left (2 facets)", "x in [-1, 1]",
                 "strong, since it is smooth", "KAN [2, 4, 4, 1]", "400", "guess 2, between 0 and inf"):  # fmt: skip
        assert part in out


PROBLEMS = Path(__file__).parents[1] / "problems"


def test_info_without_singular_functions(capsys):
    assert cli.main(["info", str(PROBLEMS / "crack_mode_iii.py"), "--no-singular"]) == 0
    out = capsys.readouterr().out
    assert "a jump across the slit" in out and "r^0.5" not in out


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("poisson_lshape", ["singular  r^0.667, r^1.33 at (0, 0), opening 270 degrees"]),
        ("crack_mode_iii", ["r^0.5, r^1.5 at (0, 0), opening 360 degrees"]),
        ("advection_diffusion", ["layer    exp(-distance / 0.01) from the side with normal (1, 0)"]),
        ("periodic_cell", ["materials  inclusion, matrix", "periodic   in x, y, exactly", "a constant of T"]),
    ],
)
def test_info_shows_what_the_trial_space_has(capsys, name, texts):
    assert cli.main(["info", str(PROBLEMS / f"{name}.py")]) == 0
    out = capsys.readouterr().out
    assert all(text in out for text in texts) and "straight facets" not in out


HOLES = """
import numpy as np
import kinn
from kinn import div, grad

def problem():
    whole = kinn.Mesh.box((0, 0), (1, 1), cells=16)
    away = abs(abs(whole.points[whole.cells].mean(axis=1) - 0.5) - 0.25).max(axis=1)  # from four square holes
    used, cells = np.unique(whole.cells[away > 0.125], return_inverse=True)
    mesh = kinn.Mesh(whole.points[used], cells.reshape(-1, 3), "triangle")
    u = kinn.Field("u", mesh)
    return kinn.Problem(mesh, {"p": -div(grad(u)) - 1}, [kinn.Dirichlet(u, 0, on="boundary")])
"""


def test_info_says_how_many_corners_are_left_out(tmp_path, capsys):
    (tmp_path / "holes.py").write_text(HOLES)
    assert cli.main(["info", str(tmp_path / "holes.py")]) == 0
    out = capsys.readouterr().out
    assert out.count("opening 270 degrees") == 6
    assert "none at 10 more corners: the 6 most singular ones have them" in out  # of four times four


DISK = """
import numpy as np
import kinn
from kinn import div, grad

def problem(n=24):
    turn = 2 * np.pi * np.arange(n) / n
    points = np.concatenate([np.stack([np.cos(turn), np.sin(turn)], 1), [[0, 0]]])
    mesh = kinn.Mesh(points, [[k, (k + 1) % n, n] for k in range(n)], "triangle")
    u = kinn.Field("u", mesh)
    return kinn.Problem(mesh, {"p": -div(grad(u)) - 1}, [kinn.Dirichlet(u, 0, on="boundary")])
"""


def test_straight_edges_along_a_curve_are_reported(tmp_path, monkeypatch, capsys):
    (tmp_path / "disk.py").write_text(DISK)
    assert cli.main(["info", str(tmp_path / "disk.py")]) == 0
    error = (1 - np.cos(np.pi / 24)) / 2
    text = f"straight facets approximate a curve to {error:.1g} of the extent; use a second-order mesh (gmsh -order 2)"
    assert text in capsys.readouterr().out
    monkeypatch.setattr(cli, "solve", lambda problem, **_: made_solution(problem, [lambda a, b: a + b]))
    assert cli.main(["solve", str(tmp_path / "disk.py"), "-o", str(tmp_path / "run")]) == 0
    assert text in " ".join(capsys.readouterr().out.split())


def test_singular_functions_can_be_left_out(file, calls):
    for option, wanted in (([], True), (["--no-singular"], False)):
        assert cli.main(["solve", "saddle.py", "--quiet", *option]) == 0
        assert calls[-1]["singular"] is wanted


DERIVED = (
    FILE
    + """
def derived(problem):
    (u,) = problem.components
    return {"steepness": u.diff(problem.mesh.coordinates[0]), "gradient u": grad(u)}
"""
)


def test_derived_expressions_are_written_compared_and_drawn(file, calls, capsys):
    file.write_text(DERIVED)
    assert cli.main(["solve", "saddle.py", "-o", "run", "--json", "out.json"]) == 0
    made = json.loads((file.parent / "out.json").read_text())
    assert made["derived"] == {"steepness": pytest.approx(0.5), "gradient u": pytest.approx(0.5)}
    assert "steepness" in capsys.readouterr().out
    written = meshio.read(file.parent / "run" / "fields.vtu")
    assert written.point_data["steepness"] == pytest.approx(2 * written.points[:, 0])
    assert written.point_data["gradient u"].shape == (len(written.points), 3)
    assert cli.main(["plot", "run", "gradient u"]) == 0 and (file.parent / "run" / "gradient_u.png").is_file()
    file.write_text(
        FILE.split("def reference")[0] + "def derived(problem):\n    return {'twice': 2 * problem.components[0]}"
    )
    assert cli.main(["solve", "saddle.py", "-o", "other", "--json", "out.json", "--quiet"]) == 0
    assert json.loads((file.parent / "out.json").read_text())["derived"] == {}
    assert "twice" in meshio.read(file.parent / "other" / "fields.vtu").point_data


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        ("[1]", "derived() in saddle.py returned a list; return a dict"),
        ("{'u': 2}", "derived() in saddle.py names 'u', which is taken; choose another name"),
        ("{'x': 2}", "names 'x', which is taken"),
        ("{'s': 'w'}", "'w' is no field and no parameter of the problem"),
        ("{'s': len}", "is no expression"),
    ],
)
def test_derived_that_does_not_fit_is_refused_before_training(file, calls, capsys, returned, text):
    file.write_text(FILE + f"def derived(problem):\n    return {returned}")
    assert cli.main(["solve", "saddle.py"]) == 2
    err = capsys.readouterr().err
    assert text in err and err.count("\n") == 1 and not calls


MOVING = """
from kinn.geometry import Interval, Mesh
from kinn.statement import Dirichlet, Field, Problem, div, grad

def problem():
    mesh = Mesh.box(0, 1, cells=3) * Interval("t", 0, 2, cells=2)
    u = Field("u", mesh)
    return Problem(mesh, {"heat": u.diff(mesh.coordinates[1]) - div(grad(u))}, [Dirichlet(u, 0, on="left")])
"""


def test_time_is_a_series_and_can_be_held(file, calls, capsys):
    (file.parent / "moving.py").write_text(MOVING)
    assert cli.main(["solve", "moving.py", "-o", "run"]) == 0
    run = file.parent / "run"
    frames = sorted(run.glob("series_*.vtu"))
    assert len(frames) == 11 and (run / "series.pvd").is_file()
    # the field (2 x - 1)^2 - (t - 1)^2 on the rod at t = 0.6
    frame = meshio.read(frames[3])
    assert frame.point_data["u"] == pytest.approx((2 * frame.points[:, 0] - 1) ** 2 - 0.16)
    out = capsys.readouterr().out
    assert "series.pvd" in out and "series_000.vtu" not in out
    assert cli.main(["plot", "run", "u", "--at", "t=0.5"]) == 0 and (run / "u_t=0.5.png").is_file()
    assert cli.main(["plot", "run", "u", "--at", "t=[0, 1]", "-o", "two.png"]) == 0
    capsys.readouterr()
    for value, text in (
        ("t", "--at 't' is not of the form NAME=VALUE; write for instance --at t=0.5"),
        ("s=1", "'s' is no coordinate of the mesh; it has: 'x', 't'"),
        ("t=3", "t=3 lies outside the mesh"),
    ):
        assert cli.main(["plot", "run", "u", "--at", value]) == 2 and text in capsys.readouterr().err


def test_plot_draws_from_a_finished_run(file, calls, capsys):
    assert cli.main(["solve", "saddle.py", "--set", "cells=3", "-o", "run", "--quiet"]) == 0
    for what in ("field", "u", "error", "residual", "laplace", "history"):
        assert cli.main(["plot", "run", what]) == 0
        assert (file.parent / "run" / f"{what}.png").stat().st_size > 2000
    assert cli.main(["plot", "run", "u", "-o", "u.pdf"]) == 0 and (file.parent / "u.pdf").is_file()
    capsys.readouterr()
    for arguments, text in [
        (["run", "felid"], "there is no picture 'felid'; it has: 'field', 'u', 'error'"),
        (["nowhere", "u"], "'nowhere' has no run.json; give the folder that 'kinn solve' wrote"),
        (["run", "u", "-o", "u.xyz"], "cannot write 'u.xyz'"),
    ]:
        assert cli.main(["plot", *arguments]) == 2
        assert text in capsys.readouterr().err
    file.unlink()
    assert cli.main(["plot", "run", "u"]) == 2 and "cannot read the problem file" in capsys.readouterr().err


def test_option_values_are_python_literals():
    assert parse_options(["a=1", "b=1e-3", "c=True", "d=fine", "e='1'", "f=-2", "a=(1, 2)", "g=x=y"]) == {
        "a": (1, 2), "b": 1e-3, "c": True, "d": "fine", "e": "1", "f": -2, "g": "x=y"
    }  # fmt: skip


def test_problem_files_may_take_any_option(file):
    file.write_text(FILE.replace('cells=4, kind="fine"', "cells=4, **others"))
    loaded = ProblemFile.load(file, {"anything": 1})
    assert loaded.options == {"cells": 4, "anything": 1} and loaded.problem().fields.keys() == {"u"}


def test_records_replace_each_other_whole(tmp_path):
    write_json({"a": 1}, tmp_path / "r.json")
    with pytest.raises(ValueError):
        write_json({"a": float("nan")}, tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text()) == {"a": 1} and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(StatementError, match="cannot write"):
        write_json({}, tmp_path / "none" / "r.json")


def test_the_package_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "kinn", "solve", "--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    for option in ("--network", "--form", "--seed", "--set", "--device", "--threads", "--tolerance", "--steps",
                   "--time-limit", "--output", "--resume", "--no-singular", "--json", "--quiet"):  # fmt: skip
        assert option in done.stdout
