"""The comparison of solvers: rows, sweeps that survive everything, matching, and what many rows say together."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import kinn
from kinn import cli
from kinn.comparison import isolated as isolation
from kinn.comparison.cost import flops, mlp_widths
from kinn.comparison.isolated import isolated
from kinn.comparison.perform import perform
from kinn.comparison.rerun import rerun
from kinn.comparison.run import Run, seconds_to, thinned
from kinn.comparison.summary import groups, matching, verdict, verdicts
from kinn.comparison.sweep import ROWS, read_rows, sweep

BAR = '''
"""A bar."""
import sympy as sp
import kinn

def problem(length=1.0):
    mesh = kinn.Mesh.box(0, length, cells=4)
    (x,) = mesh.coordinates
    u, exact = kinn.Field("u", mesh), sp.sin(3 * x)
    return kinn.Problem(mesh, {"bar": -kinn.div(kinn.grad(u)) - 9 * exact}, [kinn.Dirichlet(u, exact, on="boundary")],
                        exact={u: exact})

def reference(problem):
    return problem.exact
'''
SHORT = {"time_limit": 3.0, "threads": 1}


@pytest.fixture
def bar(tmp_path):
    path = tmp_path / "bar.py"
    path.write_text(BAR)
    return path


def made(run, error=1e-3, times=(), **more):
    """A row as a run leaves it, without running anything."""
    history = [[s, k, 100, e] for k, (s, e) in enumerate(times)] or [[1.0, 1, 100, error]]
    return run.row("time_limit", error=error, n_parameters=100, flops=200, seconds=1.0, history=history,
                   seconds_to=seconds_to(history), network_size={"parameters": 100}, **more)  # fmt: skip


def runs_of(count=3, **more):
    return [Run("a.py", "0", "kan", seed=seed, **more) for seed in range(count)]


def test_a_run_is_known_by_what_decides_it():
    run = Run(
        "bench/../plate.py", "d", "mlp", seed=3, options={"nu": 0.3}, match="parameters", optimizer="adam", form="weak"
    )
    assert run.problem == "plate nu=0.3" and run.contender == "mlp, as many parameters, weak, adam"
    assert Run.of(json.loads(json.dumps(run.row("died")))).key == run.key
    changed = [replace(run, **{name: value}) for name, value in
               dict(file="b.py", digest="e", solver="kan", seed=4, options={}, form=None, optimizer=None, match=None,
                    like="x", time_limit=1.0, tolerance=1.0, threads=1, device="cuda").items()]  # fmt: skip
    assert len({one.key for one in [run, *changed]}) == 1 + len(asdict(run))


def test_what_a_history_says():
    history = [[0.5, 1, 10, 0.2], [1.0, 2, 10, None], [2.0, 3, 20, 0.009], [3.0, 4, 20, 0.02], [4.0, 5, 20, 0.01]]
    found = seconds_to(history)
    assert (found["1e-01"], found["1e-02"], found["1e-03"]) == (2.0, 2.0, None)
    assert thinned(history) == [history[0], history[2], history[4]] and thinned([]) == []


# Cost.


@pytest.mark.parametrize(
    "network, products",
    [
        (kinn.KAN([2, 5, 3, 1], kinn.Chebyshev(4), base=False), 2 * 4 * (2 * 5 + 5 * 3 + 3)),
        (kinn.KAN([3, 4, 2], kinn.BSpline(3, 5)), 2 * 9 * (3 * 4 + 4 * 2)),
        (kinn.MLP([2, 7, 4, 1]), 2 * (2 * 7 + 7 * 4 + 4 * 1)),
    ],
)
def test_operations_are_those_that_torch_counts_and_those_of_the_functions(network, products):
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(torch.zeros(10, network.n_inputs, dtype=torch.float64))
    hidden, nodes = sum(network.widths[1:-1]), sum(network.widths[:-1])
    if isinstance(network, kinn.MLP):
        functions, counted = 0, 0
    elif isinstance(network.basis, kinn.BSpline):  # polynomials of a cell by products, and silu
        functions, counted = nodes * (2 * 4**2 + 5), nodes * 2 * 4**2
    else:
        functions, counted = nodes * 3 * 5, 0  # a recurrence
    assert counter.get_total_flops() == 10 * (products + counted)
    constants = sum(network.widths[1:]) * (2 if isinstance(network, kinn.MLP) else 1)
    assert flops(network) == products + functions + constants + 6 * hidden


def test_an_mlp_is_made_as_large_as_asked():
    for d, c, wanted in ((1, 1, 90), (2, 3, 600), (4, 2, 2400)):
        widths = mlp_widths(d, c, wanted)
        assert widths[0] == d and widths[-1] == c
        assert kinn.MLP(widths).n_parameters == pytest.approx(wanted, rel=0.05)
        assert flops(kinn.MLP(mlp_widths(d, c, wanted, "flops"))) == pytest.approx(wanted, rel=0.15)
    assert flops(torch.nn.Linear(1, 1)) is None  # type: ignore[arg-type]


# Sweeps.


def test_a_sweep_goes_on_where_it_was_and_keeps_the_order(tmp_path):
    runs, calls = runs_of(4), []

    def performed(*arguments):
        run = Run(**arguments[0])
        calls.append(run.seed)
        if run.seed == 2 and len(calls) == 3:
            raise KeyboardInterrupt
        return made(run)

    with pytest.raises(KeyboardInterrupt):
        sweep(runs, tmp_path, perform=lambda run, *_: performed(run))
    assert len(read_rows(tmp_path / ROWS)) == 2
    with (tmp_path / ROWS).open("a") as stream:
        stream.write('{"key": "tor')  # the line that a killed sweep was writing
    rows = sweep(runs, tmp_path, perform=lambda run, *_: performed(run))
    assert calls == [0, 1, 2, 2, 3] and [Run.of(row).seed for row in rows] == [0, 1, 2, 3]
    lines = (tmp_path / ROWS).read_text().splitlines()
    assert len(lines) == 4 and {json.loads(line)["key"] for line in lines} == {run.key for run in runs}
    with pytest.raises(kinn.StatementError, match="line 1 of .* is no row of a sweep"):
        (tmp_path / ROWS).write_text("{\n" + lines[0] + "\n")
        read_rows(tmp_path / ROWS)


def test_runs_that_are_matched_come_after_those_they_are_matched_to(tmp_path):
    kan, lost = runs_of(2)
    matched = [Run("a.py", "0", "mlp", match="parameters", like=one.key, seed=one.seed) for one in (kan, lost)]
    seen = []

    def performed(run, folder, size, pictures):
        seen.append((run["solver"], size, pictures is None))
        return made(Run(**run)) if run["seed"] == 0 else Run(**run).row("died", "no memory")

    rows = sweep([*matched, kan, lost], tmp_path, perform=performed)
    assert seen == [("kan", None, False), ("kan", None, True), ("mlp", {"parameters": 100}, False)]
    assert rows[1]["status"] == "refused" and "no network: no memory" in rows[1]["message"]
    seen.clear()  # what failed is tried again, and leaves one row
    rows = sweep([*matched, kan, lost], tmp_path, perform=lambda run, *_: made(Run(**run)))
    assert [row["status"] for row in rows] == ["time_limit"] * 4 and len(read_rows(tmp_path / ROWS)) == 4


def test_an_executor_gets_the_runs_and_a_lost_one_leaves_a_row(tmp_path):
    def performed(run, *_):
        if run["seed"] == 1:
            raise OSError("connection lost")
        return made(Run(**run))

    with ThreadPoolExecutor(2) as executor:
        rows = sweep(runs_of(5), tmp_path, executor, perform=performed)
    assert [row["status"] for row in rows] == ["time_limit", "died"] + 3 * ["time_limit"]
    assert "connection lost" in rows[1]["message"]


def pretended(run, *_):
    return made(Run(**run))


def test_runs_go_to_the_workers_of_dask(tmp_path):
    distributed = pytest.importorskip("dask.distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        with distributed.Client(cluster) as client:
            rows = sweep(runs_of(6), tmp_path, client.get_executor(), perform=pretended)
    assert [Run.of(row).seed for row in rows] == list(range(6)) and len(read_rows(tmp_path / ROWS)) == 6


KILLED = """
import sys, time
from pathlib import Path
from kinn.comparison.run import Run
from kinn.comparison.sweep import sweep

