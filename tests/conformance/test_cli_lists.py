"""What ``corten`` prints is what the stock docker CLI prints, byte for byte where both show the same thing."""

from collections.abc import Iterator

import pytest

from tests.support.busybox import IMAGE
from tests.support.cortencli import Corten
from tests.support.daemon import Daemon
from tests.support.stock import Docker


@pytest.fixture(autouse=True)
def tidy():
    """In place of the fixture that clears the daemon: the tests of this file share their containers."""


@pytest.fixture(scope="module")
def corten(daemon: Daemon, image: str, docker: Docker) -> Iterator[Corten]:
    cli = Corten(daemon.url)
    # answers differ between API versions: both speak the same
    cli.environment["DOCKER_API_VERSION"] = docker("version", "--format", "{{.Client.APIVersion}}")
    cli("run", "-d", "--name", "one", "-l", "a=b", "-l", "c", IMAGE, "sh", "-c", "touch /made; sleep 10000")
    cli("run", "-d", "--name", "ports", "-p", "127.0.0.1::80", "-v", "data:/data", IMAGE, "sleep", "1000")
    cli("create", "--name", "two", "-e", "X=y", IMAGE, "true")
    cli("tag", IMAGE, "other:1")
    yield cli
    cli("rm", "-fv", "one", "ports", "two")
    cli("volume", "rm", "data")
    cli("rmi", "other:1")
    cli.close()


SAME = """
ps
ps -a
ps -q
ps -aq --no-trunc
ps -as
ps -a --no-trunc
ps -n 1
ps -l
ps -a --format json
ps -a --filter status=created
ps --filter label=a=b -q
ps -a --format {{.ID}}|{{.Names}}|{{.Ports}}|{{.Label+"a"}}|{{.Labels}}|{{.Mounts}}|{{.Networks}}
ps -a --format table+{{.Names}}\\t{{.Image}}\\t{{.State}}
ps -a --format raw
images --format raw
volume ls --format raw
network ls --format raw
ps --format {{.Nope}}
inspect -f {{.State.Health}}+{{.HostConfig.NanoCPUs}}+{{.ID}} one
info -f {{.Driver}}
top one -o pid,user,args
ps --filter nope=1
container ls
images
images -q
images --no-trunc
images --digests
images --format json
images busybox
images --filter dangling=true
image ls --format {{.Repository}}:{{.Tag}}={{.Size}}
history busybox
history -q busybox
history --format json busybox
history --no-trunc busybox
inspect one
inspect two one
inspect busybox
inspect data
inspect bridge
inspect nobody
inspect -f {{.State.Status}}+{{.Name}}+{{json+.Config.Cmd}} one
inspect -f {{range+$k,$v:=.Config.Labels}}{{$k}}={{$v}};{{end}} one
inspect -f {{.Nope}} one
inspect --type image one
inspect --size -f {{.SizeRw}} one
container inspect one
image inspect nobody
volume ls
volume ls -q
volume ls --format json
volume inspect data
volume inspect nobody
network ls
network ls -q --no-trunc
network ls --format json
network inspect bridge
network inspect nobody
port ports
port ports 80
port ports 81
top one
diff one
diff nobody
wait nobody
system df
system df -v
system df --format json
logs one
logs nobody
kill nobody
stop nobody
restart nobody
start nobody
rmi nobody
tag nobody x
volume rm nobody
pause nobody
export nobody -o /dev/null
exec nobody true
commit nobody
cp one:/nowhere /tmp
cp a b
cp one:/a one:/b
cp /tmp/no-such-file one:/
update nobody -m 10m
stats --no-stream nobody
events --since 1 --until 1
ps --nope
ps x
rename a
run
run -p
""".strip().splitlines()


