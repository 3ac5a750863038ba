"""Everything that can only be found out on a GPU, in one go: `./run gpu` calls this.

    ./run gpu               eight minutes at most, the most important first; writes docs/performance-gpu.md
    ./run gpu --full        measure the whole table after that, for as long as it takes
    ./run gpu --only bench  some parts only (smoke, bench, kernels, suite, sanitizer); writes no page
    ./run gpu --into DIR    put a copy of the page and of out/gpu.log there, as they grow

What a part needs and does not find, it says, and the others go on. A part that hangs is stopped when its time is over, what
hung is named, and the rest of it goes on in another process. The page is written anew after every line, so that whoever
stops this half way has what was found until then. Nothing is installed or fetched. `./run` puts the folders of the
packages and of tests/bench on Python's path.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import importlib.metadata
import importlib.util
import json
import math
import os
import platform
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import gpu_cells
import gpu_page
import machine
import report
from gpu_cells import Cell
from gpu_page import Found, Part

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TOTAL = 450.0  # seconds for everything, so that eight minutes are not exceeded
GRACE = 8.0  # seconds a program is given to end by itself
SILENCE = 45.0  # seconds without a word after which a program that works on cells is taken to hang; reading PyTorch's files takes some
STUCK = 30  # seconds after which a test is told of as stuck
UNUSABLE = 3  # with which a program ends that the GPU answers no more
PAGE = ROOT / "docs" / "performance-gpu.md"
# Warnings are errors in the tests; those that CuPy gives about itself and its surroundings are not ours.
FILTERS = "filterwarnings=error\nignore:LSTM with projections is not supported:UserWarning\nignore:::cupy"


class Budget:
    """Time that is left: a part gets what it asks for, but nothing of what the parts after it need at least."""

    def __init__(self, total: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock, self.end = clock, clock() + total

    @property
    def left(self) -> float:
        """Seconds until everything must be over."""
        return max(0.0, self.end - self.clock())

    def share(self, most: float, after: float) -> float:
        """Seconds for a part that wants `most`, where the parts after it need `after`."""
        return max(0.0, min(most, self.left - after))


# ------------------------------------------------------------------------------------------------------------ programs


LOGS: list[IO[str]] = []  # where everything goes that is said


def say(text: str) -> None:
    """A line for whoever watches."""
    with contextlib.suppress(BrokenPipeError):  # perhaps nobody does any more
        print(text, flush=True)
    note(text)


def note(text: str) -> None:
    """A line for the log only."""
    for log in LOGS:
        log.write(text + "\n")
        log.flush()


def environment(**more: str) -> dict[str, str]:
    """For programs started from here: this checkout first, one BLAS thread, no files left behind in the packages."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **more}


def _hear_interrupts() -> None:
    """A program started from a shell's background would ignore SIGINT, with which it is asked to end."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Silent(Exception):
    """A program that said nothing for too long, and was stopped."""


def follow(
    command: Sequence[str], seconds: float, each: Callable[[str], None], given: str = "", silence: float = math.inf, **more: str
) -> int | None:
    """Run a program, hand over its lines as they come; its exit status, or None if it was stopped, which it is within the seconds.

    It is asked to stop (Ctrl-C, so that pytest sums up what it has) a while before they are over, and made to stop then.

    Raises: Silent where no line came for so long
    """
    end, grace = time.monotonic() + seconds, min(GRACE, seconds / 3)
    program = subprocess.Popen(
        command, cwd=ROOT, env=environment(**more), text=True, errors="replace", start_new_session=True, preexec_fn=_hear_interrupts,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        return _followed(program, _lines(program, given), end, grace, each, silence)
    finally:
        _kill(program, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):  # a program that the GPU's driver holds does not even die
            program.wait(2)


def _lines(program: subprocess.Popen[str], given: str) -> queue.SimpleQueue[str | None]:
    """What a program says, line by line, and None when it has no more to say: nobody has to wait for it."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read(stdout: IO[str]) -> None:
        with stdout:
            for line in stdout:
                lines.put(line.rstrip("\n"))
        lines.put(None)

    def write(stdin: IO[str]) -> None:
        with contextlib.suppress(BrokenPipeError), stdin:  # it may not want to read
            stdin.write(given)

    for task, stream in ((read, program.stdout), (write, program.stdin)):
        threading.Thread(target=task, args=[stream], daemon=True).start()
    return lines


