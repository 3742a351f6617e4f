"""The exported potential on a GPU: parity, time per step, energy drift, memory, by each route.

    python scripts/cuda/check_cuda.py                                           # some five minutes
    python scripts/cuda/check_cuda.py --platform CPU --molecules 16 --steps 3   # a dry run

A random network of the default size, or `--checkpoint`. Each line of standard output is the JSON of
one measurement, or says what failed. Every part has a process of its own and a limit in time, so
that an abort of one ends no other. Milliseconds are median and quartiles after a warm-up, the
device waited for on both sides.
"""

import argparse
import gc
import os
import shutil
import signal
import sys
import tempfile
import time
from argparse import Namespace as Options
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cuda_kernels import compiled_calls, kernel_calls
from cuda_scale import scaled_calls
from cuda_subjects import artefact_of, box_of, frames_of, prepare
from device_timing import forget_peaks, memory, middle, milliseconds_of, spread
from separate_parts import Part, guarded, run_group, say

from fisher_mlip.data.frames import Frame
from fisher_mlip.export.torchscript import run_unfused
from fisher_mlip.slopes import fit_slope
from fisher_mlip.units import NM_PER_ANGSTROM

# OpenMM is imported by the parts: it opens the GPU, which no fork survives.

TIMESTEP_FS = 0.5
Case = tuple[str, str, str, str]  # model, route, kernel, precision

PARITY = (
    *(("plain-float32", "mixed"), ("plain-float64", "double"), ("head-float32", "mixed")),
    *(("plain-float64", "mixed"), ("plain-float32", "single")),
)
STEPS: tuple[Case, ...] = (
    ("plain-float32", "torchforce", "fused", "mixed"),
    ("plain-float32", "torchforce", "torchscript", "mixed"),
    ("plain-float32", "torchforce", "fused", "single"),
    ("plain-float64", "torchforce", "fused", "double"),
    ("head-float32", "torchforce", "fused", "mixed"),
)
UNFUSED_STEPS = STEPS[1:2]
PYTHON_STEPS: tuple[Case, ...] = (
    ("plain-float32", "python", "torchscript", "mixed"),
    ("plain-float32", "python", "fused", "mixed"),
    ("plain-float32", "python", "torchscript", "single"),
)
CPU_STEPS: tuple[Case, ...] = (
    ("plain-float32", "python", "fused", "mixed"),
    ("plain-float32", "torchforce", "torchscript", "mixed"),
)


def main() -> None:
    """Run every part, those of a group side by side."""
    options = parse_options()
    deadline = time.monotonic() + options.limit
    # What is stopped ends its parts, which are process groups of their own.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory() as folder:
        options.work = Path(folder)
        for group in groups():
            chosen = [part for part in group if not options.parts or part.name in options.parts]
            failed = run_group(chosen, options, deadline)
            if "facts" in failed and options.start == "fork":
                # Something that was imported has opened the GPU, which no fork survives.
                options.start = "spawn"


def groups() -> tuple[tuple[Part, ...], ...]:
    """Return the parts in their order; what is timed stands alone."""
    return (
        (Part("facts", facts, 60),),
        (Part("prepare", prepare, 120),),
        (Part("operators", build_operators, 150),),
        (
            Part("parity-torchforce", parity, 90, ("torchforce",)),
            Part("parity-python", parity, 90, ("python",)),
        ),
        (Part("steps-unfused", unfused_steps, 40),),
        (Part("steps", all_steps, 100, (STEPS,)),),
        (
            Part("drift-mixed", drift, 75, ("plain-float32", "mixed")),
            Part("drift-mixed-float64", drift, 75, ("plain-float64", "mixed")),
            Part("drift-double", drift, 75, ("plain-float64", "double")),
        ),
        (Part("kernel", kernel_calls, 60),),
        (Part("scale", scaled_calls, 60),),
        (Part("steps-python", all_steps, 50, (PYTHON_STEPS,)),),
        (Part("steps-cpu", all_steps, 40, (CPU_STEPS, "CPU")),),
        (Part("compiled", compiled_calls, 90),),
    )


def facts(options: Options) -> None:
    """Say what is here."""
    guarded(torch_facts, part="facts", of="torch")
    guarded(openmm_facts, part="facts", of="openmm")
    if is_gpu(options.platform):
        torch.zeros(1, device="cuda")


def torch_facts() -> dict[str, Any]:
    """Return versions and devices that torch tells of, and compilers."""
    has_gpu = torch.cuda.is_available()
    return {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if has_gpu else "cpu",
        "cores": len(os.sched_getaffinity(0)),
        "compilers": [name for name in ("g++", "clang++", "nvcc") if shutil.which(name)],
    }


