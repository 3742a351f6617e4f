"""What openmm-ml finds by its entry point: `MLPotential("fisher-mlip", modelPath="model.pt")`.

openmm-ml loads this module whenever it is imported, and may itself be imported by the potential's:
so nothing of openmm-ml is needed here, and what is heavy is imported when a potential is made.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fisher_mlip.errors import InputError

if TYPE_CHECKING:
    from fisher_mlip.openmm_ml.potential import FisherPotential


class FisherPotentialFactory:
    """Makes the potential of an artefact; openmm-ml calls it by the name `fisher-mlip`."""

    def createImpl(  # noqa: N802 openmm-ml's name
        self, name: str, modelPath: str | Path = "", **args: Any
    ) -> "FisherPotential":
        """Return the potential of `model.pt` or its folder.

        Raises:
            InputError: no model path, no such artefact, or another argument.
        """
        if not str(modelPath):
            raise InputError(f"expected MLPotential('{name}', modelPath='model.pt'), found no path")
        if args:
            raise InputError(
                f"expected no argument but modelPath for MLPotential('{name}'), found "
                f"{', '.join(args)}"
            )
        from fisher_mlip.openmm_ml.potential import FisherPotential

        return FisherPotential(Path(modelPath))