def _followed(
    program: subprocess.Popen[str], lines: queue.SimpleQueue[str | None], end: float, grace: float, each: Callable[[str], None],
    silence: float,
) -> int | None:  # fmt: skip
    asked, silent = False, time.monotonic() + silence
    while True:
        try:
            line = lines.get(timeout=max(0.0, (end if asked else min(end - grace, silent)) - time.monotonic()))
        except queue.Empty:
            now = time.monotonic()
            if asked and now >= end:
                return None
            if not asked and now >= silent:
                raise Silent(f"no word for {silence:.0f} s") from None
            if not asked and now >= end - grace:
                asked = True
                _kill(program, signal.SIGINT)
            continue
        if line is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.wait(max(0.1, end - time.monotonic()))
            return None if asked else program.poll()
        silent = time.monotonic() + silence
        each(line)


def _kill(program: subprocess.Popen[str], how: signal.Signals) -> None:
    """Send a signal to a program and to whatever it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program.pid, how)


# --------------------------------------------------------------------------------------------------------------- parts

Outcome = tuple[str, bool | None]  # a line, and whether it is good; None where the part was not run


def pytest_run(arguments: Sequence[str], seconds: float) -> Outcome:
    """Run tests on the GPU; how many ended how, and the names of those that failed."""
    if importlib.util.find_spec("pytest") is None:
        return "not run: pytest is not installed", None
    command = [sys.executable, "-m", "pytest", "-o", FILTERS, "-o", f"faulthandler_timeout={STUCK}", "-p", "no:cacheprovider"]
    command += ["-p", "gpu_health", "-vv", "--tb=short", "--durations=20", *arguments]
    if importlib.util.find_spec("xdist") is not None:
        command += ["-n", str(max(1, min(8, machine.cores() // 2)))]
        if importlib.util.find_spec("pytest_timeout") is not None:
            command += [f"--timeout={2 * STUCK}", "--timeout-method=thread"]  # ends the process, for which xdist starts another
    tests = Tests()
    note(" ".join(command))
    status = follow(command, seconds, tests.hear, MINIGRAD_DEVICE="cuda", MINIGRAD_CASES=os.environ.get("MINIGRAD_CASES", "60"))
    return tests.summed_up(status)


class Tests:
    """What pytest -vv says, test by test: it may be stopped before it sums up."""

    HOW = "(PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)"
    BY_XDIST, PLAIN = re.compile(rf"\[gw\d+\] \[ *\d+%\] {HOW} (\S*::.*)"), re.compile(rf"(\S*::.*?) {HOW}( .*)?$")
    SUMMED, DIED = re.compile(r"(FAILED|ERROR) (\S*::.*?)(?: - .*)?$"), re.compile(r"worker '\w+' crashed while running '(.*)'$")

    def __init__(self) -> None:
        self.how: dict[str, str] = {}
        self.last, self.over = "", False

    def hear(self, line: str) -> None:
        """A line of pytest's: all go to the log, those that tell of failures are shown."""
        line = line.strip()
        if found := self.BY_XDIST.match(line) or self.SUMMED.match(line):
            self._ended(found[2], found[1])
        elif found := self.DIED.match(line):
            self._ended(found[1], "FAILED")
        elif found := self.PLAIN.match(line):
            self._ended(found[1], found[2])
        self.last = line or self.last
        self.over = self.over or bool(re.match(r"=+ (FAILURES|ERRORS) =+", line))  # told already, by gpu_health.py
        bad = re.match(r"E  |.*(: in |\bFAILED\b|\bERROR\b|[cC]rashed|Timeout|Fatal)", line)
        say(f"    {line[:300]}") if bad and not self.over else note(line)

    def _ended(self, name: str, how: str) -> None:
        if self.how.get(name) not in ("FAILED", "ERROR"):  # a test can fail, and then its end too
            self.how[name] = how

    def summed_up(self, status: int | None) -> Outcome:
        """How many ended how, those that failed by name."""
        seen = list(self.how.values())
        bad = [name for name, how in self.how.items() if how in ("FAILED", "ERROR")]
        counts = [f"{seen.count(how)} {word}" for how, word in (("PASSED", "passed"), ("SKIPPED", "skipped")) if how in seen]
        text = ", ".join([*counts, *([f"{len(bad)} failed"] if bad else [])]) or f"no test ended ({self.last[:200]})"
        if status is None:
            text += ", then the time was used up"
        elif status != (1 if bad else 0):
            text += f"; pytest ended with {status}"
        named = f": {'; '.join(bad[:8])}{' …' if len(bad) > 8 else ''}" if bad else ""
        return text + named, not bad and bool(seen) and status in (0, None)


