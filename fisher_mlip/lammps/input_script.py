"""A configuration and a system -> LAMMPS's input script."""

from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from fisher_mlip.config import SimulateConfig
from fisher_mlip.lammps.data_file import type_symbols
from fisher_mlip.lammps.halting import halts_of
from fisher_mlip.simulate.integrators import is_langevin, noise_seeds
from fisher_mlip.simulate.systems import MolecularSystem

PS_PER_FS = 1e-3
# ps, of LAMMPS's barostat: a thousand steps of 1 fs, as its manual has it.
PRESSURE_DAMPING = 1.0
# K, above ten times the temperature asked for: hotter than any liquid.
EXPLODED = 1e4


@dataclass(frozen=True)
class InputFiles:
    """Names of the files that a script reads and writes, in its folder.

    Attributes:
        script: its own.
        model: the exported model.
        data: the system, where it starts.
        restart: the restart file that it goes on from; "" for none.
        trajectory: the dump.
        uncertainty: largest and mean uncertainty of the forces.
    """

    script: str
    model: str
    data: str
    restart: str = ""
    trajectory: str = "trajectory.lammpstrj"
    uncertainty: str = "uncertainty.csv"


def input_script(
    molecular: MolecularSystem,
    config: SimulateConfig,
    files: InputFiles,
    *,
    title: str,
    step: int = 0,
    checkpoints: bool = False,
    pair: list[str] | None = None,
    how: str | None = None,
) -> str:
    """Return the text of an input script.

    Args:
        molecular: the atoms.
        config: ensemble, timestep, intervals, steps.
        files: names.
        title: its first line.
        step: that it starts from, which decides the noise.
        checkpoints: whether restart files are kept by step, for a run that is resumed by us.
        pair: the lines that choose the potential; those of `pair_lines` if None.
        how: the command that runs it, for its reader; `lmp -in NAME` if None.
    """
    environment = Environment(
        loader=PackageLoader("fisher_mlip.lammps"),
        undefined=StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
    )
    symbols = type_symbols(molecular)
    keeps_momentum = not is_langevin(config)
    return environment.get_template("in.lammps.jinja").render(
        title=" ".join(title.split()),
        how=how or f"lmp -in {files.script}, or mpirun -np 2 lmp -in {files.script}",
        boundary=boundary_of(molecular),
        restart=files.restart,
        n_atoms=len(molecular.positions),
        step=step,
        data=files.data,
        trajectory=files.trajectory,
        uncertainty_file=files.uncertainty,
        symbols=symbols,
        pair=pair or pair_lines(files.model, symbols, config),
        skin=config.skin,
        timestep_ps=f"{config.timestep * PS_PER_FS:.12g}",
        ensemble=_ensemble(config, noise_seeds(config.seed, step)[0]),
        taken_freedom=_taken_freedom(molecular, symbols, keeps_momentum=keeps_momentum),
        keeps_momentum=keeps_momentum,
        report_interval=config.report_interval,
        trajectory_interval=config.trajectory_interval,
        checkpoint_interval=config.checkpoint_interval,
        uncertainty_interval=config.uncertainty_interval,
        checkpoints=checkpoints,
        halts=halts_of(config, 3 * len(molecular.positions)),
        exploded=f"{EXPLODED + 10.0 * config.temperature:.12g}" if checkpoints else "",
        steps=config.steps,
    )


def boundary_of(molecular: MolecularSystem) -> str:
    """Return LAMMPS's boundaries; without a box its bounds only grow, so that a plane has some."""
    return "p p p" if molecular.is_periodic else "m m m"


def pair_lines(model: str, symbols: list[str], config: SimulateConfig) -> list[str]:
    """Return the lines that choose our pair style.

    Args:
        model: name of `model.lmp.pt`.
        symbols: elements by type.
        config: its device.
    """
    options = " device cuda" if config.device == "cuda" else ""
    return [
        f"pair_style      fisher_mlip{options}",
        f"pair_coeff      * * {model} {' '.join(symbols)}",
    ]


def _ensemble(config: SimulateConfig, seed: int) -> list[str]:
    """Return the fixes that integrate, keep the temperature and the pressure."""
    kelvin, bar = f"{config.temperature:.12g}", f"{config.pressure_bar:.12g}"
    pressure = f"iso {bar} {bar} {PRESSURE_DAMPING}"
    if config.ensemble == "nve":
        return ["fix             integrate all nve"]
    if config.thermostat == "nose-hoover":
        coupling = f"temp {kelvin} {kelvin} {1.0 / config.collision_frequency:.12g}"
        if config.ensemble == "nvt":
            return [f"fix             integrate all nvt {coupling}"]
        return [f"fix             integrate all npt {coupling} {pressure}"]
    integrate = "nve" if config.ensemble == "nvt" else f"nph {pressure}"
    damping = f"{1.0 / config.friction:.12g}"
    # Marsaglia's generator of LAMMPS takes seeds up to 900 million.
    drawn = seed % 900_000_000 + 1
    return [
        f"fix             integrate all {integrate}",
        f"fix             thermostat all langevin {kelvin} {kelvin} {damping} {drawn}",
    ]


def _taken_freedom(
    molecular: MolecularSystem, symbols: list[str], *, keeps_momentum: bool
) -> dict[str, str]:
    """Return how many degrees of freedom a total momentum of zero takes from each element.

    An atom's share of the three is its share of the mass.
    """
    if not keeps_momentum:
        return dict.fromkeys(symbols, "0")
    of_atoms = [atom.element.symbol for atom in molecular.topology.atoms()]
    masses = molecular.masses
    shares = dict.fromkeys(symbols, 0.0)
    for symbol, mass in zip(of_atoms, masses.tolist(), strict=True):
        shares[symbol] += 3.0 * mass / float(masses.sum())
    return {symbol: f"{share:.12g}" for symbol, share in shares.items()}
