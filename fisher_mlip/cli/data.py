"""`fisher-mlip data`: look at frames, split, convert, generate and label them."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fisher_mlip.cli.console import console, fraction_bar, progress_bar, wrote
from fisher_mlip.cli.options import EnergyUnit, NpzUnit, refuse_given

if TYPE_CHECKING:
    from fisher_mlip.data import Frames

data_app = typer.Typer(
    name="data",
    help="Reference frames: info, split, convert, generate, label.",
    no_args_is_help=True,
)


class Phase(StrEnum):
    """What ethanol is sampled in."""

    GAS = "gas"
    LIQUID = "liquid"


# Of `generate`; single molecules have none of these.
LIQUID_OPTIONS = ("molecules", "density", "stress")

FramesFile = Annotated[
    Path, typer.Argument(help="Extended XYZ, MD17/rMD17 .npz, or another format of ASE.")
]
ReferenceEnergies = Annotated[
    Path | None,
    typer.Option(
        "--e0s",
        help="Isolated-atom energies in eV to take instead of the file's own: YAML or JSON such "
        "as '{C: -1025.2, H: -13.6}', or frames with config_type=IsolatedAtom.",
    ),
]
Output = Annotated[Path, typer.Option("--output", "-o", help="Extended XYZ to write.")]
Overwrite = Annotated[bool, typer.Option(help="Replace an existing output.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of every random choice.")]


@data_app.command("info")
def info(
    context: typer.Context,
    file: FramesFile,
    reference_energies: ReferenceEnergies = None,
    npz_unit: NpzUnit = EnergyUnit.KCAL_PER_MOL,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="JSON to write; default: FILE.info.json beside FILE."),
    ] = None,
) -> None:
    """Show what a file of frames holds, and whether a model can be trained on it.

    Example: fisher-mlip data info train.xyz --e0s isolated_atoms.xyz
    """
    from fisher_mlip.cli.overview_table import print_overview
    from fisher_mlip.data.overview import describe_frames
    from fisher_mlip.products import refuse_existing, write_json

    path = output or file.with_name(f"{file.stem}.info.json")
    refuse_existing(path, overwrite=True, inputs=[file, reference_energies])
    frames = _read(context, file, reference_energies, npz_unit)
    overview = describe_frames(frames, reference_energies_file=str(reference_energies or ""))
    print_overview(overview)
    write_json(path, overview)
    wrote(path)


@data_app.command("split")
def split(
    context: typer.Context,
    file: FramesFile,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for train.xyz and the others.")
    ],
    train: Annotated[
        float | None,
        typer.Option(help="Frames to train on: a fraction below 1 or a number; default: the rest."),
    ] = None,
    validation: Annotated[float, typer.Option(help="The same, to validate on; 0: none.")] = 0.1,
    test: Annotated[float, typer.Option(help="The same, to test on; 0: none.")] = 0.1,
    seed: Seed = 0,
    reference_energies: ReferenceEnergies = None,
    npz_unit: NpzUnit = EnergyUnit.KCAL_PER_MOL,
    overwrite: Overwrite = False,
) -> None:
    """Split frames at random into training, validation and test files.

    Near-duplicates (0.01 Å apart in their interatomic distances) stay in one part; where a group
    is larger than any part has room for, it is said how many frames cross.

    Example: fisher-mlip data split rmd17_ethanol.npz --train 950 --validation 50 --test 1000
    -o split
    """
    from fisher_mlip.data import write_frames
    from fisher_mlip.data.split import part_sizes, split_into_parts
    from fisher_mlip.products import whole_folder, write_summary

    frames = _read_sound(context, file, reference_energies, npz_unit)
    result = split_into_parts(frames, part_sizes(len(frames), train, validation, test), seed)
    counts = {name: len(part) for name, part in result.parts.items()}
    with whole_folder(output, overwrite=overwrite, inputs=[file, reference_energies]) as partial:
        for name, part in result.parts.items():
            write_frames(partial / f"{name}.xyz", part)
        summary = {
            "source": str(file),
            "seed": seed,
            "frames": counts,
            "near_duplicates": result.near_duplicates,
            "crossing": result.crossing,
            "content_hash": {name: part.content_hash() for name, part in result.parts.items()},
        }
        write_summary(partial, summary)
    console.print(", ".join(f"{name} {count}" for name, count in counts.items()))
    console.print(f"{result.near_duplicates} near-duplicates, {result.crossing} of them cross")
    wrote(*(output / f"{name}.xyz" for name in counts), output / "summary.json")


@data_app.command("convert")
def convert(
    context: typer.Context,
    source: FramesFile,
    output: Annotated[Path, typer.Argument(help="Extended XYZ to write.")],
    reference_energies: ReferenceEnergies = None,
    npz_unit: NpzUnit = EnergyUnit.KCAL_PER_MOL,
    overwrite: Overwrite = False,
) -> None:
    """Convert frames to extended XYZ in eV and Å, every number exact.

    Example: fisher-mlip data convert rmd17_ethanol.npz ethanol.xyz --e0s e0s.yaml
    """
    _check_output(output, overwrite, source, reference_energies)
    frames = _read_sound(context, source, reference_energies, npz_unit)
    _write(output, frames, {"source": str(source)})


@data_app.command("generate")
def generate(
    context: typer.Context,
    system: Annotated[str, typer.Argument(help="What to sample: ethanol.")],
    output: Output,
    phase: Annotated[Phase, typer.Option(help="Single molecules or a periodic box.")] = Phase.GAS,
    frames: Annotated[int, typer.Option(min=1, help="Frames to sample.")] = 1000,
    temperature: Annotated[float, typer.Option(help="K.")] = 500.0,
    molecules: Annotated[int, typer.Option(help="Molecules in the box of the liquid.")] = 64,
    density: Annotated[
        float,
        typer.Option(help="Density of the liquid's box, g/cm3; 0: its own at 1 bar."),
    ] = 0.789,
    interval: Annotated[
        float | None,
        typer.Option(help="ps between frames of one trajectory; default: gas 2, liquid 1."),
    ] = None,
    stress: Annotated[bool, typer.Option(help="Label the liquid's stress.")] = True,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Sample ethanol by Langevin dynamics with the embedded classical reference, OPLS-AA.

    Frames carry its energies (eV), forces (eV/Å) and stress (eV/Å^3); its isolated atoms are at
    zero. Good to try everything without a quantum-chemistry code: `label` gives the same frames
    to another method.

    Example: fisher-mlip data generate ethanol --phase liquid --frames 50 --temperature 300
    --molecules 64 -o liquid.xyz
    """
    from fisher_mlip.data import sampling
    from fisher_mlip.errors import InputError

    if system != "ethanol":
        raise InputError(f"expected the system 'ethanol', found '{system}'")
    if phase is Phase.GAS:
        refuse_given(context, LIQUID_OPTIONS, "is for --phase liquid, found gas")
    _check_output(output, overwrite)
    given = {} if interval is None else {"interval_ps": interval}
    with fraction_bar("ethanol") as show:

        def progress(_: str, fraction: float) -> None:
            show(fraction)

        if phase is Phase.GAS:
            sampled = sampling.sample_gas(frames, temperature, seed, progress=progress, **given)
        else:
            sampled = sampling.sample_liquid(
                frames,
                temperature,
                molecules,
                seed,
                density_g_cm3=density or None,
                with_stress=stress,
                progress=progress,
                **given,
            )
    origin = {"phase": phase.value, "temperature": temperature, "seed": seed}
    _write(output, sampled, {"source": "OPLS-AA ethanol", **origin})


