"""The simulation phase: replicas from fresh starts, rewound when lost; what they were seen in."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fisher_mlip.data.frames import BoolArray, FloatArray
from fisher_mlip.stable.config import StableConfig
from fisher_mlip.stable.configurations import Configurations
from fisher_mlip.stable.replicas import Replicas
from fisher_mlip.stable.stability import Criteria
from fisher_mlip.units import FS_PER_PS


@dataclass(frozen=True, eq=False)
class Phase:
    """What a simulation phase found.

    Attributes:
        frames: of all replicas within the bounds, one time series a replica.
        lifetimes: (n_replicas,), ps, until a replica was first lost or the phase ended.
        is_lost: (n_replicas,), whether it was.
        steps: made by each replica.
    """

    frames: Configurations
    lifetimes: FloatArray
    is_lost: BoolArray
    steps: int

    @property
    def median_ps(self) -> float:
        """Median stable time, ps; a lower bound where less than half of the replicas are lost."""
        return float(np.median(self.lifetimes))

    @property
    def fraction_lost(self) -> float:
        return float(self.is_lost.mean())


class _Record:
    """Frames of the replicas as they come, and where each goes on from when it is lost."""

    def __init__(self, start: FloatArray) -> None:
        self.start = start
        self.frames: list[FloatArray] = []
        self.looks: list[int] = []
        # Where each replica was put last, and at which look.
        self.anchors, self.placed = start.copy(), np.zeros(len(start), dtype=np.int64)

    def add(self, look: int, positions: FloatArray) -> None:
        self.frames.append(positions)
        self.looks.append(look)

    def rewound(self, replica: int, look: int, margin: float) -> FloatArray:
        """Return the last positions of a lost replica so many looks ago, or where it was put last.

        What lies before that is the way to an earlier loss.
        """
        kept = int(np.searchsorted(self.looks, look - margin, side="right"))
        if kept and self.looks[kept - 1] > self.placed[replica]:
            self.anchors[replica] = self.frames[kept - 1][replica]
        self.placed[replica] = look
        return np.asarray(self.anchors[replica])

    def configurations(self, of: Configurations, cells: FloatArray | None) -> Configurations:
        """Return all frames, replica after replica."""
        n_replicas, shape = len(self.start), self.start.shape[1:]
        frames = np.array(self.frames).reshape(-1, n_replicas, *shape)
        series = np.repeat(np.arange(n_replicas), len(frames))
        return Configurations(
            of.atomic_numbers,
            of.bonds,
            frames.swapaxes(0, 1).reshape(-1, *shape),
            None if cells is None else cells[series],
            series,
        )


def simulate_phase(
    replicas: Replicas,
    criteria: Criteria,
    of: Configurations,
    start: tuple[FloatArray, FloatArray],
    config: StableConfig,
    *,
    seed: int,
    show: Callable[[float], object] = lambda fraction: None,
) -> Phase:
    """Run all replicas for `stable_ps`, from fresh starts.

    A replica that passes a bound is lost, which ends its lifetime. It is rewound to its last frame
    `margin_ps` before, with new velocities, and goes on: what is seen is the model's ensemble
    within the bounds, in which it has been near them as often as it goes there. Slopes of averages
    are covariances in that ensemble too, as the bounds do not depend on theta.

    Args:
        replicas: under the model.
        criteria: of stability.
        of: the system, and its molecules.
        start: positions, Å, and velocities, nm/ps, (n_replicas, n_atoms, 3) each.
        config: how long, and when to look.
        seed: of new velocities.
        show: gets the fraction of `stable_ps` that is done.
    """
    ps_per_look = config.look_interval * config.timestep / FS_PER_PS
    n_looks = max(1, round(config.stable_ps / ps_per_look))
    record, lost_at = _Record(start[0]), np.full(len(start[0]), -1)
    margin = config.margin_ps / ps_per_look
    replicas.place(*start)
    replicas.settle_threads()
    for look in range(1, n_looks + 1):
        lost = _advance(replicas, criteria, config.look_interval)
        positions, velocities = replicas.state()
        lost_at[lost & (lost_at < 0)] = look
        if lost.any():
            drawn = replicas.drawn_velocities(_seed(seed, look))
            for k in np.flatnonzero(lost):
                positions[k], velocities[k] = record.rewound(int(k), look, margin), drawn[k]
            replicas.place(positions, velocities)
        if look % config.frame_interval == 0:
            record.add(look, positions)
        show(look / n_looks)
    is_lost = lost_at >= 0
    return Phase(
        record.configurations(of, replicas.cells),
        np.where(is_lost, lost_at, n_looks) * ps_per_look,
        is_lost,
        n_looks * config.look_interval,
    )


def _advance(replicas: Replicas, criteria: Criteria, steps: int) -> BoolArray:
    """Make steps and return which replicas are lost, (n_replicas,).

    Molecules of one context are evaluated together: one that is not finite spoils all. Then the
    steps are made again, one by one, to see which it is; all others go on from where it was seen.
    """
    before = replicas.state()
    is_finite = replicas.step(steps)
    positions, velocities = replicas.state()
    if is_finite and np.isfinite(positions).all():
        return criteria.are_lost(positions, velocities, replicas.cells)
    replicas.place(*before)
    for _ in range(steps):
        sound = replicas.state()
        is_finite = replicas.step(1)
        positions, velocities = replicas.state()
        lost = criteria.are_lost(positions, velocities, replicas.cells)
        if lost.all() or (not is_finite and not lost.any()):
            # Spoiled in one step: by the replica whose bonds were furthest off before it.
            lost[:] = False
            lost[int(np.argmax(criteria.bond_deviations(sound[0], replicas.cells)))] = True
            replicas.place(*sound)
            return lost
        if lost.any():
            return lost
    return np.zeros(replicas.n_replicas, dtype=bool)


def _seed(seed: int, look: int) -> int:
    return int(np.random.SeedSequence([seed, look]).generate_state(1)[0])