@pytest.mark.parametrize("line", SAME)
def test_the_same_output_as_docker(corten, docker, line):
    argv = [word.replace("+", " ") for word in line.split()]
    for _ in range(10):  # an age may pass a second's bound between the two
        theirs, ours = docker.result(*argv), corten.result(*argv)
        theirs_err = theirs.err.replace("docker", "corten").replace("See 'corten", "Run 'corten")
        if (ours.code, ours.out, ours.err) == (theirs.code, theirs.out, theirs_err):
            return
    assert (ours.code, ours.out, ours.err) == (theirs.code, theirs.out, theirs_err)


def test_control_bytes_in_labels_do_not_reach_the_terminal(corten):
    corten("create", "--name", "evil", "-l", "x=\x1b]0;title\x07", IMAGE)
    try:
        shown = corten("ps", "-a", "--format", "table {{.Labels}}")
        assert "\x1b" not in shown and "\\x1b]0;title" in shown
    finally:
        corten("rm", "evil")


def test_a_table_fits_the_terminal(corten):
    corten("create", "--name", "n" * 60, IMAGE, "sh", "-c", "x" * 100)
    try:
        with corten.terminal("ps", "-a", columns=80) as screen:
            assert screen.wait() == 0
            lines = screen.seen.decode().splitlines()
        assert len(lines) == 5 and max(map(len, lines)) <= 80
    finally:
        corten("rm", "n" * 60)


def test_version_and_info(corten):
    assert corten("version", "--format", "{{.Server.Version}}") == corten("info", "-f", "{{.ServerVersion}}")
    assert "Server:\n Containers: 3\n" in corten("info")
    failed = corten.fails("-H", "unix:///nowhere", "version", code=1)
    assert failed.out.startswith("Client:\n") and "Is cortend running?" in failed.err


def test_stats(corten):
    lines = corten("stats", "--no-stream", "one").splitlines()
    assert lines[0].split()[:3] == ["CONTAINER", "ID", "NAME"]
    assert lines[1].split()[1] == "one"
    with corten.terminal("stats", "one") as screen:
        screen.expect(b"CPU %")
        screen.expect(b"one")
        screen.expect(b"CPU %")


def test_help_is_there_for_every_command(corten):
    from corten.cli import directory, help

    for path in directory.COMMANDS:
        text = help.command(path, directory.load(path))
        assert text.startswith(f"Usage:  corten {path}") and text.endswith("\n")
        assert max(map(len, text.splitlines())) <= 120, path
    assert corten("run", "--help").count("\n") > 100
    assert corten("--help").startswith("Usage:  corten [OPTIONS] COMMAND")
    for group in directory.GROUPS:
        assert corten(group).startswith(f"Usage:  corten {group} COMMAND")


OWN = ("doctor", "fsck", "system gc")
"""Commands that docker does not have; it answers with its general help, or with a group's."""


def test_the_same_flags_as_docker(corten, docker):
    """Every flag that docker's help names is taken by the same command here."""
    from corten.cli import directory

    for path in directory.COMMANDS:
        if path in OWN:
            continue
        page = docker.result(*path.split(), "--help").out
        names = {word[2:].split("=")[0] for word in page.split() if word.startswith("--") and len(word) > 3}
        own = {name for flag in directory.load(path).flags for name in (flag.name, *flag.aliases)} | {"help"}
        wanted = {name.strip(",.'\"):") for name in names}
        missing = {name for name in wanted if name and name not in own} - IGNORED.get(path.split()[-1], set())
        assert not missing, (path, missing)


IGNORED: dict[str, set[str]] = {}


def test_prune_asks_first(corten):
    corten("create", "--name", "unused", IMAGE)
    result = corten.result("container", "prune", "--filter", "label=none", stdin=b"n\n")
    assert result.out.startswith("WARNING! This will remove all stopped containers.") and "[y/N]" in result.out
    out = corten.result("container", "prune", "--filter", "label!=a", "--filter", "label!=c", stdin=b"y\n").out
    assert "Deleted Containers:" in out and "Total reclaimed space: " in out
    corten("create", "--name", "two", "-e", "X=y", IMAGE, "true")
