"""The compiled kernel: the eager one's numbers, its record, and when it is not used."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact, compiling, load_artefact
from fisher_mlip.export.compiling import CompilingError, add_compiled, load_compiled
from fisher_mlip.export.kernel import DifferentiatedKernel
from fisher_mlip.export.parity import add_compiled_if_same, compare, probe_frames, require_parity
from fisher_mlip.export.potential import choose_kernel
from fisher_mlip.model import Checkpoint
from fisher_mlip.model.checkpoint import network_in


@pytest.fixture
def copied(compiled: Artefact, tmp_path: Path) -> Artefact:
    return load_artefact(shutil.copytree(compiled.path.parent, tmp_path / "copied"))


def test_energies_and_slopes_are_the_eager_networks(
    compiled: Artefact, checkpoint: Checkpoint
) -> None:
    """Of another number of atoms and edges than the kernel was traced with."""

    network = network_in(checkpoint, compiled.manifest.dtype)
    generator = torch.Generator().manual_seed(3)
    n_atoms, n_edges = 300, 2500
    inputs = (
        torch.randint(0, 3, (n_atoms,), generator=generator),
        torch.rand((n_edges, 3), generator=generator, dtype=torch.float64) + 0.4,
        torch.randint(0, n_atoms, (n_edges,), generator=generator),
        torch.randint(0, n_atoms, (n_edges,), generator=generator),
        torch.tensor(1.0, dtype=torch.float64),
    )
    expected = DifferentiatedKernel(network)(*inputs)
    found = load_compiled(compiled.path.parent, compiled.manifest.cutoff)(*inputs)
    tolerance = 1e-10 if compiled.manifest.dtype == "float64" else 1e-4
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.float64
        scale = tolerance * float(other.abs().max())
        assert float((one - other).abs().max()) < scale
        assert float((1.01 * one - other).abs().max()) > scale


def test_parity_of_the_compiled_kernel(compiled: Artefact, checkpoint: Checkpoint) -> None:
    import copy

    frames = probe_frames([1, 6, 8])
    require_parity(compare(compiled, copy.deepcopy(checkpoint), frames, "compiled"))
    other = copy.deepcopy(checkpoint)
    other.network.readout.data *= 1.01
    with pytest.raises(InputError, match="is not the eager one"):
        require_parity(compare(compiled, other, frames, "compiled"))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("torch", "2.10.0", "is for torch 2.10.0"),
        ("device", "cuda", "is for the device 'cuda'"),
        ("machine", "riscv", "is for riscv processors"),
        ("processor_flags", "avx9999", "needs a processor with avx9999"),
        ("weights_hash", "0", "the weights differ"),
        ("sha256", "0", "is damaged"),
        ("color", "red", "cannot be read"),
    ],
)
def test_a_kernel_of_elsewhere_is_not_run(
    copied: Artefact, field: str, value: str, words: str
) -> None:
    assert choose_kernel(copied, "auto")[0] == "compiled"
    path = copied.path.parent / "model.pt2.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    kernel, reason = choose_kernel(copied, "auto")
    assert kernel == "torchscript"
    assert words in reason
    with pytest.raises(InputError, match="expected a compiled kernel"):
        choose_kernel(copied, "compiled")


def test_a_truncated_kernel_is_not_run(copied: Artefact) -> None:
    path = copied.path.parent / "model.pt2"
    path.write_bytes(path.read_bytes()[:-100])
    assert "is damaged" in choose_kernel(copied, "auto")[1]


def test_without_a_compiler_there_is_no_kernel_and_a_reason(
    artefact: Artefact, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(CompilingError, match=r"no C\+\+ compiler"):
        add_compiled(artefact, checkpoint)
    parity, why = add_compiled_if_same(artefact, checkpoint, [])
    assert parity is None
    assert "no C++ compiler" in why


def test_a_kernel_that_is_not_the_model_is_removed(
    copied: Artefact, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    import copy

    monkeypatch.setattr("fisher_mlip.export.parity.add_compiled", lambda *_: None)
    frames = probe_frames([1, 6, 8])[:1]
    same = copy.deepcopy(checkpoint)
    assert add_compiled_if_same(copied, same, frames)[1] == ""
    other = copy.deepcopy(checkpoint)
    other.network.readout.data *= 1.01
    parity, why = add_compiled_if_same(copied, other, frames)
    assert parity is None
    assert "its forces are off by" in why
    assert not (copied.path.parent / "model.pt2").exists()


def test_a_failed_compile_is_told_and_leaves_nothing(
    artefact: Artefact, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(network: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise RuntimeError("g++: out of memory\nand much more")

    monkeypatch.setattr(compiling, "_write_package", fail)
    with pytest.raises(CompilingError, match=r"could not compile: g\+\+: out of memory$"):
        add_compiled(artefact, checkpoint)
    assert not (artefact.path.parent / "model.pt2").exists()
