"""What every command gets: the daemon, the configuration and the terminal."""

from __future__ import annotations

import os
import sys

from corten.client.client import Client
from corten.client.endpoint import TlsFiles, default_files, resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from corten.cli.flags import Options


class App:
    """One run of ``corten``. ``name`` is the command as the user typed it, for messages."""

    def __init__(self, options: Options, environ: Mapping[str, str] | None = None) -> None:
        self.environ = os.environ if environ is None else environ
        self.name = ""
        self._options = options
        self._client: Client | None = None
        self._config: dict[str, Any] | None = None

    @property
    def client(self) -> Client:
        """The client of the daemon that the flags and the environment name; connects with its first call."""
        if self._client is None:
            self._client = self.new_client()
        return self._client

    def new_client(self) -> Client:
        """Another client of the same daemon, for a second thread or a call beside an open stream."""
        hosts = self._options.texts("host")
        client = Client(resolve(hosts[-1] if hosts else None, self.environ, self._tls()))
        if self._client is not None:
            client.version = self._client.version
        return client

    def _tls(self) -> TlsFiles | None:
        options = self._options
        names = ("tlscacert", "tlscert", "tlskey")
        if not (options.on("tls") or options.on("tlsverify") or any(options.given(name) for name in names)):
            return None
        verify = options.on("tlsverify") or bool(self.environ.get("DOCKER_TLS_VERIFY"))
        files = default_files(self.environ, verify)
        files.ca = options.text("tlscacert") or files.ca
        files.certificate = options.text("tlscert") or files.certificate
        files.key = options.text("tlskey") or files.key
        return files

    @property
    def config(self) -> dict[str, Any]:
        """config.json of the user, docker's file of that name; empty when there is none."""
        if self._config is None:
            self._config = self._read_config()
        return self._config

    @property
    def config_path(self) -> str:
        """Where config.json is, or would be."""
        folder = self._options.text("config") or self.environ.get("DOCKER_CONFIG") or "~/.docker"
        return os.path.join(os.path.expanduser(folder), "config.json")

    def _read_config(self) -> dict[str, Any]:
        path = self.config_path
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError:
            return {}
        import json

        try:
            document = json.loads(data)
        except ValueError as error:
            self.warn(f"WARNING: Error loading config file: {path}: {error}")
            return {}
        return document if isinstance(document, dict) else {}

    def format(self, options: Options, setting: str) -> str:
        """The template of ``--format``, else of that setting in config.json (``psFormat``), else nothing."""
        if options.given("format"):
            return options.text("format")
        return str(self.config.get(setting, ""))

    def write(self, text: str) -> None:
        """To standard output, as UTF-8 whatever the locale."""
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))

    def print(self, text: str) -> None:
        """A line to standard output."""
        self.write(text + "\n")

    def flush(self) -> None:
        sys.stdout.buffer.flush()

    def warn(self, text: str) -> None:
        """A line to standard error, after what was written before it."""
        self.flush()
        sys.stderr.buffer.write((text + "\n").encode("utf-8", "surrogateescape"))
        sys.stderr.buffer.flush()

    def terminal_width(self) -> int | None:
        """Columns of the terminal that standard output is, None when it is none."""
        try:
            return os.get_terminal_size(1).columns or None
        except OSError:
            return None
