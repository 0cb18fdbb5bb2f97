"""Section E, requests made to be misread: smuggled, ambiguous, too large; names and labels that steer terminals."""

import json
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.attack.hostile import forget_peak, peak
from tests.support.busybox import IMAGE
from tests.support.cortencli import Corten
from tests.support.daemon import Daemon
from tests.support.http import Api
from tests.support.layers import archive, config_for, directory, docker_archive

JSON = {"Content-Type": "application/json"}


@pytest.fixture(autouse=True)
def tidy(clean: Daemon, image: str) -> None:
    """Containers go after each test; the image is there before."""


def talk(daemon: Daemon, data: bytes, half_close: bool = False) -> bytes:
    """Send *data* on a fresh connection and give everything that comes until the daemon closes or rests."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(daemon.socket)
        try:
            sock.sendall(data)
            if half_close:
                sock.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused while it was still being sent
        found = b""
        sock.settimeout(20)
        try:
            while chunk := sock.recv(65536):
                found += chunk
        except (TimeoutError, ConnectionResetError):
            pass
        return found


def statuses(answer: bytes) -> list[int]:
    return [int(line.split()[1]) for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


INNER = b"POST /volumes/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 19\r\n\r\n"
INNER += b'{"Name":"smuggled"}'
HEAD = b"POST /containers/none/start HTTP/1.1\r\nHost: x\r\n"

SMUGGLED = {
    "CL and TE": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + INNER,
    "TE and CL": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n" + INNER,
    "CL twice": HEAD + b"Content-Length: 0\r\nContent-Length: 100\r\n\r\n" + INNER,
    "CL list": HEAD + b"Content-Length: 0, 100\r\n\r\n" + INNER,
    "CL plus": HEAD + b"Content-Length: +0\r\n\r\n" + INNER,
    "CL negative": HEAD + b"Content-Length: -1\r\n\r\n" + INNER,
    "CL hexadecimal": HEAD + b"Content-Length: 0x0\r\n\r\n" + INNER,
    "CL huge": HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n" + INNER,
    "TE twice": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + INNER,
    "TE identity": HEAD + b"Transfer-Encoding: identity\r\n\r\n" + INNER,
    "TE chunked, identity": HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + INNER,
    "TE tab": HEAD + b"Transfer-Encoding:\tchunked-x\r\n\r\n0\r\n\r\n" + INNER,
    "TE space before colon": HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + INNER,
    "folded": HEAD + b"Transfer-Encoding:\r\n x\r\n\r\n0\r\n\r\n" + INNER,
    "NUL in a header": HEAD + b"X: a\0b\r\n\r\n" + INNER,
    "bare CR": HEAD + b"X: a\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + INNER,
    "chunk size plus": HEAD + b"Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n" + INNER,
    "chunk size 0x": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n" + INNER,
    "chunk size negative": HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n" + INNER,
    "chunk size long": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 100 + b"\r\n\r\n" + INNER,
    "chunk without end": HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcX0\r\n\r\n" + INNER,
    "no host": b"GET /_ping HTTP/1.1\r\n\r\n" + INNER,
    "two hosts": b"GET /_ping HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + INNER,
    "method with a space": b"GE T /_ping HTTP/1.1\r\nHost: x\r\n\r\n" + INNER,
    "version 2": b"GET /_ping HTTP/2.0\r\nHost: x\r\n\r\n" + INNER,
    "version 0.9": b"GET /_ping\r\n\r\n" + INNER,
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0" + INNER,
    "CONNECT": b"CONNECT /containers/none/start HTTP/1.1\r\nHost: x\r\n\r\n" + INNER,
}


@pytest.mark.parametrize("what", list(SMUGGLED))
def test_requests_that_two_readers_read_differently(daemon: Daemon, api: Api, what: str) -> None:
    """A second request hidden behind ambiguous framing. Refused and closed: what follows is never obeyed."""
    answer = talk(daemon, SMUGGLED[what], half_close=True)
    found = statuses(answer)
    assert found and found[0] in (400, 404, 411, 413, 501, 505), (what, answer[:300])
    if found[0] == 404:  # understood in the one way there is: then what follows is not inside it
        assert what in ("CONNECT",), answer
        api("DELETE", "/volumes/smuggled")
        return
    assert len(found) == 1, answer
    assert api("GET", "/volumes/smuggled").status == 404


def test_bare_line_feeds_end_no_request_inside_another(daemon: Daemon, api: Api) -> None:
    """A head that ends in bare line feeds is one request or none. No second one comes out of a value."""
    hidden = INNER.replace(b"\r\n", b"\n")
    answer = talk(daemon, HEAD + b"X: a\n\n" + hidden, half_close=True)
    assert statuses(answer)[:1] in ([400], [404])
    inside = HEAD + b"Content-Length: %d\r\n\r\n" % len(hidden) + hidden
    assert statuses(talk(daemon, inside, half_close=True)) in ([400], [404], [400, 400])
    api("DELETE", "/volumes/smuggled")


def test_upgrade_to_http2_is_not_taken(daemon: Daemon) -> None:
    """h2c asks for another protocol on the same connection; Docker's clients speak HTTP/1.1 alone."""
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
    answer = talk(daemon, b"GET /_ping HTTP/1.1\r\nHost: x\r\n" + upgrade, half_close=True)
    assert statuses(answer) == [200] and b"h2c" not in answer


