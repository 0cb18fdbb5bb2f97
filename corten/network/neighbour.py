"""Living beside dockerd, which lets the iptables chain FORWARD drop whatever it does not know.

A drop in one table is final for all, so beside dockerd our containers would reach nobody. Where that chain is
dockerd's, our bridges are added at its end: after every rule of the administrator's and before the policy. Where ufw
has set the policy nothing is added; its "deny" is meant.
"""

from typing import Any

from corten import errors
from corten.linux.nftables import Nftables

FAMILIES = ("ip", "ip6")
_MARK = "DOCKER-USER"


class Neighbour:
    """The rules of ours in tables that iptables made; they carry the name of our table as their comment."""

    def __init__(self, nft: Nftables, table: str) -> None:
        self._nft, self._comment = nft, table

    def settle(self, devices: list[str]) -> bool:
        """Let the traffic of *devices* pass beside dockerd, and of no others of ours. Whether anything was changed."""
        commands: list[str] = []
        for family in FAMILIES:
            commands += self._commands(family, devices)
        if commands:
            self._nft.run("\n".join(commands))
        return bool(commands)

    def _commands(self, family: str, devices: list[str]) -> list[str]:
        chain = self._nft.query(f"list chain {family} filter FORWARD")
        if not chain:
            return []
        present = {rule["handle"]: _match(rule) for rule in _rules(chain) if rule.get("comment") == self._comment}
        wanted: set[tuple[str, str]] = set()
        if self._is_dockers(family, chain):
            wanted = {(key, device) for device in devices for key in ("iifname", "oifname")}
        where = f"rule {family} filter FORWARD"
        commands = [f"delete {where} handle {handle}" for handle, match in present.items() if match not in wanted]
        missing = sorted(wanted - set(present.values()))
        return commands + [
            f'add {where} {key} "{device}" counter accept comment "{self._comment}"' for key, device in missing
        ]

    def _is_dockers(self, family: str, forward: list[dict[str, Any]]) -> bool:
        dropping = any(item["chain"].get("policy") == "drop" for item in forward if "chain" in item)
        targets = [
            expression["jump"]["target"]
            for rule in _rules(forward)
            for expression in rule["expr"]
            if "jump" in expression
        ]
        if not dropping or any(target.startswith("ufw") for target in targets):
            return False
        return bool(self._nft.query(f"list chain {family} filter {_MARK}"))

    def leave(self) -> None:
        """Take all our rules away."""
        try:
            self.settle([])
        except errors.System as error:
            raise errors.System(f"our rules in the table filter could not be removed: {error}") from error


def _rules(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [item["rule"] for item in objects if "rule" in item]


def _match(rule: dict[str, Any]) -> tuple[str, str]:
    """The (key, device) that a rule of ours tests, ("", "") for one that was changed."""
    for expression in rule["expr"]:
        match = expression.get("match", {})
        key = match.get("left", {}).get("meta", {}).get("key", "")
        if key:
            return key, str(match.get("right", ""))
    return "", ""
