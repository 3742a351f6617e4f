"""The kernels for GPUs as strings in a C++ header: they are compiled where the GPU is."""

import re
from pathlib import Path

DEVICE_HEADER_NAME = "device_sources.h"
UNITS = {
    "EDGES_SOURCE": "device_edges.cu",
    "FORMS_SOURCE": "device_forms.cu",
    "GATE_SOURCE": "device_gate.cu",
    "MESSAGES_SOURCE": "device_messages.cu",
    "MIX_SOURCE": "device_mix.cu",
}
# What a file is on a device.
STANDS_FOR = {"lanes.h": "device_lanes.h"}
DELIMITER = "fused"

_INCLUDE = re.compile(r'#include (?:"([^"]+)"|<[^>]+>)')


def device_header(*folders: Path) -> str:
    """Return the header's text: a constant for each source, with what it includes."""
    parts = [
        "// Made by fisher_mlip/fused/device_sources.py.\n#pragma once\n\nnamespace fused {\n\n"
    ]
    for constant, name in UNITS.items():
        text = whole_source(name, folders)
        parts.append(
            f'inline constexpr char {constant}[] = R"{DELIMITER}(\n{text}){DELIMITER}";\n\n'
        )
    return "".join(parts) + "}    // namespace fused\n"


def whole_source(name: str, folders: tuple[Path, ...]) -> str:
    """Return a source with the project's headers in it, each once, and no header of a system."""
    return "".join(_lines(name, folders, set()))


def _lines(name: str, folders: tuple[Path, ...], seen: set[str]) -> list[str]:
    name = STANDS_FOR.get(name, name)
    if name in seen:
        return []
    seen.add(name)
    path = next(folder / name for folder in folders if (folder / name).is_file())
    lines: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        included = _INCLUDE.match(line)
        if included is not None:
            lines += _lines(included[1], folders, seen) if included[1] else []
        elif not line.startswith("#pragma once"):
            lines.append(line)
    return lines
