"""Small functions that return SymPy expressions of a field: strains, stresses, fluxes. There is no class per equation."""

from kinn.physics.conduction import conduction
from kinn.physics.elasticity import (
    elastic_stress,
    plane_strain,
    plane_stress,
    principal_stresses,
    strain,
    traction,
    von_mises,
)
from kinn.physics.flow import advection, navier_stokes, viscous_stress

__all__ = [
    "advection", "conduction", "elastic_stress", "navier_stokes", "plane_strain", "plane_stress", "principal_stresses",
    "strain", "traction", "viscous_stress", "von_mises",
]  # fmt: skip
