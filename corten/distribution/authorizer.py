"""What a request to one registry carries to be let in, after the registry has said what it wants.

Only the registry's own origin is answered: a challenge of a server that it redirects to is not, and nothing of a
credential goes to a token service that has nothing to do with the registry (CVE-2020-15157, CVE-2026-33540).
"""

import base64
import threading
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlencode

from corten import errors
from corten.distribution import address, challenge, url
from corten.distribution.answer import Answer
from corten.distribution.challenge import Challenge
from corten.distribution.config import RegistryConfig
from corten.distribution.credential import ANONYMOUS, Credential
from corten.distribution.endpoint import Endpoint
from corten.distribution.failure import Answered, codes_of
from corten.distribution.token import Token, TokenKey, Tokens, decode_reply
from corten.distribution.transport import Body
from corten.distribution.url import Url

CLIENT_ID = "docker"
"""Some token services know no other."""
MAX_REPLY = 1 << 20


class Send(Protocol):
    """A request to where the registry points with its *what*, without redirects."""

    def __call__(self, method: str, url: Url, headers: Mapping[str, str], body: Body, what: str) -> Answer: ...


class Authorizer:
    """Who we are to one endpoint. Remembers the challenge, so that later requests need no refusal first."""

    def __init__(
        self, endpoint: Endpoint, credential: Credential, config: RegistryConfig, tokens: Tokens, send: Send
    ) -> None:
        self.endpoint = endpoint
        self.credential = ANONYMOUS if endpoint.mirror else credential.for_domain(endpoint.domain)
        self._config = config
        self._tokens = tokens
        self._send = send
        self._lock = threading.Lock()
        self._challenge: Challenge | None = None

    def header(self, scopes: tuple[str, ...], refused: str = "") -> str:
        """The Authorization header, "" when none is known to be wanted. *refused* is the one that was not enough."""
        if self.credential.registry_token:
            return f"Bearer {self.credential.registry_token}"
        with self._lock:
            wanted = self._challenge
        if wanted is None:
            return ""
        if wanted.scheme == "basic":
            return self._basic() if self.credential.username else ""
        return "Bearer " + self.token(wanted, scopes, refused.removeprefix("Bearer ")).value

    def learn(self, answer: Answer) -> bool:
        """Take the challenge out of a 401 of the registry; whether there is one that can be answered."""
        known = {each.scheme: each for each in reversed(challenge.parse(answer.headers("WWW-Authenticate")))}
        found = known.get("bearer") or known.get("basic")
        if found is None or (found.scheme == "bearer" and not found.realm):
            return False
        with self._lock:
            self._challenge = found
        return True

    @property
    def knows(self) -> bool:
        """Whether the registry has asked for anything yet."""
        with self._lock:
            return self._challenge is not None

    @property
    def helpless(self) -> bool:
        """A password is wanted, and there is none."""
        with self._lock:
            return self._challenge is not None and self._challenge.scheme == "basic" and not self.credential.username

    # tokens

    def token(self, wanted: Challenge, scopes: tuple[str, ...], refused: str = "", *, offline: bool = False) -> Token:
        """A token for *scopes*, kept or fetched; with *offline* a new one, that may come with what renews it."""
        realm = url.parse(wanted.realm, "token realm", self.endpoint.origin.netloc)
        if self.credential:
            self._check_realm(realm)
        key = TokenKey(wanted.realm, wanted.service, scopes, self.credential)

        def fetch() -> Token:
            return self._fetch(realm, wanted.service, scopes, offline)

        return fetch() if offline else self._tokens.get(key, fetch, refused)

    def _fetch(self, realm: Url, service: str, scopes: tuple[str, ...], offline: bool) -> Token:
        if self.credential.identity_token:
            return self._refresh(realm, service, scopes)
        query = [("service", service)] if service else []
        query += [("scope", scope) for scope in scopes]
        headers = {}
        if self.credential.username:
            query.append(("account", self.credential.username))
            headers["Authorization"] = self._basic()
        if offline:
            query += [("offline_token", "true"), ("client_id", CLIENT_ID)]
        mark = "&" if "?" in realm.target else "?"
        target = Url(realm.origin, realm.target + mark + urlencode(query)) if query else realm
        return self._ask("GET", target, headers, None)

    def _refresh(self, realm: Url, service: str, scopes: tuple[str, ...]) -> Token:
        """The OAuth 2 grant that identity tokens are for (docs/spec/auth/oauth.md)."""
        form = {
            "grant_type": "refresh_token",
            "refresh_token": self.credential.identity_token,
            "service": service,
            "client_id": CLIENT_ID,
            "scope": " ".join(scopes),
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._ask("POST", realm, headers, urlencode(form).encode())

    def _ask(self, method: str, target: Url, headers: Mapping[str, str], body: Body) -> Token:
        answer = self._send(method, target, headers, body, "token realm")
        data = answer.document(MAX_REPLY, self._config.document_timeout)
        if answer.status != 200:
            codes, text = codes_of(data)
            if answer.status in (400, 401, 403) and not codes:
                text = text or ("incorrect username or password" if self.credential else "authentication required")
                text = f"unauthorized: {text}"
            raise Answered(method, target, answer.status, codes, text)
        return decode_reply(data, target.shown, self._tokens.clock())

    def _basic(self) -> str:
        pair = f"{self.credential.username}:{self.credential.password}"
        return "Basic " + base64.b64encode(pair.encode()).decode()

    def _check_realm(self, realm: Url) -> None:
        """A credential is shown to the registry's own host, to a neighbour below the same domain, or to a host that
        the administrator has put beside the registry."""
        own, other = self.endpoint.origin.host, realm.origin.host
        if own == other or related(own, other) or other in self._config.realms.get(self.endpoint.domain.lower(), ()):
            return
        raise errors.Forbidden(
            f"{self.endpoint.origin.netloc} wants its credentials to be sent to {realm.origin.netloc}: refused; "
            f'"registry-realms": {{"{self.endpoint.domain}": "{other}"}} in the configuration allows it'
        )


def related(one: str, other: str) -> bool:
    """Whether two names lie below the same domain: siblings, or one the other's parent, of at least two labels."""
    if address.parse(one) or address.parse(other):
        return False
    left, right = one.rstrip(".").split("."), other.rstrip(".").split(".")
    shared = 0
    for a, b in zip(reversed(left), reversed(right), strict=False):
        if a != b:
            break
        shared += 1
    return shared >= 2 and shared >= len(left) - 1 and shared >= len(right) - 1
