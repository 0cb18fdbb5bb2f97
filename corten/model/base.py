"""How values are declared: frozen, slotted structs that also serialise into the state database."""

import msgspec


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of every value. Use ``msgspec.structs.replace`` to derive a changed copy."""
