"""`eyesup`: one command, a literal table of groups, each imported only when asked for."""

from __future__ import annotations

import sys
from importlib import import_module

from eyesup import __version__
from eyesup.types.errors import EyesUpError, MissingExtraError

# group -> (module, one line of help, extra that brings its packages)
GROUPS = {
    "world": ("eyesup.cli.world", "generate, inspect, render and film the embedded driving world", "world"),
    "data": (
        "eyesup.cli.data",
        "check a download of nuScenes: what is there, what is missing, what to type next",
        "nuscenes",
    ),
    "train": ("eyesup.cli.train", "train a model from a named recipe, resumable at any step", "train"),
    "eval": ("eyesup.cli.evaluate", "plan every keyframe of a store and score the plans", "demo"),
    "score": ("eyesup.cli.score", "stored plans: NAVSIM's PDM score, and the open-loop protocols", "score"),
    "diagnose": (
        "eyesup.cli.diagnose",
        "does this planner look at the road? counterfactuals, blanked images, strata",
        "demo",
    ),
    "plan": ("eyesup.cli.plan", "plan for your own frames (images + calibration + speed) and draw the overlay", "demo"),
    "drive": ("eyesup.cli.drive", "let a planner drive a scenario in closed loop: video and events", "demo"),
    "demo": ("eyesup.cli.demo", "the whole line: world, plans, scores, counterfactuals, report", "demo"),
    "doctor": ("eyesup.cli.doctor", "what is installed, what is missing, and the command that mends it", "all"),
}

EPILOG = "`eyesup GROUP --help` teaches each group. Start with: eyesup demo --out runs/demo"


def usage() -> str:
    width = max(map(len, GROUPS))
    lines = [f"  {name:<{width}}  {text}" for name, (_, text, _) in GROUPS.items()]
    return "\n".join(
        [
            f"EyesUp {__version__}: driving VLAs that look at the road",
            "",
            "usage: eyesup GROUP [options]",
            "",
            *lines,
            "",
            EPILOG,
        ]
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status. EyesUp's own errors print one line, without a traceback."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if argv[0] in ("-V", "--version"):
        print(__version__)
        return 0
    group, *rest = argv
    if group not in GROUPS:
        print(f"error: unknown group {group!r}; known: {', '.join(GROUPS)}", file=sys.stderr)
        return 2
    module, _, extra = GROUPS[group]
    try:
        return run_group(module, rest, extra)
    except EyesUpError as error:
        print(
            f"error: {' '.join(str(error).split())}", file=sys.stderr
        )  # one line, also where a package's words have many
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0
    except OSError as error:  # a full disk, a folder without permission: the machine's, not a bug's
        print(f"error: {error}; what is finished is kept, mend it and repeat the command", file=sys.stderr)
        return 1


def run_group(module: str, argv: list[str], extra: str) -> int:
    """Import a group's module and run it; a missing third-party package becomes an error that names the extra."""
    try:
        return import_module(module).main(argv) or 0
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "eyesup":
            raise
        raise MissingExtraError(f"eyesup {module.rsplit('.', 1)[1]} ({error.name})", extra) from error


if __name__ == "__main__":
    sys.exit(main())
