"""The audit log: every change by every door, with who asked; no secret in it; kept when processes are killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.busybox import IMAGE
from tests.support.certificates import make_certificates
from tests.support.daemon import REPOSITORY, Daemon
from tests.support.http import Api
from tests.support.stock import Docker, eventually


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon with an audit log on a small file system of its own."""
    if os.geteuid() != 0:
        pytest.skip("a daemon needs root")
    running = Daemon()
    os.mkdir(f"{running.base}/audit")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "audit", f"{running.base}/audit"], check=True)
    running.arguments += ["--audit-log", f"{running.base}/audit/log"]
    try:
        running.start()
        yield running
    finally:
        subprocess.run(["umount", "-l", f"{running.base}/audit"], check=True)
        leaks = running.close()
    assert not leaks


def entries(daemon: Daemon) -> list[dict]:
    return [json.loads(line) for line in Path(daemon.base, "audit/log").read_bytes().splitlines()]


def mark(daemon: Daemon) -> int:
    """How many lines there are, once everything so far has its outcome."""

    def complete() -> bool:
        ids: dict[str, set[str]] = {"request": set(), "response": set(), "start": set()}
        for each in entries(daemon):
            ids[each["stage"]].add(each["id"])
        return ids["request"] <= ids["response"]

    eventually(complete, what="the outcomes of all requests")
    return len(entries(daemon))


def since(daemon: Daemon, count: int, responses: int) -> list[dict]:
    """What came after the first *count* lines, once so many responses are there."""

    def there() -> bool:
        return sum(each["stage"] == "response" for each in entries(daemon)[count:]) >= responses

    eventually(there, what=f"{responses} outcomes in the audit log")
    return entries(daemon)[count:]


def test_changes_have_two_lines_and_a_peer(clean: Daemon, image: str, docker: Docker) -> None:
    """Create, start, exec, cp out, attach and remove by the stock CLI; who did it is the kernel's word."""
    count = mark(clean)
    docker("run", "-d", "--name", "box", "-e", "A=b", IMAGE, "sleep", "600")
    docker("exec", "box", "true")
    docker("cp", "box:/etc/passwd", "-")
    docker("ps")
    docker("rm", "-f", "box")
    found = since(clean, count, 7)
    seen = [(each["method"], each["path"].rpartition("/")[2], each["stage"]) for each in found]
    for method, name in (("POST", "create"), ("POST", "start"), ("POST", "exec"), ("GET", "archive")):
        assert seen.index((method, name, "request")) < seen.index((method, name, "response"))
    assert not [each for each in found if each["path"] == "/containers/json"]
    start = next(each for each in found if each["path"].startswith("/containers/") and each["path"].endswith("/start"))
    assert start["object"]["name"] == "box" and len(start["object"]["id"]) == 64
    for each in found:
        assert (each["peer"]["kind"], each["peer"]["uid"], each["peer"]["gid"]) == ("unix", 0, 0)
        assert each["peer"]["user"] == "root" and each["peer"]["pid"] > 1
        assert each["peer"]["command"] == "docker" and each["peer"]["program"].endswith("docker")
    created = next(each for each in found if each["path"] == "/containers/create")
    assert (created["image"], created["program"], created["grants"]) == (IMAGE, "sleep", [])
    statuses = {each["path"].rpartition("/")[2]: each["status"] for each in found if each["stage"] == "response"}
    assert (statuses["create"], statuses["archive"], statuses["exec"]) == (201, 200, 201)
    streams = [each for each in found if each["path"].startswith("/exec/") and each["stage"] == "response"]
    assert [each["status"] for each in streams if each["path"].endswith("/start")] == [101]


