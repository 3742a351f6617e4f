"""A watch for instability: criteria, the reporter that measures them, and its alarms."""

from openmm_plugin.watch.alarms import (
    Action,
    Alarm,
    InstabilityError,
    append_alarm,
    cut_alarms,
    read_alarms,
)
from openmm_plugin.watch.bond_lengths import BondDeviation
from openmm_plugin.watch.bounds import EnergyChange, FiniteNumbers, LargestForce, TemperatureRise
from openmm_plugin.watch.criterion import Criterion
from openmm_plugin.watch.look import Look
from openmm_plugin.watch.pairs import IntermolecularDistance
from openmm_plugin.watch.radial import RadialError, RadialReference, radial_reference
from openmm_plugin.watch.standard import standard_criteria
from openmm_plugin.watch.uncertain import ForceUncertainty
from openmm_plugin.watch.watch import InstabilityWatch
from openmm_plugin.watch.windows import Equipartition

__all__ = [
    "Action",
    "Alarm",
    "BondDeviation",
    "Criterion",
    "EnergyChange",
    "Equipartition",
    "FiniteNumbers",
    "ForceUncertainty",
    "InstabilityError",
    "InstabilityWatch",
    "IntermolecularDistance",
    "LargestForce",
    "Look",
    "RadialError",
    "RadialReference",
    "TemperatureRise",
    "append_alarm",
    "cut_alarms",
    "radial_reference",
    "read_alarms",
    "standard_criteria",
]
