"""The fused operators behind an artefact: when they serve it, and that they are its network."""

import copy
import shutil
from pathlib import Path

import pytest
import torch

from fisher_mlip.config import ModelConfig
from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact, load_artefact, write_artefact
from fisher_mlip.export.fusing import network_of_script, why_not_fused
from fisher_mlip.export.parity import compare, probe_frames, require_parity
from fisher_mlip.export.potential import ArtefactPotential, choose_kernel
from fisher_mlip.model import Checkpoint
from fisher_mlip.model.checkpoint import network_in

FRAMES = probe_frames([1, 6, 8])


def test_parity_of_the_fused_operators(fused: Artefact, checkpoint: Checkpoint) -> None:
    require_parity(compare(fused, checkpoint, FRAMES, "fused"))
    other = copy.deepcopy(checkpoint)
    other.network.readout.data *= 1.01
    with pytest.raises(InputError, match="is not the eager one"):
        require_parity(compare(fused, other, FRAMES, "fused"))


def test_a_head_and_its_uncertainty(headed: tuple[Checkpoint, Artefact]) -> None:
    checkpoint, artefact = headed
    require_parity(compare(artefact, checkpoint, FRAMES, "fused"))
    frame = FRAMES[1]
    of_kernel = [
        ArtefactPotential(
            artefact, frame.atomic_numbers, periodic=True, kernel=kernel
        ).force_uncertainty(frame.positions, frame.cell)
        for kernel in ("fused", "torchscript")
    ]
    assert of_kernel[0] == pytest.approx(of_kernel[1], rel=1e-8)
    assert of_kernel[0].max() > 1e-3


def test_the_network_of_a_script_is_the_checkpoints(
    fused: Artefact, checkpoint: Checkpoint
) -> None:
    expected = network_in(checkpoint, fused.manifest.dtype).state_dict()
    found = network_of_script(fused.path, fused.manifest).state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_file_written_again_is_read_again(
    fused: Artefact, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """The packed network is kept between binds, but not longer than what it is of."""
    frame = FRAMES[0]

    def energy(artefact: Artefact) -> float:
        potential = ArtefactPotential(
            artefact, frame.atomic_numbers, periodic=False, kernel="fused"
        )
        return potential.energy_and_forces(frame.positions)[0]

    copied = load_artefact(shutil.copytree(fused.path.parent, tmp_path / "copied"))
    before = energy(copied)
    other = copy.deepcopy(checkpoint)
    other.network.readout.data *= 2.0
    again = write_artefact(copied.path.parent, other, copied.manifest.dtype)
    assert abs(energy(again) - before) > 1e-3
    assert energy(fused) == before


def test_a_script_of_other_code_is_run_as_it_is(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fused network has the weights and the code of today; the script is what was exported."""

    def abrupt(distances: torch.Tensor, cutoff: float) -> torch.Tensor:
        return (distances < cutoff).to(distances.dtype)

    with monkeypatch.context() as patched:
        patched.setattr("fisher_mlip.model.network.smooth_envelope", abrupt)
        other = write_artefact(tmp_path, checkpoint, "float64")
    kernel, reason = choose_kernel(other, "auto")
    assert kernel == "torchscript"
    assert "do not give what 'model.pt' does" in reason
    with pytest.raises(InputError, match="export it again with this version"):
        choose_kernel(other, "fused")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (None, "exported before there were fused operators"),
        (ModelConfig(max_degree=4), "degrees up to 3, the model 4"),
    ],
)
def test_models_that_go_without(artefact: Artefact, model: ModelConfig | None, words: str) -> None:
    manifest = artefact.manifest.model_copy(update={"model": model})
    assert words in why_not_fused(manifest)
    without = Artefact(artefact.path, manifest)
    assert choose_kernel(without, "auto") == ("torchscript", why_not_fused(manifest))
    with pytest.raises(InputError, match="for the fused operators"):
        choose_kernel(without, "fused")
