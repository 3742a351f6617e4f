"""Which configurations LAMMPS can run."""

import os
from pathlib import Path

from fisher_mlip.config import SimulateConfig
from fisher_mlip.errors import InputError
from fisher_mlip.export.lammps_artefact import LammpsArtefact
from fisher_mlip.simulate.engine import check_volume
from fisher_mlip.simulate.settings import settled_system
from fisher_mlip.simulate.systems import GAS, MolecularSystem

_OPENMM_ONLY = {
    "inner": "",
    "respa_steps": 1,
    "route": "auto",
    "platform": "auto",
    "barostat_interval": 25,
}


def settled_for_lammps(config: SimulateConfig, artefact: LammpsArtefact) -> SimulateConfig:
    """Return the configuration with what the artefact decides filled in, paths made absolute.

    Raises:
        InputError: a value is nonsense, an option is of OpenMM alone, or the dtype asked for is
            not the artefact's.
    """
    for key, default in _OPENMM_ONLY.items():
        value = getattr(config, key)
        if value != default:
            raise InputError(f"{key} {value!r} is for the engine openmm, found the engine lammps")
    if config.heal.calculator:
        raise InputError("heal is for the engine openmm, found the engine lammps")
    if config.on_alarm == "rewind" or config.watch.rdf_reference:
        raise InputError(
            "LAMMPS watches the temperature and the uncertainty, and stops: expected on_alarm warn "
            "or stop and no rdf_reference, found others"
        )
    return settled_system(config, artefact.manifest, artefact.path)


def check_system(molecular: MolecularSystem, config: SimulateConfig) -> None:
    """Check that LAMMPS can simulate a system.

    Raises:
        InputError: molecules that do not see each other, or NPT without a box.
    """
    if molecular.independent_molecules and config.molecules > 1:
        raise InputError(
            f"the molecules of {GAS} do not see each other, which LAMMPS cannot do: expected "
            "--molecules 1, ethanol-liquid or a file"
        )
    check_volume(molecular, config)


def threads_per_rank(ranks: int) -> int:
    """Return the threads of each rank: OMP_NUM_THREADS, or the processors shared out."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdigit() and int(given) > 0:
        return int(given)
    return max(1, len(os.sched_getaffinity(0)) // ranks)


def start_title(config: SimulateConfig) -> str:
    """Return the first line of a data file and an input script."""
    return f"{Path(config.system).name}, {config.ensemble}, by fisher-mlip"
