"""The shell: one command for each verb. Heavy imports are inside functions, so that `dalm --help`
answers at once.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
import textwrap

from dalm import __version__
from dalm.cli.signals import listen
from dalm.verbs import summary, verb_places

ALIASES = {"models": "families", "data": "sources"}
"""Other names of verbs: in Python these are the rooms of models and data."""
PLAIN = {
    **{"±": "+-", "≤": "<=", "≈": "~", "×": "x", "−": "-", "–": "-", "…": "...", "“": '"'},
    **{"→": "->", "↓": "v", "↑": "^", "⚑": "!", "✗": "x", "é": "e", "”": '"', "\u00a0": " "},
}
"""What stands for a character where only ASCII or Latin-1 can be printed."""
UNFIT_PATHS = (
    FileNotFoundError,
    FileExistsError,
    NotADirectoryError,
    IsADirectoryError,
    PermissionError,
)
"""Errors that another path mends; others, such as a full disk, are failures."""


def command_names() -> list[str]:
    """Every word that may follow `dalm`."""
    return [*verb_places(), *ALIASES]


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 1 for a failure, 2 for bad input (a path too), 130
    when stopped.
    """
    if argv is None:
        listen()
        _print_anywhere()
    arguments = sys.argv[1:] if argv is None else argv
    if os.environ.get("RANK", "0") != "0":  # of torchrun: the first process speaks for all
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    try:
        code = _answer(arguments)
        sys.stdout.flush()  # here a reader that has left is noticed
        return code
    except (Exception, KeyboardInterrupt) as error:
        return _exit_code(error)


def _print_anywhere() -> None:
    """What a terminal or a pipe cannot show is spelled in plain characters, no traceback."""
    codecs.register_error("dalm", _in_plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="dalm")


def _in_plain(error: UnicodeError) -> tuple[str, int]:
    """Plain characters in place of those that an encoding lacks."""
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    return "".join(PLAIN.get(character, "?") for character in lacking), error.end


def _answer(arguments: list[str]) -> int:
    if arguments[:1] == ["help"] and len(arguments) > 1:
        arguments = [*arguments[1:], "--help"]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"dalm {__version__}")
        return 0

    word, *rest = arguments
    name = ALIASES.get(word, word)
    if name not in verb_places():
        from dalm.errors import DalmError, did_you_mean

        raise DalmError(f"there is no command {word!r}. {did_you_mean(word, command_names())}")
    from dalm.cli.commands import run

    return run(name, word, rest)


def _help() -> str:
    """What `dalm --help` says."""
    lines = [
        textwrap.fill(
            summary(name),
            width=100,
            initial_indent=f"  {name:<12}",
            subsequent_indent=14 * " ",
        )
        for name in verb_places()
    ]
    return "\n".join(
        [
            "dalm: fit many families of generative model to your data, and see which to trust",
            "",
            *lines,
            "",
            "Options of a command: dalm COMMAND --help",
        ]
    )


def _exit_code(error: BaseException) -> int:
    """Say what went wrong; an error that is none of the user's or the machine's is raised again."""
    from dalm.errors import DalmError, out_of_memory

    if isinstance(error, BrokenPipeError):  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    code = 1
    if isinstance(error, KeyboardInterrupt):
        code = 130
    elif isinstance(error, (DalmError, *UNFIT_PATHS)):
        code = 2
    elif not (isinstance(error, OSError) or out_of_memory(error) or _diverged(error)):
        raise error
    stopped = ["stopped"] if code == 130 else []
    message = "; ".join([*stopped, *filter(None, [out_of_memory(error) or str(error)])])
    print(f"dalm: {message}", file=sys.stderr)
    return code


def _diverged(error: BaseException) -> bool:
    from dalm.train import Diverged

    return isinstance(error, Diverged)
