"""Data: reference files and engines -> `Frames` (eV, Å)."""

from fisher_mlip.data.frames import Frame, Frames
from fisher_mlip.data.reading import read_frames
from fisher_mlip.data.sampling import equilibrated_liquid
from fisher_mlip.data.writing import write_frames

__all__ = ["Frame", "Frames", "equilibrated_liquid", "read_frames", "write_frames"]
