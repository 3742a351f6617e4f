"""The commands that a LAMMPS log echoes -> what was set when a run began."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fisher_mlip.errors import InputError
from fisher_mlip.units import FS_PER_PS, KCAL_PER_MOL_PER_EV

# Of LAMMPS' units, those whose lengths are Å: 1 eV in the energy, 1 fs in the time, and the
# timestep that holds without a command.
_PER_EV = {"metal": 1.0, "real": KCAL_PER_MOL_PER_EV}
_PER_FS = {"metal": 1.0 / FS_PER_PS, "real": 1.0}
_DEFAULT_TIMESTEP_FS = 1.0
# Words of fix styles, parted at "/", that tell what the dynamics exchange with a bath.
_BAROSTATS = {"npt", "nph", "press"}
_THERMOSTATS = {"nvt", "langevin", "temp", "gle", "gld", "ttm", "bocs"}
_INTEGRATORS = {"nve", "rigid"}


@dataclass(frozen=True)
class Settings:
    """What commands have set.

    Attributes:
        units: LAMMPS' default is `lj`.
        timestep: in those units; None where no command named it.
        boundary: a word a direction.
        fixes: style and arguments by ID.
        velocity_temperature: K, that velocities were drawn at since the last run; else None.
        is_per_atom: energies in the log are divided by the number of atoms.
        dumps: file by ID.
        names_elements: `dump_modify` named the elements of types.
        pair_style: with its arguments.
        command: that began the run, with its arguments.
    """

    units: str = "lj"
    timestep: float | None = None
    boundary: tuple[str, ...] = ("p", "p", "p")
    fixes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    velocity_temperature: float | None = None
    is_per_atom: bool = False
    dumps: Mapping[str, str] = field(default_factory=dict)
    names_elements: bool = False
    pair_style: str = ""
    command: tuple[str, ...] = ()

    def after(self, words: Sequence[str]) -> "Settings":
        """Return what is set after a command; what is not known changes nothing.

        Args:
            words: of a line without its comment. A line is echoed before and after its variables
                are replaced, so that the second takes the first one's place.
        """
        changed: dict[str, Any] = {}
        match list(words):
            case ["clear"]:
                return Settings()
            case ["units", name]:
                changed = {"units": name, "timestep": None}
            case ["timestep", value]:
                changed = {"timestep": number(value)}
            case ["boundary", x, y, z]:
                changed = {"boundary": (x, y, z)}
            case ["velocity", _, "create", value, *_]:
                changed = {"velocity_temperature": number(value)}
            case ["pair_style", *style]:
                changed = {"pair_style": " ".join(style)}
            case [("run" | "minimize" | "rerun" | "temper"), *_]:
                changed = {"command": tuple(words)}
            case [("fix" | "unfix" | "dump" | "dump_modify" | "thermo_modify"), *_]:
                changed = self._changed_by_name(words)
        return replace(self, **changed)

    def _changed_by_name(self, words: Sequence[str]) -> dict[str, Any]:
        match list(words):
            case ["fix", name, _, *style] if style:
                return {"fixes": {**self.fixes, name: tuple(style)}}
            case ["unfix", name]:
                return {"fixes": {key: fix for key, fix in self.fixes.items() if key != name}}
            case ["dump", name, _, _, _, file, *_]:
                return {"dumps": {**self.dumps, name: file}}
            case ["dump_modify", _, *options] if "element" in options:
                return {"names_elements": True}
            case ["thermo_modify", *options] if "norm" in options[:-1]:
                value = options[options.index("norm") + 1]
                return {"is_per_atom": value in ("yes", "on", "true")}
        return {}

    @property
    def is_run(self) -> bool:
        """Whether the last run was of dynamics."""
        return self.command[:1] == ("run",)

    @property
    def ev(self) -> float:
        """What 1 eV is in the units.

        Raises:
            InputError: they are neither `metal` nor `real`.
        """
        return self._unit(_PER_EV)

    @property
    def timestep_fs(self) -> float:
        """The timestep, fs.

        Raises:
            InputError: the units are neither `metal` nor `real`, or the timestep changes.
        """
        if any(style[0].startswith("dt/reset") for style in self.fixes.values()):
            raise InputError("expected a fixed timestep, found fix dt/reset")
        fs = self._unit(_PER_FS)
        return _DEFAULT_TIMESTEP_FS if self.timestep is None else self.timestep / fs

    def _unit(self, by_units: Mapping[str, float]) -> float:
        if self.units not in by_units:
            raise InputError(
                f"expected 'units metal' or 'units real' among the commands of the log, found "
                f"'units {self.units}'"
            )
        return by_units[self.units]

    @property
    def ensemble(self) -> str:
        """`nve`, `nvt` or `npt` as the fixes have it.

        Raises:
            InputError: no fix integrates.
        """
        found = self.find_ensemble()
        if found is not None:
            return found
        names = ", ".join(style[0] for style in self.fixes.values()) or "none"
        raise InputError(
            f"expected a fix nve, nvt, npt, langevin or the like among the commands of the log, "
            f"found {names}"
        )

    def find_ensemble(self) -> str | None:
        """Return `nve`, `nvt` or `npt`, or None where no fix integrates."""
        found = {word for style in self.fixes.values() for word in style[0].split("/")}
        by_words = {"npt": _BAROSTATS, "nvt": _THERMOSTATS, "nve": _INTEGRATORS}
        return next((name for name, words in by_words.items() if found & words), None)

    @property
    def bath(self) -> tuple[float, str] | None:
        """K at the start and style of the first fix that has a temperature; None without one."""
        for style in self.fixes.values():
            value = _bath_temperature(style)
            if value is not None:
                return value, f"fix {style[0]}"
        return None


def number(text: str) -> float | None:
    """Return a number, or None where a variable stands in its place."""
    try:
        return float(text)
    except ValueError:
        return None


def _bath_temperature(style: tuple[str, ...]) -> float | None:
    name, *arguments = style
    if set(name.split("/")) & {"nvt", "npt"} and "temp" in arguments[:-1]:
        return number(arguments[arguments.index("temp") + 1])
    place = 1 if name.startswith("temp/rescale") else 0
    if name.startswith(("langevin", "temp/")) and len(arguments) > place:
        return number(arguments[place])
    return None
