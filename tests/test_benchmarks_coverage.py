"""The statistics of many draws say what they should of draws that are known."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import kinn
from benchmarks import bands, coverage, kept
from benchmarks.suite import BANDS, COVERAGE
from kinn.inference.intervals import intervals

WHERE = {"commit": "abc", "uncommitted": False, "versions": {"kinn": "0"}, "device": "cpu", "threads": 1,
         "dtype": "float64", "date": "2026-01-01", "draws": 400, "limit": None}  # fmt: skip
BOUNDS = ({}, {"lower": 0.5}, {"upper": 9.0}, {"lower": 0.5, "upper": 9.0})
CASE = COVERAGE[0]


def drawn_runs(spread=1.0, offset=0.0, seconds=2.0, count=400):
    """Draws whose free numbers scatter by `spread` of the standard deviation that they state, around `offset` of it."""
    parameter, random, sd = kinn.Parameter("k", guess=1.0, lower=0), np.random.default_rng(0), 0.02
    normal = random.standard_normal(count)
    normal = (normal - normal.mean()) / normal.std(ddof=1)
    runs = []
    for z in spread * normal + offset:
        (found,) = intervals([parameter], [np.log(2.0) + sd * z], [sd]).values()
        own = {"k": coverage.compared(parameter, found, 2.0)}
        runs.append({"parameters": own, "seconds": seconds})
    for run in runs[: coverage.COMPARED]:
        known = run["parameters"]["k"]
        run["identify"] = {"k": {"estimate": known["estimate"] + 0.1 * known["sd"], "sd": known["sd"]}}
    return runs


def entry_of(runs):
    return {"conditions": WHERE, **coverage.summary(runs), "runs": runs}


def answers(rows):
    return {row[1].split(" 0 ")[0].split(" 1 ")[0].split(" 0.")[0]: row[-1] for row in rows}


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("z", [-2.1, -1.9, 0.4, 1.9, 2.1])
def test_deviations_are_those_of_free_numbers(bounds, z):
    parameter, spread = kinn.Parameter("k", guess=1.0, **bounds), 0.3
    (found,) = intervals([parameter], [parameter.to_free(2.0) + spread * z], [spread]).values()
    own = coverage.compared(parameter, found, 2.0)
    assert own["z"] == pytest.approx(z) and own["covers"] is (abs(z) < 1.96)


@pytest.mark.parametrize("sd", [None, 0.0, np.inf])
def test_an_estimate_without_deviation_covers_nothing(sd):
    found = replace(intervals([kinn.Parameter("k", guess=1.0)], [1.0], [1.0])["k"], sd=sd)
    own = coverage.compared(kinn.Parameter("k", guess=1.0), found, 1.0)
    assert own["z"] is None and not own["covers"]
    entry = entry_of([*drawn_runs(count=9), {"parameters": {"k": own}, "seconds": 1.0}])
    assert (entry["all"]["count"], entry["all"]["lacking"], entry["all"]["covered"]) == (10, 1, pytest.approx(0.9))
    assert not answers(coverage.table_rows(CASE, entry))["mean of z"]
    json.dumps(entry, allow_nan=False)


def test_statistics_of_draws_that_are_as_they_say():
    entry = entry_of(drawn_runs())
    assert entry["all"]["mean"] == pytest.approx(0, abs=1e-9) and entry["all"]["variance"] == pytest.approx(1)
    assert entry["all"]["covered"] == pytest.approx(0.95, abs=0.02) and entry["each"] == {"k": entry["all"]}
    assert entry["ratios"] == pytest.approx([1] * 5) and entry["apart"] == pytest.approx([-0.1] * 5)
    rows = coverage.table_rows(CASE, entry)
    assert all(len(row) == len(coverage.HEADER) for row in rows)
    assert all(row[-1] in (True, None) for row in [*rows, *coverage.pooled_rows([entry])])


@pytest.mark.parametrize(
    "changes, own, pooled",
    [
        ({"offset": 0.25}, set(), {"mean of z"}),
        ({"offset": -0.31}, {"mean of z"}, {"mean of z"}),
        ({"spread": 1.2}, set(), {"variance of z"}),
        ({"spread": 0.8}, set(), {"variance of z"}),
        ({"seconds": 10.1}, {"a warm-started draw within 10 s"}, set()),
    ],
)
def test_what_is_asked_of_draws(changes, own, pooled):
    entry = entry_of(drawn_runs(**changes))
    assert {what for what, met in answers(coverage.table_rows(CASE, entry)).items() if met is False} == own
    assert {what for what, met in answers(coverage.pooled_rows([entry])).items() if met is False} == pooled


def test_deviations_must_be_those_of_finite_elements():
    runs = drawn_runs()
    runs[2]["identify"]["k"]["sd"] /= 1.3
    assert answers(coverage.table_rows(CASE, entry_of(runs)))["sd / identify's sd"] is False


def test_problems_are_pooled_in_one_table(tmp_path):
    for case, offset in zip(COVERAGE[:2], (0.25, -0.25), strict=True):
        kept.keep("coverage", case, entry_of(drawn_runs(offset=offset)), tmp_path)
    text = coverage.table(tmp_path)
    assert "| together | mean of z 0 +- 0.2 | 0.000 | yes |" in text.replace("-0.000", "0.000")
    assert "draws 1 to 400" in text and (tmp_path / "coverage.md").read_text(encoding="utf-8") == text


def test_each_draw_goes_on_from_the_first(tmp_path, monkeypatch):
    calls, k = [], kinn.Parameter("k", guess=1.0, lower=0)

    def solve(problem, start=None, time_limit=None, progress=True):
        calls.append((problem.draw, start and start.draw, time_limit, progress))
        found = intervals([k], [np.log(2.0) + 0.1 * problem.draw], [0.1])
        return SimpleNamespace(draw=problem.draw, parameters=found, status=kinn.Status.CONVERGED)

    def drawn(_, draw):
        return SimpleNamespace(draw=draw, parameters={"k": k}, exact={k: 2.0})

    identified = SimpleNamespace(parameters=intervals([k], [0.7], [0.1]))
    monkeypatch.setattr(coverage, "drawn", drawn)
    monkeypatch.setattr(kinn, "solve", solve)
    monkeypatch.setattr(kinn.fem, "identify", lambda _: identified)
    coverage.run(7, CASE.problem, torch.get_num_threads(), None, tmp_path)
    assert calls == [(0, None, None, False), *((draw, 0, None, False) for draw in range(1, 8))]
    entry = kept.read("coverage", tmp_path)[CASE.name]
    assert [run["parameters"]["k"]["z"] for run in entry["runs"]] == pytest.approx(range(1, 8))
    assert [("identify" in run) for run in entry["runs"]] == [True] * 5 + [False] * 2


@pytest.mark.parametrize("case", COVERAGE, ids=lambda case: case.name)
def test_draws_differ_in_their_noise_alone(case):
    first, second = (coverage.drawn(case, draw) for draw in (0, 1))
    assert all(parameter in first.exact for parameter in first.parameters.values())
    for one, other in zip(first.observations, second.observations, strict=True):
        assert np.array_equal(one.points, other.points) and not np.allclose(one.values, other.values)


def test_bands_are_told_by_their_mean_over_draws():
    (case,) = (case for case in BANDS if case.name == "inverse_source")
    runs = [
        {"seconds": 8.0, "fields": {"q": {"error": 0.04, "covered": 0.9}}},
        {"seconds": 9.0, "fields": {"q": {"error": 0.05, "covered": 1.0}}},
        {"seconds": 7.0, "fields": {"q": {"error": 0.06, "covered": 0.98}}},
    ]
    (row,) = bands.table_rows(case, {"runs": runs})
    assert row == ["inverse_source", "q", "5e-02; 90% to 99%", "0.05", "0.06", "96.0%", "90.0%", "100.0%", "8"]
    assert len(row) == len(bands.HEADER)
