"""What is asked of each problem: levels of the relative L2 error and the seconds to reach them (medians of 5 seeds)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Level:
    """A relative L2 error to be reached within some seconds."""

    error: float
    seconds: float


@dataclass(frozen=True)
class Case:
    """A problem file, what is asked of it, and the options of the run; everything else is the library's default.

    Attributes:
        tolerance: estimated relative H1 error at which a run ends; None is the library's default of 1e-6.
        options: more options of the command line.
        estimate: whether the error estimate must lie between 1/5 and 5 of the true H1 error.
        parameters: the relative error allowed for identified parameters, of each or of all, which must also lie within 3
            standard deviations of the truth where the data are noisy.
        derived: the relative L2 error allowed for named expressions, such as a stress, when a run ends.
        quantities: the relative error allowed for named quantities, such as a flux, when a run ends.
        overshoot: how far the quantities `lowest` and `highest` may be off, as a part of the range of the reference.
        refused: options with which the command must end with one line that says why.
    """

    name: str
    problem: str
    levels: tuple[Level, ...]
    tolerance: float | None = None
    options: tuple[str, ...] = ()
    estimate: bool = False
    parameters: float | Mapping[str, float] | None = None
    derived: Mapping[str, float] = field(default_factory=dict)
    quantities: Mapping[str, float] = field(default_factory=dict)
    overshoot: float | None = None
    refused: tuple[str, ...] = ()

    def allowed(self, parameter: str) -> float:
        """The relative error allowed for an identified parameter."""
        asked = self.parameters
        return asked[parameter] if isinstance(asked, Mapping) else asked if asked is not None else float("inf")

    @property
    def noisy(self) -> bool:
        return "noise=0" not in self.options

    @property
    def time_limit(self) -> float:
        return max(level.seconds for level in self.levels)


LSHAPE = Case(
    "poisson_lshape", "poisson_lshape", (Level(3e-3, 30), Level(1e-3, 60), Level(3e-4, 60)), tolerance=3e-5, estimate=True
)  # fmt: skip
SMOOTH = (
    Case("poisson_square", "poisson_square", (Level(1e-4, 5), Level(1e-6, 30)), estimate=True),
    Case("poisson_square to 1e-9", "poisson_square", (Level(1e-7, 90),), tolerance=1e-9, estimate=True),
    Case("helmholtz_1_4", "helmholtz_1_4", (Level(1e-4, 30), Level(1e-5, 90)), estimate=True),
    Case("heat_1d", "heat_1d", (Level(1e-6, 60),)),
    Case("nonlinear_diffusion", "nonlinear_diffusion", (Level(1e-4, 60),), estimate=True),
)
CLEAN = ("--set", "noise=0")
INVERSE = (
    Case("inverse_conductivity", "inverse_conductivity", (Level(1e-2, 90),), parameters=0.03),
    Case("inverse_youngs_modulus", "inverse_youngs_modulus", (Level(1e-2, 60),), parameters=0.01),
    Case("inverse_youngs_modulus clean", "inverse_youngs_modulus", (Level(1e-2, 60),), options=CLEAN, parameters=0.005),
    Case("inverse_poisson_coefficient", "inverse_poisson_coefficient", (Level(3e-2, 60),)),
    Case("inverse_poisson_coefficient clean", "inverse_poisson_coefficient", (Level(1e-4, 60),), options=CLEAN),
    Case("inverse_source", "inverse_source", (Level(5e-2, 60),)),
    Case("inverse_heat_flux", "inverse_heat_flux", (Level(5e-2, 60),)),
    Case("inverse_grf_conductivity", "inverse_grf_conductivity", (Level(3e-2, 180),)),
    Case("inverse_painting", "inverse_painting", (Level(3e-2, 300),)),
    Case("inverse_law", "inverse_law", (Level(1e-2, 120),), quantities={"law": 1e-2}),
    Case("inverse_inclusion", "inverse_inclusion", (Level(1e-2, 60),), parameters=0.03),
    Case("inverse_burgers", "inverse_burgers", (Level(1e-2, 180),), parameters=float("inf")),  # within 3 sd, whatever these are
    Case(
        "inverse_burgers clean", "inverse_burgers", (Level(1e-2, 180),), options=CLEAN,
        parameters={"lambda_1": 1e-4, "lambda_2": 1e-3},
    ),
    Case("inverse_strain_gauges", "inverse_strain_gauges", (Level(3e-2, 60),), parameters=0.03),
    # the level is for the pressure, of which nothing is asked but to be found
    Case("inverse_flow", "inverse_flow", (Level(1e-1, 300),), parameters=0.01, derived={"velocity": 2e-2}),
)  # fmt: skip
WITH_DATA = tuple(case for case in INVERSE if case.name != "inverse_painting" and not case.options)
# Runs of these end where the estimate, an H1 error and thus larger than the L2 error, is a tenth of the level asked for:
# clearly met, without spending the rest of the seconds.
MESHES = (
    Case("lshape_harmonic", "lshape_harmonic", (Level(1e-5, 60),), tolerance=1e-6),
    Case("two_materials_1d", "two_materials_1d", (Level(1e-5, 20),), tolerance=1e-6, refused=("--form", "strong")),
    Case(
        "heat_bracket_2d", "heat_bracket_2d", (Level(2e-3, 120),), tolerance=2e-4,
        quantities={f"heat through {part}": 5e-3 for part in ("pipe", "bolt", "right", "bottom")},
    ),
    Case("conduction_3d", "conduction_3d", (Level(1e-2, 180),), tolerance=1e-3),
    Case(
        "elastic_bracket_3d", "elastic_bracket_3d", (Level(1e-2, 180),), tolerance=1e-3, derived={"von Mises": 5e-2}
    ),
    Case(
        "elastic_cantilever", "elastic_cantilever", (Level(1e-3, 120),), tolerance=1e-4,
        quantities={"tip deflection": 1e-3},
    ),
    Case(
        "plate_with_hole", "plate_with_hole", (Level(3e-4, 120),), tolerance=3e-5,
        derived={"von Mises": 3e-3}, quantities={"peak stress": 5e-3},
    ),
    Case("crack_mode_iii", "crack_mode_iii", (Level(1e-5, 60),), tolerance=1e-6, quantities={"energy": 1e-4}),
    Case(
        "crack_mode_iii --no-singular", "crack_mode_iii", (Level(3e-3, 60),), tolerance=3e-4, options=("--no-singular",)
    ),
    Case("advection_diffusion", "advection_diffusion", (Level(1e-3, 120),), tolerance=1e-4, overshoot=1e-2),
    Case(
        "periodic_cell", "periodic_cell", (Level(1e-2, 120),), tolerance=1e-3,
        quantities={"effective conductivity": 2e-3},
    ),
    Case(
        "parametric_plate", "parametric_plate", (Level(5e-3, 180),), tolerance=5e-4,
        quantities={f"pull at nu = {nu}": 5e-3 for nu in (0.21, 0.26, 0.3, 0.35, 0.39)},
    ),
)  # fmt: skip
# Forward examples of the KINN paper besides: what its better network reaches, or a hundredth where that is easy.
PAPER = (
    Case("composite_disc", "composite_disc", (Level(1e-4, 60),), tolerance=1e-5),
    Case("koch_snowflake", "koch_snowflake", (Level(1e-4, 60),), tolerance=1e-5),
    Case("flower", "flower", (Level(1e-4, 60),), tolerance=1e-5),
    Case("heat_multiscale", "heat_multiscale", (Level(1.5e-2, 120),), tolerance=1.5e-3),
)
CASES = (*SMOOTH, LSHAPE, *INVERSE, *MESHES, *PAPER)
ONE_EACH = tuple(case for case in CASES if case.name == case.problem)
# Problems whose option `draw` draws the noise of their data anew.
COVERAGE = tuple(
    case for case in ONE_EACH if case.name in ("inverse_conductivity", "inverse_youngs_modulus", "inverse_inclusion")
)
# Those with an unknown field, and the same option.
BANDS = tuple(
    case
    for case in INVERSE
    if case.name in ("inverse_source", "inverse_heat_flux", "inverse_poisson_coefficient", "inverse_grf_conductivity")
)
GROUPS = {"smooth": SMOOTH, "inverse": INVERSE, "meshes": (LSHAPE, *MESHES), "paper": PAPER}
UNITS = {"length": 1e3, "size": 1e-4, "shift": 100.0}


def selected(cases: Sequence[Case], wanted: str | None) -> list[Case]:
    """The cases of the problems or GROUPS named, separated by commas, or all of them; an unknown name ends the program."""
    names = [name.strip() for name in (wanted or "").split(",") if name.strip()]
    chosen = {case.problem for name in names for case in GROUPS.get(name, ())} | {n for n in names if n not in GROUPS}
    known = {case.problem for case in cases}
    if unknown := sorted(chosen - known):
        have = ", ".join([*GROUPS, *sorted(known)])
        raise SystemExit(f"no problem {unknown[0]!r} in this suite; it has: {have}")
    return [case for case in cases if not names or case.problem in chosen]
