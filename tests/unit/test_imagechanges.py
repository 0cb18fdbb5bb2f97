"""Dockerfile instructions for import and commit."""

import pytest

from corten import errors
from corten.engine.imagechanges import apply_changes
from corten.oci.image import Healthcheck, RunConfig


def apply(*changes, **config):
    return apply_changes(RunConfig(**config), changes)


def test_commands_in_both_forms():
    assert apply('CMD ["a", "b c"]').cmd == ["a", "b c"]
    assert apply("CMD a b  c").cmd == ["/bin/sh", "-c", "a b  c"]
    assert apply("cmd [not json").cmd == ["/bin/sh", "-c", "[not json"]
    assert apply("ENTRYPOINT []").entrypoint == []
    assert apply('SHELL ["/bin/ash", "-c"]', "CMD x").cmd == ["/bin/ash", "-c", "x"]


def test_variables_and_labels():
    assert apply("ENV A=1 B=\"2 3\" C='4 5' D=6\\ 7", env=["A=0", "Z=9"]).env == [
        "A=1",
        "Z=9",
        "B=2 3",
        "C=4 5",
        "D=6 7",
    ]
    assert apply("ENV KEY some words").env == ["KEY=some words"]
    assert apply('LABEL a=1 "b c"=2', labels={"a": "0", "x": "y"}).labels == {"a": "1", "x": "y", "b c": "2"}
    assert apply("ENV A=\\\n1").env == ["A=1"]
    assert apply("ENV A=1\nENV B=2").env == ["A=1", "B=2"]


def test_ports_volumes_user_directory_signal():
    assert apply("EXPOSE 80 53/udp 8000-8002/TCP").exposed_ports == {
        "80/tcp": {},
        "53/udp": {},
        "8000/tcp": {},
        "8001/tcp": {},
        "8002/tcp": {},
    }
    assert apply('VOLUME ["/a", "/b"]', "VOLUME /c /d").volumes == {"/a": {}, "/b": {}, "/c": {}, "/d": {}}
    assert apply("USER 1000:1000").user == "1000:1000"
    assert apply("WORKDIR /a", "WORKDIR b/../c").working_dir == "/a/c"
    assert apply("STOPSIGNAL SIGINT").stop_signal == "SIGINT"
    assert apply("ONBUILD RUN x", "ONBUILD RUN y").on_build == ["RUN x", "RUN y"]


def test_healthcheck():
    assert apply("HEALTHCHECK NONE").healthcheck == Healthcheck(test=["NONE"])
    assert apply("HEALTHCHECK --interval=1m30s --retries=3 CMD curl x").healthcheck == Healthcheck(
        test=["CMD-SHELL", "curl x"], interval=90 * 10**9, retries=3
    )
    assert apply('HEALTHCHECK --start-period=5s CMD ["a"]').healthcheck == Healthcheck(
        test=["CMD", "a"], start_period=5 * 10**9
    )


@pytest.mark.parametrize(
    "change",
    [
        "RUN x",
        "FROM scratch",
        "COPY a b",
        "CMD",
        "ENV A",
        "ENV =x",
        "ENV A='x",
        "LABEL a=1 b",
        "EXPOSE x",
        "EXPOSE 0",
        "EXPOSE 70000",
        "EXPOSE 9-8",
        "ONBUILD ONBUILD x",
        "ONBUILD FROM x",
        "SHELL /bin/sh",
        "HEALTHCHECK CMD",
        "HEALTHCHECK WHAT x",
        "HEALTHCHECK --retries=x CMD y",
        "HEALTHCHECK --interval=1 CMD y",
        "HEALTHCHECK --nope=1 CMD y",
        "USER a b",
        'VOLUME [""]',
    ],
)
def test_refused(change):
    with pytest.raises(errors.InvalidArgument):
        apply(change)