def openmm_facts() -> dict[str, Any]:
    """Return OpenMM's version, its platforms, and the plugins that did not load."""
    import openmm

    from openmm_plugin.loading import has_openmmtorch, python_torch_force

    count = openmm.Platform.getNumPlatforms()
    return {
        "openmm": openmm.Platform.getOpenMMVersion(),
        "platforms": [openmm.Platform.getPlatform(index).getName() for index in range(count)],
        "plugin_failures": list(openmm.Platform.getPluginLoadFailures()),
        "openmmtorch": has_openmmtorch(),
        "python_torch_force": python_torch_force() is not None,
    }


def parity(options: Options, route: str) -> None:
    """Compare energies and forces out of OpenMM with the eager float64 model's."""
    for model, precision in PARITY if is_gpu(options.platform) else PARITY[:3]:
        engine = engine_of(options, model, route, precision)
        for on, frame in frames_of(options).items():
            guarded(
                lambda e=engine, f=frame, m=model, o=on: differences(options, e, f, m, o),
                **{"part": f"parity-{route}", "model": model, "precision": precision, "on": on},
            )


def engine_of(options: Options, model: str, route: str, precision: str) -> Any:
    """Return the certificate's engine of an artefact, in a precision of the platform."""
    from fisher_mlip.certificate.engine import Engine

    engine = Engine(artefact_of(options, model), platform=options.platform, route=route)
    engine.properties = {"Precision": precision} if is_gpu(options.platform) else {}
    return engine


def is_gpu(platform: str) -> bool:
    """Tell whether a platform of OpenMM is a GPU's."""
    return platform in ("CUDA", "HIP")


def differences(options: Options, engine: Any, frame: Frame, model: str, on: str) -> dict[str, Any]:
    """Return the largest differences, eV/Å and eV, to the eager model."""
    start = time.perf_counter()
    energy, forces = engine(frame)
    seconds = time.perf_counter() - start
    with np.load(
        options.work / f"{model.partition('-')[0]}-{on}.npz", allow_pickle=False
    ) as expected:
        return {
            "force_difference": float(np.abs(forces - expected["forces"]).max()),
            "force_difference_to_rounded": float(np.abs(forces - expected["rounded_forces"]).max()),
            "largest_force": float(np.abs(expected["forces"]).max()),
            "energy_difference_per_atom": float(energy - expected["energy"][0]) / frame.n_atoms,
            "way": engine.built.name,
            "first_call_seconds": round(seconds, 2),
        }


def build_operators(options: Options) -> None:
    """Compile the fused operators."""
    from fisher_mlip.fused.loading import why_no_operators

    start = time.perf_counter()
    problem = why_no_operators(build=True)
    seconds = round(time.perf_counter() - start, 1)
    say({"part": "operators"}, {"failure": problem} if problem else {"seconds": seconds})


def unfused_steps(options: Options) -> None:
    """Time steps with torch's fuser switched off, as the CPU's routes have it."""
    run_unfused()
    all_steps(options, UNFUSED_STEPS, fuser="off")


def all_steps(options: Options, cases: tuple[Case, ...], platform: str = "", **more: str) -> None:
    """Time the steps of each case, on the platform of the options or another."""
    platform = platform or options.platform
    for case in cases:
        model, route, kernel, precision = case
        guarded(
            lambda c=case: steps_of(options, c, platform),
            **{"part": "steps", "platform": platform, "model": model, "route": route},
            **{"kernel": kernel, "precision": precision if is_gpu(platform) else "", **more},
        )
        gc.collect()
        torch.cuda.empty_cache()


def steps_of(options: Options, case: Case, platform: str) -> dict[str, Any]:
    """Return milliseconds per step of the box, list rebuilds and memory."""
    from openmm import unit

    forget_peaks()
    built, context = context_of(options, case, platform)
    integrator = context.getIntegrator()
    milliseconds = list(step_times(integrator, options.warm_up, 0.5 * options.seconds))
    warm, before = len(milliseconds), built.list_rebuilds()
    rebuilt = []
    for took in step_times(integrator, options.steps, options.seconds):
        milliseconds.append(took)
        rebuilt.append(built.list_rebuilds() - before)
        before = built.list_rebuilds()
    timed, with_rebuild = np.array(milliseconds[warm:]), np.array(rebuilt) > 0
    state = context.getState(energy=True)
    kinetic = state.getKineticEnergy().value_in_unit(unit.kilojoule_per_mole)
    n_atoms = context.getSystem().getNumParticles()
    return {
        **spread(timed),
        "mean_ms": round(float(timed.mean()), 3),
        "steps": len(timed),
        "rebuilds": int(sum(rebuilt)),
        "ms_with_rebuild": middle(timed[with_rebuild]),
        "ms_without_rebuild": middle(timed[~with_rebuild]),
        "first_step_ms": round(milliseconds[0], 1),
        "kelvin": round(kinetic / (1.5 * n_atoms * 8.314462618e-3), 1),
        "way": built.name,
        **memory(),
    }


