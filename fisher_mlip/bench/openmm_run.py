"""A run in OpenMM -> where its time goes."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from fisher_mlip.bench.machine import describe_machine, present_load
from fisher_mlip.bench.outputs import time_outputs
from fisher_mlip.bench.pieces import (
    WIDE,
    Calls,
    Direct,
    Pairs,
    direct_of,
    time_calls,
    time_engine,
    time_list,
    time_pairs,
    time_threads,
)
from fisher_mlip.bench.result import Bench, Output, Part, System, WhatIf
from fisher_mlip.bench.steps import time_steps
from fisher_mlip.bench.timing import Timing, timing_of
from fisher_mlip.config import SimulateConfig
from fisher_mlip.export import Artefact, load_artefact
from fisher_mlip.export.certification import without_certification_warnings
from fisher_mlip.interruption import Interruption, noted_interruption
from fisher_mlip.simulate.driving import Run
from fisher_mlip.simulate.folder import RunFolder
from fisher_mlip.simulate.run import start_run
from fisher_mlip.simulate.settings import settled_config

# Never reached: what is timed is the middle of a long run.
ENDLESS = 10**12
# Evaluations of the energy in an attempt to change the volume: before it and after it.
CALLS_OF_AN_ATTEMPT = 2
# OpenMM's platforms on which the model runs on the CPU.
ON_CPU = ("CPU", "Reference")


def bench_openmm(config: SimulateConfig, steps: int | None) -> Bench:
    """Time a run in OpenMM, in a temporary folder that is gone afterwards.

    Args:
        config: of the run.
        steps: that are timed; None: as many as take about 20 s, at least 20.

    Raises:
        InputError: the input cannot be used.
        UnstableRunError: the run explodes.
    """
    load = present_load()
    artefact = load_artefact(Path(config.model))
    # An alarm would end what shall be timed.
    endless = settled_config(config, artefact).model_copy(
        update={"steps": ENDLESS, "on_alarm": "warn"}
    )
    with tempfile.TemporaryDirectory() as name, without_certification_warnings():
        run = start_run(endless, artefact, RunFolder(Path(name) / "run"), overwrite=False)
        try:
            # Raised inside a PythonForce, Ctrl-C would come out as a failure of OpenMM.
            with noted_interruption() as interruption:
                return _bench(run, artefact, steps, load, partial(_go_on, interruption))
        finally:
            run.reporters.close()


def _go_on(interruption: Interruption) -> None:
    if interruption.wanted:
        raise KeyboardInterrupt


def _bench(
    run: Run,
    artefact: Artefact,
    steps: int | None,
    load: float,
    go_on: Callable[[], None],
) -> Bench:
    """Take the measurements; `go_on` is asked between them and raises where a stop is wanted."""
    config = run.config
    timed = time_steps(run, steps, go_on)
    direct = direct_of(run, artefact)
    pairs = time_pairs(direct, config.skin)
    building = time_list(run, config.skin)
    go_on()
    platform = run.simulation.context.getPlatform().getName()
    on_cpu = platform in ON_CPU
    calls = time_calls(run, direct, on_cpu=on_cpu)
    go_on()
    engine = time_engine(run.molecular, config)
    go_on()
    model = timing_of(timed.calls) if timed.calls else calls.model
    outputs = time_outputs(run, timed, model)
    total = timed.of_a_long_run({output.name: output for output in outputs}, building)
    go_on()
    what_if = _what_if(run, direct, pairs, calls) if on_cpu else WhatIf()
    go_on()
    parts = [
        Part("list", building.scaled(timed.rebuilds), _list_note(run, timed.rebuilds, building)),
        *_model_parts(model, calls, pairs),
        *_barostat(config, model),
        Part("engine", engine, _engine_note(config)),
        *(_part_of_output(output) for output in outputs),
    ]
    config = config.model_copy(update={"steps": len(timed.seconds)})
    system = _system(run, direct, pairs, platform, timed.rebuilds)
    return Bench(config, describe_machine(load), system, total, tuple(parts), outputs, what_if)


def _system(run: Run, direct: Direct, pairs: Pairs, platform: str, rebuilds: float) -> System:
    potential, manifest = run.simulation.potential, direct.artefact.manifest
    return System(
        atoms=len(direct.numbers),
        edges=pairs.edges,
        listed=pairs.listed,
        cutoff=manifest.cutoff,
        dtype=manifest.dtype,
        how=potential.name,
        reason=potential.reason,
        kernel=potential.kernel,
        platform=platform,
        rebuilds=rebuilds,
    )


def _list_note(run: Run, rebuilds: float, building: Timing) -> str:
    if run.molecular.independent_molecules:
        return "fixed pairs within molecules"
    if not rebuilds:
        return f"not built again in these steps; {building.median:.3g} ms each time"
    return f"{building.median:.3g} ms every {1.0 / rebuilds:.3g} steps"


def _model_parts(model: Timing, calls: Calls, pairs: Pairs) -> list[Part]:
    """Return the model, and what is in it where it was called without an engine too."""
    parts = [Part("model", model, "energy and forces, the list kept")]
    if calls.direct is not None:
        # By turns with the model outside of the run: only their ratio is of use here.
        direct = calls.direct.scaled(model.median / calls.model.median)
        network = direct.shifted(-pairs.taking.median)
        call = Timing(*(model.median - ms for ms in (direct.median, direct.upper, direct.lower)))
        parts += [
            Part("pairs", pairs.taking, "taken from the list", of="model"),
            Part("network", network, "energy and its slopes", of="model"),
            Part("call", call, "OpenMM to the model and back, units", of="model"),
        ]
    return parts


def _barostat(config: SimulateConfig, model: Timing) -> list[Part]:
    if config.ensemble != "npt":
        return []
    each = model.scaled(CALLS_OF_AN_ATTEMPT / config.barostat_interval)
    note = (
        f"{CALLS_OF_AN_ATTEMPT} evaluations every {config.barostat_interval} steps, by the model's "
        "time; their lists are above"
    )
    return [Part("barostat", each, note)]


def _engine_note(config: SimulateConfig) -> str:
    words: list[str] = [config.ensemble]
    if config.ensemble != "nve":
        words.append(config.thermostat)
    if config.inner:
        words.append(f"{config.respa_steps} steps of the inner potential")
    return f"the same without the model: {', '.join(words)}"


def _part_of_output(output: Output) -> Part:
    note = f"{output.once.median:.3g} ms every {output.interval} steps"
    return Part(output.name, output.per_step, note)


def _what_if(run: Run, direct: Direct, pairs: Pairs, calls: Calls) -> WhatIf:
    """Return the run otherwise: threads, a wider list, float32, twice the system."""
    wide = None if direct.molecules is not None else time_pairs(direct, WIDE * direct.skin)
    return WhatIf(
        threads=time_threads(run),
        pairs=pairs.taking,
        listing=pairs.listing,
        wide_pairs=None if wide is None else wide.taking,
        wide_listing=None if wide is None else wide.listing,
        direct=calls.direct,
        float32=calls.float32,
        doubled=calls.doubled,
    )
