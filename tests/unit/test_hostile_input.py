"""Parsers of what clients, registries and archives send: whatever comes is understood or refused with our errors."""

import base64
import contextlib
import json
import os
import random
import tempfile
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from corten import errors
from corten.api import filters, times, versions
from corten.api.createrequest import CreateRequest
from corten.api.decode import decode
from corten.daemon.config import Config
from corten.distribution import credential
from corten.engine import imagechanges
from corten.engine.prunefilter import PruneFilter
from corten.linux.host import Host, detect
from corten.model.container import ContainerConfig, HostConfig
from corten.model.exec import ExecOptions
from corten.network import portspec
from corten.oci import digest, image, manifest, timestamp
from corten.oci.platform import Platform
from corten.oci.reference import Reference
from corten.runtime.logdrivers.registry import validate as check_log_options
from corten.runtime.validate import check_create, check_update
from corten.volume import mountspec, tmpfs
from corten.wire import compress, detachkeys, logline, tarwrite
from corten.wire.tarread import TarReader
from tests.fuzz import values
from tests.support.layers import archive, directory, hardlink, member, pieces, symlink

many = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
TEXTS = st.one_of(
    st.text(max_size=60),
    st.text("aA0.:/@-_[]{}, =\"'%\0\n", max_size=40),
    st.sampled_from(
        ["0" * 5000, "1e999", "9" * 400, "-1", "\ud800", "é", "sha256:" + "0" * 64, "a" * 300, "[::1]:5/x"]
    ),
)
NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from([1 << 63, -(1 << 63) - 1, 10**400]))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)
OCI_KEYS = ["schemaVersion", "mediaType", "config", "layers", "manifests", "digest", "size", "platform", "annotations"]
OCI_KEYS += ["architecture", "os", "rootfs", "type", "diff_ids", "history", "created", "Cmd", "Env", "Volumes", "User"]
OCI_KEYS += ["Healthcheck", "ExposedPorts", "subject", "artifactType", "urls", "empty_layer", "OnBuild", "StopSignal"]
HOST_KEYS = ["Binds", "Mounts", "PortBindings", "Memory", "Ulimits", "LogConfig", "RestartPolicy", "Sysctls", "Devices"]
HOST_KEYS += ["HostConfig", "NetworkingConfig", "EndpointsConfig", "Healthcheck", "Cmd", "Entrypoint", "Labels", "Env"]
HOST_KEYS += ["Image", "Tty", "StopTimeout", "ConsoleSize", "Volumes", "ExposedPorts", "MacAddress", "DeviceRequests"]
CONFIG_KEYS = [
    "hosts",
    "bip",
    "dns",
    "log-opts",
    "runtimes",
    "default-ulimits",
    "proxies",
    "mtu",
    "labels",
    "tlscacert",
]
CONFIG_KEYS += ["insecure-registries", "registry-mirrors", "features", "icc", "shutdown-timeout", "data-root", "debug"]


def documents(keys: list[str]) -> st.SearchStrategy:
    """JSON objects with some of *keys* in them, nested in any way."""
    leaves = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
    inner = st.recursive(
        leaves,
        lambda below: st.one_of(
            st.lists(below, max_size=3), st.dictionaries(st.one_of(st.sampled_from(keys), TEXTS), below, max_size=4)
        ),
        max_leaves=10,
    )
    return st.dictionaries(st.sampled_from(keys), inner, max_size=5)


def held(parse: Callable[[], object], what: object = "") -> None:
    """*parse* returns or raises one of our errors."""
    try:
        parse()
    except errors.CortenError as error:
        assert str(error).strip()
    except Exception as error:
        error.add_note(str(what))
        raise


def encoded(document: object) -> bytes:
    return json.dumps(document).encode()


@many
@given(TEXTS)
@example("a/" * 500)
@example("x@sha256:" + "a" * 63)
def test_names(text: str) -> None:
    held(lambda: Reference.parse(text))
    held(lambda: Platform.parse(text))
    held(lambda: digest.check(text))
    held(lambda: versions.split("/v" + text))
    held(lambda: detachkeys.parse(text))


