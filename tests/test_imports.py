"""The rules of the tree, read from the syntax: imports go rightward, nothing heavy at the wrong
place, no pickle, small files and functions. Every rule has a bad source that it must catch."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "fisher_mlip"
PLUGIN = "lammps_plugin"
LIGHT_MODULES = ("fisher_mlip.building.", "fisher_mlip.fused.build.")
ROOMS = (
    *("fisher_mlip.data", "fisher_mlip.model", "fisher_mlip.fused", "fisher_mlip.train"),
    *("fisher_mlip.fisher", "fisher_mlip.export", "openmm_plugin", "fisher_mlip.certificate"),
    *("fisher_mlip.simulate", "fisher_mlip.heal", "fisher_mlip.lammps", "fisher_mlip.bench"),
    "fisher_mlip.analysis",
    "fisher_mlip.compare",
    "fisher_mlip.diagnose",
    "fisher_mlip.stable",
    "fisher_mlip.openmm_ml",
    "fisher_mlip.quickstart",
    "fisher_mlip.cli",
    "fisher_mlip.__main__",
)
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
FILE_LINES, FUNCTION_LINES = 400, 40

Rule = Callable[[str, ast.Module], list[str]]


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(module: str, tree: ast.AST) -> Iterator[str]:
    """Yield the dotted names that a module imports, relative ones made absolute."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(module.split(".")[: -node.level]) if node.level else ""
            prefix = ".".join(part for part in (base, node.module) if part)
            yield from (f"{prefix}.{alias.name}" for alias in node.names)


def room_of(name: str) -> int | None:
    """Return the place of a name's room in the order, None for what is in no room."""
    for place, room in enumerate(ROOMS):
        if name == room or name.startswith(f"{room}."):
            return place
    return None


def leftward_imports(module: str, tree: ast.Module) -> list[str]:
    """Find imports of a room further right, and of any room by a module of no room."""
    own = room_of(module)
    found = []
    for name in imported(module, tree):
        place = room_of(name)
        if module.startswith(PLUGIN) and name.startswith(LIGHT_MODULES):
            continue
        if place is not None and (own is None or place > own):
            found.append(f"{module} imports {name}")
    return found


def licences_mixed(module: str, tree: ast.Module) -> list[str]:
    """Find imports of the LAMMPS plugin, which is under LAMMPS's licence, by the rest.

    The rest runs it as a program. The plugin itself, which every `lmp` of the environment looks
    into, takes nothing of the rest but what imports little.
    """
    is_plugin = module == PLUGIN or module.startswith(f"{PLUGIN}.")
    others = (PACKAGE, "openmm_plugin") if is_plugin else (PLUGIN,)
    return [
        f"{module} imports {name}"
        for name in imported(module, tree)
        if name.split(".")[0] in others and not (is_plugin and name.startswith(LIGHT_MODULES))
    ]


def scripting_outside_export(module: str, tree: ast.Module) -> list[str]:
    """Find torch.jit, imported or as an attribute, outside the export room."""
    if room_of(module) == room_of("fisher_mlip.export"):
        return []
    names = [name for name in imported(module, tree) if name.startswith("torch.jit")]
    names += [
        "torch.jit"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr == "jit"
        and isinstance(node.value, ast.Name)
        and node.value.id == "torch"
    ]
    return [f"{module} uses {name}" for name in names]


def unsafe_loading(module: str, tree: ast.Module) -> list[str]:
    """Find what can run code from a file: pickle and its kin, torch.load, a careless np.load."""
    found = [name for name in imported(module, tree) if name.split(".")[0] in UNSAFE_MODULES]
    found += [name for name in imported(module, tree) if name in {"torch.load", "numpy.load"}]
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        call = ast.unparse(node.func)
        if call in {"torch.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load"}:
            found.append(call)
        if call in {"np.load", "numpy.load"} and not _is_refusing_pickle(node):
            found.append(f"{call} without allow_pickle=False")
    return [f"{module} uses {name}" for name in found]


def _is_refusing_pickle(call: ast.Call) -> bool:
    return any(
        keyword.arg == "allow_pickle" and ast.unparse(keyword.value) == "False"
        for keyword in call.keywords
    )


