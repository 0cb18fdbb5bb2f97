"""`corten login`, `logout`, `search` and `push` as a daemon sees them, and what they keep in config.json."""

import base64
import json
import os
import stat
import threading

import pytest

from corten.cli import config_file, credentials
from corten.cli.failure import Failure
from tests.support.cortencli import Corten
from tests.support.fakedaemon import FakeDaemon

SECRET = "s3cr3t"
HELPER = """#!/bin/sh
request=$(cat)
echo "$1 $request" >> "$LOG"
case "$1" in
get) printf '%s' "$ANSWER"; [ "$ANSWER" != "credentials not found in native keychain" ] ;;
*) [ -z "$REFUSE" ] || { echo "the key ring is locked"; exit 3; } ;;
esac
"""


@pytest.fixture
def server(tmp_path):
    daemon = FakeDaemon(str(tmp_path / "d.sock"), version="1.51")
    daemon.answers[("POST", "/auth")] = (200, {"Status": "Login Succeeded", "IdentityToken": ""})
    yield daemon
    daemon.shutdown()
    daemon.server_close()


@pytest.fixture
def corten(server):
    cli = Corten(server.url)
    yield cli
    cli.close()


@pytest.fixture
def helper(corten, tmp_path):
    """The helper ``test``: every call is a line of its log; the variable ANSWER is what it gets."""
    path = tmp_path / "docker-credential-test"
    path.write_text(HELPER)
    path.chmod(0o755)
    log = tmp_path / "log"
    log.touch()
    corten.environment["PATH"] = f"{tmp_path}:{corten.environment['PATH']}"
    corten.environment["LOG"] = str(log)
    corten.environment["ANSWER"] = json.dumps({"ServerURL": "", "Username": "keeper", "Secret": SECRET})
    return log


def configure(corten, document) -> None:
    with open(f"{corten.config}/config.json", "w") as file:
        json.dump(document, file)


def configuration(corten):
    with open(f"{corten.config}/config.json") as file:
        return json.load(file)


def encoded(username, password) -> str:
    return base64.b64encode(f"{username}:{password}".encode()).decode()


def sent(server):
    """The credentials of the last call."""
    header = {name.lower(): value for name, value in server.calls[-1].headers.items()}["x-registry-auth"]
    return json.loads(base64.urlsafe_b64decode(header))


