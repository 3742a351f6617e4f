"""StABlE training: simulation phases and steps of theta in turn, resumable between them."""

import math
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fisher_mlip.config import read_config
from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError
from fisher_mlip.export import write_artefact
from fisher_mlip.export.certification import without_certification_warnings
from fisher_mlip.products import locked_folder, refuse_existing
from fisher_mlip.stable.averages import averages
from fisher_mlip.stable.config import StableConfig
from fisher_mlip.stable.configurations import Configurations
from fisher_mlip.stable.estimator import Samples
from fisher_mlip.stable.features import feature_sums
from fisher_mlip.stable.phase import Phase, simulate_phase
from fisher_mlip.stable.problem import Problem, drawn_starts, make_problem
from fisher_mlip.stable.product import CONFIG_NAME, begin_folder, input_hashes, write_product
from fisher_mlip.stable.records import Row, State
from fisher_mlip.stable.replicas import Replicas
from fisher_mlip.stable.step import Step, choose_step, precisions
from fisher_mlip.units import FS_PER_PS

# With fewer independent configurations a covariance is mostly noise.
FEWEST = 4.0
# Numbers of features that are held at once.
MOST_NUMBERS = 50_000_000
USED_UP = "all iterations are done"
MEV = 1000.0

Bar = Callable[[str], AbstractContextManager[Callable[[float], object]]]


def no_bar(label: str) -> AbstractContextManager[Callable[[float], object]]:
    """Show nothing."""
    return nullcontext(lambda fraction: None)


def train_stable(
    config: StableConfig,
    folder: Path,
    *,
    overwrite: bool = False,
    bar: Bar = no_bar,
    tell: Callable[[Row], object] = lambda row: None,
) -> State:
    """Train until all replicas are stable, and keep the best iteration's checkpoint in `folder`.

    Args:
        config: of the training.
        folder: that the checkpoint, the ledger and the state go into; whole after each iteration.
        overwrite: whether what is there may be replaced.
        bar: makes a bar of a label; gets fractions of a phase.
        tell: gets each iteration's row.

    Returns:
        the last state.

    Raises:
        InputError: something that cannot be used.
    """
    inputs = [Path(config.finetuned), Path(config.reference)]
    refuse_existing(folder, overwrite=overwrite, inputs=inputs)
    problem = make_problem(config)
    rank = problem.prior.factor.shape[1]
    state = State(input_hashes(config), (), np.zeros((1, rank)))
    begin_folder(folder, problem, state, overwrite=overwrite)
    return _train(problem, state, folder, bar, tell)


def resume_stable(
    folder: Path,
    *,
    iterations: int | None = None,
    bar: Bar = no_bar,
    tell: Callable[[Row], object] = lambda row: None,
) -> State:
    """Go on with a training from its last iteration; the result is that of one never stopped.

    Args:
        folder: of the training.
        iterations: most of them; None: as before.
        bar, tell: as `train_stable`.

    Raises:
        InputError: no training, inputs that have changed, or fewer iterations than are done.
    """
    state = State.read(folder)
    config = read_config(folder / CONFIG_NAME, StableConfig).changed(iterations=iterations)
    for name, now in input_hashes(config).items():
        if state.inputs.get(name) != now:
            raise InputError(
                f"expected the {name} that the training in '{folder}' was started with, found that "
                "its content has changed"
            )
    if config.iterations < len(state.rows):
        raise InputError(
            f"expected {len(state.rows)} iterations or more, which are done in '{folder}', found "
            f"{config.iterations}"
        )
    if state.ending == USED_UP and config.iterations > len(state.rows):
        state = replace(state, ending="")
    return _train(make_problem(config), state, folder, bar, tell)


def _train(
    problem: Problem, state: State, folder: Path, bar: Bar, tell: Callable[[Row], object]
) -> State:
    with locked_folder(folder):
        if state.ending:
            write_product(folder, problem, state)
        while not state.ending:
            number = len(state.rows)
            with bar(f"iteration {number}") as show:
                state = iterate(problem, state, show)
            if not state.ending and len(state.rows) >= problem.config.iterations:
                state = replace(state, ending=USED_UP)
            # The state first: all else is made of it.
            state.write(folder)
            write_product(folder, problem, state)
            tell(state.rows[-1])
    return state


@dataclass(frozen=True, eq=False)
class _Learned:
    """What the frames of a phase say.

    Attributes:
        mean: (n_g,), averages; NaN without frames.
        n_independent: frames over their correlation time.
        chi2: deviation from the reference.
        step: to take, or None.
        predicted_chi2: after the step.
        ending: why no step is taken.
    """

    mean: FloatArray
    n_independent: float
    chi2: float
    step: Step | None = None
    predicted_chi2: float = math.nan
    ending: str = ""


