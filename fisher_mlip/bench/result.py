"""Where a step's time goes, as figures."""

from dataclasses import asdict, dataclass, field
from typing import Any

from fisher_mlip.bench.machine import Machine
from fisher_mlip.bench.timing import Timing
from fisher_mlip.config import SimulateConfig

NS_PER_FS = 1e-6
SECONDS_PER_DAY = 86400.0
US_PER_MS = 1000.0
REST = "rest, not explained"


@dataclass(frozen=True)
class Part:
    """A part of a step.

    Attributes:
        name: list, model, engine, an output, ...
        time: ms per step; zeros where nothing was measured.
        note: how it comes about, in words.
        of: the part that it is a part of; "" for one of the step itself.
    """

    name: str
    time: Timing
    note: str = ""
    of: str = ""


@dataclass(frozen=True)
class Output:
    """What is written every so many steps.

    Attributes:
        name: ledger, trajectory, ...
        option: of `simulate` that sets the interval.
        interval: steps.
        once: ms of one.
    """

    name: str
    option: str
    interval: int
    once: Timing

    @property
    def per_step(self) -> Timing:
        return self.once.scaled(1.0 / self.interval)


@dataclass(frozen=True)
class System:
    """What was run.

    Attributes:
        atoms: how many.
        edges: pairs within the cutoff, both directions counted; None where not known.
        listed: pairs within cutoff and skin; None where not known.
        cutoff: Å.
        dtype: of the model.
        how: the force or pair style, and the kernel.
        reason: why this route and kernel; "" where there is nothing to say.
        kernel: `fused` or `torchscript`.
        platform: of OpenMM, or LAMMPS.
        rebuilds: of the neighbor list, per step.
        own: mean atoms of a rank; None in OpenMM.
        ghosts: mean ghost atoms of a rank; None in OpenMM.
    """

    atoms: int
    edges: int | None
    listed: int | None
    cutoff: float
    dtype: str
    how: str
    reason: str
    kernel: str
    platform: str
    rebuilds: float
    own: float | None = None
    ghosts: float | None = None


@dataclass(frozen=True)
class WhatIf:
    """The same run otherwise, as far as it was measured; ms.

    Attributes:
        threads: of a model's evaluation, by the number of threads.
        ranks: of a LAMMPS step, by the number of ranks.
        pairs, listing: taking pairs from a list that is kept, and building it, per event.
        wide_pairs, wide_listing: the same with twice the skin.
        direct: the model called from Python.
        float32: the same in float32.
        doubled: the same for twice the system.
    """

    threads: dict[int, Timing] = field(default_factory=dict)
    ranks: dict[int, Timing] = field(default_factory=dict)
    pairs: Timing | None = None
    listing: Timing | None = None
    wide_pairs: Timing | None = None
    wide_listing: Timing | None = None
    direct: Timing | None = None
    float32: Timing | None = None
    doubled: Timing | None = None


@dataclass(frozen=True)
class Bench:
    """The time of a run's step and of its parts.

    Attributes:
        config: of the run, `steps` those that were timed.
        machine: that it ran on.
        system: what ran.
        total: ms per step of the whole run.
        parts: of a step.
        outputs: by their intervals; each is also one of the parts.
        what_if: the same otherwise.
    """

    config: SimulateConfig
    machine: Machine
    system: System
    total: Timing
    parts: tuple[Part, ...]
    outputs: tuple[Output, ...] = ()
    what_if: WhatIf = field(default_factory=WhatIf)

    @property
    def explained(self) -> float:
        """ms per step of the parts together."""
        return sum(part.time.median for part in self.parts if not part.of)

    @property
    def rest(self) -> float:
        """ms per step of the whole less its parts; may be negative, as each was timed alone."""
        return self.total.median - self.explained

    @property
    def us_per_atom(self) -> float:
        return self.total.median * US_PER_MS / self.system.atoms

    @property
    def ns_per_day(self) -> float:
        steps = SECONDS_PER_DAY / (self.total.median / 1000.0)
        return steps * self.config.timestep * NS_PER_FS

    def share(self, ms: float) -> float:
        """Return what part of a step a time is, in %."""
        return 100.0 * ms / self.total.median

    def part(self, name: str) -> float:
        """Return the ms per step of a part; 0 where there is none."""
        return next((part.time.median for part in self.parts if part.name == name), 0.0)

    def as_dict(self) -> dict[str, Any]:
        """Return the figures for `summary.json`."""
        figures = {
            "ms_per_step": asdict(self.total),
            "us_per_atom_and_step": self.us_per_atom,
            "ns_per_day": self.ns_per_day,
            "parts": [asdict(p) | {"share_percent": self.share(p.time.median)} for p in self.parts],
            "rest_ms": self.rest,
            "outputs": [asdict(output) for output in self.outputs],
            "what_if_ms": asdict(self.what_if),
        }
        return {
            **figures,
            "system": asdict(self.system),
            "machine": asdict(self.machine),
            "config": self.config.model_dump(),
        }
