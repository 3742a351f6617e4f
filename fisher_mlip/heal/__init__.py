"""Heal: a run's alarm -> labels, theta solved again, and the model to go on with."""

from fisher_mlip.heal.run import run_healed_simulation

__all__ = ["run_healed_simulation"]