class TestLogin:
    def test_keeps_what_the_registry_took(self, server, corten) -> None:
        done = corten.result("login", "-u", "bob", "--password-stdin", "localhost:5000", stdin=b"s3cr3t\r\n")
        assert (done.code, done.out) == (0, "Login Succeeded\n")
        assert "stored unencrypted in" in done.err
        assert SECRET not in done.err
        assert server.calls[-1].json() == {"username": "bob", "password": SECRET, "serveraddress": "localhost:5000"}
        assert configuration(corten) == {"auths": {"localhost:5000": {"auth": encoded("bob", SECRET)}}}
        assert stat.S_IMODE(os.stat(f"{corten.config}/config.json").st_mode) == 0o600

    def test_wrong_password_keeps_nothing(self, server, corten) -> None:
        server.answers[("POST", "/auth")] = (401, {"message": "unauthorized: incorrect username or password"})
        done = corten.fails("login", "-u", "bob", "-p", "wrong", "localhost:5000")
        assert done.err == (
            "WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n"
            "Error response from daemon: unauthorized: incorrect username or password\n"
        )
        assert not os.path.exists(f"{corten.config}/config.json")

    @pytest.mark.parametrize(
        ("words", "complaint"),
        [
            (["localhost:5000"], "Error: Cannot perform an interactive login from a non TTY device"),
            (["-u", "bob"], "Error: Cannot perform an interactive login from a non TTY device"),
            (["--password-stdin"], "the --password-stdin option requires --username to be set"),
            (["-u", "", "x"], "username is empty"),
            (
                ["-u", "b", "-p", "x", "--password-stdin"],
                "conflicting options: cannot specify both --password and --password-stdin",
            ),
            (["-u", "b", "--password-stdin"], "password is empty"),
        ],
    )
    def test_what_lacks_is_said(self, server, corten, words, complaint) -> None:
        assert corten.fails("login", *words, stdin=b"").err.strip() == complaint
        assert not server.calls

    def test_without_a_server_it_is_the_hub(self, server, corten) -> None:
        corten("login", "-u", "bob", "-p", SECRET)
        corten("login", "-u", "bob", "-p", SECRET, "docker.io")
        assert server.calls[-1].json()["serveraddress"] == "https://index.docker.io/v1/"
        assert list(configuration(corten)["auths"]) == ["https://index.docker.io/v1/"]

    def test_scheme_and_path_are_no_part_of_the_name(self, corten) -> None:
        corten("login", "-u", "bob", "-p", SECRET, "https://registry.example.com/v2/")
        assert list(configuration(corten)["auths"]) == ["registry.example.com"]

    def test_with_stored_credentials(self, server, corten) -> None:
        configure(corten, {"auths": {"localhost:5000": {"auth": encoded("bob", SECRET)}}})
        done = corten.result("login", "localhost:5000")
        assert (done.code, done.out) == (0, "Login Succeeded\n")
        assert done.err.startswith("Authenticating with existing credentials... [Username: bob]\n")
        server.answers[("POST", "/auth")] = (401, {"message": "no"})
        done = corten.fails("login", "localhost:5000")
        assert "Stored credentials invalid or expired\n" in done.err

    def test_asks_on_a_terminal_and_shows_no_password(self, server, corten) -> None:
        with corten.terminal("login", "localhost:5000") as terminal:
            terminal.expect(b"Username: ")
            terminal.send(b"bob\n")
            terminal.expect(b"Password: ")
            terminal.send(f"{SECRET}\n".encode())
            assert terminal.wait() == 0
            assert SECRET.encode() not in terminal.seen
        assert server.calls[-1].json()["password"] == SECRET

    def test_an_identity_token_takes_the_password_s_place(self, server, corten) -> None:
        server.answers[("POST", "/auth")] = (200, {"Status": "Login Succeeded", "IdentityToken": "tok"})
        corten("login", "-u", "bob", "-p", SECRET, "localhost:5000")
        assert configuration(corten)["auths"] == {
            "localhost:5000": {"auth": encoded("bob", ""), "identitytoken": "tok"}
        }
        corten("push", "localhost:5000/foo")
        assert sent(server) == {"username": "bob", "serveraddress": "localhost:5000", "identitytoken": "tok"}


class TestFile:
    def test_the_rest_stays(self, corten) -> None:
        other = {"HttpHeaders": {"X": "é"}, "auths": {"a:1": {"auth": "eDp5"}}, "psFormat": "{{.ID}}"}
        configure(corten, other)
        corten("login", "-u", "bob", "-p", SECRET, "b:1")
        assert configuration(corten) == {**other, "auths": {**other["auths"], "b:1": {"auth": encoded("bob", SECRET)}}}
        corten("logout", "b:1")
        assert configuration(corten) == other

    def test_a_broken_file_is_not_replaced(self, corten) -> None:
        path = f"{corten.config}/config.json"
        with open(path, "w") as file:
            file.write('{"auths": {"a:1": ')
        assert "left as it is" in corten.fails("login", "-u", "bob", "-p", SECRET, "b:1").err
        with open(path) as file:
            assert file.read() == '{"auths": {"a:1": '

    def test_a_link_is_followed_and_rights_are_narrowed(self, tmp_path) -> None:
        real = tmp_path / "real.json"
        real.write_text("{}")
        real.chmod(0o644)
        link = tmp_path / "config.json"
        link.symlink_to(real)
        config_file.change(str(link), lambda document: document.update(auths={}))
        assert link.is_symlink()
        assert json.loads(real.read_text()) == {"auths": {}}
        assert stat.S_IMODE(real.stat().st_mode) == 0o600
        assert sorted(os.listdir(tmp_path)) == ["config.json", "real.json"]

    def test_changes_at_once_lose_nothing(self, tmp_path) -> None:
        path = str(tmp_path / "config.json")

        def add(number: int) -> None:
            config_file.change(path, lambda document: document.update({str(number): 1}))

        threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with open(path) as file:
            assert sorted(json.load(file)) == [str(number) for number in range(8)]

    def test_a_failed_change_leaves_the_file(self, tmp_path) -> None:
        path = tmp_path / "config.json"
        path.write_text('{"a": 1}')

        def edit(document) -> None:
            document.clear()
            raise Failure("no")

        with pytest.raises(Failure):
            config_file.change(str(path), edit)
        assert path.read_text() == '{"a": 1}'
        assert os.listdir(tmp_path) == ["config.json"]


