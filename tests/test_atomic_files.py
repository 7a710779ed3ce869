"""Files are replaced atomically; links, pipes, devices and permissions stay; abandoned temporary files are removed."""

import json
import os
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from side4video.atomic_files import remove_abandoned, replacing, write_json

WRITER = """
import sys, time
from pathlib import Path
from side4video.atomic_files import replacing
with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half")
    print(temporary, flush=True)
    time.sleep(60)
"""


def start_writing(path):
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


def test_only_files_of_killed_processes_are_removed(tmp_path):
    target = tmp_path / "tokens-1.npy"
    killed, left_behind = start_writing(target)
    living, in_use = start_writing(target)
    try:
        assert remove_abandoned(tmp_path, "tokens-*.npy") == []
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        assert remove_abandoned(tmp_path, "other-*.npy") == []
        assert [str(path) for path in remove_abandoned(tmp_path, "tokens-*.npy")] == [left_behind]
        assert {str(path) for path in tmp_path.iterdir()} == {in_use, in_use.removesuffix(".tmp") + ".lock"}
    finally:
        living.kill()
        living.communicate()


def test_other_files_are_not_removed(tmp_path):
    names = [".tokens-1.npy", "tokens-1.npy", "tokens-1.npy.abcdefgh.tmp", ".tokens-1.npy.abc.tmp", ".tokens-1.npy.tmp"]
    for name in names:
        (tmp_path / name).write_bytes(b"content")
    empty = tmp_path / ".tokens-1.npy.abcdefgh.tmp"  # by its name ours, and perhaps made a moment ago
    empty.touch()
    assert remove_abandoned(tmp_path, "tokens-*.npy") == []
    (tmp_path / ".tokens-1.npy.abcdefgh.lock").touch()
    assert remove_abandoned(tmp_path, "tokens-*.npy") == []
    assert {path.name for path in tmp_path.iterdir()} == {*names, empty.name, ".tokens-1.npy.abcdefgh.lock"}
    assert remove_abandoned(tmp_path / "not there", "tokens-*.npy") == []


def test_files_in_use_are_not_removed(tmp_path):
    target = tmp_path / "tokens-1.npy"
    with replacing(target) as temporary:
        temporary.write_bytes(b"whole")
        assert remove_abandoned(tmp_path, "tokens-*.npy") == []
    assert target.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [target]


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    target, link = tmp_path / "disk" / "result.json", tmp_path / "result.json"
    link.symlink_to(target)  # the target does not exist yet
    write_json(link, [1])
    write_json(link, [2])
    assert link.is_symlink()
    assert json.loads(target.read_text()) == [2]
    assert list(target.parent.iterdir()) == [target]


def test_the_permissions_of_a_replaced_file_stay(tmp_path):
    private, new = tmp_path / "private.json", tmp_path / "new.json"
    private.touch(0o600)
    private.chmod(0o600)
    write_json(private, [])
    write_json(new, [])
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    (tmp_path / "plain").touch()
    assert new.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_named_pipe_gets_the_content_and_stays(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(pipe.read_bytes)
        write_json(pipe, {"a": 1})
        assert json.loads(reader.result(timeout=30)) == {"a": 1}
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


def test_devices_and_links_to_them_stay(tmp_path):
    link = tmp_path / "nothing"
    link.symlink_to("/dev/null")
    write_json(link, [])
    assert link.is_symlink()
    assert stat.S_ISCHR(link.stat().st_mode)


WRITE_TO_STREAMS = """
import sys
from pathlib import Path
from side4video.atomic_files import write_json
from side4video.output_targets import messages_to_stderr
with messages_to_stderr():
    print("a message")
    for name in ("-", "/dev/stdout", "/dev/fd/1", "/dev/stderr"):
        write_json(Path(name), name)
"""


def test_standard_output_holds_only_what_was_written_to_it(tmp_path):
    expected = '"-"\n"/dev/stdout"\n"/dev/fd/1"\n'
    command = [sys.executable, "-c", WRITE_TO_STREAMS]
    found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert (found.stdout, found.stderr) == (expected, 'a message\n"/dev/stderr"\n')
    earlier = tmp_path / "log"
    earlier.write_text("earlier\n")  # a shell's >> and > give a regular file
    with earlier.open("a") as file:
        subprocess.run(command, stdout=file, stderr=subprocess.DEVNULL, check=True, cwd=tmp_path)
    assert earlier.read_text() == "earlier\n" + expected
    assert list(tmp_path.iterdir()) == [earlier]
