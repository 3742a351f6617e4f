"""A folder -> `Run`, by whichever engine it was made."""

from pathlib import Path

from fisher_mlip.analysis.lammps_foreign import find_log, read_foreign_run
from fisher_mlip.analysis.lammps_run import read_lammps_run
from fisher_mlip.analysis.run import Run
from fisher_mlip.analysis.run_folder import read_openmm_run
from fisher_mlip.config import SimulateConfig, read_config
from fisher_mlip.errors import InputError


def read_run(path: Path, label: str | None = None) -> Run:
    """Read a run folder.

    Args:
        path: the folder that `fisher-mlip simulate` wrote or is still writing, with either engine,
            or one with the log of any other LAMMPS run and its dump.
        label: name in tables and plots; the folder's name if None.

    Raises:
        InputError: no run folder, a file that cannot be used, or fewer than 3 rows of a run that
            did not end itself as unstable.
    """
    if not path.is_dir():
        raise InputError(f"expected a run folder at '{path}', found none")
    name = label if label is not None else path.resolve().name
    if not (path / "config.yaml").is_file():
        log = find_log(path)
        if log is None:
            raise InputError(
                f"expected a run folder holding config.yaml, or a LAMMPS log (log.lammps), at "
                f"'{path}', found none"
            )
        return read_foreign_run(path, log, name)
    config = read_config(path / "config.yaml", SimulateConfig)
    if config.engine == "lammps":
        return read_lammps_run(path, name)
    return read_openmm_run(path, name)
