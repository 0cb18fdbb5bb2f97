"""``corten login`` and ``corten logout``."""

from __future__ import annotations

import os
import sys

from corten.cli import prompt, registry_auth, terminal
from corten.cli.command import Command
from corten.cli.credential_helper import HelperError
from corten.cli.credentials import INDEX_SERVER, Credentials, Login, hostname
from corten.cli.escape import visible_lines
from corten.cli.failure import Failure, explain
from corten.cli.flags import Flag
from corten.client.error import ApiError
from corten.errors import CortenError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corten.cli.app import App
    from corten.cli.flags import Options

FLAGS = (
    Flag("password", "string", "Password or access token; visible to other users of this machine", short="p"),
    Flag("password-stdin", help="Read the password or access token from standard input"),
    Flag("username", "string", "User name", short="u"),
)

_NO_TERMINAL = "Error: Cannot perform an interactive login from a non TTY device"
_UNENCRYPTED = """
WARNING! Your credentials are stored unencrypted in '{}'.
Configure a credential helper to remove this warning. See
https://docs.docker.com/go/credential-store/
"""


def _login(app: App, options: Options) -> None:
    password = _given_password(app, options)
    if app.environ.get("DOCKER_AUTH_CONFIG"):
        app.warn("WARNING: DOCKER_AUTH_CONFIG is set; its credentials come before those that a login keeps")
    server = _server(options.args)
    username = options.text("username").strip()
    stored = _stored(app, server) if not username and not password else None
    status = _with_stored(app, stored) if stored is not None and stored.password else None
    if status is None:
        login = _asked(server, username, password, stored.username if stored else "")
        status = _log_in(app, login)
    if status:
        app.print(visible_lines(status))


def _given_password(app: App, options: Options) -> str:
    if options.given("username") and not options.text("username").strip():
        raise Failure("username is empty")
    password = options.text("password")
    if not options.on("password-stdin"):
        if options.given("password"):
            app.warn("WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
            if not password:
                raise Failure("password is empty")
        return password
    if options.given("password"):
        raise Failure("conflicting options: cannot specify both --password and --password-stdin")
    if not options.text("username").strip():
        raise Failure("the --password-stdin option requires --username to be set")
    password = sys.stdin.buffer.read().decode("utf-8", "surrogateescape").removesuffix("\n").removesuffix("\r")
    if not password:
        raise Failure("password is empty")
    return password


def _server(arguments: list[str]) -> str:
    named = hostname(arguments[0]) if arguments else ""
    return registry_auth.server_of_domain(named) if named else INDEX_SERVER


def _stored(app: App, server: str) -> Login | None:
    try:
        return Credentials(app).get(server)
    except (Failure, CortenError) as error:
        app.warn(visible_lines(str(error)))
        return None


def _with_stored(app: App, login: Login) -> str | None:
    """The registry's answer to what is stored, None when it refuses that."""
    app.warn(f"Authenticating with existing credentials... [Username: {visible_lines(login.username)}]\n")
    app.warn(" Info -> To login with a different account, run 'corten logout' followed by 'corten login'\n\n")
    try:
        return _log_in(app, login)
    except ApiError as error:
        refused = error.status == 401
        app.warn(
            "Stored credentials invalid or expired" if refused else f"Login did not succeed, error: {explain(error)}"
        )
        return None


def _asked(server: str, username: str, password: str, before: str) -> Login:
    """What was not given is asked for. Failure without a terminal to ask on."""
    if username and password:
        return Login(server, username, password)
    if not os.isatty(0):
        raise Failure(_NO_TERMINAL)
    terminal.leave_on_signals()
    try:
        username = username or prompt.line(f"Username ({before}): " if before else "Username: ") or before
        if not username:
            raise Failure("Error: Non-null Username Required")
        password = password or prompt.secret("Password: ")
    except EOFError:
        raise Failure("Error: the login was given up") from None
    if not password:
        raise Failure("Error: Password Required")
    return Login(server, username, password)


def _log_in(app: App, login: Login) -> str:
    """Have the daemon try ``login`` at its registry, then keep it, or the token that the registry gave for it."""
    answer = app.client.post("/auth", None, login.document())
    token = str(answer.get("IdentityToken") or "")
    if token:
        login = Login(login.server, login.username, "", token)
    credentials = Credentials(app)
    try:
        credentials.put(login)
    except (Failure, HelperError, OSError) as error:
        raise Failure(f"Error saving credentials: {visible_lines(explain(error))}") from None
    if credentials.unencrypted:
        app.warn(_UNENCRYPTED.format(app.config_path))
    return str(answer.get("Status") or "")


def _logout(app: App, options: Options) -> None:
    server = _server(options.args)
    servers = [server]
    if server != INDEX_SERVER:  # what earlier clients have kept it under
        servers += [each for each in (*options.args, f"http://{server}", f"https://{server}") if each != server]
    app.print(f"Removing login credentials for {server}")
    try:
        Credentials(app).erase(servers)
    except HelperError as error:
        app.warn(f"WARNING: could not erase credentials:\n{server}: {visible_lines(str(error))}")


LOGIN = Command(
    _login,
    "[OPTIONS] [SERVER]",
    FLAGS,
    maximum=1,
    about="Check credentials at a registry and keep them. Without SERVER that is Docker Hub.",
)
LOGOUT = Command(
    _logout,
    "[SERVER]",
    maximum=1,
    about="Forget the credentials of a registry. Without SERVER that is Docker Hub.",
)