class TestLogout:
    def test_forgets_every_spelling(self, corten) -> None:
        auth = {"auth": encoded("bob", SECRET)}
        configure(corten, {"auths": {"https://localhost:5000": auth, "localhost:5000": auth, "other": auth}})
        assert corten("logout", "localhost:5000") == "Removing login credentials for localhost:5000"
        assert configuration(corten)["auths"] == {"other": auth}

    def test_where_there_is_nothing(self, corten) -> None:
        assert corten("logout") == "Removing login credentials for https://index.docker.io/v1/"
        assert not os.path.exists(f"{corten.config}/config.json")


class TestHelper:
    def test_store_and_get_and_erase(self, server, corten, helper) -> None:
        configure(corten, {"credsStore": "test"})
        done = corten.result("login", "-u", "bob", "-p", SECRET, "localhost:5000")
        assert done.code == 0
        assert "unencrypted" not in done.err
        assert helper.read_text() == ('store {"ServerURL": "localhost:5000", "Username": "bob", "Secret": "s3cr3t"}\n')
        assert configuration(corten) == {"credsStore": "test", "auths": {"localhost:5000": {}}}
        corten("push", "localhost:5000/foo")
        assert sent(server) == {"username": "keeper", "password": SECRET, "serveraddress": "localhost:5000"}
        helper.write_text("")
        corten("logout", "localhost:5000")
        assert helper.read_text().splitlines()[0] == "erase localhost:5000"
        assert configuration(corten) == {"credsStore": "test", "auths": {}}

    def test_one_registry_s_own_helper(self, server, corten, helper) -> None:
        auth = {"auth": encoded("bob", SECRET)}
        configure(corten, {"credHelpers": {"a:1": "test"}, "auths": {"b:1": auth}})
        corten("push", "a:1/foo")
        assert sent(server)["username"] == "keeper"
        corten("push", "b:1/foo")
        assert sent(server)["username"] == "bob"
        assert helper.read_text() == "get a:1\n"

    def test_token(self, server, corten, helper) -> None:
        corten.environment["ANSWER"] = json.dumps({"Username": "<token>", "Secret": "tok"})
        configure(corten, {"credsStore": "test"})
        corten("push", "a:1/foo")
        assert sent(server) == {"serveraddress": "a:1", "identitytoken": "tok"}
        server.answers[("POST", "/auth")] = (200, {"Status": "Login Succeeded", "IdentityToken": "tok2"})
        corten("login", "-u", "bob", "-p", SECRET, "a:1")
        assert '"Username": "<token>", "Secret": "tok2"' in helper.read_text()
        assert SECRET not in helper.read_text()

    def test_not_found_is_no_login(self, server, corten, helper) -> None:
        corten.environment["ANSWER"] = "credentials not found in native keychain"
        configure(corten, {"credsStore": "test"})
        assert corten.result("push", "a:1/foo").err == ""
        assert sent(server) == {}

    @pytest.mark.parametrize("answer", ["{", "[]"])
    def test_nonsense_is_warned_about(self, server, corten, helper, answer) -> None:
        corten.environment["ANSWER"] = answer
        configure(corten, {"credsStore": "test"})
        assert corten.result("push", "a:1/foo").err.startswith("WARNING: no credentials for a:1: ")
        assert sent(server) == {}

    def test_refusal_and_absence_fail_the_login(self, corten, helper) -> None:
        configure(corten, {"credsStore": "test"})
        corten.environment["REFUSE"] = "1"
        done = corten.fails("login", "-u", "bob", "-p", SECRET, "a:1")
        assert (
            "Error saving credentials: error storing credentials - err: exit status 3, out: `the key ring" in done.err
        )
        configure(corten, {"credsStore": "absent"})
        done = corten.fails("login", "-u", "bob", "-p", SECRET, "a:1")
        assert 'exec: "docker-credential-absent": executable file not found in $PATH' in done.err

    def test_a_helper_is_a_name_and_no_path(self, server, corten, tmp_path) -> None:
        (tmp_path / "docker-credential-").mkdir()
        bad = tmp_path / "docker-credential-" / "x"
        bad.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        bad.chmod(0o755)
        configure(corten, {"credsStore": "/x"})
        corten.environment["PATH"] = f"{tmp_path}:{corten.environment['PATH']}"
        assert "names no credential helper" in corten.result("push", "a:1/foo").err
        assert not (tmp_path / "ran").exists()


