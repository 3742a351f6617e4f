"""A configuration -> what LAMMPS reads of it, in a folder to be run by hand."""

import re
from pathlib import Path

from fisher_mlip.config import SimulateConfig
from fisher_mlip.export.manifest import Manifest
from fisher_mlip.lammps.data_file import data_text, type_symbols
from fisher_mlip.lammps.input_script import InputFiles, input_script
from fisher_mlip.lammps.mliap import DRIVER_NAME
from fisher_mlip.lammps.settings import check_system, start_title
from fisher_mlip.model.graph import species_of
from fisher_mlip.products import write_text
from fisher_mlip.simulate.progress import show_note
from fisher_mlip.simulate.systems import GAS, LIQUID, MolecularSystem, build_molecular_system
from fisher_mlip.simulate.velocities import maxwell_boltzmann
from fisher_mlip.units import NM_PER_ANGSTROM
from openmm_plugin import topology_atomic_numbers

_SHORT_NAMES = {LIQUID: "ethanol", GAS: "ethanol"}


def input_name(config: SimulateConfig) -> str:
    """Return what the files of a system are named after: ethanol, or its own file."""
    stem = _SHORT_NAMES.get(config.system) or Path(config.system).stem
    # Names that LAMMPS reads as one word.
    return re.sub(r"[^A-Za-z0-9_.-]", "_", stem)


def write_inputs(
    folder: Path, molecular: MolecularSystem, config: SimulateConfig, *, mliap: bool = False
) -> list[Path]:
    """Write a data file and an input script for an exported model that is in the folder.

    Args:
        folder: an existing one, with `model.lmp.pt`.
        molecular: of `built_system`.
        config: its name, its ensemble and its intervals.
        mliap: for a LAMMPS with ML-IAP and Python, instead of our pair style.

    Returns:
        the paths written.

    Raises:
        InputError: a cell that LAMMPS cannot take.
    """
    name = input_name(config)
    data, script = folder / f"{name}.data", folder / f"in.{name}"
    title = start_title(config)
    write_text(data, start_data(molecular, config))
    files = InputFiles(script.name, config.model, data.name)
    pair = mliap_lines(type_symbols(molecular)) if mliap else None
    how = f"python {DRIVER_NAME}" if mliap else None
    write_text(script, input_script(molecular, config, files, title=title, pair=pair, how=how))
    return [data, script]


def built_system(config: SimulateConfig, manifest: Manifest) -> MolecularSystem:
    """Return the system of a configuration, and say in a note what was added to it.

    Raises:
        InputError: no such system, or one that LAMMPS or the model cannot take.
    """
    molecular = build_molecular_system(config, manifest.cutoff)
    check_system(molecular, config)
    species_of(topology_atomic_numbers(molecular.topology), manifest.elements)
    if molecular.note:
        show_note(molecular.note)
    return molecular


def start_data(molecular: MolecularSystem, config: SimulateConfig) -> str:
    """Return the data file of a start, with the velocities that OpenMM would start with."""
    groups = molecular.isolated_groups
    drawn = maxwell_boltzmann(molecular.masses, config.temperature, groups, config.seed)
    return data_text(molecular, drawn / NM_PER_ANGSTROM, start_title(config))


def mliap_lines(symbols: list[str]) -> list[str]:
    """Return the lines that choose an object which Python has loaded already."""
    return [
        "pair_style      mliap unified EXISTS 0",
        f"pair_coeff      * * {' '.join(symbols)}",
    ]
