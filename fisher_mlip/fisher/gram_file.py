"""`gram.safetensors`: normal equations on disk, with all that adding frames to them needs."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from fisher_mlip.config import DtypeName, HeadConfig
from fisher_mlip.data.frames import FloatArray, Frame, Frames
from fisher_mlip.data.split import configuration
from fisher_mlip.errors import InputError
from fisher_mlip.fisher.drawn_atoms import FEWEST_ATOMS
from fisher_mlip.fisher.normal_equations import NormalEquations
from fisher_mlip.fisher.outside.scan import Scan
from fisher_mlip.fisher.outside.scan_store import scan_arrays, scans_of
from fisher_mlip.fisher.solve import LabelWeights
from fisher_mlip.fisher.sums import Sums
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.products import write_bytes

GRAM_NAME = "gram.safetensors"
KEY = "normal_equations"
_DAMAGE = (
    *(SafetensorError, ValidationError, OSError),
    *(KeyError, IndexError, TypeError, AttributeError, ValueError),
)


@dataclass(frozen=True, eq=False)
class GramFile:
    """What a finetune summed, and of which model and frames.

    Attributes:
        head: the largest head, whose features were summed.
        mixing: its product channels, by name of the network's buffers.
        readout: (D_last,), the pretrained readout that residuals are relative to.
        shift: (n_elements,), eV, the pretrained energy shifts.
        training: sums of the frames to solve from.
        held_out: sums of the frames that judge.
        frames: a hash of each frame in `training`.
        held_out_frames: of each frame in `held_out`.
        network_hash: of the weights that the features depend on.
        weighted: whether frames had weights of their own; then none can be added.
        scans: the ways out of the data that were looked at.
        dtype: that the features were differentiated in.
        label_weights: of energies and virials beside forces, that theta was solved with.
        most_atoms: of a training frame, whose forces were summed; None: all.
        most_atoms_judging: likewise of a frame that judges.
    """

    head: HeadConfig
    mixing: dict[str, FloatArray]
    readout: FloatArray
    shift: FloatArray
    training: NormalEquations
    held_out: NormalEquations
    frames: list[str]
    held_out_frames: list[str]
    network_hash: str
    weighted: bool = False
    scans: Sequence[Scan] = ()
    dtype: DtypeName = "float32"
    label_weights: LabelWeights = field(default_factory=LabelWeights)
    most_atoms: int | None = None
    most_atoms_judging: int | None = None

    @property
    def training_hash(self) -> str:
        """A SHA-256 over the frames solved from; their order does not matter, as in the sums."""
        return hashlib.sha256("".join(sorted(self.frames)).encode()).hexdigest()


def network_hash(network: EquivariantNetwork) -> str:
    """Return a SHA-256 over the weights that features depend on: all but what is solved for.

    Of their values, so that a float32 model cast to float64 keeps its hash.
    """
    digest = hashlib.sha256()
    for name, value in sorted(network.named_parameters()):
        if not name.startswith(("head.", "readout", "shift")):
            digest.update(name.encode())
            digest.update(_bytes(value))
    digest.update(_bytes(network.energy_scale) + _bytes(network.message_scale))
    return digest.hexdigest()


def _bytes(values: torch.Tensor) -> bytes:
    return bytes(values.detach().double().cpu().contiguous().numpy().tobytes())


def frame_hashes(frames: Frames) -> list[str]:
    """Return a hash of each frame's configuration, followed by one of its labels too."""
    return [_frame_hash(frame) for frame in frames]


def _frame_hash(frame: Frame) -> str:
    bare = hashlib.sha256(configuration(frame)).hexdigest()
    return bare[:32] + Frames((frame,)).content_hash()[:32]


def configuration_hash(frame_hash: str) -> str:
    """Return the part of a frame's hash that its labels have no part in."""
    return frame_hash[:32]


def save_gram(path: Path, content: GramFile) -> None:
    """Write the file, whole or not at all."""
    tensors = {
        **_tensors("training", content.training),
        **_tensors("held_out", content.held_out),
        **{f"mixing:{name}": value for name, value in content.mixing.items()},
        "readout": content.readout,
        "shift": content.shift,
    }
    labels: list[dict[str, str]] = []
    if content.scans:
        arrays, labels = scan_arrays(content.scans)
        tensors |= arrays
    meta = {
        "head": content.head.model_dump(),
        "training": _scalars(content.training),
        "held_out": _scalars(content.held_out),
        "frames": content.frames,
        "held_out_frames": content.held_out_frames,
        "network_hash": content.network_hash,
        "weighted": content.weighted,
        "scans": labels,
        "dtype": content.dtype,
        "label_weights": asdict(content.label_weights),
        "most_atoms": [content.most_atoms, content.most_atoms_judging],
    }
    write_bytes(path, save(tensors, metadata={KEY: json.dumps(meta)}))


