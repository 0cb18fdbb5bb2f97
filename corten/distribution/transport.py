"""One request, one answer: pools of connections, TLS, proxies, time limits. No redirects, credentials, retries."""

import logging
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from http.client import HTTPException
from typing import Any
from urllib.parse import unquote

import urllib3
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError
from urllib3.util import Timeout, make_headers, parse_url

from corten import errors
from corten.distribution import address
from corten.distribution.address import Reach, Zone
from corten.distribution.answer import Answer
from corten.distribution.certs import Certificates
from corten.distribution.config import RegistryConfig
from corten.distribution.connection import Dialer, PlainConnection, TLSConnection
from corten.distribution.failure import Unreachable, describe
from corten.distribution.network import Network, Refused
from corten.distribution.url import Origin, Url
from corten.distribution.watch import Watch

MAX_POOLS = 64
IDLE = 60.0
"""Seconds after which the connections to a server that nobody talks to are closed."""
PER_POOL = 32
"""Idle connections that are kept to one server."""

Body = bytes | Iterable[bytes] | None


# its debug lines show whole URLs, and those of redirects are signed: who has one, has the blob
logging.getLogger("urllib3").setLevel(logging.ERROR)
urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # the administrator has said so


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = PlainConnection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = TLSConnection


class Transport:
    """Thread-safe; one per configuration. *network* stands in for the host's where a test says so."""

    def __init__(self, config: RegistryConfig, network: Network | None = None) -> None:
        self.config = config
        self.network = network or Network()
        self._watch = Watch()
        self._certificates = Certificates(config.certs_dirs)
        self._lock = threading.Lock()
        self._pools: OrderedDict[Any, tuple[HTTPConnectionPool, float]] = OrderedDict()
        self._reaper: threading.Timer | None = None
        self._dialers: weakref.WeakSet[Dialer] = weakref.WeakSet()
        self.closed = False

    def exchange(
        self,
        method: str,
        url: Url,
        headers: Mapping[str, str],
        body: Body,
        *,
        reach: Reach,
        verify: bool = True,
        trusted_by: tuple[str, ...] = (),
    ) -> Answer:
        """Send and wait for the head of the answer. Refused for an address beyond *reach*, Unreachable otherwise.

        *verify* and *trusted_by* are for ``Certificates.context``. An iterable body needs a Content-Length header.
        """
        if self.closed:
            raise errors.Cancelled("the client of registries is closed")
        pool = self._pool(url.origin, reach, verify, trusted_by)
        timeout = Timeout(connect=self.config.connect_timeout, read=self.config.idle_timeout)
        sent = {"User-Agent": self.config.user_agent, "Accept-Encoding": "identity", **headers}
        target = str(url) if pool.proxy is not None and url.origin.scheme == "http" else url.target
        try:
            response = pool.urlopen(
                method,
                target,
                body=body,
                headers=sent,
                retries=False,
                redirect=False,
                assert_same_host=False,
                timeout=timeout,
                preload_content=False,
                decode_content=False,
            )
        except Refused:
            raise
        except (HTTPError, HTTPException, OSError) as error:
            raise Unreachable(method, url, describe(error, url.origin), error) from error
        return Answer(method, url, response)

    def _pool(self, origin: Origin, reach: Reach, verify: bool, trusted_by: tuple[str, ...]) -> HTTPConnectionPool:
        tls = origin.scheme == "https"
        context = self._certificates.context(origin, trusted_by, verify) if tls else None
        proxy = self.config.proxies.of(origin)
        if proxy:
            self._check_proxied(origin, reach)
        key = (origin, reach, context, proxy)
        with self._lock:
            found, _ = self._pools.pop(key, (None, 0.0))
            found = found or self._make(origin, reach, context, proxy)
            self._pools[key] = found, time.monotonic()
            old = self._pools.popitem(last=False)[1][0] if len(self._pools) > MAX_POOLS else None
            self._reap_later()
        if old is not None:
            old.close()
        return found

    def _reap_later(self) -> None:
        if self._reaper is None and self._pools and not self.closed:
            self._reaper = threading.Timer(IDLE, self._reap)
            self._reaper.daemon = True
            self._reaper.start()

    def _reap(self) -> None:
        """Close what has not been asked for for a while; a transfer that is under way keeps its connection."""
        end = time.monotonic() - IDLE
        with self._lock:
            old = [key for key, (_, used) in self._pools.items() if used <= end]
            pools = [self._pools.pop(key)[0] for key in old]
            self._reaper = None
            self._reap_later()
        for pool in pools:
            pool.close()

    def _make(self, origin: Origin, reach: Reach, context: Any, proxy: str) -> HTTPConnectionPool:
        config = self.config
        more: dict[str, Any] = {}
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        port, tls = origin.port, origin.scheme == "https"
        if proxy:
            reach = Reach(Zone.NEVER, named=True)  # the proxy is the administrator's choice
            parsed = parse_url(proxy)
            if parsed.port is None:
                parsed = parsed._replace(port=443 if parsed.scheme == "https" else 80)
            if not tls:  # the proxy is asked in the server's place, and not for a tunnel
                host, port, tls = parsed.host or "", parsed.port or 0, parsed.scheme == "https"
            login = make_headers(proxy_basic_auth=unquote(parsed.auth)) if parsed.auth else {}
            more = {
                "_proxy": parsed._replace(auth=None),
                "_proxy_headers": login,
                "_proxy_config": urllib3.ProxyManager(proxy).proxy_config,
            }
        dialer = Dialer(reach, self.network, self._watch, 2 * config.connect_timeout, config.head_timeout)
        self._dialers.add(dialer)
        if not tls:
            return _PlainPool(host, port, maxsize=PER_POOL, dialer=dialer, **more)
        return _TLSPool(host, port, maxsize=PER_POOL, dialer=dialer, ssl_context=context, **more)

    @staticmethod
    def _check_proxied(origin: Origin, reach: Reach) -> None:
        """A proxy resolves names itself: what can be judged here is an address that stands in the URL."""
        literal = address.parse(origin.host)
        if literal is not None and not reach.admits(literal):
            raise Refused(f"connecting to {origin.host} refused: it is not where this registry may lead")

    def close(self) -> None:
        """Close idle connections; what is being read goes on."""
        with self._lock:
            pools = [pool for pool, _ in self._pools.values()]
            self._pools.clear()
            if self._reaper is not None:
                self._reaper.cancel()
                self._reaper = None
        for pool in pools:
            pool.close()

    def abort(self) -> None:
        """Close, and end what is being read or waited for."""
        self.closed = True
        self.close()
        for dialer in list(self._dialers):
            dialer.abort()
