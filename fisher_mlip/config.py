"""Configurations: typed, with unknown keys refused, read from YAML and written back."""

from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fisher_mlip.errors import InputError
from fisher_mlip.products import write_text

DtypeName = Literal["float32", "float64"]
DeviceName = Literal["auto", "cpu", "cuda"]
HeadKind = Literal["last-layer", "per-element", "all-layers", "products"]


class Config(BaseModel):
    """Base of every configuration: frozen; unknown keys, NaN and infinity are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def changed(self, **values: Any) -> Self:
        """Return a copy with the given values, validated; None means "leave as it is".

        Raises:
            InputError: a value is not allowed.
        """
        given = {key: value for key, value in values.items() if value is not None}
        return parse_config(self.model_dump() | given, type(self), "options")


class ModelConfig(Config):
    """The network; the names are those of the source report's hyperparameters.

    Attributes:
        features: channels per degree.
        max_degree: largest spherical-harmonic degree.
        num_iterations: message-passing layers.
        num_basis_functions: radial Bessel functions per edge.
        cutoff: Å, at most 20: further away the list would take the memory before the physics.
        radial_width: hidden width of the radial network.
        repulsion: whether a fixed repulsive core between atoms is part of the model.
    """

    features: int = Field(32, ge=1)
    max_degree: int = Field(2, ge=0, le=4)
    num_iterations: int = Field(3, ge=1)
    num_basis_functions: int = Field(32, ge=1)
    cutoff: float = Field(3.0, gt=0.0, le=20.0)
    radial_width: int = Field(32, ge=1)
    repulsion: bool = True


class HeadConfig(Config):
    """The linear space that the Fisher head solves in.

    Attributes:
        kind: `last-layer`: one theta over the last layer's features; `per-element`: one for each
            element; `all-layers`: also the invariants of every layer; `products`: also products
            of channels.
        product_channels: combinations of channels, per degree and layer but the last, multiplied
            with each other; 0 unless `products`.
        product_layers: how many of the first layers' channels are multiplied; 0: all but the last.
    """

    kind: HeadKind = "last-layer"
    product_channels: int = Field(0, ge=0)
    product_layers: int = Field(0, ge=0)

    @property
    def name(self) -> str:
        """The kind, and the number of layers with products where not all have them."""
        return f"{self.kind} ({self.product_layers})" if self.product_layers else self.kind


class TrainConfig(Config):
    """Training; the defaults are the source report's.

    Attributes:
        batch_size: frames per step.
        learning_rate: of AMSGrad-Adam at the start.
        final_learning_rate: where the cosine schedule ends; equal to `learning_rate` for none.
        energy_weight: weight of the squared energy error per atom, (eV/atom)^-2.
        forces_weight: weight of the mean squared force component error, (eV/Å)^-2.
        stress_weight: weight of the mean squared stress error times volume per atom, (eV/atom)^-2.
        max_epochs: passes over the training frames.
        max_seconds: wall time after which training ends and keeps what it has; 0 for none.
        ema_decay: of the averaged weights that are validated and saved; 0 for none.
        gradient_clip: largest gradient norm.
        checkpoint_every: epochs between checkpoints that `--resume` can go on from.
    """

    model: ModelConfig = ModelConfig()
    batch_size: int = Field(30, ge=1)
    learning_rate: float = Field(0.01, gt=0.0)
    final_learning_rate: float = Field(0.01, gt=0.0)
    energy_weight: float = Field(1.0, ge=0.0)
    forces_weight: float = Field(1.0, ge=0.0)
    stress_weight: float = Field(0.0, ge=0.0)
    max_epochs: int = Field(200, ge=1)
    max_seconds: float = Field(0.0, ge=0.0)
    ema_decay: float = Field(0.0, ge=0.0, lt=1.0)
    gradient_clip: float = Field(10.0, gt=0.0)
    checkpoint_every: int = Field(1, ge=1)
    seed: int = Field(0, ge=0, lt=2**63)
    dtype: DtypeName = "float32"
    device: DeviceName = "auto"


class WatchConfig(Config):
    """What a run is watched for; a bound of 0 leaves its criterion out.

    Attributes:
        enabled: whether there is a watch.
        interval: steps between looks at positions and velocities. Forces and energies are looked at
            where a ledger row falls on a look.
        frames: looks that are kept and written at an alarm.
        bond_deviation: largest deviation of a bond from its length at the start, Å.
        intermolecular_distance: shortest between atoms of different molecules, Å.
        largest_force: on an atom, eV/Å.
        temperature_ratio: largest temperature over the target, chance aside.
        energy_change: largest change of the total energy in NVE, eV/atom.
        equipartition: largest relative deviation of an element's mean temperature, chance aside.
        window_ps: length of the windows of means, ps.
        rdf_reference: .npz of g(r) by pair of elements; "" for none.
        rdf_error: largest integral of |g - g_ref| over a window, Å.
        rdf_interval: steps between the frames of g(r).
        uncertainty: largest force uncertainty, eV/Å, at the rows of `uncertainty.csv`.
        rewinds: how often a run may be rewound before an alarm stops it.
        rewind_steps: a rewind goes to a checkpoint at least this many steps before the alarm; 0:
            before the frames that are kept.
    """

    enabled: bool = True
    interval: int = Field(10, ge=1)
    frames: int = Field(5, ge=1, le=1000)
    bond_deviation: float = Field(0.5, ge=0.0)
    intermolecular_distance: float = Field(1.2, ge=0.0, le=10.0)
    largest_force: float = Field(50.0, ge=0.0)
    temperature_ratio: float = Field(2.0, ge=0.0)
    energy_change: float = Field(0.05, ge=0.0)
    equipartition: float = Field(0.5, ge=0.0)
    window_ps: float = Field(1.0, gt=0.0)
    rdf_reference: str = ""
    rdf_error: float = Field(3.0, ge=0.0)
    rdf_interval: int = Field(50, ge=1)
    uncertainty: float = Field(0.0, ge=0.0)
    rewinds: int = Field(3, ge=0)
    rewind_steps: int = Field(0, ge=0)

    @property
    def margin(self) -> int:
        """Steps before an alarm in which no state is taken for good."""
        return self.rewind_steps or self.frames * self.interval


class HealConfig(Config):
    """How alarms of a run are healed: by labels of their frames, and theta solved again.

    Attributes:
        calculator: `opls-ethanol`, `tblite`, or `module:Class` of an ASE calculator, of the level
            of theory that the model was trained on; "" heals nothing.
        options: keyword arguments of its class.
        checkpoint: the finetuned folder that the model was exported from; "": as its export says.
        max_labels: calls of the calculator over the whole run.
        max_healings: over the whole run.
        frames: labels wanted at an alarm.
        largest_frame: atoms of a frame beyond which none is labelled.
        shortest_distance: between atoms of a frame, Å; one with closer ones is not labelled.
        largest_force: of a label, on an atom, eV/Å; one with larger ones is left out.
        largest_error: of the running model on a label, root mean square, eV/Å; beyond it the frame
            is no neighbor of the data, and is left out.
        mismatch: eV/Å by which the calculator's forces may differ from the model's at the run's
            start, beyond twice the model's held-out error.
    """

    calculator: str = ""
    options: dict[str, Any] = Field(default_factory=dict)
    checkpoint: str = ""
    max_labels: int = Field(50, ge=1)
    max_healings: int = Field(20, ge=1)
    frames: int = Field(5, ge=1, le=1000)
    largest_frame: int = Field(200, ge=1)
    shortest_distance: float = Field(0.5, ge=0.0)
    largest_force: float = Field(20.0, gt=0.0)
    largest_error: float = Field(2.0, gt=0.0)
    mismatch: float = Field(0.1, ge=0.0)


class SimulateConfig(Config):
    """One run, in OpenMM or LAMMPS.

    Attributes:
        model: the artefact (`model.pt` or its folder; for LAMMPS `model.lmp.pt` or its folder).
        engine: `openmm` or `lammps`.
        ranks: MPI processes of LAMMPS.
        system: `ethanol-gas`, `ethanol-liquid` (of LAMMPS the default), or a PDB or extended XYZ
            file.
        molecules: molecules of an ethanol system.
        ensemble: `nve`, `nvt`, or `npt` (a Monte Carlo barostat that moves molecules).
        temperature: K, of the initial velocities and of the thermostat; at 1e5 no bond is left.
        thermostat: `langevin` or `nose-hoover`, of `nvt` and `npt`.
        friction: of the Langevin thermostat, 1/ps; at 1e6 each step draws the velocities anew.
        collision_frequency: of the Nosé-Hoover chain with the atoms, 1/ps; LAMMPS's damping time is
            its inverse.
        pressure_bar: of `npt`.
        barostat_interval: steps between attempts to change the volume; of `npt`.
        timestep: fs; with `inner` that of the model, an outer step.
        inner: a cheaper potential that takes the short steps (r-RESPA): `opls`, the classical
            force field of ethanol, or another artefact; "" for none.
        respa_steps: steps of the inner potential in a timestep.
        steps: integration steps.
        report_interval: steps between ledger rows.
        trajectory_interval: steps between trajectory frames.
        checkpoint_interval: steps between the states that `--resume` goes on from.
        skin: Å added to the cutoff of the neighbor list.
        start_frames: extended XYZ whose frames start the molecules of `ethanol-gas`; "" for none.
        trust_units: leave out the check that a system's file looks like Å.
        route: how OpenMM calls the potential: `torchforce`, `python`, or `auto`.
        platform: OpenMM platform, or `auto`.
        dtype: of the model; None takes the artefact's own, another than that is refused.
        uncertainty_interval: steps between rows of `uncertainty.csv`, each as dear as some 12 to 32
            steps; 0 for none.
        watch: bounds of the instability watch.
        on_alarm: what an alarm does: `warn` writes it down and goes on, since a bound that does not
            fit a system must not cost a run; `stop` ends the run; `rewind` goes on from a state
            before it with new velocities.
        heal: what labels the frames of an alarm before a rewind, which goes on with the model
            solved again.
    """

    model: str
    engine: Literal["openmm", "lammps"] = "openmm"
    ranks: int = Field(1, ge=1, le=100_000)
    system: str = "ethanol-gas"
    molecules: int = Field(600, ge=1, le=1_000_000)
    ensemble: Literal["nve", "nvt", "npt"] = "nve"
    temperature: float = Field(500.0, ge=0.0, le=1e5)
    thermostat: Literal["langevin", "nose-hoover"] = "langevin"
    friction: float = Field(1.0, gt=0.0, le=1e6)
    collision_frequency: float = Field(10.0, gt=0.0, le=1e3)
    pressure_bar: float = Field(1.0, ge=-1e6, le=1e6)
    barostat_interval: int = Field(25, ge=1)
    inner: str = ""
    respa_steps: int = Field(1, ge=1, le=100)
    timestep: float = Field(1.0, ge=1e-4)
    steps: int = Field(1000, ge=1, le=10**12)
    report_interval: int = Field(10, ge=1)
    trajectory_interval: int = Field(100, ge=1)
    checkpoint_interval: int = Field(100, ge=1)
    skin: float = Field(0.5, gt=0.0, le=20.0)
    start_frames: str = ""
    trust_units: bool = False
    route: Literal["auto", "torchforce", "python"] = "auto"
    platform: str = "auto"
    seed: int = Field(0, ge=0, lt=2**63)
    dtype: DtypeName | None = None
    device: DeviceName = "auto"
    uncertainty_interval: int = Field(0, ge=0)
    watch: WatchConfig = WatchConfig()
    on_alarm: Literal["warn", "stop", "rewind"] = "warn"
    heal: HealConfig = HealConfig()

    @model_validator(mode="before")
    @classmethod
    def _usual_system(cls, content: Any) -> Any:
        """LAMMPS has no molecules that do not see each other."""
        if isinstance(content, dict) and content.get("engine") == "lammps":
            return {"system": "ethanol-liquid"} | content
        return content

    @model_validator(mode="before")
    @classmethod
    def _healed_by_rewinds(cls, content: Any) -> Any:
        """A healing goes on from before the alarm, as a rewind does."""
        heal = content.get("heal") if isinstance(content, dict) else None
        named = heal.calculator if isinstance(heal, HealConfig) else ""
        if named or (isinstance(heal, dict) and heal.get("calculator")):
            return {"on_alarm": "rewind"} | content
        return content


_LONGEST_SHOWN = 80

ConfigT = TypeVar("ConfigT", bound=Config)


def parse_config(content: Any, kind: type[ConfigT], source: str) -> ConfigT:
    """Validate `content` as a configuration of type `kind`.

    Raises:
        InputError: an unknown key or a value that is not allowed; the message names it.
    """
    if not isinstance(content, dict):
        raise InputError(f"expected 'key: value' lines in {source}, found {type(content).__name__}")
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = ", ".join(sorted(_fields_beside(kind, first["loc"])))
            raise InputError(f"unknown key '{key}' in {source}: known are {known}") from None
        raise InputError(
            f"'{key}' in {source}: {first['msg'].lower()}, found {_shown(first['input'])}"
        ) from None


def _shown(value: Any) -> str:
    """Return a value as a message can hold it: YAML's references unfold without end."""
    if isinstance(value, list | dict):
        return f"a {type(value).__name__} of {len(value)}"
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "..."


def _fields_beside(kind: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Return the keys allowed where the last part of `location` was found."""
    for part in location[:-1]:
        inner = kind.model_fields[str(part)].annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        kind = inner
    return list(kind.model_fields)


def read_config(path: Path, kind: type[ConfigT]) -> ConfigT:
    """Read a YAML configuration.

    Raises:
        InputError: the file is missing, no YAML, or does not fit `kind`.
    """
    return parse_config(read_yaml(path), kind, f"'{path}'")


def read_yaml(path: Path) -> Any:
    """Read a YAML file with the safe loader.

    Raises:
        InputError: the file is missing or no YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"expected a file '{path}', found none") from None
    # A ValueError comes from what only looks like a date or a number; text that is not UTF-8 too.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"expected YAML in '{path}', found: {reason}") from None


def write_yaml(path: Path, content: Any) -> None:
    """Write plain data as YAML, whole or not at all."""
    write_text(path, yaml.safe_dump(content, sort_keys=False))