FIRST = ("tests/gpu", "tests/test_kernels.py", "tests/test_recurrent_torch.py")


def kernels(seconds: float, found: Found, options: argparse.Namespace) -> Outcome:
    """The tests of the kernels on the GPU, against NumPy and against PyTorch through shared memory."""
    return pytest_run(FIRST, seconds)


def suite(seconds: float, found: Found, options: argparse.Namespace) -> Outcome:
    """Every other test, on CuPy."""
    return pytest_run([f"--ignore={each}" for each in FIRST], seconds)


def sanitizer(seconds: float, found: Found, options: argparse.Namespace) -> Outcome:
    """compute-sanitizer on small shapes: accesses out of bounds, then races in shared memory."""
    tool = shutil.which("compute-sanitizer") or next((p for p in ("/usr/local/cuda/bin/compute-sanitizer",) if Path(p).exists()), None)
    if tool is None:
        return "not run: compute-sanitizer was not found", None
    outcomes, good, end = [], True, time.monotonic() + seconds
    for place, name in enumerate(("memcheck", "racecheck")):
        lines: list[str] = []
        command = [tool, "--tool", name, "--error-exitcode", "9", sys.executable, str(HERE / "gpu_small.py")]
        status = follow(command, max(1.0, (end - time.monotonic()) / (2 - place)), lines.append)
        note("\n".join(lines))
        last = next((line.strip("= ") for line in reversed(lines) if "SUMMARY" in line), lines[-1].strip("= ") if lines else "")
        refused = any("not supported" in line for line in lines)
        errors = [line.strip("= ") for line in lines if re.match(r"=+ (Invalid|Error|Race|Potential|Program hit)", line)]
        ended = f"the time was used up after: {last}" if status is None else last
        outcomes.append(f"{name}: {ended}" + (f" (first: {errors[0]})" if errors else ""))
        good = good and (status in (0, None) or refused) and not (errors and not refused)
        if refused:
            break
    return "; ".join(outcomes), good


# --------------------------------------------------------------------------------------------------- cells, one by one