def iterate(
    problem: Problem, state: State, show: Callable[[float], object] = lambda fraction: None
) -> State:
    """Return the state after one more simulation phase and the step that it asks for."""
    began = time.perf_counter()
    z, config = state.zs[-1], problem.config
    phase = _simulated(problem, state, show)
    learned = _learn(problem, z, phase)
    row = Row(
        len(state.rows),
        phase.steps * config.timestep / FS_PER_PS,
        phase.median_ps,
        phase.fraction_lost,
        len(phase.frames),
        learned.n_independent,
        learned.chi2,
        problem.errors(learned.mean),
        learned.predicted_chi2,
        *_of_step(problem, z, learned.step),
        MEV * problem.prior.held_out_rmse(z),
        MEV * problem.held_out_mae(z),
        time.perf_counter() - began,
    )
    zs = state.zs if learned.step is None else np.concatenate([state.zs, learned.step.z[None]])
    rows = (*state.rows, row)
    return State(state.inputs, rows, zs, learned.ending)


def _learn(problem: Problem, z: FloatArray, phase: Phase) -> _Learned:
    """Compare averages with the reference, and step toward it where replicas were lost."""
    frames, config = phase.frames, problem.config
    stable = "" if phase.is_lost.any() else f"every replica was stable for {config.stable_ps:g} ps"
    if not len(frames):
        nothing = np.full(sum(problem.blocks), math.nan)
        return _Learned(nothing, 0.0, math.nan, ending=stable or _too_few(0.0))
    found = averages(problem.values(frames), frames.series)
    precision = precisions(found, problem.target, problem.blocks)
    learned = _Learned(found.mean, found.n_independent, _chi2(problem, precision, found.mean))
    if stable:
        return replace(learned, ending=stable)
    if found.n_independent < FEWEST:
        return replace(learned, ending=_too_few(found.n_independent))
    samples = samples_of(problem, z, frames, found.n_independent)
    step = choose_step(samples, problem.target, precision, problem.prior, z, problem.limits)
    if step is None:
        none = (
            f"no step keeps {config.effective_fraction:g} of the frames effective and the held-out "
            f"force error within {100.0 * config.force_tolerance:g} %"
        )
        return replace(learned, ending=none)
    predicted = _chi2(problem, precision, step.predicted)
    return replace(learned, step=step, predicted_chi2=predicted)


def _too_few(independent: float) -> str:
    return (
        f"replicas are lost too soon: {independent:.1f} independent frames, {FEWEST:g} are the "
        "fewest to learn from"
    )


def samples_of(
    problem: Problem, z: FloatArray, frames: Configurations, independent: float
) -> Samples:
    """Return observables and features of configurations, thinned to what memory holds.

    Two of each correlation time are kept: more say little that is new.
    """
    network = problem.prior.at(z).network
    neighborhood = problem.neighborhood
    n_molecules = 1 if neighborhood is None else frames.n_molecules
    most = max(2, MOST_NUMBERS // (n_molecules * len(problem.prior.theta_0)))
    wanted = min(max(2.0 * independent, 200.0), float(most))
    stride = max(1, math.ceil(len(frames) / wanted))
    kept = frames.chosen(np.arange(0, len(frames), stride))
    features = feature_sums(network, problem.elements, kept, neighborhood)
    if neighborhood is None:
        observables = problem.values(kept)[:, None]
    else:
        observables = problem.values_by_molecule(kept)
    return Samples(observables, features, problem.config.temperature, independent)


def _simulated(problem: Problem, state: State, show: Callable[[float], object]) -> Phase:
    number, config = len(state.rows), problem.config
    seed = int(np.random.SeedSequence([config.seed, number, 11]).generate_state(1)[0])
    with tempfile.TemporaryDirectory() as made, without_certification_warnings():
        artefact = write_artefact(Path(made), problem.prior.at(state.zs[-1]))
        fresh = drawn_starts(problem.starts, config, number)
        replicas = Replicas(artefact, fresh, config, seed)
        start = fresh.positions, replicas.drawn_velocities(seed)
        return simulate_phase(
            replicas, problem.criteria, problem.reference, start, config, seed=seed, show=show
        )


def _chi2(problem: Problem, precision: FloatArray, mean: FloatArray) -> float:
    square = precision @ np.square(mean - problem.target.mean)
    return float(square) / len(problem.observables)


def _of_step(
    problem: Problem, z: FloatArray, step: Step | None
) -> tuple[float, float, float, float, float]:
    """Return effective fraction, lambda, length, |delta theta| and change of forces, meV/Å."""
    if step is None:
        return math.nan, math.nan, math.nan, math.nan, math.nan
    moved = step.z - z
    return (
        step.effective_fraction,
        step.strength,
        step.length,
        float(np.linalg.norm(problem.prior.factor @ moved)),
        MEV * problem.prior.force_change(moved),
    )
