"""A rod with 25 waves cools down: the multi-scale case of KINN (arXiv 2406.11045), u_t = u_xx / (50 pi)^2 for 0 < x, t < 1.

u = sin(50 pi x) at first and zero at both walls. Exact solution u = sin(50 pi x) exp(-t): fast in space, slow in time. KINN
reports a largest error of 0.015 for a KAN of 4,200 parameters; its MLP finds nothing but zero.
Options: `frequency` is that of the waves over pi, `length` stretches the rod (time stays), `size` scales the field, `shift` moves
the rod.
"""

import sympy as sp

import kinn
from kinn import div, grad


def problem(frequency=50, length=1.0, size=1.0, shift=0.0):
    if frequency != int(frequency):
        raise kinn.StatementError(f"frequency={frequency} makes waves that do not end at the wall; give a whole number")
    mesh = kinn.Mesh.box(shift, shift + length, cells=2 * int(frequency)) * kinn.Interval("t", 0, 1)
    x, t = mesh.coordinates
    u = kinn.Field("u", mesh)
    waves = size * sp.sin(frequency * sp.pi * (x - shift) / length)
    return kinn.Problem(
        mesh,
        equations={"heat": u.diff(t) - div((length / (frequency * sp.pi)) ** 2 * grad(u))},
        conditions=[kinn.Dirichlet(u, 0, on=("left", "right")), kinn.Initial(u, waves)],
        exact={u: waves * sp.exp(-t)},
    )


def reference(problem):
    return problem.exact
