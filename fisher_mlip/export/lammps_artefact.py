"""The artefact of LAMMPS's pair style: writing it from a checkpoint, loading it, comparing it."""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch

from fisher_mlip.config import DtypeName
from fisher_mlip.data.frames import FloatArray, Frame
from fisher_mlip.errors import InputError
from fisher_mlip.export.artefact import write_scripted
from fisher_mlip.export.kernel import KernelName
from fisher_mlip.export.lammps_module import LammpsModule
from fisher_mlip.export.manifest import (
    FUSED_NAME,
    LAMMPS_FORMAT,
    Manifest,
    find_model,
    read_manifest,
)
from fisher_mlip.export.parity import Parity, differences
from fisher_mlip.export.shells import Shells, shells_of_frame
from fisher_mlip.export.torchscript import load_script, unoptimized
from fisher_mlip.model.checkpoint import Checkpoint
from fisher_mlip.model.graph import build_graph


@dataclass(frozen=True, eq=False)
class LammpsArtefact:
    """A model exported for LAMMPS: its file and its manifest."""

    path: Path
    manifest: Manifest

    @cached_property
    def script(self) -> torch.jit.ScriptModule:
        """The scripted `LammpsModule`, on the CPU."""
        return load_script(self.path)

    @cached_property
    def fused_script(self) -> torch.jit.ScriptModule:
        """The same over the fused operators, which `why_no_operators` has loaded.

        Raises:
            InputError: the model was exported where there were none.
        """
        with zipfile.ZipFile(self.path) as archive:
            for name in archive.namelist():
                if name.endswith(f"/extra/{FUSED_NAME}"):
                    return load_script(io.BytesIO(archive.read(name)))
        raise InputError(f"expected a model over the fused operators in '{self.path}', found none")

    def energies_and_slopes(
        self, shells: Shells, *, kernel: KernelName = "torchscript"
    ) -> tuple[FloatArray, FloatArray]:
        """Return energies of the own atoms and slopes of their sum along the edges.

        Args:
            shells: of a rank.
            kernel: `fused` where `fused_script` can be.

        Returns:
            (n_own,) eV and (n_edges, 3) eV/Å.
        """
        script = self.fused_script if kernel == "fused" else self.script
        vectors = torch.tensor(shells.edge_vectors, requires_grad=True)
        with torch.enable_grad(), unoptimized():
            energies = script(
                torch.from_numpy(shells.species),
                vectors,
                torch.from_numpy(shells.senders),
                torch.from_numpy(shells.receivers),
                shells.atoms_within,
                shells.edges_within,
            )
            (slopes,) = torch.autograd.grad(energies.sum(), vectors, materialize_grads=True)
        return energies.detach().numpy(), slopes.numpy()


def lammps_force_uncertainty(artefact: LammpsArtefact, frame: Frame) -> FloatArray:
    """Return the standard deviation of each atom's force over the sampled heads.

    What `fix pair ... uncertainty` has in LAMMPS; of a periodic frame images are no atoms of their
    own here.

    Args:
        artefact: with sampled heads.
        frame: of elements that it knows.

    Returns:
        (n_atoms,), eV/Å.
    """
    manifest = artefact.manifest
    graph = build_graph(frame, manifest.elements, manifest.cutoff)
    vectors = graph.edge_vectors(graph.positions, graph.cells).requires_grad_(True)
    n_layers, n_atoms, n_edges = manifest.num_iterations, graph.n_atoms, len(graph.senders)
    with torch.enable_grad(), unoptimized():
        deviations = artefact.script.sampled_deviations(
            graph.species,
            vectors,
            graph.senders,
            graph.receivers,
            [n_atoms] * (n_layers + 1),
            [n_edges] * n_layers,
        ).sum(dim=0)
        squares = torch.zeros(n_atoms, dtype=torch.float64)
        for deviation in deviations.unbind():
            (slopes,) = torch.autograd.grad(
                deviation, vectors, retain_graph=True, materialize_grads=True
            )
            forces = torch.zeros((n_atoms, 3), dtype=torch.float64)
            forces.index_add_(0, graph.receivers, slopes).index_add_(0, graph.senders, -slopes)
            squares += forces.square().sum(dim=1)
    return np.asarray((squares / len(deviations)).sqrt())


def load_lammps_artefact(path: Path) -> LammpsArtefact:
    """Open an artefact: `model.lmp.pt` or the folder that holds it.

    Raises:
        InputError: missing, truncated, damaged, or not made by `fisher-mlip export`.
    """
    model = find_model(Path(path), LAMMPS_FORMAT)
    return LammpsArtefact(model, read_manifest(model, LAMMPS_FORMAT))


def write_lammps_artefact(
    folder: Path, checkpoint: Checkpoint, dtype: DtypeName | None = None
) -> LammpsArtefact:
    """Script a checkpoint's network and write `model.lmp.pt` and `manifest.json` into `folder`.

    Args:
        folder: an existing folder.
        checkpoint: the model; it is not changed.
        dtype: of the exported network; the checkpoint's own when None.
    """
    path = write_scripted(folder, checkpoint, dtype, LammpsModule, LAMMPS_FORMAT)
    return load_lammps_artefact(path)


def lammps_forces(artefact: LammpsArtefact, frame: Frame) -> tuple[float, FloatArray]:
    """Return energy (eV, relative to isolated atoms) and forces (eV/Å) as one rank has them."""
    manifest = artefact.manifest
    shells = shells_of_frame(
        frame, manifest.elements, manifest.cutoff, n_layers=manifest.num_iterations
    )
    energies, slopes = artefact.energies_and_slopes(shells)
    forces = np.zeros((frame.n_atoms, 3))
    np.add.at(forces, shells.owners[shells.receivers], slopes)
    np.add.at(forces, shells.owners[shells.senders], -slopes)
    return float(energies.sum()), forces


def compare_lammps(
    artefact: LammpsArtefact, checkpoint: Checkpoint, frames: Sequence[Frame]
) -> Parity:
    """Return the differences between the artefact's script and the checkpoint it was made from."""
    forces_of = partial(lammps_forces, artefact)
    return differences(forces_of, checkpoint, artefact.manifest.dtype, frames)