def test_websockets_and_exports_are_recorded(clean: Daemon, image: str, api: Api, docker: Docker) -> None:
    """GETs that hand out what is inside a container."""
    docker("run", "-d", "--name", "box", IMAGE, "sleep", "600")
    count = mark(clean)
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    upgrade["Sec-WebSocket-Key"] = "AAAAAAAAAAAAAAAAAAAAAA=="
    assert api("GET", "/containers/box/export").status == 200
    assert api("HEAD", "/containers/box/archive", query={"path": "/etc"}).status == 200
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(clean.socket)
        head = "".join(f"{name}: {value}\r\n" for name, value in upgrade.items())
        sock.sendall(f"GET /containers/box/attach/ws?stream=1&stdout=1 HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())
        assert b" 101 " in sock.recv(1000)
    found = since(clean, count, 2)
    assert [(each["path"].rpartition("/")[2], each["status"]) for each in found if each["stage"] == "response"] == [
        ("export", 200),
        ("ws", 101),
    ]


def test_client_that_leaves_at_once(clean: Daemon, image: str) -> None:
    """Fire and forget: the change of a client that does not wait for its answer is recorded with its identity."""
    count = mark(clean)
    for path in (b"/volumes/prune", b"/no/such/thing"):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(clean.socket)
            sock.sendall(b"POST " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    found = since(clean, count, 2)
    assert {each["path"] for each in found} == {"/volumes/prune", "/no/such/thing"}
    assert {each["peer"]["pid"] for each in found} == {os.getpid()}


def test_ids_count_up_without_gaps(clean: Daemon, image: str, api: Api) -> None:
    for _ in range(20):
        api("POST", "/volumes/create", {"Name": "vol"})
    api("DELETE", "/volumes/vol")
    found = since(clean, 0, 21)
    numbers = [int(each["id"].partition("-")[2]) for each in found if each["stage"] in ("start", "request")]
    assert numbers == sorted(numbers)
    assert set(range(1, max(numbers) + 1)) == {int(each["id"].partition("-")[2]) for each in found}
    assert len({each["id"].partition("-")[0] for each in found}) == 1
    assert found[0]["stage"] == "start"


def test_another_user_and_another_process(clean: Daemon, image: str) -> None:
    """A member of the socket's group: the line names the user, not the daemon and not root."""
    group = os.stat(clean.socket).st_gid
    os.chmod(clean.base, 0o755)
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([group])
            os.setgid(65534)
            os.setuid(65534)
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(clean.socket)
                sock.sendall(b"POST /containers/nobodys/kill HTTP/1.1\r\nHost: x\r\n\r\n")
                os._exit(0 if b"404" in sock.recv(4096) else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    line = next(each for each in since(clean, 0, 1) if each.get("path") == "/containers/nobodys/kill")
    assert (line["peer"]["uid"], line["peer"]["gid"], line["peer"]["user"]) == (65534, 65534, "nobody")
    assert line["peer"]["pid"] == child


SECRETS = ("hunter2", "s3cr3t-label", "s3cr3t-argument", "s3cr3t-option", "s3cr3t-auth", "s3cr3t-arg", "s3cr3t-change")


def test_secrets_stay_out(clean: Daemon, image: str, api: Api) -> None:
    body = {
        "Image": IMAGE,
        "Env": ["PASSWORD=hunter2"],
        "Labels": {"key": "s3cr3t-label"},
        "Cmd": ["mysql", "-ps3cr3t-argument"],
    }
    identifier = api("POST", "/containers/create", body).json()["Id"]
    api("POST", f"/containers/{identifier}/exec", {"Cmd": ["x", "s3cr3t-argument"], "Env": ["A=hunter2"]})
    options = {"type": "cifs", "device": "//server/share", "o": "addr=127.0.0.1,username=u,password=s3cr3t-option"}
    api("POST", "/volumes/create", {"Name": "share", "DriverOpts": options, "Labels": {"a": "s3cr3t-label"}})
    api("DELETE", "/volumes/share")
    headers = {"X-Registry-Auth": "s3cr3t-auth", "Authorization": "Basic s3cr3t-auth"}
    api("POST", "/images/no/such/push", headers=headers)
    address = "https://u:s3cr3t-auth@127.0.0.1:1/"
    api("POST", "/auth", {"username": "who", "password": "s3cr3t-auth", "serveraddress": address})
    api("POST", "/build", query={"buildargs": '{"TOKEN": "s3cr3t-arg"}', "remote": "https://u:s3cr3t-auth@host/x"})
    api("POST", "/images/create", b"", query={"fromSrc": "-", "repo": "x", "changes": "ENV A=s3cr3t-change"})
    for source in (
        "http://u:s3cr3t-auth@127.0.0.1:1/x",
        "u:s3cr3t-auth@127.0.0.1:1/x",
        "http://127.0.0.1:1/x?s3cr3t-auth",
    ):
        api("POST", "/images/create", query={"fromSrc": source, "repo": "x"})
    since(clean, 0, 8)
    text = Path(clean.base, "audit/log").read_text()
    assert [secret for secret in SECRETS if secret in text] == []
    assert "volume-mount:cifs://server/share:rw" in text
    assert '"username":"who"' in text and '"registry":"127.0.0.1:1"' in text


def test_control_characters_and_floods_of_text(clean: Daemon, image: str, api: Api) -> None:
    """A name that would clear a terminal or start a line of its own is escaped; long ones are cut."""
    count = mark(clean)
    api("POST", "/containers/create", {"Image": "\x1b[2J\n{}\u202e\x9b"}, query={"name": "\x1b]0;x\x07\n{}"})
    api("POST", "/containers/%0a%1b%5b2J/kill")
    api("POST", "/containers/create", {"Image": "x" * 1_000_000, "HostConfig": {"CapAdd": ["X" * 50_000] * 100}})
    found = since(clean, count, 3)
    assert len(found) >= 6
    data = Path(clean.base, "audit/log").read_bytes()
    assert not [byte for byte in set(data) if byte != 10 and not 32 <= byte < 127]
    assert max(map(len, data.splitlines())) < 8192


def test_what_comes_to_no_handler(clean: Daemon, image: str, api: Api) -> None:
    """An unknown path, a version of the future, broken JSON, a body that is too large: recorded with the answer."""
    count = mark(clean)
    json_type = {"Content-Type": "application/json"}
    assert api("POST", "/no/such/thing").status == 404
    assert api("POST", "/v9.99/containers/create", {}).status == 400
    assert api("POST", "/containers/create", b'{"Image": ', headers=json_type).status == 400
    assert api("POST", "/containers/create", b" " * (9 << 20), headers=json_type).status == 413
    found = [each for each in since(clean, count, 4) if each["stage"] == "response"]
    assert [each["status"] for each in found] == [404, 400, 400, 413]
    assert found[2]["invalid"] is True


def grants(daemon: Daemon, path: str, stage: str = "request") -> list[str]:
    """Of the last line for *path*."""
    return next(each for each in reversed(entries(daemon)) if each.get("path") == path and each["stage"] == stage)[
        "grants"
    ]


def doors(folder: str) -> dict[str, dict]:
    """HostConfigs that all hand out *folder* of the host, writable."""
    options = {"type": "none", "o": "bind", "device": folder}
    driver = {"DriverConfig": {"Name": "local", "Options": options}}
    return {
        "binds": {"Binds": [f"{folder}:/x"]},
        "binds, untidy": {"Binds": [f"//{folder}/../outside/./:/x:rw"]},
        "mounts": {"Mounts": [{"Type": "bind", "Source": folder, "Target": "/x"}]},
        "mounts of a new volume": {
            "Mounts": [{"Type": "volume", "Source": "new", "Target": "/x", "VolumeOptions": driver}]
        },
        "anonymous": {"Mounts": [{"Type": "volume", "Target": "/x", "VolumeOptions": driver}]},
        "mounts of a volume that exists": {"Mounts": [{"Type": "volume", "Source": "door", "Target": "/x"}]},
        "binds of a volume that exists": {"Binds": ["door:/x"]},
        "another container": {"VolumesFrom": ["first"]},
        "keys in another case": {"bINDS": [f"{folder}:/x"]},
    }


def test_same_folder_by_every_door(clean: Daemon, api: Api, outside: str) -> None:
    """Case 23: Binds, Mounts, volume options and volumes-from are one decision: the same words in the record."""
    options = {"type": "none", "o": "bind", "device": outside}
    api("POST", "/volumes/create", {"Name": "door", "DriverOpts": options})
    expected = [f"host-path:{outside}:rw"]
    assert grants(clean, "/volumes/create") == expected
    first = {"Image": IMAGE, "Cmd": ["true"], "HostConfig": {"Binds": [f"{outside}:/x"]}}
    api("POST", "/containers/create", first, query={"name": "first"})
    for name, host in doors(outside).items():
        created = api("POST", "/containers/create", {"Image": IMAGE, "Cmd": ["true"], "HostConfig": host})
        assert created.status == 201, (name, created.body)
        identifier = created.json()["Id"]
        assert (name, grants(clean, "/containers/create")) == (name, expected)
        assert api("POST", f"/containers/{identifier}/start").status == 204
        assert (name, grants(clean, f"/containers/{identifier}/start")) == (name, expected)
        api("POST", f"/containers/{identifier}/wait")
    clean.remove_containers()
    api("DELETE", "/volumes/door")
    api("DELETE", "/volumes/new")


def test_other_capabilities(clean: Daemon, image: str, api: Api) -> None:
    """Case 23: each setting that opens the host has its word, as does a privileged exec."""
    host = {
        "Privileged": True,
        "CapAdd": ["sys_admin", "CAP_BPF", "CHOWN"],
        "PidMode": "host",
        "NetworkMode": "host",
        "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "r"}],
        "SecurityOpt": ["seccomp=unconfined", "apparmor:unconfined", "no-new-privileges"],
    }
    identifier = api("POST", "/containers/create", {"Image": IMAGE, "HostConfig": host}).json()["Id"]
    expected = ["privileged", "capability:SYS_ADMIN", "capability:BPF", "pid:host", "network:host"]
    expected += ["device:/dev/null:r", "seccomp:unconfined", "apparmor:unconfined"]
    assert grants(clean, "/containers/create") == expected
    api("POST", f"/containers/{identifier}/exec", {"Cmd": ["x"], "Privileged": True})
    assert grants(clean, f"/containers/{identifier}/exec") == ["privileged"]
    api("POST", f"/containers/{identifier}/update", {"Privileged": True, "CpuShares": 5})
    update = f"/containers/{identifier}/update"
    assert grants(clean, update) == ["privileged"]
    assert next(each for each in entries(clean) if each.get("path") == update)["fields"] == ["CpuShares", "Privileged"]
    for lifted in ({"MaskedPaths": []}, {"ReadonlyPaths": []}, {"SecurityOpt": ["systempaths=unconfined"]}):
        api("POST", "/containers/create", {"Image": IMAGE, "HostConfig": lifted})
        assert grants(clean, "/containers/create") == ["system-paths"]


def test_record_is_of_what_is_executed(clean: Daemon, image: str, api: Api) -> None:
    """Case 22: keys twice, in other cases, and a media type with parameters; record and container agree."""
    bodies = [
        b'{"Image":"%s","HostConfig":{"Privileged":true},"hostconfig":{"Privileged":false}}',
        b'{"Image":"%s","hostconfig":{"Privileged":false},"HostConfig":{"Privileged":true}}',
        b'{"Image":"%s","HostConfig":{"Privileged":false,"Privileged":true}}',
        b'{"Image":"%s","HostConfig":{"Privileged":true,"privileged":false}}',
        b'{"Image":"%s","HostConfig":{"privileged":false},"HostConfig":{"pRIVILEGED":true}}',
    ]
    kinds = {"Content-Type": "Application/JSON;charset=utf-8"}
    seen = set()
    for body in bodies:
        answer = api("POST", "/containers/create", body.replace(b"%s", IMAGE.encode()), headers=kinds)
        assert answer.status == 201, answer.body
        real = api("GET", f"/containers/{answer.json()['Id']}/json").json()["HostConfig"]["Privileged"]
        assert (grants(clean, "/containers/create") == ["privileged"]) is real
        seen.add(real)
    assert seen == {True, False}


def test_full_disk_refuses_changes_and_nothing_else(clean: Daemon, image: str, api: Api, docker: Docker) -> None:
    """Fail closed: no change without its line. Reading goes on, and outcomes under way are written later."""
    docker("run", "-d", "--name", "box", IMAGE, "sleep", "600")
    sock, status, _ = api.hijack("/containers/box/attach?stream=1&stdout=1")
    assert status == 101
    filler = Path(clean.base, "audit/filler")
    try:
        with open(filler, "wb", buffering=0) as file:
            for size in (1 << 16, 1):
                while True:
                    try:
                        file.write(bytes(size))
                    except OSError:
                        break
        # what is left in the last page of the log takes a few lines yet
        eventually(lambda: api("POST", "/volumes/create", {"Name": "late"}).status == 503, what="the refusal")
        refused = api("POST", "/containers/create", {"Image": IMAGE}, query={"name": "never"})
        assert refused.status == 503 and "audit log" in refused.message
        assert api("GET", "/containers/never/json").status == 404
        assert api("GET", "/containers/json").status == 200
        sock.close()
    finally:
        filler.unlink()
    eventually(lambda: api("POST", "/volumes/create", {"Name": "late"}).status == 201, what="changes again")
    attach = [each for each in entries(clean) if each.get("path") == "/containers/box/attach"]
    eventually(lambda: any(each["stage"] == "response" for each in entries(clean) if each["id"] == attach[0]["id"]))
    api("DELETE", "/volumes/late")


def test_file_is_private_and_not_followed(clean: Daemon, image: str, tmp_path: Path) -> None:
    assert os.stat(f"{clean.base}/audit/log").st_mode & 0o777 == 0o600
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "link").symlink_to(victim)
    os.mkfifo(tmp_path / "fifo")
    for name in ("link", "fifo", "victim/log"):
        other = Daemon(arguments=["--audit-log", str(tmp_path / name)])
        try:
            with pytest.raises(RuntimeError, match="ended with 1"):
                other.start()
        finally:
            other.clean()
    assert victim.read_text() == "precious"


def test_certificates_are_named(tmp_path: Path) -> None:
    path = make_certificates(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    files = ["--tlscacert", f"{path}/ca.pem", "--tlscert", f"{path}/server.pem", "--tlskey", f"{path}/server-key.pem"]
    other = Daemon(arguments=["-H", f"tcp://127.0.0.1:{port}", "--tlsverify", *files])
    other.arguments += ["--audit-log", f"{other.base}/log"]
    try:
        other.start()
        import http.client
        import ssl

        context = ssl.create_default_context(cafile=f"{path}/ca.pem")
        context.load_cert_chain(f"{path}/client.pem", f"{path}/client-key.pem")
        client = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=20)
        client.request("POST", "/volumes/create", b'{"Name": "vol"}', {"Content-Type": "application/json"})
        assert client.getresponse().status == 201
        client.close()
        shown = subprocess.run(
            ["openssl", "x509", "-in", f"{path}/client.pem", "-noout", "-fingerprint", "-sha256"],
            capture_output=True,
            text=True,
            check=True,
        )
        lines = [json.loads(line) for line in Path(other.base, "log").read_text().splitlines()]
        peer = next(each["peer"] for each in lines if each.get("path") == "/volumes/create")
        assert (peer["kind"], peer["subject"]) == ("tls", "commonName=client")
        assert peer["alternative_names"] == ["IP Address:127.0.0.1"] and peer["address"].startswith("127.0.0.1:")
        fingerprint = shown.stdout.strip().partition("=")[2].replace(":", "").lower()
        assert peer["fingerprint"] == f"sha256:{fingerprint}"
    finally:
        leaks = other.close()
    assert not leaks


WRITER = """
    import sys
    from corten.api.audit.file import AuditFile
    file = AuditFile(sys.argv[1], 400, 100000)
    for number in range(int(sys.argv[2]), 1 << 30):
        file.append(b'{"n":%d}\\n' % number)
        print(number, flush=True)
"""


def test_rotation_survives_kill(tmp_path: Path) -> None:
    """kill -9 at any moment of writing and rotating: every line that was acknowledged is there, whole, in order."""
    path = tmp_path / "log"
    environment = dict(os.environ, PYTHONPATH=REPOSITORY)
    number = 0
    for turn in range(8):
        words = [sys.executable, "-c", textwrap.dedent(WRITER), str(path), str(number)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, env=environment) as process:
            assert process.stdout is not None
            last = b""
            for _ in range(100 + 37 * turn):
                last = process.stdout.readline()
            process.send_signal(signal.SIGKILL)
            last = (process.stdout.read().splitlines(keepends=True) or [last])[-1]
        number = int(last) + 1
    suffixes = sorted((int(name.name.partition(".")[2] or 0) for name in tmp_path.iterdir()), reverse=True)
    found = []
    for suffix in suffixes:
        data = (tmp_path / (f"log.{suffix}" if suffix else "log")).read_bytes()
        assert data.endswith(b"\n") and len(data) <= 400
        found += [json.loads(line)["n"] for line in data.splitlines()]
    assert found == sorted(found)
    assert set(range(number)) <= set(found)


def test_oldest_file_goes(tmp_path: Path) -> None:
    from corten.api.audit.file import AuditFile

    file = AuditFile(str(tmp_path / "log"), 100, 3)
    for number in range(100):
        file.append(b"%09d\n" % number)
    file.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["log", "log.1", "log.2"]
    text = "".join((tmp_path / name).read_text() for name in ("log.2", "log.1", "log"))
    assert [int(line) for line in text.split()] == list(range(70, 100))
    single = AuditFile(str(tmp_path / "single"), 20, 1)
    for _ in range(5):
        single.append(b"0123456789\n")
    single.close()
    assert (tmp_path / "single").read_text() == "0123456789\n" and not (tmp_path / "single.1").exists()


def test_broken_last_line_and_a_file_taken_away(tmp_path: Path) -> None:
    from corten.api.audit.file import AuditFile

    (tmp_path / "log").write_text('{"half":')
    file = AuditFile(str(tmp_path / "log"), 1000, 2)
    file.append(b"one\n")
    os.rename(tmp_path / "log", tmp_path / "log.old")
    file.append(b"two\n")
    file.close()
    assert (tmp_path / "log.old").read_text() == '{"half":\none\n' and (tmp_path / "log").read_text() == "two\n"
