"""The artefact's network over the fused operators, made of its script when it is bound."""

import io
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from fisher_mlip.export.manifest import Manifest
from fisher_mlip.export.openmm_module import OpenMMModule
from fisher_mlip.export.torchscript import load_script, scripted
from fisher_mlip.fused.couplings import LARGEST_DEGREE
from fisher_mlip.fused.loading import why_no_operators
from fisher_mlip.fused.network import FusedNetwork
from fisher_mlip.model.checkpoint import CheckpointConfig, new_network
from fisher_mlip.model.network import EquivariantNetwork


def why_not_fused(manifest: Manifest, *, build: bool = True) -> str:
    """Return in words why the fused operators cannot run a model here, "" if they can.

    Args:
        manifest: of the model.
        build: whether the operators may be compiled for that, which takes a minute.
    """
    if manifest.model is None:
        return "the model was exported before there were fused operators: export it again"
    if manifest.model.max_degree > LARGEST_DEGREE:
        return (
            f"the fused operators have degrees up to {LARGEST_DEGREE}, the model "
            f"{manifest.model.max_degree}"
        )
    return why_no_operators(build=build)


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


@lru_cache(maxsize=4)
def _content(path: Path, manifest: str, _written: int) -> bytes:
    """Return the saved script: packing takes a second, reading it none."""
    made = FusedNetwork(network_of_script(path, Manifest.model_validate_json(manifest)))
    return scripted(FusedModule(made).eval())
