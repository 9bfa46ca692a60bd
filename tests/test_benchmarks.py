"""The benchmarks ask what they say, and keep what was measured."""

import json
import subprocess
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from benchmarks import figures, kept, networks, runs, scales
from benchmarks.__main__ import app
from benchmarks.conditions import RESULTS, ROOT
from benchmarks.suite import CASES, GROUPS, MESHES, ONE_EACH, UNITS, Case, Level, selected
from kinn import cli
from kinn.comparison.cost import mlp_widths
from kinn.comparison.run import Run
from kinn.comparison.summary import groups, verdicts
from kinn.problem_file import ProblemFile

INF = float("inf")
WHERE = {"commit": "abc", "uncommitted": False, "versions": {"kinn": "0"}, "device": "cpu", "threads": 2,
         "dtype": "float64", "date": "2026-01-01"}  # fmt: skip
CASE = Case("bar", "bar", (Level(1e-3, 10), Level(1e-5, 20)))


def record(*history, seconds=15.0, **more):
    rows = [{"seconds": s, "relative_l2": {"u": e}, "check": c} for s, e, c in history]
    return {"history": rows, "seconds": seconds, "status": "converged", **more}


def rows_of(text):
    return [line for line in text.splitlines() if line.startswith("| ")]


# What is asked.


def test_a_level_counts_what_was_reached_in_time():
    own = [record((1, 1e-2, None), (9, error, None), (12, 1e-9, None)) for error in (1e-4, 9e-4, 2.9e-3)]
    found = figures.level_figures(Level(1e-3, 10), own)
    assert found["errors"] == [1e-4, 9e-4, 2.9e-3] and found["median"] == 9e-4 and found["met"]
    assert found["seconds"] == [9, 9, 12] and found["median_seconds"] == 9
    assert not figures.level_figures(Level(1e-3, 10), [*own[:2], record((9, 3.1e-3, None))])["met"]  # worst beyond 3x
    assert not figures.level_figures(Level(1e-3, 10), [own[2], own[2], own[0]])["met"]  # median beyond
    assert figures.level_figures(Level(1e-3, 10), [{"exit": 2}])["median"] is None


@pytest.mark.parametrize(
    "changes, wanted",
    [({}, True), ({"seconds": 20.1}, False), ({"derived": {"stress": 0.31}}, False), ({"derived": {}}, False)],
)
def test_what_is_asked_at_the_end_is_met_in_time_or_not_at_all(changes, wanted):
    (wish,) = figures.wishes(replace(CASE, derived={"stress": 0.1}))
    good = record((1, 1e-6, None), derived={"stress": 0.09})
    found = figures.final_figures(wish, CASE.time_limit, [good, good, {**good, **changes}])
    assert found["met"] is wanted and found["what"] == "stress 1e-01" and found["within"] == 20
    json.dumps(found, allow_nan=False)


def test_errors_of_quantities():
    own = record(quantities={"flux": {"value": 9.0, "reference": -10.0, "relative_error": 1.9},
                             "lowest": {"value": -0.02, "reference": 0.0, "relative_error": None},
                             "highest": {"value": 1.9, "reference": 2.0, "relative_error": 0.05}})  # fmt: skip
    assert runs.quantity_error(own, "flux") == pytest.approx(1.9)
    assert runs.quantity_error(own, "lowest") == INF  # nothing is relative to zero
    wishes = figures.wishes(replace(CASE, quantities={"flux": 5e-3}, overshoot=0.02))
    assert [wish.text for wish in wishes] == [
        "flux within 0.5%", "lowest within 2% of the range", "highest within 2% of the range",
    ]  # fmt: skip
    assert [wish.measure(own) for wish in wishes] == pytest.approx([1.9, 0.01, 0.05])
    assert [wish.measure({"exit": 1}) for wish in wishes] == [INF] * 3


def test_a_refusal_is_one_line_that_gives_the_reason():
    case = replace(CASE, refused=("--form", "strong"))
    assert figures.refused(case, {"exit": 2, "stderr": "error: k jumps\n"})["met"]
    for other in ({"exit": 0}, {"exit": 2, "stderr": "error: No such option (try 'kinn --help')"},
                  {"exit": 2, "stderr": "error: a\nTraceback"}):  # fmt: skip
        assert not figures.refused(case, other)["met"]


