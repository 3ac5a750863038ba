"""Everything that can only be found out on a GPU, in one go: `./run gpu` calls this.

    ./run gpu               about eight minutes, the most important first; writes docs/performance-gpu.md
    ./run gpu --full        measure the whole table after that, for as long as it takes
    ./run gpu --only bench  some parts only (kernels, bench, suite, sanitizer); writes no page

What a part needs and does not find, it says, and the others go on. Nothing is installed or fetched. `./run` puts the
folders of the packages and of tests/bench on Python's path.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import gpu_cells
import gpu_page
import machine
import report
from gpu_cells import Cell
from gpu_page import Found, Part

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TOTAL = 450.0  # seconds for everything, so that eight minutes are not exceeded
PAGE = ROOT / "docs" / "performance-gpu.md"
# Warnings are errors in the tests; those that CuPy gives about itself and its surroundings are not ours.
FILTERS = "filterwarnings=error\nignore:LSTM with projections is not supported:UserWarning\nignore:::cupy"


class Budget:
    """Time that is left: a part gets what it asks for, but never what the parts after it need at least."""

    def __init__(self, total: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock, self.end = clock, clock() + total

    @property
    def left(self) -> float:
        """Seconds until everything must be over."""
        return max(0.0, self.end - self.clock())

    def share(self, most: float, after: float) -> float:
        """Seconds for a part that wants `most`, where the parts after it want `after` seconds and get at least half of them."""
        return max(0.0, min(most, self.left - after / 2))


# ------------------------------------------------------------------------------------------------------------ programs


def say(text: str) -> None:
    """A line for whoever watches."""
    print(text, flush=True)


def environment(**more: str) -> dict[str, str]:
    """For programs started from here: this checkout first, one BLAS thread, no files left behind in the packages."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **more}


def _hear_interrupts() -> None:
    """A program started from a shell's background would ignore SIGINT, with which it is asked to end."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def follow(command: Sequence[str], seconds: float, each: Callable[[str], None], given: str = "", **more: str) -> int | None:
    """Run a program, hand over its lines as they come; its exit status, or None if it was stopped when the seconds were over.

    It is first asked to stop (Ctrl-C, so that pytest sums up what it has) and made to stop ten seconds later.
    """
    program = subprocess.Popen(
        command, cwd=ROOT, env=environment(**more), text=True, errors="replace", start_new_session=True, preexec_fn=_hear_interrupts,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    stopped = threading.Event()

    def stop(how: int) -> None:
        if program.poll() is None:
            stopped.set()
            os.killpg(program.pid, how)

    timers = [threading.Timer(seconds, stop, [signal.SIGINT]), threading.Timer(seconds + 10, stop, [signal.SIGKILL])]
    for timer in timers:
        timer.daemon = True
        timer.start()
    with program:
        assert program.stdin is not None and program.stdout is not None
        try:
            with contextlib.suppress(BrokenPipeError), program.stdin as stdin:  # it may not want to read
                stdin.write(given)
            for line in program.stdout:
                each(line.rstrip("\n"))
            program.wait()
        finally:
            for timer in timers:
                timer.cancel()
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGKILL)
    return None if stopped.is_set() else program.returncode


# --------------------------------------------------------------------------------------------------------------- parts

Outcome = tuple[str, bool | None]  # a line, and whether it is good; None where the part was not run


def pytest_run(arguments: Sequence[str], seconds: float) -> Outcome:
    """Run tests on the GPU; what pytest sums up."""
    if importlib.util.find_spec("pytest") is None:
        return "not run: pytest is not installed", None
    command = [sys.executable, "-m", "pytest", "-o", FILTERS, "-p", "no:cacheprovider", "--tb=short", *arguments]
    if importlib.util.find_spec("xdist") is not None:
        command += ["-n", str(max(1, min(8, machine.cores() // 2)))]
    lines: list[str] = []

    def each(line: str) -> None:
        lines.append(line)
        if re.match(r"(FAILED|ERROR|E  )", line):
            say(f"    {line}")

    status = follow(command, seconds, each, MINIGRAD_DEVICE="cuda", MINIGRAD_CASES=os.environ.get("MINIGRAD_CASES", "120"))
    log = ROOT / "out" / "gpu-tests.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        file.write(" ".join(arguments) + "\n" + "\n".join(lines) + "\n\n")
    return summed_up(lines, status)


def summed_up(lines: Sequence[str], status: int | None) -> Outcome:
    """pytest's last words, also where -q leaves its frame out."""
    counts = next((found[0] for line in reversed(lines) if (found := re.findall(r"\d+ (?:passed|failed|errors?)[^=]*", line))), "")
    failed = [line.split(" - ")[0].removeprefix("FAILED ").removeprefix("ERROR ") for line in lines if re.match(r"(FAILED|ERROR) ", line)]
    if not counts:
        dots = re.findall(r"^[.FEsxX]+(?= *\[ *\d+%\]|$)", "\n".join(lines), re.MULTILINE)
        seen = "".join(dots)
        counts = f"{seen.count('.')} passed, {seen.count('F') + seen.count('E')} failed" if seen else "no test ended"
    counts = counts.strip() + ("" if status is not None else ", then the time was used up")
    named = f": {'; '.join(failed[:8])}{' …' if len(failed) > 8 else ''}" if failed else ""
    return counts + named, status == 0 or (status is None and not failed and " 0 failed" in f" {counts}")