def context_of(options: Options, case: Case, platform: str) -> tuple[Any, Any]:
    """Return the potential's force and a context of the box, with velocities of 300 K."""
    import openmm
    from openmm import app, unit

    from fisher_mlip.certificate.microrun import thermal_velocities
    from fisher_mlip.export.certification import without_certification_warnings
    from openmm_plugin import make_force

    model, route, kernel, precision = case
    frame = box_of(options, "box")
    topology, system = app.Topology(), openmm.System()
    residue = topology.addResidue("ALL", topology.addChain())
    for number in frame.atomic_numbers:
        element = app.Element.getByAtomicNumber(int(number))
        topology.addAtom(element.symbol, element, residue)
        system.addParticle(element.mass)
    topology.setPeriodicBoxVectors(frame.cell * unit.angstrom)
    system.setDefaultPeriodicBoxVectors(*(frame.cell * NM_PER_ANGSTROM))
    artefact = artefact_of(options, model)
    with without_certification_warnings():
        built = make_force(artefact, topology, route=route, kernel=kernel, platform=platform)
    system.addForce(built.force)
    integrator = openmm.VerletIntegrator(TIMESTEP_FS * unit.femtosecond)
    properties = {"Precision": precision} if is_gpu(platform) else {}
    chosen = openmm.Platform.getPlatformByName(platform)
    context = openmm.Context(system, integrator, chosen, properties)
    context.setPositions(frame.positions * NM_PER_ANGSTROM)
    context.setVelocities(thermal_velocities(frame, 0) * NM_PER_ANGSTROM * 1e3)
    return built, context


def step_times(integrator: Any, steps: int, seconds: float) -> Iterator[float]:
    """Yield the milliseconds of each step, until the time is up."""
    end = time.perf_counter() + seconds
    for _ in range(steps):
        yield milliseconds_of(lambda: integrator.step(1))
        if time.perf_counter() > end:
            return


def drift(options: Options, model: str, precision: str) -> None:
    """Say the slope and the fluctuation of the total energy of a short NVE run."""
    # The fuser compiles for a while and changes last bits alone.
    run_unfused()
    guarded(
        lambda: drift_of(options, model, precision),
        **{"part": "drift", "model": model, "precision": precision},
    )


def drift_of(options: Options, model: str, precision: str) -> dict[str, Any]:
    """Return slope (meV/atom/ps) with its 95 % interval, and fluctuation (meV/atom)."""
    from fisher_mlip.certificate.microrun import thermal_velocities

    frame, every = box_of(options, "small"), 10
    engine = engine_of(options, model, "torchforce", precision)
    start = time.perf_counter()
    energies = engine.trajectory(
        frame, thermal_velocities(frame, 0), options.drift_timestep, options.drift_steps, every
    )
    seconds = time.perf_counter() - start
    change = (energies - energies[0]) * 1e3 / frame.n_atoms
    time_ps = np.arange(len(change)) * every * options.drift_timestep * 1e-3
    slope = fit_slope(time_ps, change, seed=0)
    return {
        "drift": slope.value,
        "interval": [slope.low, slope.high],
        "fluctuation": slope.residual_std,
        "largest_change": float(np.abs(change).max()),
        "span_ps": float(time_ps[-1]),
        **{"timestep_fs": options.drift_timestep, "atoms": frame.n_atoms},
        **{"rebuilds": engine.built.list_rebuilds(), "seconds": round(seconds, 1)},
    }


def parse_options() -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--platform", default="CUDA", help="of OpenMM; another for a dry run")
    parser.add_argument("--checkpoint", type=Path, help="a folder; else random weights")
    parser.add_argument("--box", type=Path, help="a periodic .xyz; else packed ethanols")
    parser.add_argument("--molecules", type=int, default=600, help="of the box that is timed")
    parser.add_argument("--warm-up", type=int, default=20, help="steps")
    parser.add_argument("--steps", type=int, default=100, help="that are timed")
    parser.add_argument("--seconds", type=float, default=10.0, help="longest timing of a case")
    parser.add_argument("--drift-molecules", type=int, default=64)
    parser.add_argument("--drift-steps", type=int, default=2000)
    parser.add_argument("--drift-timestep", type=float, default=TIMESTEP_FS, help="fs")
    parser.add_argument("--limit", type=float, default=360.0, help="seconds of all parts together")
    parser.add_argument("--start", default="fork", choices=["fork", "spawn"], help="of a process")
    parser.add_argument("--parts", nargs="+", default=[], help="names; prepare is always needed")
    return parser.parse_args()


if __name__ == "__main__":
    main()
