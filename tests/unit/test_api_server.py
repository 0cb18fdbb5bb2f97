"""The API's own behaviour over real sockets: framing, versions, errors, hijacked streams."""

import base64
import json
import os
import socket
import threading
import time
import types

import pytest

from tests.support.apiserver import ID, ApiServer, frames, parse, read_all, read_until, record


@pytest.fixture
def api():
    server = ApiServer()
    yield server
    server.close()


def message(body):
    return json.loads(body)["message"]


class TestVersions:
    def test_ping_with_and_without_version(self, api):
        for path in ("/_ping", "/v1.24/_ping", "/v1.56/_ping"):
            status, headers, body = api.request("GET", path)
            assert (status, body) == (200, b"OK")
            assert headers["api-version"] == "1.56"
            assert headers["ostype"] == "linux"
            assert headers["content-type"].startswith("text/plain")

    def test_head_ping_has_no_body(self, api):
        status, headers, body = api.request("HEAD", "/_ping")
        assert (status, headers["content-length"], body) == (200, "0", b"")

    def test_too_new_and_too_old(self, api):
        status, _, body = api.request("GET", "/v1.99/_ping")
        assert status == 400
        assert message(body) == "client version 1.99 is too new. Maximum supported API version is 1.56"
        status, _, body = api.request("GET", "/v1.10/_ping")
        assert status == 400
        assert message(body) == (
            "client version 1.10 is too old. Minimum supported API version is 1.24, "
            "please upgrade your client to a newer version"
        )

    @pytest.mark.parametrize("path", ["/nothing", "/v1.40/nothing", "/v/x", "/", "/containers", "/v1.44"])
    def test_unknown_path(self, api, path):
        status, _, body = api.request("GET", path)
        assert (status, message(body)) == (404, "page not found")

    def test_head_is_for_ping_and_archives_alone(self, api):
        assert api.request("HEAD", "/events")[0] == 404

    def test_options_is_empty(self, api):
        status, _, body = api.request("OPTIONS", "/v1.44/containers/json")
        assert (status, body) == (200, b"")

    def test_no_swarm(self, api):
        for path in ("/swarm", "/nodes", "/services/x", "/secrets"):
            status, _, body = api.request("GET", path)
            assert status == 503
            assert message(body).startswith("This node is not a swarm manager.")

    def test_not_built_yet_says_so(self, api):
        status, _, body = api.request("POST", "/build")
        assert status == 501
        assert "not built yet" in message(body)


class TestErrors:
    def test_not_found(self, api):
        status, headers, body = api.request("GET", "/containers/nope/json")
        assert (status, message(body)) == (404, "No such container: nope")
        assert headers["content-type"] == "application/json"
        assert body.endswith(b"\n")

    def test_not_modified_has_no_body(self, api):
        api.backend.containers.add(record())
        status, headers, body = api.request("POST", f"/containers/{ID}/start")
        assert (status, body) == (304, b"")
        assert "content-length" not in headers

    def test_unexpected_failure_is_500(self, api, caplog):
        api.backend.containers.add(record())
        status, _, body = api.request("POST", f"/containers/{ID}/rename?name=x")
        assert (status, message(body)) == (500, "a bug")
        assert "RuntimeError" in caplog.text

    def test_percent_encoded_name(self, api):
        status, _, body = api.request("GET", "/containers/a%20b%0a/json")
        assert (status, message(body)) == (404, "No such container: a b\n")

    def test_nul_is_refused(self, api):
        assert api.request("GET", "/containers/a%00b/json")[0] == 400


