"""`fisher-mlip export --target lammps` and `--target mliap`: a model with what LAMMPS reads."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fisher_mlip.cli.console import console, progress_console, wrote
from fisher_mlip.cli.export_openmm import Asked, usable_frames

if TYPE_CHECKING:
    from fisher_mlip.config import SimulateConfig
    from fisher_mlip.data import Frame
    from fisher_mlip.export.lammps_artefact import LammpsArtefact
    from fisher_mlip.export.manifest import Manifest
    from fisher_mlip.lammps.check import LammpsParity
    from fisher_mlip.model import Checkpoint

_RANKS = (1, 2)
_MOST_FRAMES = 8
_MOST_ATOMS = 10_000
# A force that is half unknown moves atoms to where nothing is known.
_DOUBTFUL = 0.5
# Times the error of held-out frames: frames of such a box were not among the data.
_FOREIGN = 5.0


def export_for_lammps(
    asked: Asked, *, system: str | None, molecules: int | None, temperature: float | None
) -> None:
    """Write `model.lmp.pt`, a data file and an input, and try the model in LAMMPS."""
    from fisher_mlip.export.lammps_artefact import compare_lammps, write_lammps_artefact
    from fisher_mlip.export.parity import probe_frames, require_parity
    from fisher_mlip.lammps.inputs import built_system, write_inputs
    from fisher_mlip.lammps.mliap import write_mliap_driver
    from fisher_mlip.model.checkpoint import load_checkpoint
    from fisher_mlip.products import sha256_of_file, whole_folder, write_summary
    from fisher_mlip.simulate.structures import frame_of

    loaded = load_checkpoint(asked.checkpoint)
    checked = [*probe_frames(loaded.config.elements, asked.seed), *usable_frames(asked.frames)]
    inputs = [asked.checkpoint, asked.frames, Path(system) if system else None]
    with whole_folder(asked.folder, overwrite=asked.overwrite, inputs=inputs) as partial:
        progress_console.print(f"parity on {len(checked)} frames")
        artefact = write_lammps_artefact(partial, loaded, asked.dtype)
        parity = compare_lammps(artefact, loaded, checked)
        require_parity(parity)
        config = _config(artefact.manifest, system, molecules, temperature)
        is_mliap, box = asked.target == "mliap", []
        if config is not None:
            molecular = built_system(config, artefact.manifest)
            box = _small([frame_of(molecular.topology, molecular.positions, molecular.cell)])
            _, script = write_inputs(partial, molecular, config, mliap=is_mliap)
            if is_mliap:
                write_mliap_driver(partial, script.name)
        tried, why_not = _tried(asked, artefact, loaded, [*checked[:3], *box, *checked[3:]])
        summary = {
            "target": asked.target,
            "checkpoint": str(asked.checkpoint),
            "model_sha256": sha256_of_file(artefact.path),
            "dtype": artefact.manifest.dtype,
            "parity": asdict(parity),
            "in_lammps": [found.as_dict() for found in tried],
            "why_not_in_lammps": why_not,
            "in_the_box": _told_of(artefact, loaded, box),
        }
        write_summary(partial, summary)
        names = sorted(path.name for path in partial.iterdir())
    _print(summary, tried, has_input=config is not None)
    wrote(*(asked.folder / name for name in names))


def _config(
    manifest: "Manifest", system: str | None, molecules: int | None, temperature: float | None
) -> "SimulateConfig | None":
    """Return what the input runs; None where nothing was asked for and there is no usual system."""
    from fisher_mlip.config import SimulateConfig, parse_config
    from fisher_mlip.export.manifest import LAMMPS_MODEL_NAME
    from fisher_mlip.simulate.systems import LIQUID

    if system is None:
        if not {1, 6, 8} <= set(manifest.elements):
            return None
        system = LIQUID
    given = {
        **{"model": LAMMPS_MODEL_NAME, "engine": "lammps", "system": system},
        **{"temperature": 300.0 if temperature is None else temperature, "timestep": 0.5},
    }
    if molecules is not None:
        given["molecules"] = molecules
    return parse_config(given, SimulateConfig, "the options")


def _tried(
    asked: Asked, artefact: "LammpsArtefact", loaded: "Checkpoint", frames: "list[Frame]"
) -> "tuple[list[LammpsParity], str]":
    """Compare what comes out of `lmp` with the model, or return in words why that was not done.

    Raises:
        UncertifiedError: it is not the model's.
    """
    from fisher_mlip.errors import InputError, UncertifiedError
    from fisher_mlip.lammps.check import compare_in_lammps, fits_lammps
    from fisher_mlip.lammps.launching import build_plugin

    if not asked.certify:
        return [], "not asked for"
    if asked.target == "mliap":
        return [], "that needs a LAMMPS with ML-IAP and Python"
    progress_console.print(f"in LAMMPS, on {' and '.join(map(str, _RANKS))} ranks")
    try:
        plugin = build_plugin()
    except InputError as missing:
        return [], str(missing)
    usable = _few([frame for frame in frames if fits_lammps(frame)])
    tried = [compare_in_lammps(artefact, loaded, usable, plugin, ranks=ranks) for ranks in _RANKS]
    for found in tried:
        if not found.holds:
            raise UncertifiedError(
                f"what comes out of LAMMPS on {found.ranks} ranks is not the model: expected "
                f"forces within {found.tolerance:g} eV/Å, found {found.force_difference:.3g}"
            )
    return tried, ""


def _small(frames: "list[Frame]") -> "list[Frame]":
    """Return the frames that the eager model has memory for."""
    return [frame for frame in frames if frame.n_atoms <= _MOST_ATOMS]


def _told_of(
    artefact: "LammpsArtefact", loaded: "Checkpoint", box: "list[Frame]"
) -> dict[str, float | None] | None:
    """Return medians over the atoms of the box, forces and how unsure the model is of them.

    And the error of the forces that its finetune held out; None where it is not known.
    """
    from fisher_mlip.heal.theory import held_out_error
    from fisher_mlip.lammps.check import forces_and_doubts

    if not box or not artefact.manifest.sampled_heads:
        return None
    forces, doubts = forces_and_doubts(artefact, box[0])
    return {
        "median_force_eV_A": forces,
        "median_uncertainty_eV_A": doubts,
        "held_out_force_rmse_eV_A": held_out_error(loaded),
    }


def _few(frames: "list[Frame]") -> "list[Frame]":
    """Return at most so many frames, the probes first: each is a run of LAMMPS on its own."""
    chosen = {round(k * (len(frames) - 1) / (_MOST_FRAMES - 1)) for k in range(_MOST_FRAMES)}
    return frames if len(frames) <= _MOST_FRAMES else [frames[k] for k in sorted(chosen)]


def _print(summary: dict[str, Any], tried: "list[LammpsParity]", *, has_input: bool) -> None:
    parity = summary["parity"]
    console.print(
        f"parity on {parity['frames']} frames: forces within {parity['force_difference']:.1e} "
        f"eV/Å ({summary['dtype']}; {parity['relative']:.1e} of a frame's largest force, "
        f"{parity['tolerance']:g} allowed)"
    )
    for found in tried:
        console.print(
            f"in LAMMPS, {found.ranks} rank{'s' if found.ranks > 1 else ''}: forces within "
            f"{found.force_difference:.1e} eV/Å, energies {found.energy_difference_per_atom:.1e}, "
            f"virials {found.virial_difference_per_atom:.1e} eV/atom ({found.frames} frames)"
        )
    found = summary["in_the_box"]
    if found is not None:
        force, doubt = found["median_force_eV_A"], found["median_uncertainty_eV_A"]
        console.print(
            f"in this box: forces of {force:.2g} eV/Å, uncertain by {doubt:.2g} (medians)"
        )
        if doubt > _DOUBTFUL * force:
            console.print(
                "warning: the model has seen nothing like this box, and will not hold it together: "
                "train it on frames of the kind"
            )
        elif (known := found["held_out_force_rmse_eV_A"]) and doubt > _FOREIGN * known:
            console.print(
                f"warning: the model is {doubt / known:.0f} times as unsure here as it is wrong on "
                f"its held-out frames ({known:.2g} eV/Å): no frames of the kind were among its "
                "data, and it may not hold this box together"
            )
    if not has_input:
        console.print("no data file and no input: --system names what they are for")
    if not tried:
        console.print(f"not tried in LAMMPS: {summary['why_not_in_lammps']}", markup=False)
