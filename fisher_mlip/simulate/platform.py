"""Which OpenMM platform a run takes, and in which precision."""

import torch
from openmm import Platform

from fisher_mlip.config import SimulateConfig
from fisher_mlip.errors import InputError


def choose_platform(config: SimulateConfig) -> tuple[Platform, dict[str, str]]:
    """Return the platform and its properties.

    `auto` is CUDA where OpenMM and torch both have it and the device allows it, else CPU. The
    Reference and CPU platforms integrate and hand positions to a TorchForce in float64. CUDA
    takes double precision for a float64 potential, mixed for a float32 one.

    Raises:
        InputError: the platform is not there, or contradicts the device.
    """
    count = Platform.getNumPlatforms()
    names = [str(Platform.getPlatform(index).getName()) for index in range(count)]
    has_cuda = "CUDA" in names and torch.cuda.is_available()
    if config.device == "cuda" and not has_cuda:
        raise InputError("device cuda: neither OpenMM nor torch may miss CUDA, and one does here")
    name = config.platform
    if name == "auto":
        name = "CUDA" if has_cuda and config.device != "cpu" else "CPU"
    if name not in names:
        raise InputError(f"expected a platform of {', '.join(names)} or auto, found '{name}'")
    if (config.device == "cpu" and name == "CUDA") or (config.device == "cuda" and name != "CUDA"):
        raise InputError(f"platform '{name}' contradicts device '{config.device}'")
    precision = "double" if config.dtype == "float64" else "mixed"
    properties = {"Precision": precision} if name in ("CUDA", "OpenCL") else {}
    if name == "CPU":
        # OpenMM's own pair forces (an inner potential's) are else summed in any order.
        properties = {"DeterministicForces": "true"}
    return Platform.getPlatformByName(name), properties
