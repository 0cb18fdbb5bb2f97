"""Options of tmpfs mounts: the text of ``--tmpfs /x:size=1m,exec`` and the fields of ``--mount type=tmpfs``."""

from corten import errors
from corten.model.container import TmpfsOptions

DEFAULTS = ("noexec", "nosuid", "nodev", "rprivate")

_WITH_VALUE = frozenset({"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"})
# Words that exclude each other; the last one of a set wins (mount(8)).
_OPPOSITES = (
    ("ro", "rw"),
    ("suid", "nosuid"),
    ("dev", "nodev"),
    ("exec", "noexec"),
    ("sync", "async"),
    ("mand", "nomand"),
    ("atime", "noatime", "relatime", "norelatime", "strictatime", "nostrictatime"),
    ("diratime", "nodiratime"),
    ("private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable"),
    ("dirsync",),
)
_GROUP = {word: index for index, words in enumerate(_OPPOSITES) for word in words}


def merge(options: list[str]) -> list[str]:
    """Drop what a later word overrides. Unknown words are refused, as are known keys without a value."""
    seen: set[str | int] = set()
    kept: list[str] = []
    for option in reversed(options):
        key, equals, value = option.partition("=")
        if option == "defaults":
            continue
        if key in _WITH_VALUE and equals and value:
            group: str | int = key
        elif option in _GROUP:
            group = _GROUP[option]
        else:
            raise errors.InvalidArgument(f'invalid tmpfs option "{option}"')
        if group not in seen:
            seen.add(group)
            kept.append(option)
    return kept[::-1]


def runtime_options(text: str) -> list[str]:
    """Docker's defaults (noexec, nosuid, nodev), overridden by the comma-separated *text*."""
    return merge([*DEFAULTS, *(text.split(",") if text else [])])


def from_fields(options: TmpfsOptions | None, read_only: bool) -> str:
    """The option text for a ``Mounts`` entry; its free options may only be "exec" and "noexec" (API reference)."""
    words = ["ro"] if read_only else []
    if options is None:
        return ",".join(words)
    if options.mode:
        words.append(f"mode={options.mode:o}")
    if options.size_bytes < 0:
        raise errors.InvalidArgument("invalid size for tmpfs: must not be negative")
    if options.size_bytes:
        words.append(f"size={options.size_bytes}")
    for pair in options.options or []:
        if len(pair) != 1 or pair[0] not in ("exec", "noexec"):
            raise errors.InvalidArgument("invalid option: " + "=".join(pair))
        words.append(pair[0])
    return ",".join(words)
