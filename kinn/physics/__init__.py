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

__all__ = [
    "conduction", "elastic_stress", "plane_strain", "plane_stress", "principal_stresses", "strain", "traction",
    "von_mises",
]  # fmt: skip