class TestRightHost:
    """Credentials go with requests about their own registry, and with no others."""

    AUTHS = {  # noqa: RUF012
        "https://index.docker.io/v1/": {"auth": encoded("hub", "1")},
        "a.example.com": {"auth": encoded("a", "2")},
        "https://b.example.com:5000/v1/": {"auth": encoded("b", "3")},
    }

    @pytest.mark.parametrize(
        ("image", "username"),
        [
            ("busybox", "hub"),
            ("docker.io/me/busybox", "hub"),
            ("index.docker.io/me/busybox", "hub"),
            ("a.example.com/x", "a"),
            ("b.example.com:5000/x", "b"),
            ("b.example.com/x", None),
            ("a.example.com:5000/x", None),
            ("a.example.com.evil.org/x", None),
            ("evil.org/a.example.com/x", None),
            ("localhost/docker.io/x", None),
        ],
    )
    def test_push(self, server, corten, image, username) -> None:
        configure(corten, {"auths": self.AUTHS})
        corten("push", image)
        assert sent(server).get("username") == username

    def test_from_the_environment_first(self, server, corten) -> None:
        configure(corten, {"auths": self.AUTHS})
        corten.environment["DOCKER_AUTH_CONFIG"] = json.dumps({"auths": {"a.example.com": {"auth": encoded("e", "4")}}})
        corten("push", "a.example.com/x")
        assert sent(server)["username"] == "e"
        corten("push", "busybox")
        assert sent(server)["username"] == "hub"

    @pytest.mark.parametrize("auth", ["?", "bm9jb2xvbg==", base64.b64encode(b":only").decode()])
    def test_damaged_entry(self, server, corten, auth) -> None:
        configure(corten, {"auths": {"a:1": {"auth": auth}}})
        assert "WARNING: no credentials for a:1" in corten.result("push", "a:1/x").err
        assert sent(server) == {}

    def test_hostname(self) -> None:
        assert credentials.hostname("https://a:1/v1/") == credentials.hostname("http://a:1") == "a:1"