def kernels(seconds: float, found: Found, options: argparse.Namespace) -> Outcome:
    """The kernels on the GPU, against NumPy and against PyTorch through shared memory; the compile checks."""
    return pytest_run(["tests/gpu", "tests/test_kernels.py", "tests/test_recurrent_torch.py"], seconds)


def suite(seconds: float, found: Found, options: argparse.Namespace) -> Outcome:
    """Every test, on CuPy."""
    return pytest_run(["--ignore=tests/gpu", "--ignore=tests/test_kernels.py", "--ignore=tests/test_recurrent_torch.py"], seconds)


def sanitizer(seconds: float, found: Found, options: argparse.Namespace) -> Outcome:
    """compute-sanitizer on small shapes: accesses out of bounds, then races in shared memory."""
    tool = shutil.which("compute-sanitizer") or next((p for p in ("/usr/local/cuda/bin/compute-sanitizer",) if Path(p).exists()), None)
    if tool is None:
        return "not run: compute-sanitizer was not found", None
    outcomes, good, end = [], True, time.monotonic() + seconds
    for name in ("memcheck", "racecheck"):
        lines: list[str] = []
        command = [tool, "--tool", name, "--error-exitcode", "9", sys.executable, str(HERE / "gpu_small.py")]
        status = follow(command, max(1.0, end - time.monotonic()), lines.append)
        last = next((line.strip("= ") for line in reversed(lines) if "SUMMARY" in line), lines[-1].strip("= ") if lines else "")
        refused = any("not supported" in line for line in lines)
        outcomes.append(f"{name}: {'the time was used up' if status is None else last}")
        good = good and (status in (0, None) or refused)
        if status is None or refused:
            break
    return "; ".join(outcomes), good


def bench(seconds: float, found: Found, options: argparse.Namespace) -> Outcome:
    """The cells, in one process per precision."""
    cells, start = gpu_cells.everything() if options.full else gpu_cells.usual(), time.monotonic()
    troubles: list[str] = []
    for tf32 in (False, True):
        chosen = [cell for cell in cells if cell.tf32 == tf32]
        share = (seconds - (time.monotonic() - start)) * (1 if tf32 else len(chosen) / len(cells))
        command = [sys.executable, str(HERE / "gpu_worker.py"), "--seconds", str(max(1.0, share - 10))]
        given = json.dumps([dataclasses.asdict(cell) for cell in chosen])
        status = follow(command, share, lambda line: heard(line, found, troubles, cells), given, CUPY_TF32=str(int(tf32)))
        if status not in (0, None):
            troubles.append(f"the process for {'TF32' if tf32 else 'IEEE'} ended with {status}")
    return bench_outcome(found, cells, troubles)


def heard(line: str, found: Found, troubles: list[str], cells: Sequence[Cell]) -> None:
    """A line of the worker's: a cell, or something that went wrong."""
    try:
        row = json.loads(line)
        name = row.pop("cell")
    except (ValueError, KeyError, AttributeError, TypeError):
        say(f"    {line}")
        if re.match(r"\w*(Error|Exception)\b", line):
            troubles.append(line[:200])
        return
    found.rows[name] = row
    cell = next(each for each in cells if each.name == name)
    say("  " + gpu_page.line(row, cell))


def bench_outcome(found: Found, cells: Sequence[Cell], troubles: Sequence[str]) -> Outcome:
    """How many cells were measured, and whether any failed or differs from PyTorch."""
    rows = [(cell, found.rows[cell.name]) for cell in cells if cell.name in found.rows]
    bad = [cell.name for cell, row in rows if "failed" in row or gpu_page.wrong(row, cell)]
    alone = "" if any("theirs" in row for _, row in rows) else ", without PyTorch to compare with"
    text = f"{len(rows)} of {len(cells)} cells{alone}"
    more = ([f"failed or wrong: {', '.join(bad)}"] if bad else []) + list(troubles)
    return "; ".join([text, *more]), bool(rows) and not more


