"""Bad input through the front doors, `kinn.solve`, `kinn.load` and the command line: one line each, before training."""

import json
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
import torch

import kinn
from kinn import div, grad
from kinn.cli import main
from kinn.training import Training

MESH = kinn.Mesh.box((0, 0), (1, 1), cells=4)
X, Y = MESH.coordinates
U = kinn.Field("u", MESH)
WALL = [kinn.Dirichlet(U, 0, on="boundary")]


def problem(equation=None, conditions=None, **others):
    return kinn.Problem(
        MESH, {"poisson": -div(grad(U)) - 1 if equation is None else equation}, conditions or WALL, **others
    )


def jumping(k):
    return problem(-div(k * grad(U)) - 1)


def spline(degree):
    return kinn.KAN([2, 3, 1], kinn.BSpline(degree))


@pytest.fixture
def untrained(monkeypatch):
    """Whoever starts to train has missed the mistake."""

    def run(*_):
        raise AssertionError("training has begun")

    monkeypatch.setattr(Training, "run", run)


@pytest.mark.parametrize("degree", [1, 2])
def test_a_spline_without_the_derivatives_of_the_form_is_refused(untrained, degree):
    with pytest.raises(kinn.StatementError) as error:
        kinn.solve(problem(), network=spline(degree), progress=False)
    text = (
        f"the strong form takes derivatives of order 2, but the network's basis has {degree - 1} continuous ones; "
        "use BSpline(degree=3) or higher, Chebyshev, Fourier or Gaussian"
    )
    assert text in str(error.value)


@pytest.mark.parametrize(("network", "form"), [(spline(3), "strong"), (spline(2), "weak")])
def test_a_spline_that_is_smooth_enough_is_taken(untrained, network, form):
    with pytest.raises(AssertionError, match="training has begun"):
        kinn.solve(problem(), network=network, form=form, progress=False)


@pytest.mark.parametrize(
    ("k", "text"),
    [
        (sp.Piecewise((1, X < 0.5), (5, True)), "Piecewise((1, x < 0.5), (5, True)) under the div of 'poisson'"),
        (1 + sp.Heaviside(X - 0.5), "Heaviside(x - 0.5) under the div of 'poisson'"),
        (
            kinn.Coefficient("k", MESH, lambda x, y: torch.where(x < 0.5, 1.0, 5.0), continuous=False),
            "coefficient 'k' under the div of 'poisson'",
        ),
    ],
)
def test_a_jump_under_a_strong_div_is_refused_and_weak_by_default(untrained, k, text):
    with pytest.raises(kinn.StatementError) as error:
        kinn.solve(jumping(k), form="strong", progress=False)
    assert str(error.value).startswith(text) and str(error.value).endswith("use form='weak'")
    with pytest.raises(AssertionError, match="training has begun"):
        kinn.solve(jumping(k), progress=False)


@pytest.mark.parametrize("device", ["cuda:99", "tpu"])
def test_a_device_that_is_not_there(untrained, device):
    with pytest.raises(
        kinn.StatementError, match=rf"device '{device}' is not there \(.*\); this machine has: .*cpu"
    ) as error:
        kinn.solve(problem(), device=device, progress=False)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: kinn.solve(problem(), form="stong", progress=False),
            "form 'stong' is not known; it has: 'strong', 'weak'. Did you mean 'strong'?",
        ),
        (lambda: kinn.solve(problem(), network="kann", progress=False), "network 'kann' is not known"),
        (
            lambda: kinn.solve(problem(), network=kinn.KAN([3, 3, 1], kinn.Chebyshev(3)), progress=False),
            "the network maps 3 inputs to 1 outputs, but the problem has 2 coordinates and 1 components",
        ),
        (lambda: kinn.solve(problem(), network=3, progress=False), "network is a int; give"),  # type: ignore[arg-type]
        (lambda: kinn.solve(problem(), tolerance=0, progress=False), "tolerance is 0; give a relative error above 0"),
        (
            lambda: kinn.solve(problem(U.diff(X, 2) + U.diff(Y, 2)), form="weak", progress=False),
            "no weak form: a second derivative of u outside a div in 'poisson'",
        ),
        (lambda: kinn.solve(problem(U.diff(X, 5)), progress=False), "order 5"),
        (
            lambda: kinn.solve(problem(conditions=[kinn.Dirichlet(U, 0, on="wall")]), progress=False),
            "boundary 'wall' is not in the mesh; it has: 'left', 'right', 'bottom', 'top'",
        ),
        (
            lambda: MESH.refined().tag("inlet", lambda x, y: x < -1),
            "tag 'inlet' selects none of the 32 boundary facets",
        ),
        (lambda: kinn.Mesh.read("nowhere.msh"), "nowhere.msh"),
        (
            lambda: kinn.fem.solve(problem(conditions=[kinn.Condition(U - U.diff(X), on="left")])),
            "no FEM: 'condition on left' is a general condition; use Dirichlet, Neumann or Robin",
        ),
        (lambda: kinn.fem.solve(problem(U.diff(X, 2) + U.diff(Y, 2))), "no weak form: a second derivative of u"),
    ],
)
def test_mistakes_are_told_before_training(untrained, make, text):
    with pytest.raises(kinn.StatementError) as error:
        make()
    assert text in str(error.value) and "\n" not in str(error.value)


