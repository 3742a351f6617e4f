"""What a run keeps of itself as JSON: where it came from, and how far it is."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field

from fisher_mlip.config import Config, SimulateConfig, parse_config
from fisher_mlip.products import read_json, sha256_of_file
from fisher_mlip.simulate.inner import OPLS
from fisher_mlip.simulate.systems import READERS

# A resume may ask for more steps; the model is compared by its content, not by its path.
# What an alarm does touches no step before it.
FREE_ON_RESUME = ("steps", "model", "on_alarm", "heal", "ranks")
# Of the watch: how much is too much, as long as the same things are measured.
FREE_BOUNDS = (
    *("bond_deviation", "intermolecular_distance", "largest_force", "temperature_ratio"),
    *("energy_change", "equipartition", "rdf_error", "uncertainty"),
)


def _plain(name: str) -> str:
    if name in (".", "..") or name != Path(name).name:
        raise ValueError(f"expected a plain name in the run folder, found '{name}'")
    return name


# A file or folder of the run folder itself: what is named here may be deleted, or loaded.
PlainName = Annotated[str, AfterValidator(_plain)]


class JsonRecord(Config):
    """A JSON file whose keys are known."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file.

        Raises:
            InputError: it is missing or damaged.
        """
        return parse_config(read_json(path), cls, f"'{path}'")


class Segment(Config):
    """A file of the trajectory.

    Attributes:
        file: its name in the run folder.
        first_step: the step that it starts after.
        model: folder in the run folder of the healed model that made it; "": the run's own.
    """

    file: PlainName
    first_step: int = Field(ge=0)
    model: PlainName = ""


class CheckpointRecord(JsonRecord):
    """How far a run is, the segments of its trajectory, and torch's threads (None: not known)."""

    step: int = Field(ge=0)
    segments: list[Segment] = Field(min_length=1)
    torch_threads: int | None = Field(None, ge=1)


class Start(Config):
    """What a resume may not change.

    Attributes:
        settings: the configuration without what is free.
        contents: SHA-256 of the files that it names, by key.
    """

    settings: dict[str, Any]
    contents: dict[str, str]


class Reference(JsonRecord):
    """What does not change during a run; arrays are as long as its atoms, the cell is the first.

    The kernel is that which ran the network at the start.
    """

    n_atoms: int
    n_molecules: int
    independent_molecules: bool
    periodic: bool
    cell: list[list[float]] | None = None
    molecule_index: list[int]
    masses: list[float]
    symbols: list[str]
    bonds: list[tuple[int, int]]
    bonds_from: str
    model: str
    model_sha256: str
    model_label: str
    potential_zero: str
    kernel: str = ""
    start: Start


def names_file(system: str) -> bool:
    """Return whether a system is that of a file rather than one of those built here, by name."""
    return Path(system).suffix.lower() in READERS


def files_of(config: SimulateConfig) -> dict[str, Path]:
    """Return the files that a run starts from beside the model, by their key."""
    system = config.system if names_file(config.system) else ""
    inner = "" if config.inner == OPLS else config.inner
    given = {"system": system, "start_frames": config.start_frames, "inner": inner}
    return {key: Path(name) for key, name in given.items() if name}


def start_of(config: SimulateConfig) -> Start:
    """Return what a run of this configuration starts with."""
    contents = {key: sha256_of_file(path) for key, path in files_of(config).items()}
    return Start(settings=config.model_dump(exclude=set(FREE_ON_RESUME)), contents=contents)


def is_unchanged(key: str, value: Any, start: Start) -> bool:
    """Return whether a setting is that of the start; of a file that is there the content counts."""
    if key in start.contents and Path(str(value)).is_file():
        return sha256_of_file(Path(str(value))) == start.contents[key]
    return not differences(key, value, start)


def differences(key: str, value: Any, start: Start) -> dict[str, tuple[Any, Any]]:
    """Return what differs from the start in a setting, by its name: before and now."""
    before = start.settings.get(key)
    if not isinstance(value, Config) or not isinstance(before, dict):
        return {} if value == before else {key: (before, value)}
    found = {}
    for name, now in value.model_dump().items():
        was = before.get(name)
        is_free = name == "rewinds" or (name in FREE_BOUNDS and bool(now) == bool(was))
        if now != was and not is_free:
            found[f"{key}.{name}"] = (was, now)
    return found