class TestPush:
    def query(self, server) -> str:
        return server.calls[-1].path.partition("/images/")[2]

    def test_requests(self, server, corten) -> None:
        assert corten("push", "a:1/foo") == "Using default tag: latest"
        assert self.query(server) == "a:1/foo/push?tag=latest"
        assert corten("push", "a:1/foo:2") == ""
        assert self.query(server) == "a:1/foo/push?tag=2"
        corten("push", "-a", "a:1/foo")
        assert self.query(server) == "a:1/foo/push"
        assert corten("push", "-q", "foo") == "docker.io/library/foo:latest"
        assert "Info -> Using --platform" in corten("push", "--platform", "linux/arm64/v8", "foo")
        wanted = "%7B%22os%22%3A%22linux%22%2C%22architecture%22%3A%22arm64%22%2C%22variant%22%3A%22v8%22%7D"
        assert self.query(server) == f"foo/push?tag=latest&platform={wanted}"

    def test_refusals(self, server, corten) -> None:
        assert corten.fails("push", "-a", "foo:1").err == "tag can't be used with --all-tags/-a\n"
        assert "repository name (library/UPPER) must be lowercase" in corten.fails("push", "UPPER").err
        assert not server.calls

    def test_records(self, server, corten) -> None:
        records = [
            {"status": "The push refers to repository [a:1/foo]"},
            {"status": "Preparing", "progressDetail": {}, "id": "0123456789ab"},
            {"status": "Pushing", "progressDetail": {"current": 1, "total": 2}, "id": "0123456789ab"},
            {"status": "Pushed", "progressDetail": {}, "id": "0123456789ab"},
            {"status": "1: digest: sha256:abc size: 7"},
            {"progressDetail": {}, "aux": {"Tag": "1", "Digest": "sha256:abc", "Size": 7}},
        ]
        server.answers[("POST", "/images/a:1/foo/push")] = (200, "\n".join(map(json.dumps, records)).encode())
        assert corten("push", "a:1/foo:1").splitlines() == [
            "The push refers to repository [a:1/foo]",
            "0123456789ab: Preparing",
            "0123456789ab: Pushed",
            "1: digest: sha256:abc size: 7",
        ]

    def test_errors_and_notes(self, server, corten) -> None:
        records = [
            {"status": "The push refers to repository [a:1/foo]"},
            {"aux": {"contentMissing": True, "desc": {"digest": "sha256:abc"}}},
            {"errorDetail": {"message": "no \x1b[1m"}, "error": "no"},
        ]
        server.answers[("POST", "/images/a:1/foo/push")] = (200, "\n".join(map(json.dumps, records)).encode())
        done = corten.fails("push", "a:1/foo:1")
        assert "not all of them are here" in done.err
        assert done.err.endswith("no \\x1b[1m\n")
        pushed = {
            "manifestPushedInsteadOfIndex": True,
            "originalIndex": {"digest": "sha256:1"},
            "selectedManifest": {"digest": "sha256:2"},
        }
        server.answers[("POST", "/images/a:1/foo/push")] = (200, json.dumps({"aux": pushed}).encode())
        assert "sha256:1 -> sha256:2" in corten.result("push", "a:1/foo:1").err


class TestSearch:
    FOUND = [  # noqa: RUF012
        {"name": "me/busy", "description": "line\nother\x1b[1m", "star_count": 0, "is_official": False},
        {"name": "busy", "description": "a long description " * 5, "star_count": 10, "is_official": True},
    ]

    def test_table(self, server, corten) -> None:
        server.answers[("GET", "/images/search")] = (200, self.FOUND)
        assert corten("search", "busy").splitlines() == [
            "NAME      DESCRIPTION                                     STARS     OFFICIAL",
            "busy      a long description a long description a long…   10        [OK]",
            "me/busy   line other\\x1b[1m                               0",
        ]
        assert "a long description " * 5 in corten("search", "--no-trunc", "busy")
        assert corten("search", "--format", "{{.Name}} {{.IsOfficial}} {{.StarCount}}", "busy") == (
            "busy [OK] 10\nme/busy  0"
        )
        assert json.loads(corten("search", "--format", "json", "busy").splitlines()[0])["IsOfficial"] == "true"

    def test_request(self, server, corten) -> None:
        configure(corten, {"auths": {"localhost:5000": {"auth": encoded("bob", SECRET)}}})
        corten("search", "--limit", "5", "--filter", "stars=3", "localhost:5000/busy")
        path = server.calls[-1].path
        assert "limit=5" in path
        assert "filters=%7B%22stars%22%3A%7B%223%22%3Atrue%7D%7D" in path
        assert sent(server)["username"] == "bob"
        corten("search", "me/busy")
        assert sent(server) == {}
