"""Configuration of StABlE training."""

from typing import Literal

from pydantic import Field

from fisher_mlip.config import Config

ObservableName = Literal["distances", "bonds", "rdf"]
OBSERVABLES: tuple[ObservableName, ...] = ("distances", "bonds", "rdf")


class StableConfig(Config):
    """One training; what `--resume` goes on with.

    Attributes:
        finetuned: folder that `finetune` made.
        reference: frames (extended XYZ, .npz) or a run folder, sampled at the temperature.
        temperature: K, of the simulations and of the reference.
        observables: to train on; none: all that the system has.
        start_frames: frames that the replicas start from; "": those of the reference.
        held_out: labelled frames whose force error is told too; "" for none.
        replicas: molecules that do not see each other, or periodic boxes.
        stable_ps: of a simulation phase; training ends when all replicas last as long.
        iterations: most simulation phases.
        timestep: fs.
        friction: of the Langevin thermostat, 1/ps.
        look_interval: steps between looks at stability.
        frame_interval: looks between frames that are averaged.
        bond_deviation: largest deviation of a bond from its mean in the reference, Å.
        intermolecular_distance: shortest between atoms of different molecules of a box, Å.
        temperature_ratio: largest temperature of a replica over the target, chance aside.
        margin_ps: a replica is rewound to its last frame at least so long before it was lost.
        estimator: `global`: one average a replica; `localized`: one a molecule, correlated with
            the features of its neighborhood; `auto`: localized for boxes.
        neighborhood: Å around a molecule's atoms, of the localized estimator.
        strength: lambda, of the Fisher quadratic; 1 is the posterior of the finetune.
        effective_fraction: least effective part of the frames after reweighting to the new head.
        force_tolerance: largest relative increase of the held-out force error.
        platform: OpenMM platform, or `auto`.
        seed: of starts, velocities and noise.
    """

    finetuned: str
    reference: str
    temperature: float = Field(gt=0.0, le=1e5)
    observables: list[ObservableName] = Field(default_factory=list)
    start_frames: str = ""
    held_out: str = ""
    replicas: int = Field(16, ge=1, le=100_000)
    stable_ps: float = Field(10.0, gt=0.0)
    iterations: int = Field(10, ge=1, le=1000)
    timestep: float = Field(0.5, ge=1e-4, le=10.0)
    friction: float = Field(1.0, gt=0.0, le=1e6)
    look_interval: int = Field(10, ge=1)
    frame_interval: int = Field(2, ge=1)
    bond_deviation: float = Field(0.25, gt=0.0)
    intermolecular_distance: float = Field(1.2, ge=0.0, le=10.0)
    temperature_ratio: float = Field(2.0, gt=0.0)
    margin_ps: float = Field(0.05, ge=0.0)
    estimator: Literal["auto", "global", "localized"] = "auto"
    neighborhood: float = Field(3.0, ge=0.0)
    strength: float = Field(1.0, gt=0.0)
    effective_fraction: float = Field(0.5, gt=0.0, lt=1.0)
    force_tolerance: float = Field(0.05, ge=0.0)
    platform: str = "auto"
    seed: int = Field(0, ge=0, lt=2**63)