def test_rows_of_a_case():
    case = replace(CASE, derived={"stress": 0.1}, quantities={"flux": 1e-3})
    good = record((1, 1e-6, 1e-3), derived={"stress": 0.09}, relative_h1={"u": 2e-5}, estimate=1e-5,
                  quantities={"flux": {"value": 1.0, "reference": 1.0}})  # fmt: skip
    rows = figures.table_rows(case, figures.figures_of(case, [good, good]))
    assert [row[1] for row in rows] == [
        "1e-03 within 10 s",
        "1e-05 within 20 s",
        "stress 1e-01, 20 s",
        "flux within 0.1%, 20 s",
    ]
    assert all(len(row) == len(figures.HEADER) and row[-1] is True for row in rows) and rows[0][6] == "0.5 to 0.5"


def test_figures_run_each_seed_and_replace_only_their_own_problem(tmp_path, monkeypatch):
    calls = []

    def solve(problem, seed, threads, time_limit=None, tolerance=None, steps=None, settings=None, options=()):
        calls.append((problem, seed, time_limit, tolerance, steps, options))
        if steps == 1:
            return {"exit": 2, "stderr": "error: k jumps"}
        return record((1, 1e-6, None), quantities={"energy": {"value": 1.0, "reference": 1.0}})

    monkeypatch.setattr(figures, "solve", solve)
    figures.run(2, "crack_mode_iii", 1, 0.5, None, tmp_path)
    text = figures.run(1, "two_materials_1d", 1, 1, 3, tmp_path)
    assert calls == [
        *(("crack_mode_iii", seed, 30, 1e-6, None, ()) for seed in (0, 1)),
        *(("crack_mode_iii", seed, 30, 3e-4, None, ("--no-singular",)) for seed in (0, 1)),
        ("two_materials_1d", 0, 3, 1e-6, None, ()),
        ("two_materials_1d", 0, None, None, 1, ("--form", "strong")),
    ]
    assert [line.split(" | ")[0][2:] for line in rows_of(text)[1:]] == [
        "two_materials_1d", "two_materials_1d", "crack_mode_iii", "crack_mode_iii", "crack_mode_iii --no-singular",
    ]  # fmt: skip
    assert all(line.endswith("| yes |") for line in rows_of(text)[1:])
    assert "seeds 0 to 1; runs ended at 0.5" in text and "crack_mode_iii --no-singular 3e-04" in text


# The suite fits the problem files and the command line.


@pytest.mark.parametrize("problem", sorted({case.problem for case in CASES}))
def test_what_is_asked_is_in_the_problem_file(problem):
    file = ProblemFile.load(ROOT / "problems" / f"{problem}.py")
    stated = file.problem()
    assert set(UNITS) <= set(file.options)
    for case in (case for case in CASES if case.problem == problem):
        wanted = [*case.quantities, *(figures.ENDS if case.overshoot is not None else ())]
        assert set(wanted) <= set(file.quantities(stated))
        assert set(case.derived) <= set(file.derived(stated))
        assert case.parameters is None or stated.parameters


def test_every_problem_file_is_measured_once_in_its_defaults():
    assert sorted(case.problem for case in ONE_EACH) == sorted(p.stem for p in (ROOT / "problems").glob("*.py"))
    assert len({case.name for case in CASES}) == len(CASES) and sum(case in ONE_EACH for case in MESHES) == 11
    assert {case.name for group in GROUPS.values() for case in group} == {case.name for case in CASES}
    for case in GROUPS["meshes"]:
        assert case.tolerance == pytest.approx(min(level.error for level in case.levels) / 10)


def test_cases_are_selected_by_problem_and_by_group():
    both = [case.name for case in selected(CASES, "crack_mode_iii, heat_1d")]
    assert both == ["heat_1d", "crack_mode_iii", "crack_mode_iii --no-singular"]
    assert {case.name for case in selected(CASES, "meshes")} == {case.name for case in GROUPS["meshes"]}
    assert selected(CASES, None) == list(CASES)
    with pytest.raises(
        SystemExit, match="no problem 'crack' in this suite; it has: smooth, inverse, meshes, paper, adv"
    ):
        selected(CASES, "heat_1d,crack")


