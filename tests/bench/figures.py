"""Figures of a bench as a test wants them: a quiet run in which nothing is worth a sentence."""

from dataclasses import replace
from typing import Any

from fisher_mlip.bench.machine import Machine
from fisher_mlip.bench.result import Bench, Output, Part, System, WhatIf
from fisher_mlip.bench.timing import Timing
from fisher_mlip.config import SimulateConfig

MACHINE = Machine("a CPU", 4, 0.5, 1, "passive", True)
SYSTEM = System(5400, 50000, 80000, 3.0, "float32", "PythonForce (fused)", "", "fused", "CPU", 0.1)


def ms(value: float, spread: float = 0.01) -> Timing:
    """A time with quartiles close by."""
    return Timing(value, value * (1.0 - spread), value * (1.0 + spread))


def quiet(**values: Any) -> Bench:
    """A step of 100 ms; values of the configuration, the system and the machine, and parts of the
    bench by their names."""
    parts = values.pop("parts", {"list": 1.0, "model": 95.0})
    # The dtype is the model's, not the one that is asked for.
    system = {key: values.pop(key) for key in list(values) if hasattr(SYSTEM, key)}
    config = {key: values.pop(key) for key in list(values) if key in SimulateConfig.model_fields}
    machine = {key: values.pop(key) for key in list(values) if hasattr(MACHINE, key)}
    what_if = values.pop("what_if", {})
    return Bench(
        config=SimulateConfig(model="model.pt", **config),
        machine=replace(MACHINE, **machine),
        system=replace(SYSTEM, **system),
        total=ms(100.0),
        parts=tuple(Part(name, ms(value)) for name, value in parts.items()),
        what_if=WhatIf(**what_if),
        **values,
    )


def written(name: str, option: str, interval: int, share: float) -> Output:
    """An output that takes so many % of a step of `quiet`."""
    return Output(name, option, interval, ms(share * interval))
