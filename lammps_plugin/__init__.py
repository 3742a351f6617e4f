"""The LAMMPS plugin: `pair_style fisher_mlip`, its build, and what makes `lmp` find it.

SPDX-License-Identifier: GPL-2.0-or-later

`lmp` imports this in everybody's runs: nothing heavy is imported here.
"""

from lammps_plugin.build import BuildError, build_plugin, built_folder

__all__ = ["BuildError", "build_plugin", "built_folder"]
