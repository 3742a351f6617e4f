"""The files of a LAMMPS run: those of every run folder, and LAMMPS's own."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from fisher_mlip.export.manifest import LAMMPS_MODEL_NAME
from fisher_mlip.products import write_json
from fisher_mlip.simulate.folder import RunFolder
from fisher_mlip.simulate.records import CheckpointRecord

DATA_NAME = "system.data"
# LAMMPS's mark of a restart file, at its beginning and at its end.
_END_OF_RESTART = b"LammpS RestartT"
_LAST_BYTES = 64


@dataclass(frozen=True)
class LammpsFolder(RunFolder):
    """Paths in a run folder; parts of a run that was resumed are counted from 1."""

    @property
    def data(self) -> Path:
        return self.path / DATA_NAME

    @property
    def model(self) -> Path:
        return self.path / LAMMPS_MODEL_NAME

    @property
    def screen(self) -> Path:
        return self.path / "screen.txt"

    def script(self, part: int) -> Path:
        """Return the path of a part's input script."""
        return self.path / ("in.lammps" if part == 1 else f"in.part{part:04d}.lammps")

    def log(self, part: int) -> Path:
        """Return the path of a part's log."""
        return self.path / ("log.lammps" if part == 1 else f"log.part{part:04d}.lammps")

    def segment(self, number: int) -> Path:
        """Return the path of a part's dump."""
        name = "trajectory.lammpstrj" if number == 1 else f"trajectory.part{number:04d}.lammpstrj"
        return self.path / name

    def write_record(self, record: CheckpointRecord) -> None:
        """Write how far the run is."""
        write_json(self.record, record.model_dump())

    def restarts(self) -> dict[int, Path]:
        """Return the whole restart files by their step, the last step last."""
        found = {
            int(match.group(1)): path
            for path in self.path.glob("restart.*")
            if (match := re.fullmatch(r"restart\.(\d+)", path.name)) and _is_whole(path)
        }
        return dict(sorted(found.items()))

    def sweep_restarts(self, kept: int = 2) -> None:
        """Delete all whole restart files but the last ones."""
        for path in list(self.restarts().values())[:-kept]:
            path.unlink(missing_ok=True)


def _is_whole(path: Path) -> bool:
    """Whether a restart file ends as LAMMPS ends one; a kill may have come between."""
    if not path.is_file():
        return False
    with path.open("rb") as handle:
        handle.seek(0, os.SEEK_END)
        handle.seek(max(0, handle.tell() - _LAST_BYTES))
        return _END_OF_RESTART in handle.read()
