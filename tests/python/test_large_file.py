"""A file of 1 GiB there and back, while neither the server nor the toolbox grows with it."""

import hashlib
import os
import tempfile

SIZE = 1 << 30
BLOCK = 1 << 20
# What each of the two may need at most, whatever passes through it.
SERVER_KIB = 160 * 1024
TOOLBOX_KIB = 32 * 1024


def high_water_mark(status):
    """The most memory that a process has had, in KiB, from the text of its status file."""
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")))


def write_file(path):
    """Writes a file in which no block is like another; returns its hash."""
    digest, block = hashlib.sha256(), os.urandom(BLOCK)
    with open(path, "wb") as file:
        for number in range(SIZE // BLOCK):
            part = number.to_bytes(8, "big") + block[8:]
            digest.update(part)
            file.write(part)
    return digest.hexdigest()


def hash_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_a_gibibyte_there_and_back_in_constant_memory(create):
    sandbox = create()
    with tempfile.TemporaryDirectory() as folder:
        there, back = os.path.join(folder, "there"), os.path.join(folder, "back")
        digest = write_file(there)
        sandbox.fs.upload_file(there, "large.bin")
        assert sandbox.process.exec("sha256sum large.bin").result.split()[0] == digest
        sandbox.fs.download_file("large.bin", back)
        assert hash_of(back) == digest
    with open(f"/proc/{os.environ['SANDGATE_PID']}/status") as status:
        assert high_water_mark(status.read()) < SERVER_KIB
    assert high_water_mark(sandbox.process.exec("cat /proc/1/status").result) < TOOLBOX_KIB