PARTS: dict[str, tuple[Callable[[float, Found, argparse.Namespace], Outcome], float]] = {  # the most important first; seconds
    "kernels": (kernels, 100), "bench": (bench, 130), "suite": (suite, 170), "sanitizer": (sanitizer, 50),
}  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------- all


def facts() -> dict[str, str]:
    """Device, versions, date, commit."""
    import cupy

    import minigrad as mg

    runtime, version = cupy.cuda.runtime, lambda number: f"{number // 1000}.{number % 1000 // 10}"
    return {
        "GPU": mg.cuda.get_device_name(),
        "CUDA": f"driver {version(runtime.driverGetVersion())}, runtime {version(runtime.runtimeGetVersion())}",
        "Python": f"{platform.python_version()}, {platform.system()} {platform.machine()}, {machine.processor()}, {machine.cores()} cores",
        **{name: installed(package) for name, package in (("CuPy", "cupy"), ("NumPy", "numpy"), ("PyTorch", "torch"))},
        "Commit": machine.commit(),
        "Date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def installed(package: str) -> str:
    """A package's version, whatever its distribution is called."""
    if importlib.util.find_spec(package) is None:
        return "not installed"
    names = importlib.metadata.packages_distributions().get(package, [package])
    try:
        return f"{importlib.metadata.version(names[0])}{f' ({names[0]})' if names[0] != package else ''}"
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"


def run_parts(names: Sequence[str], budget: Budget, found: Found, options: argparse.Namespace) -> None:
    """One part after the other; one that breaks is a line in the page and no more."""
    for place, name in enumerate(names):
        part, most = PARTS[name]
        seconds = 1e9 if options.full and name == "bench" else budget.share(most, sum(PARTS[other][1] for other in names[place + 1 :]))
        say(f"\n{name}: {(part.__doc__ or '').strip()} ({'as long as it takes' if seconds > 1e6 else f'up to {seconds:.0f} s'})")
        start = time.monotonic()
        try:
            outcome, good = part(seconds, found, options) if seconds >= 5 else ("not run: no time was left", None)
        except Exception as problem:
            outcome, good = f"broke: {type(problem).__name__}: {problem}".splitlines()[0], False
        found.parts.append(Part(name, outcome, good, time.monotonic() - start))
        say(f"  {name}: {outcome}")


def missing() -> str:
    """What keeps this from running here, in one line; empty if nothing does."""
    try:
        import minigrad as mg
        from minigrad import backend

        backend.on(mg.device("cuda"))
    except (ImportError, RuntimeError) as problem:
        return " ".join(str(problem).split())
    return ""


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="./run gpu", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--full", action="store_true", help="measure the whole table, after the other parts, for as long as it takes")
    parser.add_argument("--only", action="append", choices=list(PARTS), metavar="PART", help="kernels, bench, suite or sanitizer; no page")
    parser.add_argument("--seconds", type=float, default=TOTAL, help=f"for everything but --full's table ({TOTAL:.0f})")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts, write the page; 0 if everything that was run is good."""
    options = parsed(arguments)
    trouble = missing()
    if trouble:
        print(f"./run gpu: {trouble}", file=sys.stderr)
        return 1
    found, names = Found(facts()), options.only or list(PARTS)
    if options.full and "bench" in names:
        names = [*[name for name in names if name != "bench"], "bench"]
    for name, value in found.facts.items():
        say(f"{name + ':':<9}{value}")
    (ROOT / "out" / "gpu-tests.log").unlink(missing_ok=True)
    try:
        run_parts(names, Budget(options.seconds), found, options)
    except KeyboardInterrupt:
        found.parts.append(Part("interrupted", "Ctrl-C", False))
    cells = gpu_cells.everything() if options.full else gpu_cells.usual()
    text = gpu_page.page(found, cells)
    if options.only:
        say("\n" + gpu_page.summary(found.rows, [cell for cell in cells if cell.name in found.rows]))
    else:
        report.write(PAGE, text)
        say(f"\nwritten: {PAGE.relative_to(ROOT)}; the tests' output: out/gpu-tests.log")
    bad = [part.name for part in found.parts if part.good is False]
    say(f"not good: {', '.join(bad)}" if bad else "everything that was run is good")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