def long_functions(module: str, tree: ast.Module) -> list[str]:
    """Find bodies over the ceiling; signatures (a command's are its options) and docstrings do
    not count."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        is_documented = ast.get_docstring(node, clean=False) is not None
        body = node.body[1:] if is_documented else node.body
        lines = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
        if lines > FUNCTION_LINES:
            found.append(f"{module}.{node.name} has {lines} lines")
    return found


def long_file(module: str, text: str) -> list[str]:
    lines = len(text.splitlines())
    return [f"{module} has {lines} lines"] if lines > FILE_LINES else []


def violations(rule: Rule, *folders: str) -> list[str]:
    return [
        line
        for path in sources(*folders)
        for line in rule(module_name(path), ast.parse(path.read_text(encoding="utf-8")))
    ]


@pytest.mark.parametrize("rule", [leftward_imports, scripting_outside_export, licences_mixed])
def test_shipped_code_follows(rule: Rule) -> None:
    assert violations(rule, PACKAGE, "openmm_plugin", PLUGIN) == []


def test_what_reads_users_files_is_safe() -> None:
    assert violations(unsafe_loading, PACKAGE, "openmm_plugin", PLUGIN, "scripts", "examples") == []


def test_functions_are_small() -> None:
    folders = (PACKAGE, "openmm_plugin", PLUGIN, "scripts", "examples", "tests")
    assert violations(long_functions, *folders) == []


def test_files_are_small() -> None:
    folders = (PACKAGE, "openmm_plugin", PLUGIN, "scripts", "examples", "tests")
    found = [
        line
        for path in sources(*folders)
        for line in long_file(module_name(path), path.read_text())
    ]
    assert found == []


def test_no_utils() -> None:
    names = {path.stem for path in sources(PACKAGE, "openmm_plugin", PLUGIN, "tests")}
    assert not names & {"utils", "util", "helpers", "common", "misc"}


@pytest.mark.parametrize(
    ("rule", "module", "source"),
    [
        (leftward_imports, "fisher_mlip.data.x", "from fisher_mlip.model import potential"),
        (leftward_imports, "fisher_mlip.model.x", "def f():\n  import fisher_mlip.train.loop"),
        (leftward_imports, "fisher_mlip.model.x", "from ..export import artefact"),
        (leftward_imports, "fisher_mlip.export.x", "import openmm_plugin"),
        (leftward_imports, "openmm_plugin.x", "from fisher_mlip.certificate import certify"),
        (leftward_imports, "openmm_plugin.x", "from fisher_mlip import simulate"),
        (leftward_imports, "fisher_mlip.units", "from fisher_mlip.data.frames import Frame"),
        (leftward_imports, "fisher_mlip.analysis.x", "from fisher_mlip.cli import app"),
        (licences_mixed, "fisher_mlip.lammps.x", "from lammps_plugin.build import build_plugin"),
        (licences_mixed, "lammps_plugin.x", "import fisher_mlip.errors"),
        (scripting_outside_export, "fisher_mlip.model.x", "import torch.jit"),
        (scripting_outside_export, "fisher_mlip.model.x", "from torch import jit"),
        (scripting_outside_export, "openmm_plugin.x", "import torch\ntorch.jit.load('a')"),
        (unsafe_loading, "fisher_mlip.data.x", "import pickle"),
        (unsafe_loading, "fisher_mlip.data.x", "from joblib import load"),
        (unsafe_loading, "fisher_mlip.data.x", "np.load(path)"),
        (unsafe_loading, "fisher_mlip.data.x", "np.load(path, allow_pickle=True)"),
        (unsafe_loading, "fisher_mlip.data.x", "torch.load(path, weights_only=True)"),
        (unsafe_loading, "fisher_mlip.data.x", "from torch import load"),
        (unsafe_loading, "fisher_mlip.data.x", "yaml.load(text, Loader)"),
        (long_functions, "fisher_mlip.data.x", "def f():\n" + "  x = 1\n" * 41),
    ],
)
def test_bad_sources_are_caught(rule: Rule, module: str, source: str) -> None:
    assert rule(module, ast.parse(source))


@pytest.mark.parametrize(
    ("rule", "module", "source"),
    [
        (leftward_imports, "fisher_mlip.model.x", "from fisher_mlip.data.frames import Frame"),
        (leftward_imports, "fisher_mlip.model.x", "from .graph import Graph\nimport torch"),
        (leftward_imports, "fisher_mlip.simulate.x", "import openmm_plugin.forces"),
        (licences_mixed, "lammps_plugin.x", "from lammps_plugin.toolchain import find_toolchain"),
        (licences_mixed, "lammps_plugin.x", "from fisher_mlip.building import build_once"),
        (licences_mixed, "fisher_mlip.lammps.x", "import lammps"),
        (scripting_outside_export, "fisher_mlip.export.x", "import torch\ntorch.jit.script(f)"),
        (unsafe_loading, "fisher_mlip.data.x", "np.load(path, allow_pickle=False)"),
        (long_functions, "fisher_mlip.data.x", 'def f():\n  """' + "a\n" * 41 + '"""'),
    ],
)
def test_good_sources_pass(rule: Rule, module: str, source: str) -> None:
    assert rule(module, ast.parse(source)) == []


def test_a_long_file_is_caught() -> None:
    assert long_file("x", "a = 1\n" * (FILE_LINES + 1))
    assert not long_file("x", "a = 1\n" * FILE_LINES)


def test_sources_of_the_plugin_are_small() -> None:
    files = [path for path in (ROOT / PLUGIN / "source").iterdir() if path.suffix in {".cpp", ".h"}]
    assert len(files) > 5
    assert [line for path in files for line in long_file(path.name, path.read_text())] == []


def test_the_sweep_sees_the_tree() -> None:
    modules = {module_name(path) for path in sources(PACKAGE, "tests")}
    assert {"fisher_mlip", "fisher_mlip.data.frames", "tests.test_imports"} <= modules
