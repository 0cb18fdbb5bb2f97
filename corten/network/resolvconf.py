"""resolv.conf(5): reading the host's, deriving a container's."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, replace

HOST_PATH = "/etc/resolv.conf"
SYSTEMD_PATH = "/run/systemd/resolve/resolv.conf"
"""Where systemd-resolved keeps the real servers while /etc/resolv.conf names only its stub on 127.0.0.53."""
FALLBACK = ("8.8.8.8", "8.8.4.4")
FALLBACK_V6 = ("2001:4860:4860::8888", "2001:4860:4860::8844")


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """The settings of a resolv.conf; lines of other kinds are kept as they are."""

    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    other: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "ResolvConf":
        nameservers: list[str] = []
        search: tuple[str, ...] = ()
        options: list[str] = []
        other: list[str] = []
        for line in text.splitlines():
            words = line.split()
            if not words or words[0][0] in "#;":
                continue
            if words[0] == "nameserver" and len(words) > 1:
                nameservers.append(words[1])
            elif words[0] in ("search", "domain"):
                search = tuple(words[1:])
            elif words[0] == "options":
                options += words[1:]
            else:
                other.append(line.strip())
        return cls(tuple(nameservers), search, tuple(options), tuple(other))

    def override(self, nameservers: Sequence[str], search: Sequence[str], options: Sequence[str]) -> "ResolvConf":
        """Replace each list that is given; a search of "." means none at all."""
        changed = replace(
            self,
            nameservers=tuple(nameservers) or self.nameservers,
            search=tuple(search) or self.search,
            options=tuple(options) or self.options,
        )
        return replace(changed, search=()) if changed.search == (".",) else changed

    def for_container(self, *, ipv6: bool) -> "ResolvConf":
        """Without servers that a container cannot reach: loopback ones, IPv6 ones where it has no IPv6."""
        kept = tuple(server for server in self.nameservers if _usable(server, ipv6))
        return replace(self, nameservers=kept or FALLBACK + (FALLBACK_V6 if ipv6 else ()))

    def text(self) -> str:
        lines = [f"nameserver {server}" for server in self.nameservers]
        if self.search:
            lines.append(f"search {' '.join(self.search)}")
        if self.options:
            lines.append(f"options {' '.join(self.options)}")
        return "".join(f"{line}\n" for line in (*lines, *self.other))


def host_resolv_conf(path: str = HOST_PATH, alternative: str = SYSTEMD_PATH) -> str:
    """The host's settings with real servers, or "" where there are none."""
    text = read_text(path)
    servers = ResolvConf.parse(text).nameservers
    if servers and all(server.startswith("127.") or server == "::1" for server in servers):
        return read_text(alternative) or text
    return text


def _usable(server: str, ipv6: bool) -> bool:
    try:
        address = ipaddress.ip_address(server)
    except ValueError:
        return False
    return not address.is_loopback and (address.version == 4 or ipv6)


def read_text(path: str) -> str:
    """A small host file, "" if it is missing; bytes that are no UTF-8 are replaced."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20)
    except FileNotFoundError:
        return ""
