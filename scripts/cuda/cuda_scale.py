"""What more atoms cost on a GPU: the box repeated, the network and the list by themselves."""

from argparse import Namespace as Options
from typing import Any

import numpy as np
import torch
from cuda_subjects import artefact_of, box_of
from device_timing import calls, forget_peaks, memory
from separate_parts import guarded

from fisher_mlip.export.kernel import ScriptKernel
from fisher_mlip.fused.loading import why_no_operators

REPEATS = (1, 2, 3)


def scaled_calls(options: Options) -> None:
    """Time the fused network and the making of its list for 1, 8 and 27 boxes."""
    assert why_no_operators(build=True) == ""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for repeats in REPEATS:
        guarded(
            lambda n=repeats: scaled(options, n, device),
            **{"part": "scale", "device": device, "boxes": repeats**3},
        )


def scaled(options: Options, repeats: int, device: str) -> dict[str, Any]:
    """Return atoms, edges, and milliseconds of the network and of a new list."""
    frame = box_of(options, "box")
    shifts = np.stack(np.meshgrid(*[np.arange(repeats)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    positions = (frame.positions[None] + (shifts @ frame.cell)[:, None]).reshape(-1, 3)
    numbers = np.tile(frame.atomic_numbers, len(shifts))
    artefact = artefact_of(options, "plain-float32")
    module = artefact.bind(numbers, periodic=True, kernel="fused").to(device)
    x = torch.tensor(positions, device=device)
    box = torch.tensor(repeats * frame.cell, device=device)

    def rebuild() -> Any:
        module.listed_positions = x[:0]
        return module.near_pairs(x, box)

    forget_peaks()
    vectors, senders, receivers = rebuild()
    scale = torch.ones((), dtype=torch.float64, device=device)
    kernel = ScriptKernel(module.network)
    network = calls(lambda: kernel(module.species, vectors, senders, receivers, scale))
    listed = calls(rebuild, repeats=5)
    return {
        "atoms": len(numbers),
        "listed_pairs": len(senders),
        "network_ms": network,
        "new_list_ms": listed,
        **memory(),
    }
