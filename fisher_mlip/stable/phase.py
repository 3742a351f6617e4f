"""The simulation phase: replicas run until some are lost, and what they were seen in is kept."""

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
        frames: of all replicas until each was lost, one time series a replica.
        lifetimes: (n_replicas,), ps, until a replica was lost or the phase ended.
        is_lost: (n_replicas,).
        positions: (n_replicas, n_atoms, 3), Å, to go on from.
        velocities: (n_replicas, n_atoms, 3), nm/ps.
        steps: made by each replica.
    """

    frames: Configurations
    lifetimes: FloatArray
    is_lost: BoolArray
    positions: FloatArray
    velocities: FloatArray
    steps: int

    @property
    def median_ps(self) -> float:
        """Median stable time, ps; a lower bound where less than half of the replicas are lost."""
        return float(np.median(self.lifetimes))

    @property
    def fraction_lost(self) -> float:
        return float(self.is_lost.mean())


class _Record:
    """Frames of the replicas as they come, and when each was lost."""

    def __init__(self, start: FloatArray) -> None:
        self.start = start
        self.frames: list[FloatArray] = []
        self.looks: list[int] = []
        self.lost_at = np.full(len(start), -1)

    def add(self, look: int, positions: FloatArray) -> None:
        self.frames.append(positions)
        self.looks.append(look)

    def good_before(self, replica: int, look: float) -> FloatArray:
        """Return the last positions of a replica no later than a look, or its start."""
        lost = self.lost_at[replica]
        last = min(look, lost - 1) if lost >= 0 else look
        kept = int(np.searchsorted(self.looks, last, side="right"))
        source = self.frames[kept - 1] if kept else self.start
        return np.asarray(source[replica])

    def configurations(self, of: Configurations, cells: FloatArray | None) -> Configurations:
        """Return each replica's frames before it was lost, replica after replica."""
        looks = np.array(self.looks)
        until = np.where(self.lost_at < 0, np.inf, self.lost_at)
        parts = [np.flatnonzero(looks < end) for end in until]
        series = np.repeat(np.arange(len(until)), [len(part) for part in parts])
        empty = [np.zeros((0, *self.start.shape[1:]))]
        positions = [self.frames[k][r][None] for r, part in enumerate(parts) for k in part]
        return Configurations(
            of.atomic_numbers,
            of.bonds,
            np.concatenate(positions or empty),
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
    """Run all replicas until a part of them is lost, or for `stable_ps`.

    A replica that passes a bound is lost: what it is seen in from then on does not count. It is
    rewound to its last frame `margin_ps` before, with new velocities, and goes on from there in
    the next phase.

    Args:
        replicas: under the model.
        criteria: of stability.
        of: the system, and its molecules.
        start: positions, Å, and velocities, nm/ps, (n_replicas, n_atoms, 3) each.
        config: when to look and when to end.
        seed: of new velocities.
        show: gets the fraction of `stable_ps` that is done.
    """
    ps_per_look = config.look_interval * config.timestep / FS_PER_PS
    n_looks = max(1, round(config.stable_ps / ps_per_look))
    record = _Record(start[0])
    margin = config.margin_ps / ps_per_look
    replicas.place(*start)
    replicas.settle_threads()
    look = 0
    while look < n_looks and (record.lost_at >= 0).mean() < config.unstable_fraction:
        look += 1
        lost = _advance(replicas, criteria, config.look_interval)
        positions, velocities = replicas.state()
        record.lost_at[lost & (record.lost_at < 0)] = look
        if lost.any():
            drawn = replicas.drawn_velocities(_seed(seed, look))
            for k in np.flatnonzero(lost):
                positions[k], velocities[k] = record.good_before(int(k), look - margin), drawn[k]
            replicas.place(positions, velocities)
        if look % config.frame_interval == 0:
            record.add(look, positions)
        show(look / n_looks)
    positions, velocities = replicas.state()
    is_lost = record.lost_at >= 0
    return Phase(
        record.configurations(of, replicas.cells),
        np.where(is_lost, record.lost_at, look) * ps_per_look,
        is_lost,
        positions,
        velocities,
        look * config.look_interval,
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