FLOODS = {
    "request line": b"GET /" + b"a" * (64 << 20),
    "one header": b"GET /_ping HTTP/1.1\r\nHost: x\r\nX: " + b"a" * (64 << 20),
    "many headers": b"GET /_ping HTTP/1.1\r\nHost: x\r\n" + b"X: a\r\n" * (10 << 20),
    "empty lines": b"\r\n" * (16 << 20),
    "chunk extension": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"a" * (64 << 20),
    "trailers": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: a\r\n" * (10 << 20),
    "tiny chunks": b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * (50 << 10),
    "body of spaces": b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: 104857600\r\n\r\n" + b" " * (100 << 20),
}


@pytest.mark.parametrize("what", list(FLOODS))
def test_floods_are_bounded(daemon: Daemon, api: Api, what: str) -> None:
    """CVE-2026-22815 and its like: tens of megabytes where a few bytes belong. Refused, memory does not follow."""
    before = forget_peak(daemon.pid)
    answer = talk(daemon, FLOODS[what])
    assert not answer or statuses(answer)[0] in (400, 404, 413, 431), answer[:200]
    assert peak(daemon.pid) - before < 48 << 20
    assert api("GET", "/_ping").status == 200


def test_tiny_chunks_hold_nobody_up(daemon: Daemon, api: Api) -> None:
    """A body in chunks of one byte costs work for each; others are served in between."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(60)
        sock.connect(daemon.socket)
        sock.sendall(b"POST /images/load HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        stop = threading.Event()

        def flood() -> None:
            try:
                while not stop.is_set():
                    sock.sendall(b"1\r\n\0\r\n" * 10_000)
            except OSError:
                pass  # the load is refused one day

        thread = threading.Thread(target=flood)
        thread.start()
        try:
            for _ in range(20):
                assert api("GET", "/_ping").status == 200
        finally:
            stop.set()
            sock.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_pipelined_requests_are_answered_in_order(daemon: Daemon) -> None:
    """A thousand at once on one connection: one handler at a time, all answers, in order."""
    requests = b"".join(b"GET /containers/n%d/json HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(1000))
    answer = talk(daemon, requests, half_close=True)
    names = [json.loads(line)["message"] for line in answer.splitlines() if line.startswith(b"{")]
    assert names == [f"No such container: n{number}" for number in range(1000)]


# case 22: bodies


@pytest.mark.parametrize("size", [0, 1, 1 << 20, 8 << 20, (8 << 20) + 1, 100 << 20])
@pytest.mark.parametrize("chunked", [False, True])
def test_sizes_of_bodies(daemon: Daemon, api: Api, size: int, chunked: bool) -> None:
    """CVE-2024-41110: a body of any size is either read whole or refused; none is cut off, skipped or kept."""
    document = b'{"Image":"%s","HostConfig":{"Privileged":true}}' % IMAGE.encode()
    body = document.ljust(size) if size >= len(document) else b" " * size
    before = forget_peak(daemon.pid)
    head = b"POST /containers/create HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
    if chunked:
        parts = [body[at : at + 65536] for at in range(0, len(body), 65536)]
        payload = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
        data = head + b"Transfer-Encoding: chunked\r\n\r\n" + payload + b"0\r\n\r\n"
    else:
        data = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    found = statuses(talk(daemon, data))[:1]
    if size < len(document):
        assert found == [400]
    elif size <= 8 << 20:
        assert found == [201]
        listed = api("GET", "/containers/json", query={"all": 1}).json()
        assert [api("GET", f"/containers/{each['Id']}/json").json()["HostConfig"]["Privileged"] for each in listed] == [
            True
        ]
    else:
        assert found in ([413], [])
        assert api("GET", "/containers/json", query={"all": 1}).json() == []
    assert peak(daemon.pid) - before < 64 << 20


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ([b"Content-Type: application/json", b"Content-Type: text/plain"], b'{"Image":"IMAGE"}', 400),
        ([b"Content-Type: text/plain"], b'{"Image":"IMAGE"}', 400),
        ([b"Content-Type: application/json;charset=utf-8"], b'{"Image":"IMAGE"}', 201),
        ([b"Content-Type: application/json ; boundary=x"], b'{"Image":"IMAGE"}', 201),
        ([b"Content-Type: application/jsonx"], b'{"Image":"IMAGE"}', 400),
        ([b"Content-Type: application/x-www-form-urlencoded"], b'{"Image":"IMAGE"}', 400),
        ([], b'{"Image":"IMAGE"}', 400),
        ([b"Content-Type: application/json"], b'{"Image":"IMAGE"}{"Image":"x"}', 400),
        ([b"Content-Type: application/json"], b'{"Image":"IMAGE"} x', 400),
        ([b"Content-Type: application/json"], b'{"Image":"IMAGE"}\0', 400),
        ([b"Content-Type: application/json"], b'\xef\xbb\xbf{"Image":"IMAGE"}', 400),
        ([b"Content-Type: application/json"], b'[{"Image":"IMAGE"}]', 400),
        ([b"Content-Type: application/json"], b'{"Image":"IMAGE","HostConfig":[]}', 400),
        ([b"Content-Type: application/json"], b'{"Image":"IMAGE","HostConfig":{"Privileged":"false"}}', 400),
        ([b"Content-Type: application/json"], b'{"Image":"IMAGE\\ud800"}', 400),
        ([b"Content-Type: application/json"], b'{"Image":"\xff"}', 400),
        ([b"Content-Type: application/json", b"Content-Encoding: gzip"], b'{"Image":"IMAGE"}', 201),
        ([b"Content-Type: application/json"], b'{"a":' * 100_000, 400),
    ],
    ids=range(18),
)
def test_bodies_that_two_readers_read_differently(daemon: Daemon, headers, body: bytes, status: int) -> None:
    """CVE-2026-34040: the media type, what stands after the document, and types of values. One meaning or a refusal."""
    body = body.replace(b"IMAGE", IMAGE.encode())
    head = b"POST /containers/create HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + b"".join(
        line + b"\r\n" for line in headers
    )
    answer = talk(daemon, head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    assert statuses(answer)[:1] == [status], answer


def test_last_key_counts_in_whatever_case(api: Api) -> None:
    """Keys twice and in other cases mean what they mean in Go: the last one, and a reader that looks sees it too."""
    for body, expected in (
        (b'{"Image":"IMAGE","HostConfig":{"Privileged":true},"hostconfig":{"Privileged":false}}', False),
        (b'{"Image":"IMAGE","hostconfig":{"Privileged":false},"HostConfig":{"Privileged":true}}', True),
        (b'{"Image":"IMAGE","HostConfig":{"Privileged":false,"pRIVILEGED":true}}', True),
    ):
        created = api("POST", "/containers/create", body.replace(b"IMAGE", IMAGE.encode()), headers=JSON)
        assert created.status == 201, created.body
        shown = api("GET", f"/containers/{created.json()['Id']}/json").json()
        assert shown["HostConfig"]["Privileged"] is expected


# case 26: names


NAMES = ["../up", "a/b", "a\0b", "a\nb", "\x1b[31mred", "a b", "-a", ".", "ä", "x\x9bz", "a\u202eb", "%2e%2e", ""]


@pytest.mark.parametrize("name", [*NAMES, "a" * 1_000_000], ids=range(len(NAMES) + 1))
def test_names_that_are_more_than_names(api: Api, name: str) -> None:
    """Paths, NUL, line ends, control and direction marks, a megabyte: refused for containers, volumes and networks."""
    if len(name) > 10_000:
        with pytest.raises((ConnectionError, AssertionError)):  # a head of that size is cut off
            assert api("POST", "/containers/create", {"Image": IMAGE}, query={"name": name}).status != 400
    elif name:
        assert api("POST", "/containers/create", {"Image": IMAGE}, query={"name": name}).status == 400
    if name:
        assert api("POST", "/volumes/create", {"Name": name}).status == 400
        assert api("POST", "/networks/create", {"Name": name}).status in (400, 501)
        if name != "a/b":
            assert api("POST", f"/images/{IMAGE}/tag", query={"repo": name[:5000]}).status == 400
    assert api("GET", "/containers/json", query={"all": 1}).json() == []


@pytest.mark.parametrize("path", ["..%2f..%2fetc", "%00", "%0a", "a%2f..%2f..", "%1b%5b2J", "....//", "%ff%fe"])
@pytest.mark.parametrize("pattern", ["/containers/{}/json", "/volumes/{}", "/images/{}/json", "/exec/{}/json"])
def test_names_in_paths(api: Api, pattern: str, path: str) -> None:
    """The same as references: nobody is found by them, and the answer holds no raw control byte."""
    answer = api("GET", pattern.format(path))
    assert answer.status in (400, 404), answer.body
    assert not [byte for byte in answer.body if byte < 32 and byte != 10]


@pytest.fixture
def corten(daemon: Daemon) -> Iterator[Corten]:
    cli = Corten(daemon.url)
    yield cli
    cli.close()


STEER = "\x1b]0;owned\x07\x1b[2J\x9b1mA\u202eB\rC\u2028"


def test_command_line_shows_no_control_bytes(daemon: Daemon, api: Api, corten: Corten) -> None:
    """Labels, commands, errors, mounts and file names of a hostile image: visible text in every listing of corten."""
    layer = archive(directory(f"d{STEER}"), directory("tmp"))
    run = {"Cmd": [f"cmd{STEER}"], "Labels": {f"key{STEER}": f"value{STEER}"}, "Env": [f"E={STEER}"]}
    run |= {"WorkingDir": "/", "User": "", "StopSignal": ""}
    config = config_for([layer], config=run, author=STEER, history=[{"created_by": f"step {STEER}", "comment": STEER}])
    answer = api("POST", "/images/load", docker_archive([layer], ["steer:1"], config))
    assert b"errorDetail" not in answer.body, answer.body
    body = {"Image": "steer:1", "Labels": {"a": STEER}, "Hostname": "", "Cmd": [f"/bin/x{STEER}"]}
    created = api("POST", "/containers/create", body, query={"name": "box"})
    assert created.status == 201, created.body
    api("POST", "/containers/box/start")
    api("POST", "/volumes/create", {"Name": "steered", "Labels": {"a": STEER}})
    commands = (
        ("ps", "-a", "--no-trunc"),
        ("ps", "-a", "--format", "{{.Command}} {{.Labels}}"),
        ("ps", "-a", "--format", "json"),
        ("inspect", "box"),
        ("inspect", "-f", "{{.Config.Labels.a}}", "box"),
        ("image", "inspect", "steer:1"),
        ("history", "--no-trunc", "steer:1"),
        ("images", "--no-trunc"),
        ("volume", "ls", "--format", "{{.Labels}}"),
        ("volume", "inspect", "steered"),
        ("start", "box"),
        ("run", "--rm", f"none{STEER}", "x"),
        ("rm", f"x{STEER}"),
        ("system", "df", "-v"),
        ("events", "--since", "1h", "--until", "0s"),
    )
    for words in commands:
        with corten.terminal(*words) as terminal:
            terminal.wait()
            shown = terminal.seen.decode(errors="replace").replace("\r\n", "\n")
        assert shown, words
        bad = sorted({char for char in shown if (ord(char) < 32 and char not in "\n\t") or 127 <= ord(char) < 160})
        bad += [char for char in shown if char in "\u202e\u2028"]
        assert not bad, (words, bad, shown[:300])
    api("DELETE", "/volumes/steered")