def load_gram(path: Path) -> GramFile:
    """Read the file.

    Raises:
        InputError: it is missing, damaged, or something else.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            meta = json.loads((file.metadata() or {})[KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        found = GramFile(
            HeadConfig.model_validate(meta["head"]),
            {k.removeprefix("mixing:"): v for k, v in tensors.items() if k.startswith("mixing:")},
            tensors["readout"],
            tensors["shift"],
            _equations("training", tensors, meta["training"]),
            _equations("held_out", tensors, meta["held_out"]),
            meta["frames"],
            meta["held_out_frames"],
            meta["network_hash"],
            meta["weighted"],
            scans_of(tensors, meta["scans"]),
            meta["dtype"],
            LabelWeights(**meta["label_weights"]),
            *(_checked_atoms(most) for most in meta["most_atoms"]),
        )
        _require_sound(found)
        return found
    except _DAMAGE as error:
        reason = " ".join(str(error).split())
        raise InputError(f"expected normal equations in '{path}', found: {reason}") from None


def _require_sound(content: GramFile) -> None:
    """Check that shapes and numbers are those of sums over frames."""
    n_elements = len(content.shift)
    if content.head.product_channels and not content.mixing:
        raise ValueError(f"a head of kind '{content.head.kind}' without its product channels")
    for equations, hashes in (
        (content.training, content.frames),
        (content.held_out, content.held_out_frames),
    ):
        if equations.n_frames != len(hashes) or not all(isinstance(h, str) for h in hashes):
            raise ValueError(f"{equations.n_frames} frames and {len(hashes)} of their hashes")
        n = content.training.n_features
        for (name, sums), columns in zip(
            _parts(equations).items(), (n, n + n_elements, n), strict=True
        ):
            if sums.gram.shape != (columns, columns) or sums.moment.shape != (columns,):
                raise ValueError(f"sums of the {name} of other shapes than {columns} columns")
            numbers = (sums.gram.diagonal().min(initial=0.0), *_numbers_of(sums))
            whole = np.isfinite(sums.gram).all() and np.isfinite(sums.moment).all()
            if not (whole and all(np.isfinite(x) and x >= 0.0 for x in numbers)):
                raise ValueError(f"sums of the {name} that are no sums of squares")


def _checked_atoms(most: Any) -> int | None:
    if most is not None and not (isinstance(most, int) and most >= FEWEST_ATOMS):
        raise ValueError(f"'{most}' atoms of a frame")
    return most


def _numbers_of(sums: Sums) -> tuple[float, ...]:
    return sums.weight, sums.square, sums.count, sums.components


def _parts(equations: NormalEquations) -> dict[str, Sums]:
    return {
        "forces": equations.forces,
        "energies": equations.energies,
        "virials": equations.virials,
    }


def _tensors(name: str, equations: NormalEquations) -> dict[str, FloatArray]:
    return {
        f"{name}:{part}:{what}": np.ascontiguousarray(getattr(sums, what))
        for part, sums in _parts(equations).items()
        for what in ("gram", "moment")
        if sums.count
    }


def _scalars(equations: NormalEquations) -> dict[str, Any]:
    found: dict[str, Any] = {"n_frames": equations.n_frames}
    for part, sums in _parts(equations).items():
        found[part] = {k: v for k, v in asdict(sums).items() if k not in ("gram", "moment")}
        found[part]["columns"] = len(sums.moment)
    return found


def _equations(
    name: str, tensors: Mapping[str, FloatArray], scalars: Mapping[str, Any]
) -> NormalEquations:
    parts = {}
    for part in ("forces", "energies", "virials"):
        values = dict(scalars[part])
        empty = Sums.zeros(int(values.pop("columns")))
        if values["count"] == 0:
            parts[part] = empty
            continue
        gram, moment = (tensors[f"{name}:{part}:{what}"] for what in ("gram", "moment"))
        parts[part] = Sums(gram, moment, **values)
    return NormalEquations(**parts, n_frames=int(scalars["n_frames"]))


def mixing_of(network: EquivariantNetwork) -> dict[str, FloatArray]:
    """Return the product channels of a network's head by buffer name."""
    return {
        name: value.detach().cpu().double().numpy()
        for name, value in network.named_buffers()
        if name.endswith(".mixing")
    }


def set_mixing(network: EquivariantNetwork, mixing: Mapping[str, FloatArray]) -> None:
    """Set the product channels of a network's head."""
    for name, value in network.named_buffers():
        if name in mixing:
            if value.shape != mixing[name].shape:
                raise InputError(
                    f"expected product channels {tuple(value.shape)} of '{name}', found "
                    f"{mixing[name].shape}"
                )
            value.copy_(torch.from_numpy(mixing[name]))
