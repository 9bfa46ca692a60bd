"""Networks that supply exact derivatives (jets) and the Jacobian of every point."""

from kinn.networks.held import Held
from kinn.networks.inputs import Inputs, Layer, Wave
from kinn.networks.jets import JetSpace, MultiIndex
from kinn.networks.kan import KAN
from kinn.networks.mlp import MLP
from kinn.networks.module import ModuleNetwork
from kinn.networks.network import Network, Tape
from kinn.networks.separate import Separate, network_from, places_of
from kinn.networks.tensor_spline import TensorSpline

__all__ = [
    "KAN",
    "MLP",
    "Held",
    "Inputs",
    "JetSpace",
    "Layer",
    "ModuleNetwork",
    "MultiIndex",
    "Network",
    "Separate",
    "Tape",
    "TensorSpline",
    "Wave",
    "network_from",
    "places_of",
]
