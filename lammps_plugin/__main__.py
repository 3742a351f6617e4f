"""`python -m lammps_plugin`: build the plugin for what is installed, and print its folder.

`--where` builds nothing and prints its folder if there is one. Anything else is a definition of the
preprocessor, for tests.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import sys

from lammps_plugin.build import BuildError, build_plugin, built_folder


def main() -> int:
    """Return the exit code."""
    try:
        if sys.argv[1:] == ["--where"]:
            print(built_folder() or "")
        else:
            print(build_plugin(sys.argv[1:]))
    except BuildError as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
