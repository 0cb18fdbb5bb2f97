"""A mount as the OCI runtime is asked to make it."""

from corten.model.base import Value


class SpecMount(Value, frozen=True):
    """One entry of the OCI config's ``mounts`` (runtime-spec, config.md, "Mounts").

    ``source`` is a host path, or ``/proc/<pid of the daemon>/fd/<n>`` where a name would not be safe. Among the
    options may be a propagation word (``rprivate``, ``rshared``, ...), ``ro``/``rro`` and ``bind``/``rbind``.
    """

    destination: str
    type: str
    source: str
    options: list[str] = []
