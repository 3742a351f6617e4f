"""The failures a user can mend, each told in one sentence."""


class InputError(ValueError):
    """Input that cannot be used: the message names what was expected and what came."""


class UncertifiedError(RuntimeError):
    """An exported potential that fails a check of its certificate."""


class UnstableRunError(RuntimeError):
    """A simulation that left the region where its potential can be trusted."""
