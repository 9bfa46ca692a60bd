"""What is asked of each problem: levels of the relative L2 error and the seconds to reach them (medians of 5 seeds)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Level:
    """A relative L2 error to be reached within some seconds."""

    error: float
    seconds: float


@dataclass(frozen=True)
class Case:
    """A problem file, what is asked of it, and the options of the run; everything else is the library's default.

    `estimate` tells whether the error estimate must lie between 1/5 and 5 of the true H1 error; `parameters` is the
    relative error allowed for identified parameters, which must also lie within 3 standard deviations of the truth.
    """

    name: str
    problem: str
    levels: tuple[Level, ...]
    tolerance: float | None = None
    estimate: bool = True
    parameters: float | None = None
    stretch: float | None = None

    @property
    def time_limit(self) -> float:
        return max(level.seconds for level in self.levels)


CASES = (
    Case("poisson_square", "poisson_square", (Level(1e-4, 5), Level(1e-6, 30))),
    Case("poisson_square to 1e-9", "poisson_square", (Level(1e-7, 90),), tolerance=1e-9, stretch=1e-9),
    Case("helmholtz_1_4", "helmholtz_1_4", (Level(1e-4, 30), Level(1e-5, 90))),
    Case("heat_1d", "heat_1d", (Level(1e-6, 60),), estimate=False),
    Case("nonlinear_diffusion", "nonlinear_diffusion", (Level(1e-4, 60),)),
    Case("poisson_lshape", "poisson_lshape", (Level(3e-3, 30), Level(1e-3, 60))),
    Case("inverse_conductivity", "inverse_conductivity", (Level(1e-2, 90),), estimate=False, parameters=0.03),
)
ONE_EACH = tuple(case for case in CASES if case.name == case.problem)
UNITS = {"length": 1e3, "size": 1e-4, "shift": 100.0}


def selected(cases: tuple[Case, ...], problems: list[str] | None) -> list[Case]:
    """The cases of the problems named, or all of them; an unknown name ends the program."""
    known = {case.problem for case in cases}
    unknown = sorted(set(problems or []) - known)
    if unknown:
        raise SystemExit(f"no problem {unknown[0]!r} in this suite; it has: {', '.join(sorted(known))}")
    return [case for case in cases if not problems or case.problem in problems]
