"""Look at a run folder with mdtraj alone: bond lengths over time, and O-O structure in a box.

    python examples/mdtraj_analysis.py runs/nve -o bonds
    python examples/mdtraj_analysis.py --smoke -o bonds      # makes a small box of water first

Writes bonds/mdtraj_analysis.png and bonds/summary.json. Lengths in Å, times in ps.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import mdtraj
import numpy as np
import yaml
from matplotlib.figure import Figure

ANGSTROM_PER_NM = 10.0


def load_run(run: Path) -> mdtraj.Trajectory:
    """Join the segments of a run, trajectory.dcd and trajectory.part*.dcd, with their times."""
    segments = sorted(run.glob("trajectory.dcd")) + sorted(run.glob("trajectory.part*.dcd"))
    if not segments:
        raise SystemExit(f"error: expected a run folder with a trajectory at '{run}', found none")
    trajectory = mdtraj.load([str(s) for s in segments], top=str(run / "topology.pdb"))
    config = yaml.safe_load((run / "config.yaml").read_text())
    interval_ps = config["trajectory_interval"] * config["timestep"] / 1000.0
    trajectory.time = interval_ps * (1 + np.arange(trajectory.n_frames))
    return trajectory


def bond_lengths(trajectory: mdtraj.Trajectory) -> dict[str, np.ndarray]:
    """Return (n_frames, n_bonds) lengths in Å for each pair of elements."""
    pairs: dict[str, list[list[int]]] = {}
    for first, second in trajectory.topology.bonds:
        name = "-".join(sorted((first.element.symbol, second.element.symbol)))
        pairs.setdefault(name, []).append([first.index, second.index])
    periodic = trajectory.unitcell_lengths is not None
    return {
        name: ANGSTROM_PER_NM * mdtraj.compute_distances(trajectory, indices, periodic=periodic)
        for name, indices in pairs.items()
    }


def oxygen_structure(trajectory: mdtraj.Trajectory) -> tuple[np.ndarray, np.ndarray] | None:
    """Return distances in Å and g(r) of O-O, or None without a box or without two oxygens."""
    oxygens = trajectory.topology.select("element O")
    if trajectory.unitcell_lengths is None or len(oxygens) < 2:
        return None
    farthest = float(trajectory.unitcell_lengths.min()) / 2.0
    pairs = trajectory.topology.select_pairs(oxygens, oxygens)
    r, g = mdtraj.compute_rdf(trajectory, pairs, r_range=(0.0, farthest), bin_width=0.01)
    return ANGSTROM_PER_NM * r, g


def draw(
    path: Path,
    times: np.ndarray,
    bonds: dict[str, np.ndarray],
    structure: tuple[np.ndarray, np.ndarray] | None,
) -> None:
    """Draw the distribution of bond lengths, the longest bond over time, and g(r)."""
    figure = Figure(figsize=(12 if structure else 8, 3.4), layout="constrained")
    axes = figure.subplots(1, 3 if structure else 2)
    for name, lengths in bonds.items():
        axes[0].hist(lengths.ravel(), bins=80, density=True, histtype="stepfilled", alpha=0.5)
        axes[1].plot(times, lengths.max(axis=1), label=name)
    axes[0].set(xlabel="bond length / Å", ylabel="density / Å$^{-1}$")
    axes[1].set(xlabel="time / ps", ylabel="longest bond / Å")
    axes[1].legend(frameon=False)
    if structure:
        axes[2].plot(*structure)
        axes[2].set(xlabel="r / Å", ylabel="g(r) of O–O")
    figure.savefig(path, dpi=150)


def summarize(
    trajectory: mdtraj.Trajectory, bonds: dict[str, np.ndarray], threshold: float
) -> dict[str, Any]:
    """Return the numbers: a bond is off when it leaves its kind's median by `threshold`."""
    summary: dict[str, Any] = {"frames": trajectory.n_frames, "atoms": trajectory.n_atoms}
    for name, lengths in bonds.items():
        is_off = np.abs(lengths - np.median(lengths[:10])) > threshold
        frames_off = np.flatnonzero(is_off.any(axis=1))
        summary[name] = {
            "mean_A": float(lengths.mean()),
            "std_A": float(lengths.std()),
            "longest_A": float(lengths.max()),
            "bonds_off": int(is_off.any(axis=0).sum()),
            "first_off_ps": float(trajectory.time[frames_off[0]]) if len(frames_off) else None,
        }
    return summary


def make_smoke_run(run: Path) -> None:
    """Run 0.1 ps of flexible TIP3P water, so that the script can be tried without a model."""
    import openmm
    from mdtraj.reporters import DCDReporter
    from openmm import app, unit

    field = app.ForceField("tip3p.xml")
    box = app.Modeller(app.Topology(), [] * unit.nanometer)
    box.addSolvent(field, boxSize=openmm.Vec3(1.5, 1.5, 1.5) * unit.nanometer)
    system = field.createSystem(
        box.topology,
        nonbondedMethod=app.CutoffPeriodic,
        nonbondedCutoff=0.7 * unit.nanometer,
        rigidWater=False,
    )
    integrator = openmm.VerletIntegrator(0.5 * unit.femtoseconds)
    platform = openmm.Platform.getPlatformByName("Reference")
    simulation = app.Simulation(box.topology, system, integrator, platform)
    simulation.context.setPositions(box.positions)
    simulation.minimizeEnergy(maxIterations=20)
    simulation.context.setVelocitiesToTemperature(300.0 * unit.kelvin, 0)
    with (run / "topology.pdb").open("w") as handle:
        app.PDBFile.writeFile(box.topology, box.positions, handle)
    (run / "config.yaml").write_text("trajectory_interval: 10\ntimestep: 0.5\n")
    reporter = DCDReporter(str(run / "trajectory.dcd"), 10)
    simulation.reporters.append(reporter)
    simulation.step(200)
    reporter.close()


def main() -> None:
    """Read the command line, analyze one run, say what was written."""
    parser = argparse.ArgumentParser(description="Bond lengths and structure of a run, by mdtraj.")
    parser.add_argument("run", type=Path, nargs="?", help="run folder")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write into")
    parser.add_argument("--threshold", type=float, default=0.5, help="Å (default: %(default)s)")
    parser.add_argument("--smoke", action="store_true", help="analyze a small run made here")
    options = parser.parse_args()
    if (options.run is None) != options.smoke:
        parser.error("expected a run folder or --smoke")
    with tempfile.TemporaryDirectory() as scratch:
        run = options.run or Path(scratch)
        if options.smoke:
            make_smoke_run(run)
        trajectory = load_run(run)
    bonds = bond_lengths(trajectory)
    summary = summarize(trajectory, bonds, options.threshold)
    options.output.mkdir(parents=True, exist_ok=True)
    picture, numbers = options.output / "mdtraj_analysis.png", options.output / "summary.json"
    draw(picture, trajectory.time, bonds, oxygen_structure(trajectory))
    numbers.write_text(json.dumps(summary, indent=2) + "\n")
    print(json.dumps(summary, indent=2))
    print(f"wrote {picture}\nwrote {numbers}")


if __name__ == "__main__":
    main()
