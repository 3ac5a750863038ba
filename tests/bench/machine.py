"""Where and with what the numbers were measured."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
OPPONENTS = {"jax": "JAX", "autograd": "HIPS autograd", "dezero": "DeZero"}
NEEDED = ("matplotlib", "safetensors", "graphviz", "tqdm")  # by DeZero, and by minigrad, with whose numbers theirs are compared


class Others:
    """How many cores everybody else used on this machine while the block ran, on average; None where the system does not tell.

    Everybody else is what all processes used, and what a host took away, less what this process and its children used.
    """

    cores: float | None = None

    def __enter__(self) -> Others:
        self.before = (_used(), sum(os.times()[:4]), time.perf_counter())
        return self

    def __exit__(self, *error: object) -> None:
        used, own, now = _used(), sum(os.times()[:4]), time.perf_counter()
        if used is not None and self.before[0] is not None:
            self.cores = max(0.0, used - self.before[0] - (own - self.before[1])) / (now - self.before[2])


def _used() -> float | None:
    """Seconds of processor time used by anybody since the machine started: user, nice, system, interrupts, stolen."""
    try:
        ticks = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    except OSError:
        return None
    return sum(int(tick) for place, tick in enumerate(ticks) if place not in (3, 4)) / float(os.sysconf("SC_CLK_TCK"))


def opponents_python(names: Sequence[str]) -> dict[str, str]:
    """A Python in which the other opponents are installed, for each of them; made once, inside .venv."""
    folder = ROOT / ".venv" / "opponents"
    python = folder / "bin" / "python"
    done = folder / "installed"
    if not done.exists():
        print(f"Installing {', '.join(names)} into {folder.relative_to(ROOT)} (once) ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", *names, *NEEDED]
        subprocess.run([str(python), *install], check=True)
        done.write_text("\n".join(names), encoding="utf-8")
    return dict.fromkeys(names, str(python))


def facts(versions: Mapping[str, str], threads: int) -> dict[str, str]:
    """Processor, cores, threads, versions, commit and date, ready to print."""
    others = {name: versions[each] for each, name in OPPONENTS.items() if each in versions}
    return {
        "Processor": f"{processor()}, {cores()} cores",
        "Threads": f"{threads} on both sides (OPENBLAS_NUM_THREADS, OMP_NUM_THREADS, MKL_NUM_THREADS, torch.set_num_threads)",
        "Python": f"{platform.python_version()}, {platform.system()} {platform.machine()}",
        "NumPy": f"{importlib.metadata.version('numpy')}, {blas()}",
        "Numba": version("numba"),
        "PyTorch": versions.get("torch", "not measured"),
        **others,
        "Commit": commit(),
        "Date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def version(package: str) -> str:
    """A package's version."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def blas() -> str:
    """The library behind NumPy's matrix products."""
    built = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{built['name']} {built['version']}"


def commit() -> str:
    """The commit measured, and whether files differ from it."""
    head = _git("rev-parse", "--short", "HEAD")
    if not head:
        return "unknown"
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", "minigrad", "minigrad_nn")
    return head + (" and uncommitted changes" if changed else "")


def _git(*words: str) -> str:
    try:
        return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
