"""Frames added to a finetune or taken out of it, by their normal equations alone."""

import copy
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from fisher_mlip.data.frames import Frames
from fisher_mlip.errors import InputError
from fisher_mlip.fisher.finetune import solve_all
from fisher_mlip.fisher.gram_file import (
    GRAM_NAME,
    GramFile,
    configuration_hash,
    frame_hashes,
    load_gram,
    network_hash,
    set_mixing,
)
from fisher_mlip.fisher.jacobian import feature_count
from fisher_mlip.fisher.judge import judge_weights
from fisher_mlip.fisher.normal_equations import accumulate
from fisher_mlip.fisher.outside.holes import scan_energies
from fisher_mlip.fisher.solution import Options, Solution
from fisher_mlip.model.checkpoint import Checkpoint, load_checkpoint, torch_dtype
from fisher_mlip.model.head import LinearHead
from fisher_mlip.model.network import EquivariantNetwork

How = Literal["add", "remove"]


def load_finetune(folder: Path) -> tuple[Checkpoint, GramFile]:
    """Return a finetuned checkpoint and its sums, for `update`.

    Raises:
        InputError: one of the two is missing or damaged, or the sums are another model's.
    """
    if not (folder / GRAM_NAME).exists():
        raise InputError(
            f"expected normal equations in '{folder}', found none: only what `finetune` has made "
            "can be updated"
        )
    checkpoint, gram = load_checkpoint(folder), load_gram(folder / GRAM_NAME)
    if gram.network_hash != network_hash(checkpoint.network):
        raise InputError(
            f"'{folder / GRAM_NAME}' holds the normal equations of another model: its hash is "
            f"{gram.network_hash[:8]}, expected {network_hash(checkpoint.network)[:8]}"
        )
    return checkpoint, gram


def update(
    checkpoint: Checkpoint,
    gram: GramFile,
    frames: Frames,
    how: How,
    *,
    judging: Frames | None = None,
    options: Options | None = None,
    device: str = "cpu",
    advance: Callable[[int], object] = lambda n_frames: None,
) -> Solution:
    """Solve again with frames more or fewer; the network sees these frames and no others.

    Args:
        checkpoint: a finetuned one.
        gram: its sums.
        frames: to add, or to remove, with forces.
        how: which of the two.
        judging: frames with forces to add to those that judge, weighted among themselves as
            `judge_weights` does; None for none.
        options: what is tried; heads larger than the one summed are left out.
        device: where the Jacobians are computed.
        advance: called with the number of frames just done.

    Raises:
        InputError: frames that are there already (or are not), or sums of weighted frames.
    """
    if gram.weighted:
        raise InputError("frames were weighted when they were summed: none can be added or removed")
    options = options or Options()
    label_weights = options.label_weights or gram.label_weights
    if label_weights.virial > 0.0 and gram.training.virials.count == 0:
        raise InputError(
            "no virials were summed by the finetune to go on from: make it again, from all frames, "
            "with a weight of virials"
        )
    listed = _listed(gram, frames, how)
    network = _network_of(checkpoint, gram, device)
    elements = checkpoint.config.elements
    virials = gram.training.virials.count > 0
    relative = replace(frames, reference_energies=checkpoint.config.reference_energies)
    change = accumulate(
        network,
        relative,
        elements,
        virials=virials,
        most_atoms=gram.most_atoms,
        advance=advance,
    )
    sums = gram.training + change if how == "add" else gram.training - change
    along = scan_energies(network, gram.scans, elements)
    after = replace(gram, training=sums, frames=listed, label_weights=label_weights)
    if judging:
        judges = replace(judging, reference_energies=relative.reference_energies)
        after = _judged_by(after, network, judges, elements)
    base = Checkpoint(network, checkpoint.config)
    return solve_all(base, copy.deepcopy(network), after, along, options)


def _judged_by(
    gram: GramFile, network: EquivariantNetwork, judging: Frames, elements: list[int]
) -> GramFile:
    """Return the sums with frames added to those that judge."""
    hashes = _listed(gram, judging, "add")[len(gram.frames) :]
    change = accumulate(
        network,
        judging,
        elements,
        weights=judge_weights(network, judging, elements),
        virials=gram.held_out.virials.count > 0,
        most_atoms=gram.most_atoms_judging,
    )
    held_out = gram.held_out + change
    return replace(gram, held_out=held_out, held_out_frames=gram.held_out_frames + hashes)


def _listed(gram: GramFile, frames: Frames, how: How) -> list[str]:
    """Return the frames' hashes after the change."""
    there, new = Counter(gram.frames), Counter(frame_hashes(frames))
    if how == "add":
        # Whatever their labels.
        configurations = [configuration_hash(each) for each in new.elements()]
        for known, what in ((gram.frames, "summed"), (gram.held_out_frames, "held out")):
            seen = {configuration_hash(each) for each in known}
            n_known = sum(each in seen for each in configurations)
            if n_known:
                raise InputError(
                    f"{n_known} of the {len(frames)} frames to add are among those {what}"
                )
        return gram.frames + frame_hashes(frames)
    missing = sum((new - there).values())
    if missing:
        raise InputError(
            f"{missing} of the {len(frames)} frames to remove are not among those summed"
        )
    if len(frames) == len(gram.frames):
        raise InputError("expected to keep at least one frame, found all of them to remove")
    return list((there - new).elements())


def _network_of(checkpoint: Checkpoint, gram: GramFile, device: str) -> EquivariantNetwork:
    """Return the pretrained network again, with the head whose features were summed."""
    config = checkpoint.config
    network = copy.deepcopy(checkpoint.network).to(device, torch_dtype(gram.dtype))
    if (len(gram.readout), len(gram.shift)) != (len(network.readout), len(network.shift)):
        raise InputError(
            f"expected sums of a model with {len(network.readout)} features in its readout and "
            f"{len(network.shift)} elements, found {len(gram.readout)} and {len(gram.shift)}"
        )
    network.readout.data = torch.from_numpy(gram.readout).to(network.readout)
    network.shift.data = torch.from_numpy(gram.shift).to(network.shift)
    network.head, network.samples = None, None
    if gram.head.kind != "last-layer":
        head = LinearHead(gram.head, config.model, len(config.elements))
        network.head = head.to(network.energy_scale)
        set_mixing(network, gram.mixing)
    if feature_count(network) != gram.training.n_features:
        raise InputError(
            f"expected sums over the {feature_count(network)} features of this model's head, found "
            f"{gram.training.n_features}"
        )
    return network