class TestBodies:
    def create(self, api, body, **headers):
        return api.request("POST", "/v1.47/containers/create?name=/web", body, headers or None)

    def test_create(self, api):
        body = {"image": "busybox", "CMD": "true", "Unknown": 1, "hostconfig": {"binds": ["/a:/b"], "Memory": 5}}
        status, _, answer = self.create(api, body)
        assert status == 201
        assert json.loads(answer) == {"Id": ID, "Warnings": ["careful"]}
        _, name, config, host, endpoints, platform = api.backend.containers.calls[0]
        assert (name, config.image, config.cmd) == ("web", "busybox", ["true"])
        assert (host.binds, host.memory, endpoints, platform) == (["/a:/b"], 5, {}, None)

    def test_wrong_type_names_the_field(self, api):
        status, _, body = self.create(api, {"Image": "x", "HostConfig": {"Mounts": [{"ReadOnly": "yes"}]}})
        assert status == 400
        assert "HostConfig.Mounts[0].ReadOnly: expected boolean, got string" in message(body)

    def test_number_beyond_64_bits(self, api):
        status, _, body = self.create(api, {"Image": "x", "HostConfig": {"Memory": 1 << 64}})
        assert status == 400
        assert "HostConfig.Memory" in message(body)

    def test_content_type(self, api):
        status, _, body = self.create(api, b"{}", **{"Content-Type": "text/plain"})
        assert status == 400
        assert message(body) == "unsupported Content-Type header (text/plain): must be 'application/json'"
        status, _, _ = self.create(api, b'{"Image":"x"}', **{"Content-Type": "application/json; charset=utf-8"})
        assert status == 201

    def test_content_type_twice(self, api):
        with api.connect() as client:
            client.sendall(
                b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
                b"Content-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
            )
            assert parse(read_all(client))[0] == 400

    @pytest.mark.parametrize("body", [b'{"Image":"x"} {}', b'{"Image":"x"}]', b"[]", b"{", b'"x"', b"\xff", b""])
    def test_broken_json(self, api, body):
        assert self.create(api, body)[0] == 400

    def test_deep_nesting(self, api):
        assert self.create(api, b'{"a":' * 100_000)[0] == 400

    def test_too_large(self, api):
        status, _, _ = self.create(api, b'{"Image":"' + b"x" * (9 << 20) + b'"}')
        assert status == 413

    def test_empty_config(self, api):
        status, _, body = self.create(api, b"{}")
        assert (status, message(body)) == (400, "config cannot be empty in order to create a container")

    def test_chunked_body(self, api):
        with api.connect() as client:
            client.sendall(
                b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
                b'Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n8\r\n{"Image"\r\n5\r\n:"x"}\r\n0\r\n\r\n'
            )
            assert parse(read_all(client))[0] == 201

    def test_expect_continue(self, api):
        with api.connect() as client:
            client.sendall(
                b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
                b"Content-Length: 13\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
            )
            assert read_until(client, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.sendall(b'{"Image":"x"}')
            assert parse(read_all(client))[0] == 201

    def test_update_knows_what_was_sent(self, api):
        api.backend.containers.add(record())
        status, _, body = api.request("POST", f"/containers/{ID}/update", {"memory": 0, "PidsLimit": None, "Foo": 1})
        assert (status, json.loads(body)) == (200, {"Warnings": None})
        assert api.backend.containers.calls[-1][2] == {"memory", "pids_limit"}


class TestFraming:
    def test_keep_alive_and_pipelining(self, api):
        with api.connect() as client:
            client.sendall(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n" * 3)
            data = b""
            while data.count(b"OK") < 3 + data.count(b"200 OK"):
                data += client.recv(65536)
            client.sendall(b"GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
            assert read_all(client).endswith(b"\r\n\r\nOK")

    def test_unread_body_is_skipped(self, api):
        with api.connect() as client:
            client.sendall(b"POST /nothing HTTP/1.1\r\nHost: d\r\nContent-Length: 5\r\n\r\nhello")
            read_until(client, b"not found")
            client.sendall(b"GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
            assert read_all(client).endswith(b"OK")

    def test_answer_reaches_a_client_that_is_still_sending(self, api):
        with api.connect() as client:
            client.sendall(b"POST /nothing HTTP/1.1\r\nHost: d\r\nContent-Length: 100000000\r\n\r\n")
            client.sendall(b"x" * 400_000)
            assert b"404 Not Found" in read_until(client, b"not found")

    @pytest.mark.parametrize(
        "request_bytes",
        [
            b"GET /_ping HTTP/1.1\r\n\r\n",
            b"GET /_ping HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            b"GET /_ping HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
            b"POST /_ping HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"POST /_ping HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
            b"POST /_ping HTTP/1.1\r\nHost: a\r\nContent-Length: -4\r\n\r\n",
            b"POST /_ping HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
            b"\x16\x03\x01\x02\x00",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET /" + b"x" * 400_000,
            b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 400_000,
        ],
    )
    def test_bad_requests_are_refused_and_closed(self, api, request_bytes):
        with api.connect() as client:
            client.sendall(request_bytes)
            client.shutdown(socket.SHUT_WR)
            data = read_all(client)
            assert data == b"" or parse(data)[0] in (400, 501)
            assert request_bytes[:1] == b"\x16" or data
        assert api.request("GET", "/_ping")[0] == 200

    def test_http_10(self, api):
        with api.connect() as client:
            client.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            assert read_all(client).endswith(b"\r\n\r\nOK")

    def test_half_closed_client_is_answered(self, api):
        with api.connect() as client:
            client.sendall(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
            client.shutdown(socket.SHUT_WR)
            assert read_all(client).endswith(b"OK")

    def test_broken_off_body(self, api):
        with api.connect() as client:
            client.sendall(
                b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
                b"Content-Length: 100\r\n\r\n{"
            )
            client.shutdown(socket.SHUT_WR)
            assert parse(read_all(client))[0] == 400
        assert not api.backend.containers.calls


class TestWait:
    def test_head_comes_first(self, api):
        api.backend.containers.add(record())
        with api.connect() as client:
            client.sendall(f"POST /containers/{ID}/wait?condition=next-exit HTTP/1.1\r\nHost: d\r\n\r\n".encode())
            head = read_until(client, b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK")
            assert api.backend.containers.calls == [("wait", ID, "next-exit")]
            api.call(api.backend.containers.exit.set_result, (3, ""))
            _, _, body = parse(head + read_until(client, b"0\r\n\r\n"))
            assert json.loads(body) == {"StatusCode": 3}

    def test_errors_come_as_status(self, api):
        assert api.request("POST", "/containers/nope/wait")[0] == 404
        status, _, body = api.request("POST", f"/containers/{ID}/wait?condition=soon")
        assert (status, message(body)) == (400, 'invalid condition: "soon"')

    def test_a_client_that_goes_ends_it(self, api):
        api.backend.containers.add(record())
        client = api.connect()
        client.sendall(f"POST /containers/{ID}/wait HTTP/1.1\r\nHost: d\r\n\r\n".encode())
        read_until(client, b"\r\n\r\n")
        client.close()
        assert api.backend.containers.cancelled.wait(5)


def attach(client, query="stream=1&stdin=1&stdout=1&stderr=1", headers="", after=b"", version="v1.47"):
    client.sendall(
        f"POST /{version}/containers/{ID}/attach?{query} HTTP/1.1\r\nHost: d\r\n{headers}\r\n".encode() + after
    )


UPGRADE = "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: text/plain\r\n"


class TestAttach:
    def test_upgrade(self, api):
        api.backend.containers.add(record())
        with api.connect() as client:
            attach(client, headers=UPGRADE)
            head, _, rest = read_until(client, b"hello\n").partition(b"\r\n\r\n")
            assert head.split(b"\r\n") == [
                b"HTTP/1.1 101 UPGRADED",
                b"Content-Type: application/vnd.docker.multiplexed-stream",
                b"Connection: Upgrade",
                b"Upgrade: tcp",
            ]
            assert frames(rest) == [(1, b"hello\n")]
            client.sendall(b"abc")
            assert frames(read_until(client, b"ABC")) == [(1, b"ABC")]
            client.shutdown(socket.SHUT_WR)
            assert frames(read_all(client)) == [(2, b"eof")]

    def test_without_upgrade_and_with_early_stdin(self, api):
        api.backend.containers.add(record())
        with api.connect() as client:
            attach(client, after=b"GET / HTTP/1.1\r\n\r\nearly", version="v1.41")
            client.shutdown(socket.SHUT_WR)
            head, _, rest = read_all(client).partition(b"\r\n\r\n")
            assert head.split(b"\r\n") == [
                b"HTTP/1.1 200 OK",
                b"Content-Type: application/vnd.docker.raw-stream",
            ]
            found = frames(rest)
            assert b"".join(data for stream, data in found if stream == 1) == b"hello\nGET / HTTP/1.1\r\n\r\nEARLY"
            assert found[-1] == (2, b"eof")

    def test_tty_is_raw(self, api):
        rec = record()
        api.backend.containers.add(record(config=type(rec.config)(tty=True)))
        with api.connect() as client:
            attach(client, headers=UPGRADE)
            client.shutdown(socket.SHUT_WR)
            head, _, rest = read_all(client).partition(b"\r\n\r\n")
            assert b"application/vnd.docker.raw-stream" in head
            assert rest == b"hello\neof"

    def test_options_reach_the_engine(self, api):
        api.backend.containers.add(record())
        with api.connect() as client:
            attach(client, query="logs=1&stdout=true&detachKeys=ctrl-x", headers=UPGRADE)
            read_until(client, b"hello\n")
            options = api.backend.attachments.attached[1]
            assert options == {
                "stdin": False,
                "stdout": True,
                "stderr": False,
                "logs": True,
                "stream": False,
                "detach_keys": "ctrl-x",
            }

    def test_errors_before_the_hijack(self, api):
        assert api.request("POST", "/containers/nope/attach", headers={"Upgrade": "tcp"})[0] == 404
        api.backend.containers.add(record()).become(status="paused")
        assert api.request("POST", f"/containers/{ID}/attach?stream=1")[0] == 409
        api.backend.containers.get(ID).become(status="running")
        assert api.request("POST", f"/containers/{ID}/attach?detachKeys=bad")[0] == 400

    def test_a_client_that_goes_altogether_is_noticed(self, api):
        api.backend.containers.add(record())
        gone = threading.Event()

        async def silent(ref, peer, **options):
            await peer.wait_closed()
            gone.set()

        api.backend.attachments.attach = silent
        with api.connect() as client:
            attach(client, headers=UPGRADE)
            read_until(client, b"\r\n\r\n")
            client.shutdown(socket.SHUT_WR)
            assert not gone.wait(0.1)
        client = api.connect()
        attach(client, headers=UPGRADE)
        read_until(client, b"\r\n\r\n")
        client.close()
        assert gone.wait(5)

    def test_output_is_flushed_before_the_close(self, api):
        api.backend.containers.add(record())
        size = 8 << 20

        async def much(ref, peer, **options):
            for _ in range(size >> 16):
                peer.write(1, b"x" * (1 << 16))
                await peer.drain()
            peer.write(1, b"end")

        api.backend.attachments.attach = much
        with api.connect() as client:
            attach(client, headers=UPGRADE, after=b"never read" * 100)
            time.sleep(0.05)
            rest = read_all(client).partition(b"\r\n\r\n")[2]
            output = b"".join(data for _, data in frames(rest))
            assert len(output) == size + 3
            assert output.endswith(b"end")

    def test_slow_engine_holds_the_client_up(self, api):
        api.backend.containers.add(record())
        with api.connect() as client:
            attach(client, headers=UPGRADE)
            read_until(client, b"hello\n")
            sent = os.urandom(3 << 20).replace(b"\n", b"x").lower()
            client.settimeout(20)
            received = b""
            view = memoryview(sent)
            while view:
                taken = client.send(view[: 1 << 16])
                view = view[taken:]
                received += client.recv(1 << 20)
            client.shutdown(socket.SHUT_WR)
            received += read_all(client)
            found = frames(received)
            assert b"".join(data for stream, data in found if stream == 1) == sent.upper()


class TestExec:
    def make(self, api, cmd=("cat",), **more):
        api.backend.containers.add(record())
        body = {"Cmd": list(cmd), "AttachStdin": True, "AttachStdout": True, **more}
        status, _, answer = api.request("POST", f"/containers/{ID}/exec", body)
        assert status == 201
        return json.loads(answer)["Id"]

    def test_start_with_body_and_stdin_at_once(self, api):
        exec_id = self.make(api)
        body = b'{"Detach":false,"Tty":false}'
        with api.connect() as client:
            client.sendall(
                f"POST /v1.47/exec/{exec_id}/start HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body
                + b"input"
            )
            client.shutdown(socket.SHUT_WR)
            head, _, rest = read_all(client).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101 UPGRADED")
            assert frames(rest) == [(1, b"out"), (2, b"input")]
        status, _, answer = api.request("POST", f"/exec/{exec_id}/start", {})
        assert status == 409, answer

    def test_failure_is_written_into_the_stream(self, api):
        exec_id = self.make(api, ["missing"])
        with api.connect() as client:
            client.sendall(f"POST /exec/{exec_id}/start HTTP/1.1\r\nHost: d\r\n\r\n".encode())
            rest = read_all(client).partition(b"\r\n\r\n")[2]
            assert frames(rest) == [(1, b"no such program\r\n")]

    def test_detached(self, api):
        exec_id = self.make(api)
        status, _, body = api.request("POST", f"/exec/{exec_id}/start", {"Detach": True})
        assert (status, body) == (200, b"")

    def test_inspect(self, api):
        exec_id = self.make(api, ["cat", "-"], User="nobody")
        document = json.loads(api.request("GET", f"/exec/{exec_id}/json")[2])
        assert document["ExitCode"] is None
        assert document["ProcessConfig"] == {
            "tty": False,
            "entrypoint": "cat",
            "arguments": ["-"],
            "privileged": False,
            "user": "nobody",
        }

    def test_refusals(self, api):
        api.backend.containers.add(record())
        assert api.request("POST", f"/containers/{ID}/exec", {"Cmd": []})[0] == 400
        assert api.request("POST", "/exec/nope/start", {})[0] == 404
        for query in ("", "h=1", "h=-1&w=2", "h=1&w=99999999999"):
            assert api.request("POST", f"/exec/x/resize?{query}")[0] == 400


class TestLogs:
    def logs(self, api, chunks, query="stdout=1&stderr=1", **headers):
        api.backend.containers.add(record())

        async def read(container, options):
            api.options = options
            if chunks:
                yield chunks

        api.backend.logs = types.SimpleNamespace(read_blocks=read)
        return api.request("GET", f"/v1.47/containers/{ID}/logs?{query}", headers=headers)

    def test_a_frame_for_each_line(self, api):
        status, headers, body = self.logs(api, [(1, b"a\r\nb\rc\n"), (2, b"x\n\ny")])
        assert (status, headers["content-type"]) == (200, "application/vnd.docker.multiplexed-stream")
        assert frames(body) == [(1, b"a\r\n"), (1, b"b\rc\n"), (2, b"x\n"), (2, b"\n"), (2, b"y")]

    def test_larger_frames_for_clients_that_do_not_mind(self, api):
        headers = {"User-Agent": "Docker-Client/28.2.2 (linux)"}
        assert frames(self.logs(api, [(1, b"a\nb\n")], **headers)[2]) == [(1, b"a\nb\n")]

    def test_options(self, api):
        self.logs(api, [], "stdout=1&tail=5&since=1.5&until=2&timestamps=1&follow=1&details=1")
        options = api.options
        assert (options.stdout, options.stderr, options.tail, options.follow) == (True, False, 5, True)
        assert (options.since, options.until) == (1_500_000_000, 2_000_000_000)
        for text, tail in (("all", -1), ("", -1), ("0", 0), ("-3", -1)):
            self.logs(api, [], f"stdout=1&tail={text}")
            assert api.options.tail == tail

    def test_no_stream_chosen(self, api):
        status, _, body = self.logs(api, [], "stdout=0")
        assert (status, message(body)) == (400, "Bad parameters: you must choose at least one stream")


class TestWebSocket:
    def test_echo(self, api):
        api.backend.containers.add(record())
        with api.connect() as client:
            key = base64.b64encode(b"k" * 16).decode()
            client.sendall(
                f"GET /v1.47/containers/{ID}/attach/ws?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: d\r\n"
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
            )
            data = read_until(client, b"hello\n")
            head, _, rest = data.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101 ")
            assert rest == b"\x82\x06hello\n"
            mask = b"\x01\x02\x03\x04"
            masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(b"abcde"))
            client.sendall(b"\x89\x80" + mask + b"\x81\x85" + mask + masked)
            assert read_until(client, b"ABCDE") == b"\x8a\x00\x82\x05ABCDE"
            client.sendall(b"\x88\x80" + mask)
            assert read_all(client).startswith(b"\x88\x02\x03\xe8")

    def test_unmasked_frames_are_refused(self, api):
        api.backend.containers.add(record())
        with api.connect() as client:
            client.sendall(
                f"GET /containers/{ID}/attach/ws HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: a2tra2tra2tra2tra2traw==\r\n\r\n".encode()
            )
            read_until(client, b"hello\n")
            client.sendall(b"\x81\x01a")
            assert b"\x88\x02\x03\xea" in read_all(client)

    def test_no_handshake(self, api):
        api.backend.containers.add(record())
        assert api.request("GET", f"/containers/{ID}/attach/ws")[0] == 400


class TestEvents:
    def test_stream_and_versions(self, api):
        with api.connect() as client:
            client.sendall(b"GET /v1.47/events HTTP/1.1\r\nHost: d\r\n\r\n")
            head = read_until(client, b"\r\n\r\n")
            assert b"application/json\r\n" in head
            api.call(api.backend.events.emit, "container", "start", ID, {"image": "busybox", "name": "<web>"})
            event = json.loads(read_until(client, b"}\n").split(b"\r\n")[1])
            assert event["status"] == "start"
            assert event["from"] == "busybox"
            assert event["Actor"] == {"ID": ID, "Attributes": {"image": "busybox", "name": "<web>"}}

    def test_replay_ends_at_until(self, api):
        api.call(api.backend.events.emit, "network", "create", "n", {})
        status, headers, body = api.request("GET", f"/v1.56/events?since=1&until={int(time.time()) + 1}")
        assert status == 200
        assert headers["content-type"] == "application/jsonl"
        assert "status" not in json.loads(body)

    def test_bad_filter(self, api):
        status, _, body = api.request("GET", "/events?filters=%7B%22foo%22%3A%5B%22x%22%5D%7D")
        assert (status, message(body)) == (400, "invalid filter 'foo'")


class TestEnd:
    def test_close_cuts_streams(self):
        api = ApiServer()
        api.backend.containers.add(record())
        client = api.connect()
        client.sendall(b"GET /events HTTP/1.1\r\nHost: d\r\n\r\n")
        read_until(client, b"\r\n\r\n")
        attached = api.connect()
        attach(attached, headers=UPGRADE)
        read_until(attached, b"hello\n")
        idle = api.connect()
        idle.sendall(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
        read_until(idle, b"OK")
        api.close()
        for each in (client, attached, idle):
            try:
                read_all(each)
            except ConnectionResetError:
                pass
            each.close()
