"""What Ctrl-C and SIGTERM do to a command."""

from __future__ import annotations

import os
import signal


def listen() -> None:
    """Until there is work, Ctrl-C leaves at once; SIGTERM does what Ctrl-C does, so that a machine
    which shuts down loses nothing.
    """
    signal.signal(signal.SIGTERM, _stop)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def work_begins() -> None:
    """From now on Ctrl-C is an exception, and what is under way can be saved."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(*_: object) -> None:
    """A library whose import is interrupted breaks others, so nothing is raised."""
    os.write(2, b"dalm: stopped\n")
    os._exit(130)


def _stop(*_: object) -> None:
    """A shell's background job may ignore Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)
