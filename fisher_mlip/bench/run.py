"""A run, named by options or by its folder -> its bench, on the screen and on the disk."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fisher_mlip.bench.lammps_run import bench_lammps
from fisher_mlip.bench.openmm_run import bench_openmm
from fisher_mlip.bench.plot import PLOT_NAME, plot_bench
from fisher_mlip.bench.result import Bench
from fisher_mlip.bench.rules import sentences
from fisher_mlip.config import SimulateConfig
from fisher_mlip.errors import InputError
from fisher_mlip.products import SUMMARY_NAME, whole_folder, write_summary
from fisher_mlip.simulate.folder import RunFolder
from fisher_mlip.simulate.healing import healed_models
from fisher_mlip.simulate.settings import merged_config, refuse_idle


def bench_config(given: dict[str, Any], file: Path | None) -> SimulateConfig:
    """Return the configuration of the run that is meant.

    Args:
        given: values by key; None means not given. The model may be a run folder, whose own
            configuration is meant then, with the healed model that it goes on with.
        file: YAML; None for none.

    Raises:
        InputError: no model, an unknown key, a value that is not allowed or that would change
            nothing, or a run folder and a file.
    """
    model = given.get("model")
    if model is not None and RunFolder(Path(model)).record.exists():
        if file is not None:
            raise InputError(
                f"expected a run folder or a configuration, found both: '{model}' and '{file}'"
            )
        folder = RunFolder(Path(model))
        healed = [str(folder.path / name) for name in healed_models(folder)]
        given, file = given | {"model": healed[-1] if healed else None}, folder.config
    config = merged_config(given, file, None)
    refuse_idle(given, config)
    return config


def bench_run(config: SimulateConfig, steps: int | None = None) -> Bench:
    """Time a run, in a temporary folder that is gone afterwards.

    Args:
        config: what would be run; its steps do not matter.
        steps: that are timed; None: as many as take about 20 s, at least 20.

    Raises:
        InputError: the input cannot be used.
        UnstableRunError: the run explodes.
    """
    bench = bench_lammps if config.engine == "lammps" else bench_openmm
    return bench(config, steps)


def write_bench(
    bench: Bench, folder: Path, *, overwrite: bool = False, inputs: Iterable[Path | None] = ()
) -> list[Path]:
    """Write `summary.json` and `bench.png` into a folder, whole or not at all.

    Args:
        bench: what was measured.
        folder: to make.
        overwrite: whether what is there may be replaced.
        inputs: never overwritten.

    Returns:
        the paths written.

    Raises:
        InputError: the folder exists and may not be replaced.
    """
    with whole_folder(folder, overwrite=overwrite, inputs=inputs) as partial:
        plot_bench(bench, partial / PLOT_NAME)
        write_summary(partial, bench.as_dict() | {"what_to_change": sentences(bench)})
    return [folder / PLOT_NAME, folder / SUMMARY_NAME]
