"""Artefacts: writing them from a checkpoint, loading them, binding them to atoms."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from fisher_mlip.config import DtypeName
from fisher_mlip.data.frames import IntArray
from fisher_mlip.errors import InputError
from fisher_mlip.export.fusing import fused_script, why_not_fused
from fisher_mlip.export.kernel import KernelName
from fisher_mlip.export.manifest import (
    FORMAT,
    FUSED_NAME,
    LAMMPS_FORMAT,
    MANIFEST_NAME,
    MODEL_NAMES,
    Manifest,
    find_model,
    make_manifest,
    read_manifest,
)
from fisher_mlip.export.openmm_module import OpenMMModule
from fisher_mlip.export.torchscript import load_script, save_script, scripted
from fisher_mlip.fused.network import FusedNetwork
from fisher_mlip.model.checkpoint import Checkpoint, network_in
from fisher_mlip.model.graph import species_of
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.products import write_text


@dataclass(frozen=True, eq=False)
class Artefact:
    """An exported model on disk: its manifest, and the script once it is bound to atoms."""

    path: Path
    manifest: Manifest

    def bind(
        self,
        atomic_numbers: IntArray,
        *,
        periodic: bool,
        skin: float = 0.5,
        molecules: IntArray | None = None,
        atoms: IntArray | None = None,
        rebuild_file: Path | None = None,
        kernel: KernelName = "torchscript",
    ) -> torch.jit.ScriptModule:
        """Return a fresh script for these atoms, ready for TorchForce.

        Args:
            atomic_numbers: (n_atoms,).
            periodic: whether box vectors will come with the positions.
            skin: Å added to the cutoff of the neighbor list.
            molecules: (n_atoms,), index of each atom's molecule; when given, only atoms of one
                molecule interact.
            atoms: (n_atoms,), the places of these atoms among the positions that will come, where
                those hold others too.
            rebuild_file: a file of one int64 in which the rebuilds of the neighbor list of all
                copies of the script are counted.
            kernel: `fused` only where `why_not_fused` has nothing against it.

        Raises:
            InputError: no atoms, an element that the model has not seen, or a skin that is not
                positive.
        """
        if len(atomic_numbers) == 0:
            raise InputError("expected at least one atom, found none")
        if not skin > 0:
            raise InputError(f"expected a skin larger than 0 Å, found {skin}")
        if periodic and molecules is not None:
            raise InputError("independent molecules have no periodic images: use one or the other")
        species = torch.from_numpy(species_of(np.asarray(atomic_numbers), self.manifest.elements))
        module = (
            fused_script(self.path, self.manifest) if kernel == "fused" else load_script(self.path)
        )
        module.species = species
        module.periodic = periodic
        module.skin = float(skin)
        if atoms is not None:
            module.subset = True
            module.atoms = torch.from_numpy(np.array(atoms, dtype=np.int64))
        if rebuild_file is not None:
            module.rebuild_file = str(rebuild_file)
        if molecules is not None:
            receivers, senders = pairs_within_molecules(np.asarray(molecules))
            module.independent = True
            module.receivers = torch.from_numpy(receivers)
            module.senders = torch.from_numpy(senders)
            module.cell_shifts = torch.zeros((len(senders), 3), dtype=torch.float64)
        return module

    def reference_energy(self, atomic_numbers: IntArray) -> float:
        """Return the sum of E0 in eV, which the artefact leaves out."""
        return float(sum(self.manifest.reference_energies[int(z)] for z in atomic_numbers))


def pairs_within_molecules(molecules: IntArray) -> tuple[IntArray, IntArray]:
    """Return receivers and senders of all ordered pairs of distinct atoms of one molecule."""
    order = np.argsort(molecules, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(molecules[order])) + 1)
    receivers = [np.repeat(group, len(group) - 1) for group in groups]
    senders = [np.concatenate([np.delete(group, k) for k in range(len(group))]) for group in groups]
    return np.concatenate(receivers), np.concatenate(senders).astype(np.int64)


def load_artefact(path: Path) -> Artefact:
    """Open an artefact: `model.pt` or the folder that holds it.

    Raises:
        InputError: missing, truncated, damaged, or not made by `fisher-mlip export`.
    """
    model = find_model(Path(path))
    return Artefact(model, read_manifest(model))


def write_artefact(
    folder: Path, checkpoint: Checkpoint, dtype: DtypeName | None = None
) -> Artefact:
    """Script a checkpoint's network and write `model.pt` and `manifest.json` into `folder`.

    Args:
        folder: an existing folder.
        checkpoint: the model; it is not changed.
        dtype: of the exported network; the checkpoint's own when None.
    """
    return load_artefact(write_scripted(folder, checkpoint, dtype, OpenMMModule, FORMAT))


def write_scripted(
    folder: Path,
    checkpoint: Checkpoint,
    dtype: DtypeName | None,
    module_of: Callable[[EquivariantNetwork], torch.nn.Module],
    kind: str,
) -> Path:
    """Script a checkpoint's network inside a module, and write it with its manifest.

    A model for LAMMPS, which has no Python to make it, holds its twin over the fused operators.

    Args:
        folder: an existing folder.
        checkpoint: the model; it is not changed.
        dtype: of the exported network; the checkpoint's own when None.
        module_of: what an engine runs, of the network.
        kind: format of the artefact.

    Returns:
        the path of the model.
    """
    chosen = dtype or checkpoint.config.dtype
    network = network_in(checkpoint, chosen)
    network.requires_grad_(False)
    manifest = make_manifest(checkpoint.config, chosen, weights_hash(network), kind)
    text = manifest.model_dump_json(indent=2)
    path = folder / MODEL_NAMES[kind]
    extra: dict[str, str | bytes] = {MANIFEST_NAME: text}
    if kind == LAMMPS_FORMAT and not why_not_fused(manifest):
        extra[FUSED_NAME] = scripted(module_of(FusedNetwork(network)).eval())
    save_script(module_of(network).eval(), path, extra)
    write_text(folder / MANIFEST_NAME, text + "\n")
    return path


def weights_hash(network: torch.nn.Module) -> str:
    """Return a SHA-256 over names and values of a network's state."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
