"""One-dimensional basis functions for the edges of a KAN."""

from kinn.bases.basis import Basis
from kinn.bases.bspline import BSpline
from kinn.bases.chebyshev import Chebyshev
from kinn.bases.fourier import Fourier
from kinn.bases.gaussian import Gaussian

ALL_BASES: dict[str, type[Basis]] = {basis.name: basis for basis in (BSpline, Chebyshev, Fourier, Gaussian)}

__all__ = ["ALL_BASES", "BSpline", "Basis", "Chebyshev", "Fourier", "Gaussian"]
