"""The entry point: light, and errors in one line."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest

from eyesup import __version__
from eyesup.cli import main as module
from eyesup.cli.main import GROUPS, main
from eyesup.types import DataError, MissingExtraError


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"], ["help"]])
def test_help_lists_every_group(argv, capsys):
    assert main(argv) == 0
    text = capsys.readouterr().out
    assert all(f"  {group} " in text for group in GROUPS) and "usage: eyesup GROUP" in text


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom eyesup.cli.main import main\nmain(['--help'])\n"
        "print({'torch', 'panda3d', 'libsumo', 'transformers', 'pyarrow'} & set(sys.modules))"
    )
    text = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert text.rstrip().endswith("set()")


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


def test_an_unknown_group_lists_the_known(capsys):
    assert main(["evla"]) == 2
    assert capsys.readouterr().err == f"error: unknown group 'evla'; known: {', '.join(GROUPS)}\n"


@pytest.mark.parametrize("group", [group for group in GROUPS if group != "world"])
def test_every_group_teaches_with_an_example(group, capsys):
    with pytest.raises(SystemExit) as stop:
        main([group, "--help"])
    assert stop.value.code == 0
    assert f"Example: eyesup {group}" in " ".join(capsys.readouterr().out.replace("│", " ").split())


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (DataError("speed 99 m/s is above 80 m/s"), 1, "error: speed 99 m/s is above 80 m/s\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (BrokenPipeError(), 0, ""),
        (OSError(errno.ENOSPC, "No space left on device", "a.jsonl"), 1, "No space left on device: 'a.jsonl'"),
        (PermissionError(errno.EACCES, "Permission denied", "/runs"), 1, "Permission denied: '/runs'"),
        (ModuleNotFoundError("No module named 'panda3d'", name="panda3d"), 1, "pip install 'eyesup[all]'"),
    ],
)
def test_errors_are_one_line_and_a_status(error, status, message, monkeypatch, capsys):
    def raising(argv):
        raise error

    monkeypatch.setattr("eyesup.cli.doctor.main", raising)
    assert main(["doctor"]) == status
    text = capsys.readouterr().err
    assert message in text and "Traceback" not in text and text.count("\n") == (1 if message else 0)


def test_a_bug_keeps_its_traceback(monkeypatch):
    def raising(argv):
        raise ZeroDivisionError

    monkeypatch.setattr("eyesup.cli.doctor.main", raising)
    with pytest.raises(ZeroDivisionError):
        main(["doctor"])


def test_a_missing_module_of_our_own_is_a_bug_and_no_missing_extra(monkeypatch):
    monkeypatch.setitem(module.GROUPS, "doctor", ("eyesup.cli.no_such", "", "all"))
    with pytest.raises(ModuleNotFoundError) as raised:
        main(["doctor"])
    assert not isinstance(raised.value, MissingExtraError)