def slow(run, *_):
    time.sleep(0.15)
    return Run(**run).row("time_limit", error=1e-3)

sweep([Run("a.py", "0", "kan", seed=seed) for seed in range(12)], Path(sys.argv[1]), perform=slow)
"""


def test_after_kill_9_a_second_start_ends_with_the_rows_of_a_whole_sweep(tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    first = subprocess.Popen(command)
    deadline = time.monotonic() + 60
    while len(read_rows(tmp_path / ROWS)) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait()
    before = read_rows(tmp_path / ROWS)
    assert 3 <= len(before) < 12
    subprocess.run(command, check=True)
    after = read_rows(tmp_path / ROWS)
    assert after[: len(before)] == before
    assert [row["key"] for row in after] == [run.key for run in runs_of(12)]


# Runs in processes of their own.


def test_a_process_that_dies_or_never_ends_leaves_a_row(tmp_path, monkeypatch):
    (tmp_path / "dies.py").write_text("import os\nos._exit(3)\n")
    (tmp_path / "sleeps.py").write_text("import time\ntime.sleep(600)\n")
    (tmp_path / "wrong.py").write_text("x = 1\n")
    monkeypatch.setattr(isolation, "GRACE", 60.0)
    row = isolated(vars(Run("dies.py", "0", "kan", **SHORT)), str(tmp_path), None, None)
    assert row["status"] == "died" and row["exit"] == 3 and Run.of(row).file == "dies.py"
    row = isolated(vars(Run("wrong.py", "0", "kan", **SHORT)), str(tmp_path), None, None)
    assert row["status"] == "refused" and "defines no function problem()" in row["message"]
    monkeypatch.setattr(isolation, "GRACE", 8.0)
    begin = time.monotonic()
    row = isolated(vars(Run("sleeps.py", "0", "kan", **SHORT)), str(tmp_path), None, None)
    assert row["status"] == "timed_out" and time.monotonic() - begin < 30


def test_a_process_ends_when_its_parent_is_gone(tmp_path):
    (tmp_path / "sleeps.py").write_text(
        f"import os, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)\n"
    )
    code = (
        "from kinn.comparison.isolated import isolated\nfrom kinn.comparison.run import Run\n"
        f"isolated(vars(Run('sleeps.py', '0', 'kan')), {str(tmp_path)!r}, None, None)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while not (tmp_path / "pid").is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    time.sleep(0.2)
    child = int((tmp_path / "pid").read_text())
    for _ in range(100):
        if not alive(child):
            return
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    pytest.fail("the run goes on, though nobody waits for it")


def alive(process):
    try:
        with open(f"/proc/{process}/stat") as stream:
            return stream.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_rows_of_networks_and_elements_say_what_was_done(bar):
    kan = perform(Run("bar.py", "0", "kan", tolerance=1e-4, **SHORT), bar.parent)
    assert kan["status"] == "converged" and kan["error"] < 1e-4 and kan["errors"]["u"]["h1"] < 2e-4
    assert kan["seconds_to"]["1e-02"] <= kan["seconds"] < 4 and kan["history"][-1][3] < 1e-3
    (part,) = kan["network_size"]
    assert part == {"parameters": kan["n_parameters"], "flops": kan["flops"], "n_inputs": 1, "n_outputs": 1}
    assert (
        kan["conditions"]["gflops"] > 0.1
        and kan["conditions"]["threads"] == 1
        and kan["n_points"] >= 3 * kan["n_parameters"]
    )
    mlp = perform(
        Run("bar.py", "0", "mlp", match="parameters", like=kan["key"], **SHORT), bar.parent, kan["network_size"]
    )
    assert mlp["n_parameters"] == pytest.approx(kan["n_parameters"], rel=0.1) and mlp["network"].startswith("MLP")
    adam = perform(Run("bar.py", "0", "mlp", optimizer="adam", **SHORT), bar.parent)
    assert adam["status"] == "time_limit" and adam["error"] > kan["error"] and adam["steps"] > 100
    fem = perform(Run("bar.py", "0", "fem", **SHORT), bar.parent)
    sizes, errors = [row[2] for row in fem["history"]], [row[3] for row in fem["history"]]
    assert sizes == sorted(sizes) and len(sizes) > 3 and errors[-1] < 0.1 * errors[0] and fem["error"] < 1e-4
    json.dumps([kan, mlp, adam, fem], allow_nan=False)


PEER = '''
"""The answer itself, after a while; documented nowhere."""
import numpy as np
PACKAGES, DTYPE = ("numpy",), "float64"

def run(seed, seconds, report):
    step = 0
    while not report(step, lambda x, k=step: {"u": np.sin(3 * x[:, 0]) * (1 + 0.1**k)}):
        step += 1
        if step == 6:
            break
    return {"n_parameters": 7, "network": f"sine {seed}"}
'''


def test_a_peer_is_a_file_beside_the_problem(bar):
    run = Run("bar.py", "0", "exactly", seed=2, **SHORT)
    with pytest.raises(kinn.StatementError, match="exactly has no file for this problem: .*exactly_bar.py is missing"):
        perform(run, bar.parent)
    (bar.parent / "peers").mkdir()
    (bar.parent / "peers" / "exactly_bar.py").write_text(PEER)
    row = perform(run, bar.parent)
    assert row["status"] == "ended" and row["error"] == pytest.approx(1e-5) and row["network"] == "sine 2"
    assert row["setting"].startswith("The answer itself") and row["n_parameters"] == 7
    assert [entry[3] for entry in row["history"]] == pytest.approx([10.0**-k for k in range(6)])
    assert row["conditions"]["versions"]["numpy"] == np.__version__
    (bar.parent / "peers" / "exactly_bar.py").write_text(PEER.replace('("numpy",)', '("no-such-library",)'))
    with pytest.raises(kinn.StatementError, match="exactly needs no-such-library"):
        perform(run, bar.parent)
    (bar.parent / "peers" / "exactly_bar.py").write_text(PEER)
    with pytest.raises(kinn.StatementError, match="as it is by default, not with {'length': 2}"):
        perform(replace(run, options={"length": 2}), bar.parent)


# What many rows say.


def of(problem, solver, errors, times=None, **more):
    runs = [Run(f"{problem}.py", "0", solver, seed=seed, **more) for seed in range(len(errors))]
    return [made(run, error, () if times is None else times[run.seed]) for run, error in zip(runs, errors, strict=True)]


def test_medians_count_failures_as_the_worst_and_times_as_the_cap():
    rows = of("a", "kan", [3e-3, None, 1e-3], [[(1, 1e-2), (2, 3e-3)], [], [(4, 9e-3), (5, 1e-3)]])
    (group,) = groups(rows)
    assert group.median == 3e-3 and group.quartiles == (1e-3, math.inf) and math.isinf(group.errors.max())
    assert group.time("1e-02") == 4 and group.capped("1e-02") == 1
    assert group.time("1e-03") == 600 and group.capped("1e-03") == 2
    assert groups(of("a", "kan", [None, 1e-3]))[0].median == math.inf


def test_a_verdict_counts_problems():
    rows = []
    for k, ratio in enumerate((0.1, 0.66, 0.9, 1.4, 1.6, 30.0)):
        rows += of(f"p{k}", "kan", 3 * [1e-3 * ratio], 3 * [[(2.0, 1e-3 * ratio)]])
        rows += of(f"p{k}", "mlp", [1e-4, 1e-3, 1e-2], 3 * [[(8.0, 1e-3)]])
    (found,) = verdicts(groups(rows))
    assert (found.contender, found.other) == ("kan", "mlp")
    assert (found.ahead, found.level, found.behind) == (2, 2, 2) and found.ratios["p5"] == pytest.approx(30)
    assert found.mean == pytest.approx(np.prod([0.1, 0.66, 0.9, 1.4, 1.6, 30.0]) ** (1 / 6)) and 0 < (found.p or 0) <= 1
    assert found.caps["1e-02"] == (3, 0)  # the last problem's 3e-2 is not enough
    alone = verdict(groups(of("a", "kan", [None])), groups(of("a", "mlp", [None])))
    assert alone.level == 1 and alone.p is None and alone.speedups == {}


def test_what_was_refused_has_not_lost():
    refused = [Run("a.py", "0", "mlp").row("refused", "too large")]
    found = verdict(
        groups(of("a", "kan", [1e-3]) + of("b", "kan", [1e-3])), groups([*refused, *of("b", "mlp", [1e-3])])
    )
    assert found.ratios == {"b": 1.0} and found.level == 1


def test_speed_is_a_geometric_mean_over_problems():
    rows = of("a", "kan", [1e-2], [[(2.0, 1e-2)]]) + of("a", "mlp", [1e-2], [[(8.0, 1e-2)]])
    rows += of("b", "kan", [1e-2], [[(6.0, 1e-2)]]) + of("b", "mlp", [1.0], [[(8.0, 1.0)]])
    (found,) = verdicts(groups(rows))
    assert found.speedups["1e-02"] == pytest.approx((4 * 100) ** 0.5) and found.caps["1e-02"] == (0, 1)


def test_elements_are_taken_at_the_same_error():
    fem = Run("a.py", "0", "fem").row(
        "converged", error=1e-5, history=[[0.1, 0, 50, 1e-2], [0.4, 1, 200, 1e-4], [9, 2, 900, 1e-5]]
    )
    found = groups([*of("a", "kan", [2e-4]), fem])
    assert matching(found[0], found) == (0.4, 200)
    assert matching(groups(of("a", "kan", [1e-7]))[0], found) is None


# The door.


def test_bench_writes_rows_tables_and_a_page(bar, capsys):
    folder = bar.parent / "out"
    arguments = ["bench", str(bar), "--seeds", "1", "--time-limit", "5", "--match", "parameters", "--threads", "1",
                 "--tolerance", "1e-3", "-o", str(folder)]  # fmt: skip
    assert cli.main(arguments) == 0
    out, err = capsys.readouterr()
    rows = read_rows(folder / ROWS)
    assert [Run.of(row).contender for row in rows] == ["kan", "fem", "mlp, as many parameters"]
    assert [row["status"] for row in rows] == ["converged"] * 3 and "3/3 bar: mlp" in err
    assert (
        out.startswith("# Comparison\n") and "| bar | kan | 1 |" in out and "kan beside mlp, as many parameters" in out
    )
    assert (folder / "report.md").read_text() in out and "data:image/png;base64," in (
        folder / "report.html"
    ).read_text()
    assert cli.main(arguments) == 0 and len(read_rows(folder / ROWS)) == 3  # nothing is repeated
    again = rerun(folder / ROWS, 3)
    assert again.agrees and again.now["key"] == rows[2]["key"] and again.now["n_parameters"] == rows[2]["n_parameters"]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"networks": ["kam"]}, "network 'kam' is not known.*kan"),
        ({"optimizers": ["sgd"]}, "optimizer 'sgd' is not known"),
        ({"match": "flop"}, "match 'flop' is not known.*Did you mean 'flops'"),
        ({"networks": ["mlp"], "match": "flops"}, "match='flops' needs the KAN"),
        ({"time_limit": 0}, "seconds above 0"),
        ({"files": []}, "no problem file"),
        ({"executor": "ray://here"}, "executor 'ray://here' is not known"),
        ({"peers": ["deepxde"]}, "no problem has a file peers/deepxde_PROBLEM.py"),
        ({"options": {"length": {1}}}, "cannot be kept as JSON"),
        ({"options": {"depth": 1}}, "has no option 'depth'"),
    ],
)
def test_mistakes_are_told_before_anything_is_run(bar, changes, message, monkeypatch):
    monkeypatch.setattr(sys.modules["kinn.comparison.bench"], "sweep", None)  # the first run would fail
    arguments = {"files": [bar], "output": bar.parent / "out", "seeds": 1, "progress": False, **changes}
    with pytest.raises(kinn.StatementError, match=message):
        kinn.bench(**arguments)
    assert not (bar.parent / "out" / ROWS).exists()


def test_a_problem_that_its_exact_solution_does_not_solve_is_refused(bar):
    bar.write_text(BAR.replace("9 * exact", "8 * exact"))
    with pytest.raises(kinn.StatementError, match="the exact solution does not satisfy 'bar'"):
        kinn.bench(bar, output=bar.parent / "out")
    bar.write_text(BAR.split("def reference")[0])
    with pytest.raises(kinn.StatementError, match="defines no reference"):
        kinn.bench(bar, output=bar.parent / "out")


def test_a_row_that_is_not_there_is_told(tmp_path, capsys):
    (tmp_path / ROWS).write_text(json.dumps(made(runs_of()[0])) + "\n")
    assert cli.main(["bench", "--rerun", f"{tmp_path / ROWS}:2"]) == 2
    assert "has 1 rows, no row 2" in capsys.readouterr().err
    assert cli.main(["bench", "--rerun", "3"]) == 2 and "FILE.jsonl:NUMBER" in capsys.readouterr().err
