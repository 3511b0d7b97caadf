"""Errors that name the value, the limit and the remedy."""

from __future__ import annotations


class EyesUpError(Exception):
    """Base of every error EyesUp raises on purpose; the command line prints it without a traceback."""


class DataError(EyesUpError, ValueError):
    """Input that cannot be what it claims to be: wrong shape, non-finite, out of range, corrupt file."""


class MissingExtraError(EyesUpError, ImportError):
    """An optional part is used whose packages are not installed; the message names the extra."""

    def __init__(self, part: str, extra: str) -> None:
        super().__init__(f"{part} needs packages that are not installed; run: pip install 'eyesup[{extra}]'")
