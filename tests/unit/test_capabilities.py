import pytest

from corten.errors import InvalidArgument
from corten.linux.host import ALL_CAPABILITIES
from corten.runtime import capabilities


def test_default_is_dockers_fourteen():
    names = capabilities.effective(None, None, privileged=False)
    assert len(names) == 14
    assert "CAP_NET_RAW" in names and "CAP_SYS_ADMIN" not in names


def test_add_and_drop_in_any_spelling():
    names = capabilities.effective(["sys_admin", "CAP_NET_ADMIN"], ["net_raw", "CAP_MKNOD"], privileged=False)
    assert {"CAP_SYS_ADMIN", "CAP_NET_ADMIN"} <= set(names)
    assert not {"CAP_NET_RAW", "CAP_MKNOD"} & set(names)


def test_all():
    assert capabilities.effective(None, ["ALL"], privileged=False) == []
    assert capabilities.effective(["CHOWN"], ["all"], privileged=False) == ["CAP_CHOWN"]
    names = capabilities.effective(["ALL"], ["SYS_ADMIN"], privileged=False)
    assert set(names) == set(ALL_CAPABILITIES) - {"CAP_SYS_ADMIN"}
    assert capabilities.effective(None, ["ALL"], privileged=True) == list(ALL_CAPABILITIES)


def test_unknown_is_refused():
    with pytest.raises(InvalidArgument, match='unknown capability: "CAP_FLY"'):
        capabilities.normalise(["fly"])


def test_clamp_and_the_process_object():
    kept, lost = capabilities.clamp(["CAP_CHOWN", "CAP_SYS_RESOURCE"], frozenset(("CAP_CHOWN",)))
    assert (kept, lost) == (["CAP_CHOWN"], ["CAP_SYS_RESOURCE"])
    assert "CAP_SYS_RESOURCE" in capabilities.warning(lost)
    assert capabilities.oci(kept, 0) == {"bounding": kept, "effective": kept, "permitted": kept}
    assert capabilities.oci(kept, 1000) == {"bounding": kept}


def test_order_is_the_kernels():
    assert ALL_CAPABILITIES.index("CAP_CHOWN") == 0
    assert ALL_CAPABILITIES.index("CAP_SYS_ADMIN") == 21
    assert ALL_CAPABILITIES.index("CAP_CHECKPOINT_RESTORE") == 40
