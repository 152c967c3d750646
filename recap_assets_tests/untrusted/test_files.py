import gzip
import os
from pathlib import Path

import pytest

from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.files import check_regular, gunzip_bounded, read_bounded


def test_a_file_is_read_up_to_its_bound(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * 10)
    assert read_bounded(path, 10) == b"x" * 10
    with pytest.raises(UntrustedError, match="more than 9 bytes"):
        read_bounded(path, 9)


def test_pipes_folders_and_devices_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, words in ((tmp_path / "pipe", "named pipe"), (tmp_path, "folder")):
        with pytest.raises(UntrustedError, match=words):
            read_bounded(path, 10)
    with pytest.raises(UntrustedError, match="device"):
        check_regular(Path("/dev/zero"))


def test_gzip_is_unpacked_whole_or_refused():
    packed = gzip.compress(b"a" * 1000) + gzip.compress(b"b")
    assert gunzip_bounded(packed, 1001) == b"a" * 1000 + b"b"
    with pytest.raises(UntrustedError, match="unpacks to more than 1,000"):
        gunzip_bounded(packed, 1000)
    with pytest.raises(UntrustedError, match="cut off"):
        gunzip_bounded(packed[:-3], 2000)
    with pytest.raises(UntrustedError, match="damaged"):
        gunzip_bounded(b"no gzip", 2000)
