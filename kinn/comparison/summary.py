"""What many rows say together: medians and quartiles over seeds, and tests over problems."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import wilcoxon

from kinn.comparison.run import CAP, FEM, LEVELS, Run
from kinn.comparison.sweep import Row

AHEAD, LEVEL = 0.67, 1.5  # ratios of median errors: clearly smaller, no larger to speak of
ENOUGH = 6  # problems for a signed-rank test to be able to say anything


@dataclass(frozen=True)
class Group:
    """The runs of one contender on one problem that differ by the seed.

    Attributes:
        errors, times: (n,) relative L2 errors at the end and, by level, seconds to reach it; inf where there is none.
    """

    problem: str
    contender: str
    rows: tuple[Row, ...]
    errors: np.ndarray
    times: Mapping[str, np.ndarray]

    @property
    def ran(self) -> bool:
        """Whether any run was made: what was refused has not failed."""
        return any(row["status"] != "refused" for row in self.rows)

    @property
    def median(self) -> float:
        """Of the errors, with inf (a run without an answer) as the worst."""
        return float(statistics.median(self.errors))

    @property
    def quartiles(self) -> tuple[float, float]:
        """Of the errors, rounded outward to ones that were seen: of three seeds the least and the largest."""
        ordered = np.sort(self.errors)
        low, high = (0.25 * (len(ordered) - 1), 0.75 * (len(ordered) - 1))
        return float(ordered[math.floor(low)]), float(ordered[math.ceil(high)])

    def time(self, level: str) -> float:
        """Median seconds to a level, where a run that never reaches it counts as CAP, or as its limit if that is longer."""
        cap = max([CAP, *(Run.of(row).time_limit for row in self.rows)])
        return float(np.median(np.where(np.isfinite(self.times[level]), self.times[level], cap)))

    def capped(self, level: str) -> int:
        """How many runs never reach a level."""
        return int(np.isinf(self.times[level]).sum())

    def middle(self, name: str) -> float | None:
        """The median of a number that rows have, such as `n_parameters`; None if none has it."""
        values = [row[name] for row in self.rows if row.get(name) is not None]
        return float(np.median(values)) if values else None

    @property
    def statuses(self) -> str:
        names = [row["status"] for row in self.rows]
        return ", ".join(f"{names.count(name)} {name}" for name in dict.fromkeys(names))


def groups(rows: Iterable[Row]) -> list[Group]:
    """The rows by problem and contender, in order of appearance."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        run = Run.of(row)
        found.setdefault((run.problem, run.contender), []).append(row)
    return [_group(problem, contender, own) for (problem, contender), own in found.items()]


def _group(problem: str, contender: str, rows: Sequence[Row]) -> Group:
    errors = np.array([_number(row.get("error")) for row in rows])
    names = [f"{level:.0e}" for level in LEVELS]
    times = {name: np.array([_number(row.get("seconds_to", {}).get(name)) for row in rows]) for name in names}
    return Group(problem, contender, tuple(rows), errors, times)


def _number(value: float | None) -> float:
    return float("inf") if value is None else float(value)


@dataclass(frozen=True)
class Verdict:
    """One contender beside another over all problems that both have run on, without those where one was refused.

    Attributes:
        ratios: problem -> median error over that of the other; 1 where both have none.
        ahead, level, behind: problems with a ratio up to AHEAD, up to LEVEL, above.
        mean: geometric mean of the ratios; nan where one is 0 or infinite.
        p: of Wilcoxon's signed-rank test (doi:10.2307/3001968) on the logarithms; None for few problems.
        speedups: level -> geometric mean of the other's seconds over these, runs that never reach it counted as CAP.
        caps: level -> how many runs of each never reach it.
    """

    contender: str
    other: str
    ratios: dict[str, float]
    ahead: int
    level: int
    behind: int
    mean: float
    p: float | None
    speedups: dict[str, float]
    caps: dict[str, tuple[int, int]]


def verdict(one: Sequence[Group], two: Sequence[Group]) -> Verdict:
    """The contender of the groups `one` beside that of `two`."""
    pairs = [(a, b) for a in one for b in two if a.problem == b.problem and a.ran and b.ran]
    ratios = {a.problem: _ratio(a.median, b.median) for a, b in pairs}
    values = np.array(list(ratios.values()))
    finite = bool(len(values)) and bool(np.isfinite(values).all() and (values > 0).all())
    logarithms = np.log(values) if finite else np.zeros(0)
    tested = len(logarithms) >= ENOUGH and bool(logarithms.any())
    speedups, caps = {}, {}
    for name in (f"{level:.0e}" for level in LEVELS):
        # a level that neither reaches on any problem says nothing
        own = [(a, b) for a, b in pairs if a.capped(name) < len(a.rows) or b.capped(name) < len(b.rows)]
        if own:
            faster = [math.log(max(b.time(name), 1e-9) / max(a.time(name), 1e-9)) for a, b in own]
            speedups[name] = math.exp(sum(faster) / len(faster))
            caps[name] = (sum(a.capped(name) for a, _ in own), sum(b.capped(name) for _, b in own))
    return Verdict(
        one[0].contender,
        two[0].contender,
        ratios,
        ahead=int((values <= AHEAD).sum()),
        level=int(((values > AHEAD) & (values <= LEVEL)).sum()),
        behind=int((values > LEVEL).sum()),
        mean=float(np.exp(logarithms.mean())) if finite else math.nan,
        p=float(tuple(wilcoxon(logarithms))[1]) if tested else None,  # type: ignore[arg-type]
        speedups=speedups,
        caps=caps,
    )


def verdicts(found: Sequence[Group]) -> list[Verdict]:
    """The first contender beside each other one; finite elements, which have a table of their own, apart."""
    names = [name for name in dict.fromkeys(group.contender for group in found) if name != FEM]
    own = {name: [group for group in found if group.contender == name] for name in names}
    return [verdict(own[names[0]], own[name]) for name in names[1:]]


def matching(group: Group, found: Sequence[Group]) -> tuple[float, float] | None:
    """Seconds and unknowns of the first finite element solution that is as exact as a group's median; None if there is none."""
    for other in found if math.isfinite(group.median) else ():
        if other.problem == group.problem and other.contender == FEM:
            for row in other.rows:
                for seconds, _, size, error in row.get("history", ()):
                    if error is not None and error <= group.median:
                        return float(seconds), float(size)
    return None


def _ratio(one: float, two: float) -> float:
    if math.isinf(one) and math.isinf(two):
        return 1.0
    return one / two if two > 0 else (1.0 if one == 0 else float("inf"))


__all__ = ["AHEAD", "LEVEL", "Group", "Verdict", "groups", "matching", "verdict", "verdicts"]