def test_the_command_line_is_called_as_stated(monkeypatch):
    called = []

    def call(command, **_):
        called.append(command)
        Path(command[command.index("--json") + 1]).write_text('{"seconds": 1}', encoding="utf-8")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", call)
    found = runs.solve("heat_1d", 3, 1, 5.0, None, 7, {"size": 2.0}, ("--no-singular",))
    assert found == {"exit": 0, "seconds": 1}
    text = " ".join(called[0])
    for part in ("--seed 3", "--threads 1", "--time-limit 5.0", "--steps 7", "--set size=2.0", "--no-singular"):
        assert part in text
    assert "--tolerance" not in text


def test_the_command_line_knows_all_options(capsys):
    assert cli.main(["solve", "--help"]) == 0
    shown = capsys.readouterr().out
    options = {option for case in CASES for option in (*case.options, *case.refused) if option.startswith("--")}
    assert options == {"--no-singular", "--form", "--set"}
    for option in (
        *options,
        "--seed",
        "--threads",
        "--json",
        "--output",
        "--time-limit",
        "--tolerance",
        "--steps",
        "--set",
    ):
        assert option in shown


# Results.


def test_results_grow_problem_by_problem(tmp_path):
    one, two = (replace(CASE, name=name) for name in ("one", "two"))
    kept.keep("figures", two, {"conditions": WHERE, "n": 1}, tmp_path)
    kept.keep("figures", one, {"conditions": {**WHERE, "commit": "def", "within": 0.5}, "n": 2}, tmp_path)
    entries = kept.keep("figures", two, {"conditions": {**WHERE, "date": "2026-01-02"}, "n": 3}, tmp_path)
    assert entries == kept.read("figures", tmp_path) and [p.name for p in tmp_path.iterdir()] == ["figures.json"]
    assert [(case.name, entry["n"]) for case, entry in kept.listed([one, two], entries)] == [("one", 2), ("two", 3)]
    first, second = kept.notes(entries)
    assert first.startswith("two: Commit abc; cpu") and first.endswith("2026-01-02.")
    assert "runs ended at 0.5 of the seconds asked" in second and second.startswith("one: Commit def")
    (only,) = kept.notes({"two": entries["two"]})
    assert only.startswith("Commit abc")


@pytest.mark.parametrize("suite", [figures, scales], ids=lambda module: module.__name__)
def test_committed_tables_are_made_from_the_committed_results(suite, tmp_path):
    name = suite.__name__.split(".")[-1]
    (tmp_path / f"{name}.json").write_bytes((RESULTS / f"{name}.json").read_bytes())
    committed = (RESULTS / f"{name}.md").read_text(encoding="utf-8")
    made = suite.table(tmp_path)
    assert rows_of(made) == rows_of(committed) and len(rows_of(made)) > 5
    assert (tmp_path / f"{name}.md").read_text(encoding="utf-8") == made


def test_the_committed_table_of_networks_is_made_from_the_committed_rows(tmp_path):
    (tmp_path / "networks").mkdir()
    (tmp_path / "networks" / "runs.jsonl").write_bytes((RESULTS / "networks" / "runs.jsonl").read_bytes())
    assert networks.table(tmp_path) == (RESULTS / "networks.md").read_text(encoding="utf-8")


def test_histories_are_thinned_without_a_change_of_what_they_say():
    full = record((1, 1e-2, None), (2, 3e-2, None), (3, 2e-2, 1e-3), (4, 1e-4, None), seconds=4)
    thin = runs.thinned(full)
    assert [row["seconds"] for row in thin["history"]] == [1, 3, 4]
    assert figures.level_figures(CASE.levels[0], [thin]) == figures.level_figures(CASE.levels[0], [full])
    assert runs.thinned(full, history=False) == {"seconds": 4, "status": "converged"}
    assert runs.thinned({"exit": 2}) == {"exit": 2, "history": []}


def test_cut_runs_do_not_reach_the_committed_results():
    with pytest.raises(SystemExit, match="--limit is for trying the suite out; give --output"):
        app(["figures", "--limit", "3"], standalone_mode=False)


