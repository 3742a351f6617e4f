"""What is checked on a GPU: boxes, models and what the eager ones say, in a folder."""

import time
from argparse import Namespace as Options
from typing import Any

import numpy as np
import torch
from separate_parts import guarded

from fisher_mlip.config import HeadConfig, ModelConfig
from fisher_mlip.data.ethanol import ATOMIC_NUMBERS, DENSITY_298K_G_CM3
from fisher_mlip.data.frames import Frame
from fisher_mlip.data.packing import pack_ethanol
from fisher_mlip.export import Artefact, load_artefact, write_artefact
from fisher_mlip.export.parity import probe_frames
from fisher_mlip.model import Checkpoint, CheckpointConfig, build_graph, evaluate, new_network
from fisher_mlip.model.checkpoint import load_checkpoint, network_in, save_checkpoint
from fisher_mlip.units import NM_PER_ANGSTROM


def prepare(options: Options) -> None:
    """Write the box, the artefacts, and the eager float64 model's energies and forces."""
    for name, molecules in (("box", options.molecules), ("small", options.drift_molecules)):
        pack_box(options, name, molecules)
    plain = load_checkpoint(options.checkpoint) if options.checkpoint else random_checkpoint(None)
    head = HeadConfig(kind="products", product_channels=8)
    for model, checkpoint in (("plain", plain), ("head", random_checkpoint(head))):
        (options.work / model).mkdir()
        save_checkpoint(options.work / model, checkpoint)
        for dtype in ("float32", "float64") if model == "plain" else ("float32",):
            folder = options.work / f"{model}-{dtype}"
            folder.mkdir()
            write_artefact(folder, checkpoint, dtype)
        guarded(lambda m=model, c=checkpoint: expect(options, m, c), part="prepare", of=model)


def random_checkpoint(head: HeadConfig | None) -> Checkpoint:
    """Return a network of the default size that nothing was trained on, with a head or without."""
    torch.manual_seed(0)
    config = CheckpointConfig(
        model=ModelConfig(),
        head=head or HeadConfig(),
        sampled_heads=8 if head else 0,
        elements=[1, 6, 8],
        reference_energies={1: -13.6, 6: -1030.0, 8: -2042.0},
        dtype="float32",
    )
    network = new_network(config).eval()
    network.message_scale.fill_(0.3)
    if network.head is not None and network.samples is not None:
        network.head.theta.data.normal_(0.0, 0.01)
        network.samples.theta_samples.normal_(0.0, 0.001)
    return Checkpoint(network, config)


def pack_box(options: Options, name: str, molecules: int) -> None:
    """Write a packed box of ethanols, or the one that was given."""
    if options.box and name == "box":
        from ase.io import read

        atoms = read(options.box)
        numbers, positions, cell = atoms.numbers, atoms.positions, np.asarray(atoms.cell)
    else:
        numbers = np.tile(ATOMIC_NUMBERS, molecules)
        positions, cell = pack_ethanol(molecules, DENSITY_298K_G_CM3, seed=0)
    np.savez(options.work / f"{name}.npz", numbers=numbers, positions=positions, cell=cell)


def box_of(options: Options, name: str) -> Frame:
    """Return a box that was written."""
    with np.load(options.work / f"{name}.npz", allow_pickle=False) as stored:
        cell = stored["cell"]
        return Frame(stored["numbers"], stored["positions"], cell, np.ones(3, dtype=bool))


def frames_of(options: Options) -> dict[str, Frame]:
    """Return the frames that are compared: an open cluster, a leaning cell twice, the box."""
    names = ("cluster", "triclinic", "unwrapped")
    probes = probe_frames([1, 6, 8])
    return dict(zip(names, probes, strict=True)) | {"box": box_of(options, "box")}


def expect(options: Options, model: str, checkpoint: Checkpoint) -> dict[str, Any]:
    """Write what the eager float64 model says, also of positions rounded as the GPU has them."""
    start = time.perf_counter()
    network = network_in(checkpoint, "float64")
    network.requires_grad_(False)
    for on, frame in frames_of(options).items():
        single = (frame.positions * NM_PER_ANGSTROM).astype(np.float32)
        rounded = single.astype(np.float64) / NM_PER_ANGSTROM
        made = {}
        for kind, positions in (("", frame.positions), ("rounded_", rounded)):
            moved = frame.relabelled(positions=positions)
            graph = build_graph(moved, checkpoint.config.elements, network.cutoff)
            said = evaluate(network, graph)
            made |= {f"{kind}energy": said.energies.numpy(), f"{kind}forces": said.forces.numpy()}
        np.savez(options.work / f"{model}-{on}.npz", **made)
    seconds = round(time.perf_counter() - start, 1)
    return {"atoms": frame.n_atoms, "edges": len(graph.senders), "seconds": seconds}


def artefact_of(options: Options, model: str) -> Artefact:
    """Return an artefact that was written."""
    return load_artefact(options.work / model)
