"""Files that reports, traces and plots go to are whole or not there, and a failure says which file and why."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import threading
from pathlib import Path

import pytest

from pim_runtime.cli.main import main
from pim_runtime.errors import OutputError, PimError
from pim_runtime.output_file import replaced

pytestmark = pytest.mark.quick


def write(path, content=b"new"):
    with replaced(path) as file:
        file.write(content)


def test_all_or_nothing(tmp_path):
    path = tmp_path / "out"
    write(path, b"old")
    with contextlib.suppress(ZeroDivisionError), replaced(path) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert path.read_bytes() == b"old"
    write(path)
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["out"]


def test_a_full_disk_leaves_what_was_there(tmp_path, largest_file):
    path = tmp_path / "out"
    write(path, b"old")
    with pytest.raises(OutputError) as caught, largest_file(1000):
        write(path, bytes(5000))
    assert str(caught.value) == (
        f"{path}: cannot be written: File too large. Nothing has changed there; make room, or name another file"
    )
    assert isinstance(caught.value, OSError)
    assert isinstance(caught.value, PimError)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing/out", "No such file"), ("a_file/out", "Not a directory"), ("", "Is a directory"),
        ("x" * 300, "too long"), ("a\0b", "embedded null"),
    ],
)  # fmt: skip
def test_places_that_cannot_be_written(tmp_path, name, reason):
    (tmp_path / "a_file").touch()
    with pytest.raises(OutputError, match=f"cannot be written: .*{reason}"):
        write(tmp_path / name)
    assert os.listdir(tmp_path) == ["a_file"]


def test_mode_and_link_of_the_old_file_are_kept(tmp_path):
    path, link = tmp_path / "out", tmp_path / "link"
    path.write_bytes(b"old")
    path.chmod(0o640)
    link.symlink_to(path)
    write(link)
    assert link.is_symlink()
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_devices_and_pipes_are_written_to_and_stay(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    heard = []
    reader = threading.Thread(target=lambda: heard.append(pipe.read_bytes()))
    reader.start()
    write(pipe)
    reader.join()
    assert heard == [b"new"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    read_end, write_end = os.pipe()
    write(Path(f"/dev/fd/{write_end}"))
    os.close(write_end)
    with open(read_end, "rb") as end:
        assert end.read() == b"new"
    write(Path("/dev/null"))
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_the_command_says_in_one_line_that_a_report_was_not_written(tmp_path, capsys, largest_file):
    path = tmp_path / "report.json"
    path.write_text("{}")
    with largest_file(100):
        assert main(["info", "--json", str(path)]) == 2
    assert capsys.readouterr().err == (
        f"pim info: {path}: cannot be written: File too large. Nothing has changed there; make room, or name another "
        "file\n"
    )
    assert json.loads(path.read_text()) == {}


def test_a_report_without_memory_for_it_is_one_line(monkeypatch, capsys):
    def run(arguments):
        raise MemoryError("Unable to allocate 745. GiB")

    monkeypatch.setattr("pim_runtime.cli.info.run", run)
    assert main(["info"]) == 2
    assert capsys.readouterr().err == (
        "pim info: this computer has no memory for that: Unable to allocate 745. GiB. Ask for less\n"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anything")
def test_a_read_only_file_is_refused_before_the_work(tmp_path, capsys):
    path = tmp_path / "report.json"
    path.touch(0o400)
    with pytest.raises(SystemExit):
        main(["info", "--json", str(path)])
    assert "cannot be written. Change its mode, or name another file" in capsys.readouterr().err
