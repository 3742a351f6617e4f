"""`python -m fisher_mlip`: the `fisher-mlip` command."""

from fisher_mlip.cli import main

if __name__ == "__main__":
    main()