@many
@given(
    st.sampled_from(
        ["CMD", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD", "SHELL", "STOPSIGNAL", "USER", "VOLUME"]
    ),
    st.one_of(TEXTS, JSON.map(json.dumps), st.text("a=\"'\\ []-/0", max_size=30)),
)
@example("EXPOSE", "9" * 5000)
@example("HEALTHCHECK", "--retries=" + "9" * 5000 + " CMD x")
@example("HEALTHCHECK", "--interval=" + "9" * 400 + "h CMD x")
@example("ENV", '"' * 2001)
def test_changes(keyword: str, text: str) -> None:
    held(lambda: imagechanges.apply_changes(image.RunConfig(), [f"{keyword} {text}"]))


@many
@given(TEXTS)
@example("0000-00-00T00:00:00Z")
@example("9999-99-99T99:99:99.999999999+99:99")
@example("99999999999999999999h")
@example("1" * 400 + "h")
def test_times(text: str) -> None:
    held(lambda: times.parse(text))
    held(lambda: timestamp.parse(text))
    held(lambda: timestamp.duration(text))
    held(lambda: timestamp.moment(text, 0))
    held(lambda: PruneFilter({"until": [text]}, ("until",)))


@many
@given(st.one_of(TEXTS, JSON.map(json.dumps), st.dictionaries(TEXTS, st.lists(TEXTS, max_size=2)).map(json.dumps)))
@example("[" * 100_000)
@example('{"a":' * 5000)
def test_filters(text: str) -> None:
    held(lambda: filters.parse(text))


@many
@given(st.one_of(st.binary(max_size=80), documents(OCI_KEYS).map(encoded)))
@example(b"[" * 100_000)
@example(b'{"a":' * 5000)
@example(b'{"schemaVersion":1e400}')
def test_manifests_and_image_configs(data: bytes) -> None:
    for parse in (manifest.media_type_of, manifest.decode_manifest, manifest.decode_index, image.decode_config):
        held(lambda parse=parse: parse(data))


@many
@given(documents(HOST_KEYS))
def test_bodies(document: dict) -> None:
    held(lambda: CreateRequest(json.loads(json.dumps(document)), (1, 43)))
    for kind in (ContainerConfig, HostConfig, ExecOptions):
        held(lambda kind=kind: decode(kind, document))


@many
@given(
    st.one_of(
        TEXTS,
        JSON.map(lambda document: base64.urlsafe_b64encode(encoded(document)).decode()),
        documents(["username", "password", "auth", "identitytoken", "registrytoken", "serveraddress"]).map(
            lambda document: base64.b64encode(encoded(document)).decode()
        ),
        st.binary(max_size=40).map(lambda data: base64.b64encode(data).decode()),
    )
)
@example(base64.b64encode(b"[" * 100_000).decode())
def test_credentials(text: str) -> None:
    held(lambda: credential.decode_header(text))
    held(lambda: credential.decode_config(text))
    held(lambda: credential.server_domain(text))


@many
@given(st.one_of(st.binary(max_size=80), documents(CONFIG_KEYS).map(encoded)))
@example(b"[" * 100_000)
@example(b"\xff")
def test_daemon_json(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir="/tmp", prefix="ct-config-") as file:
        file.write(data)
        file.flush()
        held(lambda: Config.load(["--config-file", file.name]))


@many
@given(st.binary(max_size=200))
@example(b"2026-11-21T10:00:00.000000000+00:00 stdout F line")
@example(b"9999-99-99T99:99:99.999999999+99:99 stdout F x")
@example(b"\xff" * 40)
def test_log_lines(record: bytes) -> None:
    for parse in (logline.parse, logline.time_of):
        with contextlib.suppress(ValueError):  # as documented: the reader of the file knows which line it was
            parse(record)


SOUND = archive(
    directory("d"),
    member("d/file", b"text" * 200, xattrs={"user.a": b"b"}),
    symlink("l", "d"),
    hardlink("h", "d/file"),
    member("n" * 300, b"long"),
    member("dev", kind=tarwrite.CHARACTER),
)
FIELDS = [
    (0, 100),
    (100, 8),
    (108, 8),
    (116, 8),
    (124, 12),
    (136, 12),
    (148, 8),
    (156, 1),
    (157, 100),
    (257, 8),
    (345, 155),
]


def with_sum(block: bytes) -> bytes:
    """A header block with the checksum that belongs to it."""
    total = sum(block[:148]) + 8 * 32 + sum(block[156:])
    return block[:148] + b"%06o\0 " % total + block[156:]


def read_all(data: bytes) -> None:
    reader = TarReader(pieces(data, 700))
    for _ in reader:
        for part in reader.data():
            assert part is not None


@many
@given(st.lists(st.tuples(st.integers(0, len(SOUND) - 1), st.integers(0, 255)), max_size=6), st.integers(0, len(SOUND)))
def test_damaged_archives(changes: list[tuple[int, int]], length: int) -> None:
    data = bytearray(SOUND)
    for at, value in changes:
        data[at] = value
    held(lambda: read_all(bytes(data[:length])))
    held(lambda: read_all(bytes(data)))


@many
@given(
    st.sampled_from(FIELDS), st.one_of(st.binary(max_size=160), st.sampled_from([b"7" * 12, b"\x80" + b"\xff" * 11]))
)
def test_headers_with_a_right_sum(field: tuple[int, int], value: bytes) -> None:
    at, width = field
    block = bytearray(SOUND[512:1024])
    block[at : at + width] = value[:width].ljust(width, b"\0")
    held(lambda: read_all(with_sum(bytes(block)) + SOUND[1024:]))


@many
@given(st.binary(max_size=300), st.sampled_from([b"x", b"g", b"L", b"K", b"S"]))
@example(b"25 GNU.sparse.map=0,-1,5\n", b"x")
@example(b"30 GNU.sparse.numblocks=99999\n", b"x")
@example(b"19 size=" + b"9" * 10 + b"\n", b"x")
@example(b"20 mtime=1e999999999\n", b"x")
@example(b"99999999999999999999 a=b\n", b"x")
def test_extended_headers(payload: bytes, kind: bytes) -> None:
    block = bytearray(tarwrite.header(b"x", size=len(payload)))
    block[156:157] = kind
    held(lambda: read_all(with_sum(bytes(block)) + payload + tarwrite.padding(len(payload)) + SOUND))


@many
@given(st.sampled_from([b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"BZh9"]), st.binary(max_size=200))
def test_broken_compression(magic: bytes, rest: bytes) -> None:
    read = compress.auto(pieces(magic + rest))

    def drain() -> None:
        while read():
            pass

    held(drain)


def test_configurations_of_containers() -> None:
    """Values that make no sense, in any field, through every check that a create makes before it touches anything."""
    host = detect()
    for number in range(2000):
        chance = random.Random(number)
        document = values.of_struct(ContainerConfig, chance)
        document["HostConfig"] = {**values.of_struct(HostConfig, chance), **values.of_struct(HostConfig, chance)}
        text = json.dumps(document)
        held(lambda text=text: check_all(json.loads(text), host), text)


def check_all(document: dict, host: Host) -> None:
    request = CreateRequest(document, (1, 56))
    config, wanted = request.config, request.host
    for check in (
        lambda: check_create(config, wanted, host, ("crun",), sent=config),
        lambda: check_log_options(wanted.log_config.type or "json-file", wanted.log_config.config or {}),
        lambda: [mountspec.check(mountspec.parse_bind(text, wanted.volume_driver)[0]) for text in wanted.binds or ()],
        lambda: [mountspec.check(spec) for spec in wanted.mounts or ()],
        lambda: [portspec.parse_port(name) for name in wanted.port_bindings or ()],
        lambda: [tmpfs.runtime_options(options) for options in (wanted.tmpfs or {}).values()],
        lambda: check_update(HostConfig(), wanted, host),
    ):
        held(check, document)


@pytest.mark.parametrize(
    "words", [["-H"], ["--bip", "x"], ["--log-opt", "="], ["--mtu", "9" * 400], ["\ud800"], ["--"]]
)
def test_command_line(words: list[str]) -> None:
    held(lambda: Config.load([*words, "--config-file", os.devnull]))