def test_scales_compare_after_equally_many_steps(tmp_path, monkeypatch):
    calls = []

    def solve(problem, seed, threads, time_limit=None, tolerance=None, steps=None, settings=None):
        calls.append((time_limit, steps, settings))
        error = 1e-3 * (1 + 1.5 * (settings == {"shift": 100.0}))
        return {"steps": 12, "relative_l2": {"u": error}, "history": [{}]}

    monkeypatch.setattr(scales, "solve", solve)
    (row,) = rows_of(scales.run(0, "conduction_3d", 1, 0.5, None, tmp_path))[1:]
    assert row == "| conduction_3d | 0.001 | 12 | 1 | 1 | 2.5 | no |"
    assert calls == [(30.0, None, None), *((None, 12, {name: value}) for name, value in UNITS.items())]
    monkeypatch.setattr(scales, "solve", lambda *_, **__: {"exit": 2})
    (row,) = rows_of(scales.run(0, "conduction_3d", 1, 1, None, tmp_path))[1:]
    assert row == "| conduction_3d | - | - | - | - | - | no |"


# Networks.


@pytest.mark.parametrize("d, c", list(product((1, 2, 3, 4), (1, 2, 3, 5))))
def test_an_mlp_of_a_given_size(d, c):
    for wanted in range(150, 2500, 77):
        widths = mlp_widths(d, c, wanted)
        assert (widths[0], widths[-1]) == (d, c)
        size = sum(o * (i + 1) for i, o in zip(widths, widths[1:], strict=False))
        assert abs(size - wanted) <= 0.05 * wanted


def row(problem, solver, error, seed=5, match=None):
    run = Run(f"../{problem}.py", "0", solver, seed=seed, match=match)
    return run.row("time_limit", error=error, n_parameters=200, seconds=5.0, history=[], seconds_to={})


def rows_with(ratio, problem):
    """Two seeds of a KAN whose median error is `ratio` times that of an MLP."""
    kan = [row(problem, "kan", ratio * error, seed) for seed, error in ((5, 1e-3), (6, 3e-3))]
    return kan + [row(problem, "mlp", 2e-3, seed, match) for match in networks.MATCHES for seed in (5, 6)]


def test_a_line_has_medians_and_ratios():
    rows = rows_with(0.5, "heat_1d")
    line = networks.cells("heat_1d", groups(rows))
    assert line == ["heat_1d", 5.0, 200, 1e-3, 1.5e-3, 200, 2e-3, 2e-3, 0.5, 2e-3, 2e-3, 0.5]
    assert len(line) == len(networks.HEADER)
    rows = [r for r in rows if r["run"].get("match") != "parameters"]
    assert networks.cells("heat_1d", groups(rows))[-3:] == [None, None, None]


@pytest.mark.parametrize(("ratios", "met"), [((0.6, 0.6, 0.6, 1.4, 9), "met"), ((0.6, 1, 1.4, 1.4, 1), "not met"),
                                             ((0.6, 0.6, 0.6, 9, 9), "not met")])  # fmt: skip
def test_where_kans_must_be_ahead_or_level(ratios, met):
    problems = [case.problem for case in ONE_EACH[: len(ratios)]]
    rows = [row for ratio, problem in zip(ratios, problems, strict=True) for row in rows_with(ratio, problem)]
    said = networks.asked(verdicts(groups(rows)))
    assert len(said) == 2 and all(text.endswith(f": {met}.") for text in said)


def test_problems_with_meshes_are_counted_when_all_are_there():
    names = [case.problem for case in MESHES if case in ONE_EACH]
    rows = [row for k, name in enumerate(names) for row in rows_with(1.4 if k < 9 else 1.6, name)]
    assert all(
        text.endswith("Of the 11 with meshes on 9 (asked: 9).") for text in networks.asked(verdicts(groups(rows)))
    )
    assert "meshes" not in networks.asked(verdicts(groups(rows_with(1, names[0]))))[0]


def test_every_problem_has_its_seconds():
    found = networks._by_seconds(ONE_EACH)
    assert sorted(path.stem for paths in found.values() for path in paths) == sorted(c.problem for c in ONE_EACH)
    assert networks.SECONDS.keys() <= {case.problem for case in ONE_EACH}
