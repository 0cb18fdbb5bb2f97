"""Old and new API versions on the same daemon."""

import pytest

from tests.support.busybox import IMAGE
from tests.support.http import Api
from tests.support.stock import Docker


@pytest.mark.parametrize("version", ["1.24", "1.40", "1.43", "1.44", "1.47", "1.51", "1.52", "1.56"])
def test_every_version_lists_and_inspects(docker: Docker, api: Api, version: str) -> None:
    docker("run", "-d", "--name", "web", IMAGE, "sleep", "600")
    assert [item["Names"] for item in api("GET", f"/v{version}/containers/json").json()] == [["/web"]]
    inspected = api("GET", f"/v{version}/containers/web/json").json()
    assert ("IPAddress" in inspected["NetworkSettings"]) == (tuple(map(int, version.split("."))) < (1, 52))
    assert inspected["State"]["Running"] is True
    assert api("GET", f"/v{version}/images/json").status == 200
    assert api("GET", f"/v{version}/info").status == 200
