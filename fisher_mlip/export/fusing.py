"""The artefact's network over the fused operators, made of its script when it is bound."""

import io
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from fisher_mlip.export.kernel import ScriptKernel
from fisher_mlip.export.manifest import Manifest
from fisher_mlip.export.openmm_module import OpenMMModule
from fisher_mlip.export.torchscript import load_script, scripted
from fisher_mlip.fused.loading import why_not_served
from fisher_mlip.fused.network import FusedNetwork
from fisher_mlip.model.checkpoint import CheckpointConfig, new_network
from fisher_mlip.model.network import EquivariantNetwork

TorchDevice = Literal["cpu", "cuda"]


def why_not_fused(manifest: Manifest, *, build: bool = True) -> str:
    """Return in words why the fused operators cannot run a model here, "" if they can.

    Args:
        manifest: of the model.
        build: whether the operators may be compiled for that, which takes a minute or two.
    """
    if manifest.model is None:
        return "the model was exported before there were fused operators: export it again"
    return why_not_served(manifest.model, build=build)


# Rounding aside: a script cast to float64 keeps couplings of seven digits. Parity is for `parity`.
TRIAL_TOLERANCE = 1e-4
TRIAL_ATOMS, TRIAL_NEIGHBORS = 30, 8


class FusedModule(OpenMMModule):
    """The module that TorchForce runs, its list's pairs taken by a fused operator too."""

    @torch.jit.export
    def near_pairs(self, x: Tensor, box: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return vectors (n_edges, 3), senders and receivers, as `OpenMMModule.near_pairs`."""
        if box.requires_grad:
            return self.plain_near_pairs(x, box)
        if not self.independent:
            self.update_list(x.detach(), box)
        found: tuple[Tensor, Tensor, Tensor] = torch.ops.fisher_mlip.near_edges(
            x, self.senders, self.receivers, self.cell_shifts, box, self.cutoff
        )
        return found


def why_not_same(path: Path, manifest: Manifest, *, device: TorchDevice = "cpu") -> str:
    """Return in words how the fused network differs from the artefact's own script, "" if not.

    The script is what was exported and certified; the fused network is made anew of its weights,
    by the code that is installed now, which may be other code than wrote the script.

    Args: as `fused_script`, and
        device: of torch, where the fused network is tried; on a GPU its kernels are compiled first.
    """
    facts = (path, manifest.model_dump_json(), path.stat().st_mtime_ns, device)
    try:
        difference = _difference(*facts)
    except RuntimeError as failure:
        if device == "cpu":
            raise
        return f"the fused operators do not run on this GPU: {str(failure).splitlines()[0][:300]}"
    if difference <= TRIAL_TOLERANCE:
        return ""
    return (
        f"the fused operators do not give what '{path.name}' does (slopes off by {difference:.1e} "
        "of the largest): export it again with this version"
    )


def network_of_script(path: Path, manifest: Manifest) -> EquivariantNetwork:
    """Return the eager network of an artefact's script, on the CPU, in the manifest's dtype."""
    assert manifest.model is not None
    config = CheckpointConfig(
        model=manifest.model,
        head=manifest.head,
        sampled_heads=manifest.sampled_heads,
        elements=manifest.elements,
        reference_energies=manifest.reference_energies,
        dtype=manifest.dtype,
    )
    network = new_network(config)
    network.load_state_dict(load_script(path).network.state_dict())
    return network.eval()


def fused_script(path: Path, manifest: Manifest) -> torch.jit.ScriptModule:
    """Return a fresh script of a model over the fused operators, which `why_not_fused` allows."""
    # The manifest names the weights, the time tells of a file that was written again.
    content = _content(path, manifest.model_dump_json(), path.stat().st_mtime_ns)
    return load_script(io.BytesIO(content))


def table_error(path: Path, manifest: Manifest) -> float:
    """Return the largest error of a tabulated radial function's slope, over the largest slope."""
    return float(fused_script(path, manifest).network.table_error)


@lru_cache(maxsize=16)
def _difference(path: Path, manifest: str, _written: int, device: TorchDevice) -> float:
    """Return the largest difference of slopes over the largest, of a cluster at random places."""
    known = Manifest.model_validate_json(manifest)
    generator = torch.Generator().manual_seed(0)
    places = torch.rand((TRIAL_ATOMS, 3), generator=generator, dtype=torch.float64)
    positions = places * known.cutoff * (TRIAL_ATOMS / TRIAL_NEIGHBORS) ** (1.0 / 3.0)
    vectors = positions[None] - positions[:, None]
    distances = vectors.square().sum(dim=2).sqrt()
    near = (distances < known.cutoff) & (distances > 0.2 * known.cutoff)
    receivers, senders = near.nonzero(as_tuple=True)
    inputs = (
        torch.arange(TRIAL_ATOMS) % len(known.elements),
        vectors[receivers, senders],
        senders,
        receivers,
        torch.ones((), dtype=torch.float64),
    )
    there = tuple(each.to(device) for each in inputs)
    fused = ScriptKernel(fused_script(path, known).network.to(device))(*there)[1].cpu()
    found = ScriptKernel(load_script(path).network)(*inputs)[1], fused
    # Written so that a NaN is a difference.
    difference = float((found[1] - found[0]).abs().max() / found[0].abs().max().clamp(min=1e-12))
    return difference if difference >= 0.0 else float("inf")


@lru_cache(maxsize=4)
def _content(path: Path, manifest: str, _written: int) -> bytes:
    """Return the saved script: packing takes a second, reading it none."""
    made = FusedNetwork(network_of_script(path, Manifest.model_validate_json(manifest)))
    return scripted(FusedModule(made).eval())
