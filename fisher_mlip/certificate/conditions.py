"""Where a certificate is made: processor, device, packages, date."""

import importlib.metadata
import platform
from datetime import UTC, datetime
from pathlib import Path

import torch

from fisher_mlip.certificate.engine import Engine
from fisher_mlip.export.manifest import CertifiedConditions

PACKAGES = ("fisher-mlip", "torch", "openmm", "vesin", "vesin-torch", "e3nn", "numpy")
OPENMM_TORCH = (
    "acellera-openmmtorch-cpu",
    "acellera-openmmtorch-cu12",
    "acellera-openmmtorch-cu13",
)


def conditions(engine: Engine, level: str) -> CertifiedConditions:
    """Return the conditions of an engine that has computed something."""
    assert engine.built is not None, "an engine that has computed nothing has no route"
    name = str(engine.platform.getName())
    return CertifiedConditions(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        level=level,
        platform=name,
        device=device_name(name),
        route=engine.built.route,
        kernel=engine.built.kernel,
        versions=versions(),
    )


def device_name(platform_name: str) -> str:
    """Return `cpu`, or the GPU's name where the platform has the network run there."""
    is_gpu = platform_name in ("CUDA", "OpenCL", "HIP") and torch.cuda.is_available()
    return str(torch.cuda.get_device_name(0)) if is_gpu else "cpu"


def cpu_name() -> str:
    """Return the processor's own name."""
    source = Path("/proc/cpuinfo")
    if source.is_file():
        for line in source.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Return the versions of those packages that compute and are installed."""
    found = {}
    for name in (*PACKAGES, *OPENMM_TORCH):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found | {"torch": torch.__version__}
