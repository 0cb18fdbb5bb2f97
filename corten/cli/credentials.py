"""Where the user's registry credentials are kept: in config.json, or with the helper that it names."""

from __future__ import annotations

import base64
import binascii
import json

from corten.cli import config_file
from corten.cli.credential_helper import Helper, HelperError
from corten.cli.escape import visible_lines
from corten.cli.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from corten.cli.app import App

INDEX_SERVER = "https://index.docker.io/v1/"
"""The key that Docker Hub's credentials have ever been kept under."""


class Login:
    """A user's credentials for one server: a password or an identity token."""

    __slots__ = ("identity_token", "password", "server", "username")

    def __init__(self, server: str, username: str = "", password: str = "", identity_token: str = "") -> None:
        self.server = server
        self.username = username
        self.password = password
        self.identity_token = identity_token

    def document(self) -> dict[str, str]:
        """The AuthConfig of the API, without what is empty."""
        values = {
            "username": self.username,
            "password": self.password,
            "serveraddress": self.server,
            "identitytoken": self.identity_token,
        }
        return {name: value for name, value in values.items() if value}


class Credentials:
    """The user's store. ``unencrypted`` is set when ``put`` has put a password into the file as it is."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.unencrypted = False

    def get(self, server: str) -> Login | None:
        """The login for exactly ``server``, None without one. Failure, HelperError when it cannot be read."""
        from_environment = self._from_environment(server)
        if from_environment is not None:
            return from_environment
        helper = self._helper(server)
        if helper is None:
            return _from_entries(self._app.config.get("auths"), server, self._app.config_path)
        found = helper.get(server)
        if found is None:
            return None
        username, secret, token = found
        return Login(server, username, "", secret) if token else Login(server, username, secret)

    def put(self, login: Login) -> None:
        """Keep a login. Failure when that is not possible."""
        helper = self._helper(login.server)
        entry: dict[str, str] = {}
        if helper is not None:
            secret = login.identity_token or login.password
            helper.store(login.server, login.username, secret, token=bool(login.identity_token))
        else:
            self.unencrypted = bool(login.password)
            entry["auth"] = base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
            if login.identity_token:
                entry["identitytoken"] = login.identity_token

        def edit(document: dict[str, Any]) -> None:
            auths = document.setdefault("auths", {})
            if not isinstance(auths, dict):
                raise Failure(f"{self._app.config_path} is left as it is, for its auths are no JSON object")
            auths[login.server] = entry

        config_file.change(self._app.config_path, edit)

    def erase(self, servers: list[str]) -> None:
        """Forget the logins of ``servers``. HelperError when a helper refuses all of them."""
        refused: list[HelperError] = []
        for server in servers:
            helper = self._helper(server)
            try:
                if helper is not None:
                    helper.erase(server)
            except HelperError as error:
                refused.append(error)
        known = self._app.config.get("auths")
        if isinstance(known, dict) and any(server in known for server in servers):

            def edit(document: dict[str, Any]) -> None:
                for server in servers:
                    document.get("auths", {}).pop(server, None)

            config_file.change(self._app.config_path, edit)
        if len(refused) == len(servers):
            raise refused[0]

    def _helper(self, server: str) -> Helper | None:
        config = self._app.config
        own = config.get("credHelpers")
        name = own.get(server) if isinstance(own, dict) else None
        name = name if name is not None else config.get("credsStore")
        return Helper(str(name)) if name else None

    def _from_environment(self, server: str) -> Login | None:
        """DOCKER_AUTH_CONFIG: a config.json in a variable, whose logins come before all others."""
        text = self._app.environ.get("DOCKER_AUTH_CONFIG")
        if not text:
            return None
        try:
            document = json.loads(text)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise Failure("failed to read credentials from DOCKER_AUTH_CONFIG: it is no JSON object")
        return _from_entries(document.get("auths"), server, "DOCKER_AUTH_CONFIG")


def hostname(server: str) -> str:
    """``https://HOST:PORT/v1/`` without scheme and path."""
    return server.removeprefix("http://").removeprefix("https://").partition("/")[0]


def _from_entries(entries: object, server: str, where: str) -> Login | None:
    """The entry whose key is ``server``, or an old one with scheme and path round it."""
    if not isinstance(entries, dict):
        return None
    key: object = server if server in entries else next((each for each in entries if hostname(each) == server), None)
    entry = entries.get(key)
    if not isinstance(entry, dict):
        return None
    username, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if entry.get("auth"):
        username, password = _decoded(str(entry["auth"]), server, where)
    token = str(entry.get("identitytoken") or "")
    return Login(server, username, password, token) if username or token else None


def _decoded(auth: str, server: str, where: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(auth, validate=True).decode()
    except (binascii.Error, ValueError):
        text = ""
    username, colon, password = text.partition(":")
    if not colon or not username:
        raise Failure(f"{where}: the auth of {visible_lines(server)} is not base64 of USER:PASSWORD")
    return username, password.strip("\0")