@data_app.command("label")
def label(
    file: FramesFile,
    output: Output,
    calculator: Annotated[
        str,
        typer.Option(
            help="opls-ethanol (embedded), tblite (GFN2-xTB), or module:Class of any ASE "
            "calculator."
        ),
    ],
    option: Annotated[
        list[str] | None, typer.Option(help="key=value of the calculator; may be repeated.")
    ] = None,
    skip_failed: Annotated[
        bool, typer.Option(help="Leave out frames on which the calculator fails.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Label frames with an ASE calculator: energy, forces, and stress where periodic.

    The file's own labels and E0s are dropped; the calculator's isolated atoms become the E0s.

    Example: fisher-mlip data label frames.xyz --calculator tblite --option method=GFN2-xTB
    -o labeled.xyz
    """
    from fisher_mlip.data import read_frames
    from fisher_mlip.data.calculators import build_calculator, parse_options
    from fisher_mlip.data.labeling import label_frames

    _check_output(output, overwrite, file)
    frames = read_frames(file)
    options = parse_options(option or [])
    engine = build_calculator(calculator, options)
    with progress_bar("labeling", len(frames)) as advance:
        result = label_frames(frames, engine, skip_failed=skip_failed, advance=advance)
    for index, reason in result.failures.items():
        console.print(f"frame {index} left out: {reason}", markup=False)
    if result.without_reference:
        console.print("no E0s: the calculator gave no isolated-atom energies; they will be fitted")
    origin = {"source": str(file), "calculator": calculator, "options": options}
    _write(output, result.frames, {**origin, "failures": result.failures})


def _read(
    context: typer.Context, file: Path, reference_energies: Path | None, npz_unit: EnergyUnit
) -> "Frames":
    from fisher_mlip.data import read_frames

    if file.suffix.lower() != ".npz":
        refuse_given(context, ["npz_unit"], f"is for an .npz, found '{file}'")
    return read_frames(file, reference_energies=reference_energies, npz_energy_unit=npz_unit.value)


def _read_sound(
    context: typer.Context, file: Path, reference_energies: Path | None, npz_unit: EnergyUnit
) -> "Frames":
    """Read frames that are handed on: with finite numbers, and no E0 of those given missing."""
    from fisher_mlip.data.checks import check_numbers
    from fisher_mlip.data.reference_energies import check_reference_energies

    frames = _read(context, file, reference_energies, npz_unit)
    check_numbers(frames)
    if reference_energies is not None:
        check_reference_energies(frames)
    return frames


def _write(output: Path, frames: "Frames", origin: dict[str, Any]) -> None:
    from fisher_mlip.data import write_frames

    write_frames(output, frames)
    summary = {
        **origin,
        "frames": len(frames),
        "reference_energies": frames.reference_energies,
        "content_hash": frames.content_hash(),
    }
    wrote(output, _write_summary(output, summary))


def _write_summary(file: Path, summary: dict[str, Any]) -> Path:
    from fisher_mlip.products import write_json

    path = file.with_name(f"{file.stem}.summary.json")
    write_json(path, summary)
    return path


def _check_output(output: Path, overwrite: bool, *inputs: Path | None) -> None:
    from fisher_mlip.data.writing import check_output_name
    from fisher_mlip.products import refuse_existing

    check_output_name(output)
    refuse_existing(output, overwrite=overwrite, inputs=inputs)
