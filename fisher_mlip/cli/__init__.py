"""The `fisher-mlip` command."""

from fisher_mlip.cli.app import app, main

__all__ = ["app", "main"]
