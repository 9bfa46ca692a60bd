"""Optimizers of sums of squares; they know neither equations nor meshes."""

from kinn.optimize.first_order import AdamState
from kinn.optimize.least_squares import LeastSquares
from kinn.optimize.levenberg_marquardt import LevenbergMarquardt
from kinn.optimize.quasi_newton import LBFGSState
from kinn.optimize.stages import LBFGS, Adam, GaussNewton

__all__ = ["LBFGS", "Adam", "AdamState", "GaussNewton", "LBFGSState", "LeastSquares", "LevenbergMarquardt"]