def in_turn(script: str, cells: Sequence[Cell], seconds: float, heard: Callable[[Cell, dict[str, Any]], None], **more: str) -> list[str]:
    """Have a program work on cells, and hand over what it says of each; what else went wrong.

    A cell at which it dies or hangs is said to have failed, and another process goes on with the next.
    """
    waiting, end, troubles = {cell.name: cell for cell in cells}, time.monotonic() + seconds, list[str]()

    def each(line: str) -> None:
        row = a_row(line, waiting)
        if row is not None:
            heard(waiting.pop(row.pop("cell")), row)
        else:
            say(f"    {line}")
            if re.match(r"\w*(Error|Exception)\b", line):
                troubles.append(line[:200])

    while waiting and (left := end - time.monotonic()) > 5:
        before = len(waiting)
        command = [sys.executable, str(HERE / script), "--seconds", str(max(1.0, left - GRACE))]
        given = json.dumps([dataclasses.asdict(cell) for cell in waiting.values()])
        try:
            status = follow(command, left, each, given, SILENCE, **more)
            fate = f"the process ended with {status}{f': {troubles.pop()}' if troubles else ''}"
        except Silent as problem:
            status, fate = 1, f"hangs: {problem}"
        if status in (0, None) or not waiting:
            return troubles
        if status != UNUSABLE:  # with that, the cell has been told of
            heard(waiting.pop(next(iter(waiting))), {"failed": fate})
            if before - len(waiting) == 1 and not fate.startswith("hangs"):
                return [*troubles, f"nothing more was tried after: {fate}"]
    return troubles


def a_row(line: str, waiting: Mapping[str, Cell]) -> dict[str, Any] | None:
    """What a line tells of a cell that is waited for; None where it is another line."""
    try:
        row = json.loads(line)
        return row if row["cell"] in waiting else None
    except (ValueError, KeyError, TypeError):
        return None


def smoke(seconds: float, found: Found, options: argparse.Namespace) -> Outcome:
    """Every kernel once, against NumPy in float64, several times over."""
    cells = gpu_cells.smoke()

    def heard(cell: Cell, row: dict[str, Any]) -> None:
        found.checked[cell.name] = row
        say("  " + gpu_page.checked_line(cell, row))
        found.keep()

    troubles = in_turn("gpu_smoke.py", cells, seconds, heard)
    rows = [(cell, found.checked[cell.name]) for cell in cells if cell.name in found.checked]
    bad = [f"{cell.name} {gpu_page.trouble_of(row)}" for cell, row in rows if gpu_page.trouble_of(row)]
    late = [f"{len(cells) - len(rows)} not reached"] if len(rows) < len(cells) else []
    text = f"{len(rows) - len(bad)} of {len(cells)} agree with NumPy"
    return "; ".join([text, *late, *bad[:8], *troubles]), bool(rows) and not bad and not troubles


def bench(seconds: float, found: Found, options: argparse.Namespace) -> Outcome:
    """The cells, in one process per precision."""
    cells, start = gpu_cells.everything() if options.full else gpu_cells.usual(), time.monotonic()

    def heard(cell: Cell, row: dict[str, Any]) -> None:
        found.rows[cell.name] = row
        say("  " + gpu_page.line(row, cell))
        found.keep()

    troubles = []
    for tf32 in (False, True):
        chosen = [cell for cell in cells if cell.tf32 == tf32]
        share = (seconds - (time.monotonic() - start)) * (1 if tf32 else len(chosen) / len(cells))
        troubles += in_turn("gpu_worker.py", chosen, share, heard, CUPY_TF32=str(int(tf32)))
    return bench_outcome(found, cells, troubles)


def bench_outcome(found: Found, cells: Sequence[Cell], troubles: Sequence[str]) -> Outcome:
    """How many cells were measured, and whether any failed or differs from PyTorch."""
    rows = [(cell, found.rows[cell.name]) for cell in cells if cell.name in found.rows]
    bad = [cell.name for cell, row in rows if "failed" in row or gpu_page.wrong(row, cell)]
    alone = "" if any("theirs" in row for _, row in rows) else ", without PyTorch to compare with"
    text = f"{len(rows)} of {len(cells)} cells{alone}"
    more = ([f"failed or wrong: {', '.join(bad)}"] if bad else []) + list(troubles)
    return "; ".join([text, *more]), bool(rows) and not more


