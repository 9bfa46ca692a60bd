"""The machinery alone, as ratios measured in one run: jets, Jacobian, one Gauss-Newton step on many points."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import kinn
from benchmarks.conditions import ROOT, conditions, stated, write, write_table
from kinn import div, grad
from kinn.formulations.blocks import NormalEquations, PointBlock
from kinn.formulations.program import Program
from kinn.formulations.surrogate import Surrogate
from kinn.formulations.system import System
from kinn.formulations.unknowns import Unknowns
from kinn.geometry import Points
from kinn.networks import JetSpace
from kinn.optimize import LevenbergMarquardt

JETS, RATE, MEMORY, GROWTH = 6.0, 0.4, 3.0, (8.0, 12.0)
SMALL, LARGE = 100_000, 1_000_000
HEADER = ("figure", "asked", "measured", "met")


def fastest(function: Callable[[], Any], repeats: int = 7) -> float:
    """Seconds of the fastest of some calls after a first one: other programs on the machine only ever add time."""
    function()
    found = []
    for _ in range(repeats):
        begin = time.perf_counter()
        function()
        found.append(time.perf_counter() - begin)
    return min(found)


def matmul_rate(size: int = 1024) -> float:
    """Floating-point operations a second of a square float64 product."""
    a, b = (torch.randn(size, size, dtype=torch.float64) for _ in range(2))
    return 2 * size**3 / fastest(lambda: a @ b)


def network() -> kinn.KAN:
    return kinn.KAN([2, 10, 10, 1], kinn.Chebyshev(3), base=False)


def jets_ratio(n: int = 10_000) -> float:
    """All 6 jets of second order in 2-D against values only."""
    kan, x = network(), torch.rand(n, 2, dtype=torch.float64) * 2 - 1
    all_six, values = JetSpace.of([(2, 0), (1, 1), (0, 2)], 2), JetSpace.of([], 2)
    assert len(all_six.indices) == 6
    with torch.no_grad():
        return fastest(lambda: kan.jets(x, all_six)) / fastest(lambda: kan.jets(x, values))


def poisson(n: int) -> tuple[Unknowns, PointBlock]:
    """A Poisson residual of a KAN with 520 weights on `n` random points."""
    mesh = kinn.Mesh.box((-1, -1), (1, 1), cells=2)
    u = kinn.Field("u", mesh)
    problem = kinn.Problem(mesh, {"poisson": -div(grad(u)) - 1}, [kinn.Dirichlet(u, 0, on="boundary")])
    one = torch.ones(2, dtype=torch.float64)
    unknowns = Unknowns.at_guess(problem, Surrogate(network(), 0 * one, one, 0 * one[:1], one[:1]))
    points = Points(np.random.default_rng(0).uniform(-1, 1, (n, 2)), np.full(n, 1 / n))
    return unknowns, PointBlock("poisson", Program([(-div(grad(u)) - 1).doit()], problem), points, unknowns.surrogate)


def gram_rate(n: int = 20_000) -> float:
    """Operations a second of Jacobian and Gram together, only the `2 N P^2` of the Gram counted."""
    unknowns, block = poisson(n)
    seconds = fastest(lambda: block.accumulate(unknowns, NormalEquations.zeros(unknowns)), repeats=3)
    return 2 * n * unknowns.size**2 / seconds


def one_step(n: int) -> dict[str, float]:
    """Seconds of one Gauss-Newton step on `n` points, and the peak memory of this process in GiB."""
    unknowns, block = poisson(n)
    small = poisson(2_000)
    LevenbergMarquardt().step(System(small[0], [small[1]]))
    system = System(unknowns, [block])
    begin = time.perf_counter()
    assert LevenbergMarquardt().step(system) is not None
    seconds = time.perf_counter() - begin
    unit = 1 if sys.platform == "darwin" else 1024
    return {"seconds": seconds, "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30}


def one_step_apart(n: int, threads: int) -> dict[str, float]:
    """`one_step` in a process of its own, so that its peak memory is its own."""
    command = [sys.executable, "-m", "benchmarks", "step", str(n), "--threads", str(threads)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=True)
    return json.loads(ended.stdout)


def run(threads: int, largest: int, folder: Path) -> str:
    torch.set_num_threads(threads)
    where, rate = conditions(threads), matmul_rate()
    small, large = one_step_apart(largest // 10, threads), one_step_apart(largest, threads)
    jets, gram, growth = jets_ratio(), gram_rate() / rate, large["seconds"] / small["seconds"]
    figures: dict[str, dict[str, Any]] = {
        "matrix products, Gflop/s": {"asked": None, "measured": rate / 1e9, "met": None},
        "6 jets / values only": {"asked": f"<= {JETS:g}", "measured": jets, "met": jets <= JETS},
        "Jacobian + Gram / matrix products": {"asked": f">= {RATE:g}", "measured": gram, "met": gram >= RATE},
        f"step on {largest:,} / {largest // 10:,} points": {
            "asked": f"{GROWTH[0]:g} to {GROWTH[1]:g}", "measured": growth, "met": GROWTH[0] <= growth <= GROWTH[1],
        },
        f"peak memory on {largest:,} points, GiB": {
            "asked": f"<= {MEMORY:g}", "measured": large["peak_gib"], "met": large["peak_gib"] <= MEMORY,
        },
    }  # fmt: skip
    steps = {str(largest // 10): small, str(largest): large}
    document = {"conditions": where, "n_parameters": network().n_parameters, "steps": steps, "figures": figures}
    write("engine", document, folder)
    rows = [[name, *figure.values()] for name, figure in figures.items()]
    return write_table("engine", "Engine", HEADER, rows, [f"{stated(where)}; {where['date']}."], folder)