def test_data_are_checked_before_training(untrained):
    outside = kinn.Observations(U, [[0.5, 0.5], [1.1, 0.5]], [1, 2])
    with pytest.raises(
        kinn.StatementError, match=r"1 of 2 points lie outside the mesh, the first is row 1 at \(1.1, 0.5\)"
    ):
        kinn.solve(problem(observations=[outside]), progress=False)


@pytest.fixture(scope="module")
def trained():
    return kinn.solve(problem(), steps=2, progress=False)


def test_a_start_from_other_fields_is_refused(untrained, trained):
    other = kinn.Field("v", MESH)
    different = kinn.Problem(MESH, {"poisson": -div(grad(other)) - 1}, [kinn.Dirichlet(other, 0, on="boundary")])
    with pytest.raises(kinn.StatementError, match=r"start= is a solution for u\(x, y\), not for this problem's fields"):
        kinn.solve(different, start=trained, progress=False)


def test_checkpoints_that_are_corrupt_or_of_another_problem(trained, tmp_path):
    file = tmp_path / "u.kinn"
    trained.save(file)
    points = [[0.3, 0.4], [0.5, 0.5]]
    assert np.array_equal(kinn.load(file, problem())(points), trained(points))
    with pytest.raises(kinn.StatementError, match="holds a solution of another problem: it says 'poisson: "):
        kinn.load(file, problem(-div(grad(U)) - 2))
    content = bytearray(file.read_bytes())
    content[-9] ^= 1
    file.write_bytes(content)
    with pytest.raises(kinn.StatementError, match=r"is corrupt \(its content does not match its hash\)"):
        kinn.load(file, problem())
    with pytest.raises(kinn.StatementError, match=r"there is no file '.*none.kinn'"):
        kinn.load(tmp_path / "none.kinn", problem())


@pytest.mark.parametrize(
    "equation", [-div(grad(U)) - sp.sqrt(X - sp.Rational(1, 2)), -div(grad(U)) - sp.log(U - 3)], ids=["data", "field"]
)
def test_a_term_that_is_not_finite_ends_the_run_and_is_named(equation):
    solution = kinn.solve(problem(equation), steps=20, progress=False)
    assert (
        solution.status is kinn.Status.NONFINITE and "the term 'poisson' is infinite or NaN" in solution.result.message
    )
    assert "the term 'poisson'" in str(solution) and np.isfinite(solution([[0.5, 0.5]])).all()


def test_the_last_good_solution_is_kept():
    """Weights are spoiled in mid-run, after the first check."""
    kept = {}

    def spoil(step, seconds, solution):
        checked = [record for record in solution.history if record.check is not None]
        if checked and not kept:
            kept["estimate"] = solution.estimate
            for weights in solution.result.surrogate.network.parameters():
                weights.data.fill_(float("nan"))

    solution = kinn.solve(problem(), steps=300, progress=False, callback=spoil)
    assert solution.status is kinn.Status.NONFINITE and "poisson" in solution.result.message
    assert solution.estimate == kept["estimate"] and solution([[0.5, 0.5]]) == pytest.approx(0.0737, rel=0.1)


FILE = '''
"""A plate."""
import sympy as sp
import kinn
from kinn import div, grad

def problem(power=1.0, wall="left"):
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=4)
    x, y = mesh.coordinates
    u = kinn.Field("u", mesh)
    return kinn.Problem(mesh, {"heat": -div(grad(u)) - (x - 0.5) ** power}, [kinn.Dirichlet(u, 0, on=wall)])
'''


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plate.py").write_text(FILE)
    return "plate.py"


@pytest.mark.parametrize("command", ["solve", "info"])
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ["--set", "powr=2"],
            "problem() in plate.py has no option 'powr'; it has: 'power', 'wall'. Did you mean 'power'?",
        ),
        (["--set", "wall=lefd"], "boundary 'lefd' is not in the mesh; it has: 'left', 'right', 'bottom', 'top'"),
        (["--form", "wek"], "--form 'wek' is not known; it has: 'strong', 'weak'. Did you mean 'weak'?"),
    ],
)
def test_the_command_line_ends_with_2(untrained, file, capsys, command, arguments, text):
    assert main([command, file, *arguments]) == 2
    out, err = capsys.readouterr()
    assert text in err and err.count("\n") == 1 and not out


def test_the_command_line_knows_its_devices(untrained, file, capsys):
    assert main(["solve", file, "--device", "cuda:99", "--quiet"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: device 'cuda:99' is not there") and err.count("\n") == 1


def test_the_command_line_ends_with_1_where_a_term_is_not_finite(file, capsys):
    assert main(["solve", file, "--set", "power=0.5", "--quiet", "-o", "run", "--json", "run.json"]) == 1
    out, err = capsys.readouterr()
    assert not out and err.startswith("nonfinite: the term 'heat' is infinite or NaN") and err.count("\n") == 1
    record = json.loads(Path("run.json").read_text())
    assert record["status"] == "nonfinite" and Path("run/solution.kinn").is_file()
