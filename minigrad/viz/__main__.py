"""python -m minigrad.viz SCRIPT.py [args…] draws the loss of the script's first backward() and stops there;
python -m minigrad.viz GRAPH.json -o FILE writes a saved graph in another format."""

from __future__ import annotations

import argparse
import runpy
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

import minigrad
from minigrad import viz

from .views import NESTS, VIEWS

__all__ = ["main"]


class _Reached(BaseException):
    """The script has called backward(): what it was called on, and the variables in sight there."""

    def __init__(self, loss: Any, in_sight: dict[str, Any]) -> None:
        self.loss, self.in_sight = loss, in_sight


class _Failed(Exception):
    """The script raised an exception, the cause of this one."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line; 0 if a picture was written."""
    given = _parser().parse_args(argv)
    try:
        graph = viz.load(given.file) if given.file.lower().endswith(".json") else _graph_of_script(given)
        output = given.output or Path(given.file).stem + ".html"
        graph.save(output)
    except _Failed as failed:
        traceback.print_exception(failed.__cause__)
        print(f"minigrad.viz: {given.file} failed before it called backward(), so there is no loss to draw", file=sys.stderr)
        return 1
    except (OSError, ValueError, RuntimeError) as error:
        print(f"minigrad.viz: {error}", file=sys.stderr)
        return 1
    print(output)
    return 0


def _parser() -> argparse.ArgumentParser:
    lines = argparse.ArgumentParser(prog="python -m minigrad.viz", description=__doc__, allow_abbrev=False)
    lines.add_argument("-o", "--output", metavar="FILE", help="where to: .svg .html .json .dot .txt .png .pdf (default: NAME.html)")
    lines.add_argument("--view", choices=VIEWS, default="unrolled")
    lines.add_argument("--max-steps", type=int, default=6, help="time steps shown; 0 for all (default: 6)")
    lines.add_argument("--nest", choices=NESTS, default="step")
    lines.add_argument("--no-heat", action="store_true", help="do not measure gradients")
    lines.add_argument("file", help="a Python script, or a graph saved as .json")
    lines.add_argument("args", nargs=argparse.REMAINDER, help="the script's own arguments")
    return lines


def _graph_of_script(given: argparse.Namespace) -> viz.Graph:
    """Run the script up to its first backward() and take the graph there."""
    if not Path(given.file).is_file():
        raise FileNotFoundError(f"there is no file {given.file}")
    reached = _run(given.file, given.args)
    if reached is None:
        raise ValueError(f"{given.file} ended without calling backward(), so there is no loss to draw")
    heat = None if given.no_heat or reached.loss.array.size != 1 else "grad"
    return viz.graph(reached.loss, _parameters(reached.in_sight), given.view, given.max_steps or None, heat, nest=given.nest)


def _run(path: str, args: list[str]) -> _Reached | None:
    tensor_backward, backward = minigrad.Tensor.backward, minigrad.autograd.backward
    argv, folder = sys.argv, str(Path(path).resolve().parent)
    sys.argv = [path, *args]
    sys.path.insert(0, folder)

    def stop(tensors: Any, *others: Any, **named: Any) -> NoReturn:
        raise _Reached(tensors if isinstance(tensors, minigrad.Tensor) else next(iter(tensors)), _in_sight(sys._getframe(1)))

    minigrad.Tensor.backward = minigrad.autograd.backward = stop  # type: ignore[method-assign,assignment]
    try:
        runpy.run_path(path, run_name="__main__")
    except _Reached as reached:
        return reached
    except SystemExit:
        return None
    except Exception as error:
        raise _Failed from error
    finally:
        minigrad.Tensor.backward, minigrad.autograd.backward = tensor_backward, backward  # type: ignore[method-assign]
        sys.argv = argv
        sys.path.remove(folder)
    return None


def _in_sight(frame: Any) -> dict[str, Any]:
    """Variables of the caller and of those who called it, the nearest under each name."""
    found: dict[str, Any] = {}
    while frame is not None:
        for name, value in {**frame.f_globals, **frame.f_locals}.items():
            found.setdefault(name, value)
        frame = frame.f_back
    return found


def _parameters(in_sight: dict[str, Any]) -> list[tuple[str, Any]]:
    """Names for parameters: those of models that the script holds, and of tensors it holds itself."""
    names: list[tuple[str, Any]] = []
    for name, value in in_sight.items():
        if not isinstance(value, type) and callable(getattr(value, "named_parameters", None)):
            names += [(f"{name}.{inner}" if name != "self" else inner, tensor) for inner, tensor in value.named_parameters()]
    names += [(name, value) for name, value in in_sight.items() if isinstance(value, minigrad.Tensor) and value.is_leaf]
    return names


if __name__ == "__main__":
    sys.exit(main())
