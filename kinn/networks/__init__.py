"""Networks that supply exact derivatives (jets) and the Jacobian of every point."""

from kinn.networks.jets import JetSpace, MultiIndex
from kinn.networks.kan import KAN
from kinn.networks.mlp import MLP
from kinn.networks.module import ModuleNetwork
from kinn.networks.network import Network, Tape

__all__ = ["KAN", "MLP", "JetSpace", "ModuleNetwork", "MultiIndex", "Network", "Tape"]