PARTS: dict[str, tuple[Callable[[float, Found, argparse.Namespace], Outcome], float, float]] = {  # seconds at least, and at most
    "smoke": (smoke, 20, 60), "bench": (bench, 60, 150), "kernels": (kernels, 40, 90), "suite": (suite, 60, 300),
    "sanitizer": (sanitizer, 30, 120),
}  # fmt: skip  # the most important first


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
        part, _, most = PARTS[name]
        endless = options.full and name == "bench"
        seconds = 1e9 if endless else budget.share(most, sum(PARTS[other][1] for other in names[place + 1 :]))
        say(f"\n{name}: {(part.__doc__ or '').strip()} ({'as long as it takes' if endless else f'up to {seconds:.0f} s'})")
        start = time.monotonic()
        found.parts.append(Part(name, "was stopped", False))  # if nothing else is said of it
        try:
            outcome, good = part(seconds, found, options) if seconds >= 5 else ("not run: no time was left", None)
        except Exception as problem:
            outcome, good = f"broke: {type(problem).__name__}: {problem}".splitlines()[0], False
        finally:
            found.parts[-1].seconds = time.monotonic() - start
        found.parts[-1].outcome, found.parts[-1].good = outcome, good
        say(f"  {name}: {outcome} ({found.parts[-1].seconds:.0f} s)")
        found.keep()


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
    parser.add_argument("--only", action="append", choices=list(PARTS), metavar="PART", help=f"of {', '.join(PARTS)}; no page")
    parser.add_argument("--seconds", type=float, default=TOTAL, help=f"for everything but --full's table ({TOTAL:.0f})")
    parser.add_argument("--into", type=Path, metavar="DIR", help="a folder for copies of the page and the log, as they grow")
    return parser.parse_args(arguments)


def keep(found: Found, options: argparse.Namespace) -> None:
    """Write the page with what is known by now."""
    text = gpu_page.page(found, gpu_cells.everything() if options.full else gpu_cells.usual())
    for place in ([] if options.only else [PAGE]) + ([options.into / PAGE.name] if options.into else []):
        report.write(place, text)


def _stop(*given: object) -> None:
    """Who ends this by a signal shall find what is known by then, and nothing left running."""
    raise KeyboardInterrupt


def warm() -> None:
    """Have the system read PyTorch's files while the first part runs: that takes longer than importing it."""
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.Popen([sys.executable, "-c", "import torch"], env=environment(), **quiet)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts, write the page; 0 if everything that was run is good."""
    options = parsed(arguments)
    trouble = missing()
    if trouble:
        print(f"./run gpu: {trouble}", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, _stop)
    with contextlib.ExitStack() as files:
        for folder in [ROOT / "out", *([options.into] if options.into else [])]:
            folder.mkdir(parents=True, exist_ok=True)
            LOGS.append(files.enter_context((folder / "gpu.log").open("w", encoding="utf-8")))
        try:
            return run(options)
        finally:
            LOGS.clear()


def run(options: argparse.Namespace) -> int:
    """The parts that were asked for, and the page of them."""
    budget, found, names = Budget(options.seconds), Found(facts()), options.only or list(PARTS)
    found.keep = lambda: keep(found, options)
    if options.full and "bench" in names:
        names = [*[name for name in names if name != "bench"], "bench"]
    for name, value in found.facts.items():
        say(f"{name + ':':<9}{value}")
    found.keep()
    warm()
    try:
        run_parts(names, budget, found, options)
    except KeyboardInterrupt:
        say("interrupted")
    found.keep()
    cells = [cell for cell in gpu_cells.everything() if cell.name in found.rows]
    say("\n" + gpu_page.summary(found.rows, cells))
    say(f"\n{'no page is written with --only' if options.only else f'written: {PAGE.relative_to(ROOT)}'}; all that was said: out/gpu.log")
    bad = [part.name for part in found.parts if part.good is False]
    say(f"not good: {', '.join(bad)}" if bad else "everything that was run is good")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
