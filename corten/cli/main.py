"""The entry point of ``corten``."""

from __future__ import annotations

import os
import sys

from corten.cli import directory, flags
from corten.cli.app import App
from corten.cli.command import Command
from corten.cli.failure import Failure, explain
from corten.cli.flags import Flag, HelpWanted, UsageError
from corten.errors import CortenError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from corten.cli.flags import Options

GLOBAL_FLAGS = (
    Flag("config", "string", "Directory of config.json", default="", shown="~/.docker"),
    Flag("context", "string", hidden=True, short="c"),
    Flag("debug", help="Show where an error comes from", short="D"),
    Flag("host", "list", "Address of the daemon: unix://PATH or tcp://HOST:PORT", short="H"),
    Flag("log-level", "string", hidden=True, short="l"),
    Flag("tls", help="Use TLS; --tlsverify implies it"),
    Flag("tlscacert", "string", "Trust only certificates of this CA", shown="~/.docker/ca.pem"),
    Flag("tlscert", "string", "Client certificate", shown="~/.docker/cert.pem"),
    Flag("tlskey", "string", "Key of the client certificate", shown="~/.docker/key.pem"),
    Flag("tlsverify", help="Use TLS and check the daemon's certificate"),
    Flag("version", help="Print the version and leave", short="v"),
)


def main() -> NoReturn:
    """Run ``sys.argv`` and end the process, without the interpreter's slow goodbye."""
    _open_standard_streams()
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (BrokenPipeError, ValueError):
        code = code or 1
    os._exit(code)


def _open_standard_streams() -> None:
    """Where a standard stream is closed, a connection would take its number and be used in its place."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            if descriptor == 1:
                sys.stdout = open(1, "w")  # noqa: SIM115
            elif descriptor == 2:
                sys.stderr = open(2, "w")  # noqa: SIM115


def run(argv: Sequence[str]) -> int:
    """Run a command line and return its exit code."""
    root = Command(_no_command, "[OPTIONS] COMMAND", GLOBAL_FLAGS, interspersed=False)
    try:
        options = flags.parse(root, argv)
    except HelpWanted:
        return _main_help()
    except UsageError as error:
        return _usage_error(error, "corten", "[OPTIONS] COMMAND [ARG...]")
    if options.on("version"):
        from corten import __version__

        sys.stdout.write(f"Corten version {__version__}\n")
        return 0
    try:
        return _dispatch(options)
    except KeyboardInterrupt:
        return 130
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else 1
    except BrokenPipeError:
        _discard_output()
        return 1


def _no_command(app: App, options: Options) -> int:
    return 0


def _dispatch(options: Options) -> int:
    words = options.args
    if not words or words == ["help"]:
        return _main_help()
    if words[0] == "help":
        words = [*words[1:], "--help"]
    pair = " ".join(words[:2])
    if pair in directory.COMMANDS:
        return _run_command(options, pair, words[2:])
    if words[0] in directory.COMMANDS:
        return _run_command(options, words[0], words[1:])
    if words[0] in directory.GROUPS:
        return _group(words)
    return _unknown("corten", words[0])


def _group(words: list[str]) -> int:
    rest = [word for word in words[1:] if word not in ("--help", "-h")]
    if rest:
        return _unknown(f"corten {words[0]}", rest[0])
    from corten.cli import help

    sys.stdout.write(help.group(words[0]))
    return 0


def _unknown(parent: str, word: str) -> int:
    from corten.cli.escape import visible

    sys.stderr.write(
        f"corten: unknown command: {parent} {visible(word)}\n\nRun '{parent} --help' for more information\n"
    )
    return 1


def _run_command(options: Options, path: str, argv: list[str]) -> int:
    if options.text("context") not in ("", "default"):
        sys.stderr.write("corten: contexts are not supported; name the daemon with --host or CORTEN_HOST\n")
        return 1
    app = App(options)
    app.name = f"corten {path}"
    command = directory.load(path)
    try:
        parsed = flags.parse(command, argv)
        command.check_count(app.name, len(parsed.args))
    except HelpWanted:
        from corten.cli import help

        sys.stdout.write(help.command(path, command))
        return 0
    except UsageError as error:
        return _usage_error(error, app.name, command.usage[0])
    try:
        return _guarded(app, command, parsed)
    except (CortenError, OSError) as error:
        if isinstance(error, BrokenPipeError) or options.on("debug"):
            raise
        app.warn(explain(error))
        return 1


def _guarded(app: App, command: Command, parsed: Options) -> int:
    try:
        code = command.run(app, parsed) or 0
        app.flush()
        return code
    except Failure as failure:
        if failure.message:
            app.warn(failure.message)
        else:
            app.flush()
        return failure.exit_code
    except UsageError as error:
        return _usage_error(error, app.name, command.usage[0])


def _usage_error(error: UsageError, name: str, usage: str) -> int:
    text = f"{error}\n\nUsage:  {f'{name} {usage}'.strip()}\n\nRun '{name} --help' for more information\n"
    sys.stderr.write(text)
    return error.exit_code


def _main_help() -> int:
    from corten.cli import help

    sys.stdout.write(help.program(GLOBAL_FLAGS))
    return 0


def _discard_output() -> None:
    """Standard output is gone; keep the interpreter from complaining about it at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
