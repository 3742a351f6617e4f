"""The model, the box and the plugin of the tests of LAMMPS."""

from tests.lammps.conftest import in_float64, liquid, plugin, tilted_liquid, two_layers

__all__ = ["in_float64", "liquid", "plugin", "tilted_liquid", "two_layers"]
