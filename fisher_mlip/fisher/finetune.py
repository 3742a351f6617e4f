"""The closed-form finetune: a checkpoint and frames -> the same network with the best head."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from fisher_mlip.config import DtypeName, HeadConfig, HeadKind
from fisher_mlip.data.frames import FloatArray, Frames
from fisher_mlip.errors import InputError
from fisher_mlip.fisher.drawn_atoms import enough_atoms
from fisher_mlip.fisher.gram_file import (
    GRAM_NAME,
    GramFile,
    frame_hashes,
    mixing_of,
    network_hash,
    save_gram,
)
from fisher_mlip.fisher.heads import (
    attach_head,
    head_within,
    keep_part_of_head,
    set_samples,
    set_theta,
)
from fisher_mlip.fisher.jacobian import feature_count
from fisher_mlip.fisher.judge import judge_weights
from fisher_mlip.fisher.nesting import KINDS, nested_heads
from fisher_mlip.fisher.normal_equations import NormalEquations, accumulate
from fisher_mlip.fisher.outside.holes import ScanEnergies, scan_energies
from fisher_mlip.fisher.outside.scans import make_scans
from fisher_mlip.fisher.posterior import posterior
from fisher_mlip.fisher.pressure import PressureErrors, pressure_errors
from fisher_mlip.fisher.selection import (
    Candidate,
    Row,
    Tried,
    candidate,
    choose,
    rows_of,
)
from fisher_mlip.fisher.solution import Options, Solution
from fisher_mlip.fisher.solve import LabelWeights, fitted_offsets
from fisher_mlip.model.checkpoint import (
    Checkpoint,
    CheckpointConfig,
    save_checkpoint,
    torch_dtype,
)
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.train.metrics import ForceEnergyErrors, errors


def finetune(
    checkpoint: Checkpoint,
    training: Frames,
    held_out: Frames,
    *,
    options: Options | None = None,
    weights: FloatArray | None = None,
    device: str = "cpu",
    dtype: DtypeName | None = None,
    advance: Callable[[int], object] = lambda n_frames: None,
) -> Solution:
    """Solve for the head of least Fisher divergence and choose kind, ridge and scan weight.

    Args:
        checkpoint: the model to start from, without a head; it is not changed.
        training: frames to solve from, with forces.
        held_out: frames with forces that only judge (see `judge_weights`).
        options: what is tried.
        weights: (n_frames,), of the training frames; ones when None.
        device: where the Jacobians are computed; the solve is on the CPU in float64.
        dtype: that the features are differentiated in; the checkpoint's own when None. Sums and
            solve are float64, and the solved network has the checkpoint's dtype, whichever it is.
        advance: called with the number of frames just done.

    Raises:
        InputError: a checkpoint with a head, frames without forces, unknown elements, or features
            that never move.

    Source:
        design of this project; minimal Fisher divergence, theta = T^-1 c (see NormalEquations).
    """
    options = options or Options()
    config, elements = checkpoint.config, checkpoint.config.elements
    network = base_network(checkpoint, device, dtype)
    head = largest_head(options, checkpoint)
    attach_head(network, head, config.model, training, elements)
    label_weights = options.label_weights or LabelWeights()
    require_labels(training, label_weights)
    most_atoms = enough_atoms(training, held_out, feature_count(network), options.rows_per_feature)
    parts, virials = (training, held_out), label_weights.virial > 0.0
    sums = _sums(network, config, parts, weights, most_atoms, virials=virials, advance=advance)
    scans = make_scans(training) if options.look_outside else []
    along = scan_energies(network, scans, elements)
    gram = GramFile(
        head,
        mixing_of(network),
        network.readout.detach().double().cpu().numpy(),
        network.shift.detach().double().cpu().numpy(),
        sums[0],
        sums[1],
        frame_hashes(training),
        frame_hashes(held_out),
        network_hash(network),
        weighted=weights is not None,
        scans=scans,
        dtype=dtype or config.dtype,
        label_weights=label_weights,
        most_atoms=most_atoms[0],
        most_atoms_judging=most_atoms[1],
    )
    return _judged(solve_all(checkpoint, network, gram, along, options), checkpoint, held_out)


def _sums(
    network: EquivariantNetwork,
    config: CheckpointConfig,
    parts: tuple[Frames, Frames],
    weights: FloatArray | None,
    most_atoms: tuple[int | None, int | None],
    *,
    virials: bool,
    advance: Callable[[int], object],
) -> list[NormalEquations]:
    """Return the sums of the training frames and of those that judge."""
    judging = judge_weights(network, parts[1], config.elements)
    return [
        accumulate(
            network,
            replace(frames, reference_energies=config.reference_energies),
            config.elements,
            weights=own,
            virials=virials,
            most_atoms=most,
            advance=advance,
        )
        for frames, own, most in zip(parts, (weights, judging), most_atoms, strict=True)
    ]


def _judged(solution: Solution, base: Checkpoint, held_out: Frames) -> Solution:
    """Add what the held-out frames say of both models, each frame counted alike."""
    return replace(
        solution,
        held_out_errors=_errors(base, solution.checkpoint, held_out),
        held_out_pressures=_pressures(base, solution.checkpoint, held_out),
    )


def _errors(
    base: Checkpoint, solved: Checkpoint, held_out: Frames
) -> tuple[ForceEnergyErrors, ForceEnergyErrors]:
    before, after = (errors(c.network, held_out, c.config) for c in (base, solved))
    return before, after


def _pressures(
    base: Checkpoint, solved: Checkpoint, held_out: Frames
) -> tuple[PressureErrors, PressureErrors] | None:
    before = pressure_errors(base.network, held_out, base.config)
    after = pressure_errors(solved.network, held_out, solved.config)
    return None if before is None or after is None else (before, after)


def require_labels(frames: Frames, weights: LabelWeights) -> None:
    """Refuse weights of labels that no frame has, before anything is computed.

    Raises:
        InputError: so it is.
    """
    for name, weight, label in (
        ("energy", weights.energy, "energy"),
        ("virial", weights.virial, "stress"),
    ):
        if weight > 0.0 and all(getattr(frame, label) is None for frame in frames):
            raise InputError(f"expected frames with labels for the {name} weight, found none")


def base_network(
    checkpoint: Checkpoint, device: str, dtype: DtypeName | None
) -> EquivariantNetwork:
    """Return a copy of the pretrained network, without a head."""
    if checkpoint.config.head.kind != "last-layer":
        raise InputError(
            f"expected a checkpoint without a head, found one with '{checkpoint.config.head.kind}'"
            ": start from the model it was made of, or add frames with --update"
        )
    chosen = torch_dtype(dtype or checkpoint.config.dtype)
    network = copy.deepcopy(checkpoint.network).to(device, chosen)
    network.samples = None
    return network


def largest_head(options: Options, checkpoint: Checkpoint) -> HeadConfig:
    """Return the largest of the heads to choose from; the others are inside it."""
    largest = max(options.kinds, key=KINDS.index)
    n_species = len(checkpoint.config.elements)
    return head_within(largest, options.budget, checkpoint.config.model, n_species)


def solve_all(
    checkpoint: Checkpoint,
    network: EquivariantNetwork,
    gram: GramFile,
    along: ScanEnergies,
    options: Options,
) -> Solution:
    """Return the solution from the sums; `network` has the largest head and becomes the model."""
    candidates = [
        candidate(
            head,
            gram.training,
            gram.held_out,
            along,
            weights=gram.label_weights,
            ridges=options.ridges,
            scan_weights=options.scan_weights,
        )
        for kind in kinds_within(options.kinds, gram.head.kind)
        for head in nested_heads(kind, network.head, gram.training.n_features)
    ]
    base = _base_row(gram.training, gram.held_out, along)
    rows = [row for found in candidates for row in found.rows]
    n_components = gram.training.forces.count
    chosen = choose(rows, base, n_components=n_components, allow_holes=options.allow_holes)
    found = next((c for c in candidates if chosen in c.rows), None)
    config = found.head.config if found else HeadConfig()
    own = _with_head(checkpoint, network, config, chosen or base)
    if chosen is not None and found is not None and options.sampled_heads:
        own = _with_samples(own, gram, found, chosen, options.sampled_heads)
    solution = Solution(own, gram, candidates, chosen, base, along)
    return Solution(**{**solution.__dict__, "checkpoint": _with_provenance(own, solution)})


def kinds_within(kinds: Sequence[HeadKind], largest: HeadKind) -> list[HeadKind]:
    """Return the kinds no larger than that of the head that was summed, smallest first.

    Raises:
        InputError: there is none.
    """
    found = [kind for kind in KINDS[: KINDS.index(largest) + 1] if kind in kinds]
    if not found:
        raise InputError(
            f"expected a head no larger than the '{largest}' that was summed, found "
            f"{', '.join(sorted(set(kinds), key=KINDS.index))}"
        )
    return found


def _base_row(training: NormalEquations, held_out: NormalEquations, along: ScanEnergies) -> Row:
    """Return the pretrained model as it is, its energies too."""
    theta = np.zeros((1, training.n_features))
    ways = along if along.scans else None
    still = np.zeros((1, len(training.energies.moment) - training.n_features))
    tried = [Tried(0.0, 0.0, 0.0)]
    return rows_of(HeadConfig(), tried, theta, training, held_out, ways, still)[0]


def _with_head(
    checkpoint: Checkpoint, network: EquivariantNetwork, config: HeadConfig, row: Row
) -> Checkpoint:
    """Return the checkpoint with the chosen head alone in it, theta and energy shifts set."""
    large = network.head
    changed = checkpoint.config.model_copy(update={"head": config, "sampled_heads": 0})
    dtype = torch_dtype(checkpoint.config.dtype)
    if large is not None and config != large.config:
        keep_part_of_head(network, config, checkpoint.config.model, len(changed.elements))
    if row.head.kind != "last-layer" or row.theta.any():
        set_theta(network, row.theta)
    shift = torch.from_numpy(row.offsets).to(network.shift.device)
    network.shift.data = (network.shift.data.double() + shift).to(network.shift)
    return Checkpoint(network.to("cpu", dtype).eval(), changed)


def _with_samples(
    checkpoint: Checkpoint, gram: GramFile, found: Candidate, chosen: Row, n_samples: int
) -> Checkpoint:
    """Return the checkpoint with heads sampled from the posterior of theta."""
    held_out = found.head.equations(gram.held_out).forces
    spread = posterior(found.system, found.spectrum, chosen.ridge, held_out, chosen.theta)
    thetas = spread.samples(n_samples)
    energies = found.head.equations(gram.training).energies
    # A deviation is fitted to no change of the energies.
    still = replace(energies, moment=np.zeros_like(energies.moment))
    offsets = np.array([fitted_offsets(still, theta) for theta in thetas])
    n_species = len(checkpoint.config.elements)
    set_samples(checkpoint.network, thetas, offsets, n_species)
    config = checkpoint.config.model_copy(update={"sampled_heads": n_samples})
    return Checkpoint(checkpoint.network, config)


def save_solution(folder: Path, solution: Solution) -> list[Path]:
    """Write the finetuned checkpoint and its normal equations into `folder`."""
    gram = folder / GRAM_NAME
    save_gram(gram, solution.gram)
    return [*save_checkpoint(folder, solution.checkpoint), gram]


def _with_provenance(checkpoint: Checkpoint, solution: Solution) -> Checkpoint:
    brief = solution.brief()
    provenance = {**checkpoint.config.provenance, "fisher": brief}
    config = checkpoint.config.model_copy(update={"provenance": provenance})
    shipped = brief["chosen"]
    metrics = {key: value for key, value in shipped.items() if "rmse" in key}
    return Checkpoint(checkpoint.network, config, metrics)
