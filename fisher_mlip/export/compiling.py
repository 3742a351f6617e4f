"""The kernel compiled ahead of time: writing `model.pt2`, and whether one may be used here."""

import logging
import platform
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from fisher_mlip.config import Config, DtypeName, parse_config
from fisher_mlip.errors import InputError
from fisher_mlip.export.artefact import Artefact
from fisher_mlip.export.kernel import DifferentiatedKernel, PaddedKernel
from fisher_mlip.export.manifest import Manifest
from fisher_mlip.model.checkpoint import Checkpoint, network_in
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.products import read_json, sha256_of_file, write_text

COMPILED_NAME = "model.pt2"
RECORD_NAME = "model.pt2.json"
COMPILERS = ("g++", "clang++", "c++")


class KernelRecord(Config):
    """What a compiled kernel was made of and for; it is run under nothing else.

    Attributes:
        torch: version.
        device: that it computes on.
        dtype: of the network.
        machine: architecture of the processor.
        processor_flags: instruction sets that the compiler could use, separated by spaces.
        weights_hash: of the network, as in the manifest.
        sha256: of `model.pt2`.
    """

    torch: str
    device: str
    dtype: DtypeName
    machine: str
    processor_flags: str
    weights_hash: str
    sha256: str


class CompilingError(Exception):
    """The kernel could not be compiled; the reason in one sentence."""


def add_compiled(artefact: Artefact, checkpoint: Checkpoint) -> None:
    """Compile the kernel for this machine and write it beside the artefact.

    Args:
        artefact: as written by `write_artefact`.
        checkpoint: that it was made from; it is not changed.

    Raises:
        CompilingError: there is no C++ compiler, or compiling failed.
    """
    folder, manifest = artefact.path.parent, artefact.manifest
    network = network_in(checkpoint, manifest.dtype)
    if not any(shutil.which(name) for name in COMPILERS):
        raise CompilingError(f"there is no C++ compiler ({', '.join(COMPILERS)})")
    path = folder / COMPILED_NAME
    try:
        with _quiet():
            _write_package(network, path)
    except Exception as failure:
        path.unlink(missing_ok=True)
        reason = str(failure).strip().splitlines() or [""]
        raise CompilingError(f"torch could not compile: {reason[0][:200]}") from failure
    record = KernelRecord(
        torch=torch.__version__,
        device="cpu",
        dtype=manifest.dtype,
        machine=platform.machine(),
        processor_flags=" ".join(sorted(processor_flags())),
        weights_hash=manifest.weights_hash,
        sha256=sha256_of_file(path),
    )
    write_text(folder / RECORD_NAME, record.model_dump_json(indent=2) + "\n")


def remove_compiled(folder: Path) -> None:
    """Delete a compiled kernel and its record."""
    for name in (COMPILED_NAME, RECORD_NAME):
        (folder / name).unlink(missing_ok=True)


def why_not_compiled(folder: Path, manifest: Manifest) -> str:
    """Return in words why the folder's compiled kernel cannot be used here, "" if it can."""
    path = folder / COMPILED_NAME
    if not path.is_file() or not (folder / RECORD_NAME).is_file():
        return f"there is no compiled kernel ({COMPILED_NAME}) beside the model"
    try:
        record = parse_config(read_json(folder / RECORD_NAME), KernelRecord, f"'{RECORD_NAME}'")
    except InputError as failure:
        return f"the record of the compiled kernel cannot be read: {failure}"
    missing = sorted(set(record.processor_flags.split()) - processor_flags())
    checks = {
        f"is for torch {record.torch}, found {torch.__version__}": (
            record.torch != torch.__version__
        ),
        f"is for the device '{record.device}'": record.device != "cpu",
        f"is for {record.machine} processors": record.machine != platform.machine(),
        f"needs a processor with {', '.join(missing[:5])}": bool(missing),
        f"is of {record.dtype}, the model of {manifest.dtype}": record.dtype != manifest.dtype,
        "is of another model: the weights differ": record.weights_hash != manifest.weights_hash,
    }
    for words, is_so in checks.items():
        if is_so:
            return f"the compiled kernel {words}"
    if sha256_of_file(path) != record.sha256:
        return f"'{path}' is damaged: it is not the file that its record tells of"
    return ""


def load_compiled(folder: Path, cutoff: float) -> PaddedKernel:
    """Load the compiled kernel of a folder, which `why_not_compiled` found nothing against.

    Raises:
        InputError: torch cannot load it.
    """
    path = folder / COMPILED_NAME
    try:
        # torch's own function imports the compiler first, which takes half a minute.
        loader = torch._C._aoti.AOTIModelPackageLoader(str(path), "model", False, 1, -1)
    except RuntimeError as failure:
        reason = str(failure).strip().splitlines()[0]
        raise InputError(f"torch cannot load '{path}': {reason}") from None
    return PaddedKernel(loader.run, cutoff)


def processor_flags() -> set[str]:
    """Return the instruction sets of this processor, as Linux names them."""
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("flags", "Features"):
                return set(value.split())
    return {torch.backends.cpu.get_cpu_capability()}


def _write_package(network: EquivariantNetwork, path: Path) -> None:
    from torch._inductor import aoti_compile_and_package
    from torch.export import Dim, export
    from torch.fx.experimental.proxy_tensor import make_fx

    kernel = DifferentiatedKernel(network.requires_grad_(False))
    example = _example_inputs(network)
    traced = make_fx(kernel, tracing_mode="symbolic", _allow_non_fake_inputs=True)(*example)
    atoms, edges = Dim("n_atoms", min=2), Dim("n_edges", min=2)
    shapes = ({0: atoms}, {0: edges}, {0: edges}, {0: edges}, None)
    program = export(traced, example, dynamic_shapes=shapes)
    # Headers compiled beforehand pay for those who compile often; one kernel waits for them.
    options = {"aot_inductor.precompile_headers": False}
    aoti_compile_and_package(program, package_path=str(path), inductor_configs=options)


def _example_inputs(network: EquivariantNetwork) -> tuple[Tensor, ...]:
    """Return inputs of sizes that no dimension of the network has by chance."""
    generator = torch.Generator().manual_seed(0)
    n_atoms, n_edges = 23, 161
    vectors = torch.randn((n_edges, 3), generator=generator, dtype=torch.float64)
    lengths = torch.linspace(0.3, 0.95, n_edges, dtype=torch.float64) * network.cutoff
    return (
        torch.arange(n_atoms) % len(network.shift),
        vectors / vectors.norm(dim=1, keepdim=True) * lengths[:, None],
        torch.randint(0, n_atoms, (n_edges,), generator=generator),
        torch.arange(n_edges) % n_atoms,
        torch.ones((), dtype=torch.float64),
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the compiler's notices, which its user can do nothing about, from the terminal."""
    loggers = [logging.getLogger(name) for name in ("torch.utils.cpp_extension", "torch._inductor")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
