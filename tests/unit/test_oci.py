"""References, digests, platforms, times, manifests and configs."""

import pytest

from corten import errors
from corten.oci import digest, timestamp
from corten.oci.image import decode_config, encode_config
from corten.oci.manifest import decode_index, decode_manifest, media_type_of
from corten.oci.platform import Platform
from corten.oci.reference import Reference

D = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "canonical", "familiar"),
    [
        ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
        ("docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("index.docker.io/library/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("a/b", "docker.io/a/b:latest", "a/b:latest"),
        ("localhost/b", "localhost/b:latest", "localhost/b:latest"),
        ("localhost:5000/b:x", "localhost:5000/b:x", "localhost:5000/b:x"),
        ("ghcr.io/a/b/c_d__e-f:V1.0_x", "ghcr.io/a/b/c_d__e-f:V1.0_x", "ghcr.io/a/b/c_d__e-f:V1.0_x"),
        ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"),
        (f"busybox@{D}", f"docker.io/library/busybox@{D}", f"busybox@{D}"),
        (f"busybox:1@{D}", f"docker.io/library/busybox:1@{D}", f"busybox:1@{D}"),
    ],
)
def test_reference_forms(text, canonical, familiar):
    reference = Reference.parse(text).tagged()
    assert reference.canonical == canonical
    assert reference.familiar() == familiar
    assert Reference.parse(canonical) == reference


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "invalid reference format"),
        ("Busybox", "repository name (library/Busybox) must be lowercase"),
        ("a/../b", "invalid reference format"),
        ("a:b:c", "invalid reference format"),
        ("a:-x", "invalid reference format"),
        ("a b", "invalid reference format"),
        ("a\n", "invalid reference format"),
        ("a@sha256:12", "invalid reference format"),
        ("f" * 64, "cannot specify 64-byte hexadecimal strings"),
        ("x" * 300, "must not be more than 255"),
        ("-a", "invalid reference format"),
        ("http://a/b", "invalid reference format"),
    ],
)
def test_reference_refused(text, words):
    with pytest.raises(errors.InvalidArgument, match=words.replace("(", r"\(").replace(")", r"\)")):
        Reference.parse(text)


def test_chain_ids_follow_the_specification():
    a, b = digest.of(b"a"), digest.of(b"b")
    assert digest.chain_ids([]) == []
    assert digest.chain_ids([a]) == [a]
    assert digest.chain_ids([a, b]) == [a, digest.of(f"{a} {b}".encode())]


@pytest.mark.parametrize("text", ["sha256:../../etc", "sha256:" + "A" * 64, "md5:" + "a" * 32, "", "a" * 64, D + "\n"])
def test_digest_refused(text):
    with pytest.raises(errors.InvalidArgument):
        digest.check(text)


def test_platform_forms_and_choice():
    assert Platform.parse("linux/arm64/v8") == Platform(os="linux", architecture="arm64")
    assert Platform.parse("linux/x86_64").text() == "linux/amd64"
    assert Platform.parse("linux/arm").text() == "linux/arm/v7"
    assert Platform.parse("arm64").text() == "linux/arm64"
    assert Platform.parse("x86_64").text() == "linux/amd64"
    assert Platform.parse("macos").os == "darwin"
    with pytest.raises(errors.InvalidArgument, match='"bogus": unknown operating system or architecture'):
        Platform.parse("bogus")
    with pytest.raises(errors.InvalidArgument):
        Platform.parse("linux/a b")
    with pytest.raises(errors.InvalidArgument, match="cannot parse platform specifier"):
        Platform.parse("linux/arm/v7/x")
    v6, v7, v8 = (Platform.parse(f"linux/arm/v{n}") for n in (6, 7, 8))
    assert v7.score(v7) > v6.score(v7) > 0
    assert v8.score(v7) == 0
    assert Platform.parse("linux/amd64").score(v7) == 0


def test_times():
    assert timestamp.parse("1970-01-01T00:00:01.5Z") == 1_500_000_000
    assert timestamp.parse("1970-01-01T01:00:00+01:00") == 0
    assert timestamp.parse("0001-01-01T00:00:00Z") == 0
    assert timestamp.render(1_500_000_000) == "1970-01-01T00:00:01.5Z"
    assert timestamp.moment("1h30m", 10**16) == 10**16 - 5400 * 10**9
    assert timestamp.moment("12.5", 0) == 12_500_000_000
    assert timestamp.moment("1970-01-02", 0) == 86400 * 10**9
    with pytest.raises(errors.InvalidArgument):
        timestamp.moment("yesterday", 0)


def test_ambiguous_and_foreign_documents_are_refused():
    both = b'{"schemaVersion":2,"config":{},"layers":[],"manifests":[]}'
    for data in (both, b"{}", b"[]", b"\xff", b'{"schemaVersion":1,"fsLayers":[]}', b"[" * 100_000):
        with pytest.raises(errors.InvalidArgument):
            media_type_of(data)
    wrong = b'{"mediaType":"application/vnd.oci.image.index.v1+json","config":{},"layers":[]}'
    with pytest.raises(errors.InvalidArgument):
        decode_manifest(wrong)
    with pytest.raises(errors.InvalidArgument):
        decode_index(b'{"config":{},"layers":[]}')


def test_config_takes_nulls_and_unknown_keys():
    config = decode_config(
        b'{"created":null,"os":"linux","architecture":"amd64","config":{"User":null,"Env":null,"Cmd":["a"],"X":1},'
        b'"rootfs":{"type":"layers","diff_ids":null},"history":[{"created_by":null}]}'
    )
    assert config.run.cmd == ["a"]
    assert config.run.user == ""
    assert config.diff_ids == []
    assert decode_config(encode_config(config)) == config


def test_documents_have_a_bound():
    with pytest.raises(errors.InvalidArgument, match="more than"):
        decode_config(b" " * (9 << 20))
