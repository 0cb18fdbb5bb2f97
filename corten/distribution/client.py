"""The client of registries: one per daemon. Connections, tokens and TLS contexts are shared by everything it makes."""

import threading
import time

from corten import errors
from corten.distribution import login as logins
from corten.distribution import search as searches
from corten.distribution.answer import Answer
from corten.distribution.config import RegistryConfig
from corten.distribution.credential import DEFAULT_SERVER, Credential, server_domain
from corten.distribution.download import download
from corten.distribution.endpoint import Endpoint, mirrors_of, servers_of
from corten.distribution.failure import Unreachable
from corten.distribution.network import Network
from corten.distribution.repository import Repository
from corten.distribution.search import SearchResult
from corten.distribution.session import Session
from corten.distribution.token import Tokens
from corten.distribution.transport import Transport
from corten.oci.reference import Reference

REMEMBERED = 300.0
"""Seconds for which it is known that a registry without TLS checks answers plain HTTP, or TLS."""


class RegistryClient:
    """Thread-safe. *network* stands in for the host's where a test says so."""

    def __init__(self, config: RegistryConfig, network: Network | None = None) -> None:
        self._transport = Transport(config, network)
        self._tokens = Tokens()
        self._lock = threading.Lock()
        self._schemes: dict[str, tuple[str, float]] = {}

    @property
    def config(self) -> RegistryConfig:
        return self._transport.config

    def repository(
        self,
        reference: Reference,
        credential: Credential,
        *,
        push: bool = False,
        stop: threading.Event | None = None,
    ) -> Repository:
        """The repository of *reference* as *credential*'s owner sees it. Asks nobody yet. When *stop* is set, whatever
        waits between two attempts ends with Cancelled."""

        transport = self._transport

        def mirrors() -> list[Session]:
            found = [] if push else mirrors_of(reference.domain, transport.config, transport.network)
            return [self._session(each, credential, transport, stop) for each in found]

        def own() -> Session:
            return self._answering(reference.domain, credential, transport, stop)

        return Repository(reference, mirrors, own, push=push)

    def login(self, credential: Credential) -> tuple[str, str]:
        """Check a credential with the server that it names. Gives ("Login Succeeded", identity token or "").

        Unauthenticated when the registry does not take it.
        """
        domain = server_domain(credential.server_address or DEFAULT_SERVER)
        return logins.login(self._answering(domain, credential, self._transport, None), credential)

    def search(
        self, term: str, limit: int, filters: dict[str, list[str]], credential: Credential
    ) -> list[SearchResult]:
        """What the index of a registry, Docker Hub's where *term* names none, finds."""
        domain, text = searches.split(term)
        transport = self._transport
        failure: Unreachable | None = None
        for found in servers_of(domain, transport.config, transport.network, index=True):
            session = Session(found, credential, transport, self._tokens)
            try:
                return searches.search(session, text, limit, filters)
            except Unreachable as error:
                failure = error
        assert failure is not None
        raise failure

    def download(self, url: str, stop: threading.Event) -> Answer:
        """The file that a URL names, its body still to be read; see ``corten.distribution.download``."""
        return download(self._transport, url, stop)

    def reconfigure(self, config: RegistryConfig) -> None:
        """Take over new settings; what is under way ends with the old ones."""
        old, self._transport = self._transport, Transport(config, self._transport.network)
        with self._lock:
            self._schemes.clear()
        self._tokens.clear()
        old.close()

    def close(self) -> None:
        """End every request; those that wait for one get an error soon."""
        self._transport.abort()

    def _session(
        self, endpoint: Endpoint, credential: Credential, transport: Transport, stop: threading.Event | None
    ) -> Session:
        return Session(endpoint, credential, transport, self._tokens, stop)

    def _answering(
        self, domain: str, credential: Credential, transport: Transport, stop: threading.Event | None
    ) -> Session:
        """The registry's own server that answers as one does; learns what it asks for by the way."""
        found = servers_of(domain, transport.config, transport.network)
        sessions = [self._session(each, credential, transport, stop) for each in found]
        with self._lock:
            scheme, since = self._schemes.get(domain, ("", 0.0))
        if time.monotonic() - since < REMEMBERED:
            sessions = sorted(sessions, key=lambda session: session.endpoint.origin.scheme != scheme)
        failure: errors.CortenError | None = None
        for session in sessions:
            try:
                ping(session)
            except Unreachable as error:
                failure = error
                continue
            with self._lock:
                self._schemes[domain] = (session.endpoint.origin.scheme, time.monotonic())
            return session
        assert failure is not None
        raise failure


def ping(session: Session) -> None:
    """Ask for ``/v2/`` without showing anything: a 401 says what will be wanted."""
    endpoint = session.endpoint
    plain_follows = endpoint.insecure and endpoint.origin.scheme == "https"
    answer = session.probe("/v2/", attempts=1 if plain_follows else 0)
    if answer.status == 401:
        session.authorizer.learn(answer)
    if answer.status >= 500:
        error = session.failure(answer)
        raise errors.Unavailable(f"received unexpected HTTP status: {error.status}: {error.detail}")
    answer.discard()
