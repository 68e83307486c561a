"""Files through the SDK: there and back unchanged, one and many."""

import os

import pytest
from daytona import DaytonaBadRequestError, DaytonaNotFoundError, FileDownloadRequest, FileUpload


def test_bytes_come_back_as_they_went(sandbox):
    content = bytes(range(256)) * 1000 + b"\r\n--boundary\r\n"
    sandbox.fs.upload_file(content, "all-bytes.bin")
    assert sandbox.fs.download_file("all-bytes.bin") == content


def test_an_empty_file(sandbox):
    sandbox.fs.upload_file(b"", "empty")
    assert sandbox.fs.download_file("empty") == b""


@pytest.mark.parametrize("name", ["with space.txt", "quote'\"s.txt", "ünïcödé-文件.txt", "percent%20.txt", "a+b&c=d.txt"])
def test_odd_names(sandbox, name):
    sandbox.fs.upload_file(name.encode(), f"odd/{name}")
    assert sandbox.fs.download_file(f"odd/{name}") == name.encode()
    assert name in {file.name for file in sandbox.fs.list_files("odd")}


def test_two_hundred_files_at_once(sandbox):
    files = {f"many/{number % 10}/file-{number}.txt": os.urandom(number * 37) for number in range(200)}
    sandbox.fs.upload_files([FileUpload(source=content, destination=path) for path, content in files.items()])
    answers = sandbox.fs.download_files([FileDownloadRequest(source=path) for path in files])
    assert {answer.source: answer.result for answer in answers} == files
    assert not any(answer.error for answer in answers)
    assert sandbox.process.exec("find many -type f | wc -l").result.strip() == "200"


def test_one_missing_file_does_not_spoil_the_others(sandbox):
    sandbox.fs.upload_file(b"here", "here.txt")
    requests = [FileDownloadRequest(source="here.txt"), FileDownloadRequest(source="absent.txt")]
    here, absent = sandbox.fs.download_files(requests)
    assert (here.result, here.error) == (b"here", None)
    assert absent.result is None and absent.error


def test_folders_are_made_listed_moved_and_deleted(sandbox):
    sandbox.fs.create_folder("tree/inner", "755")
    sandbox.fs.upload_file(b"leaf", "tree/inner/leaf.txt")
    assert [(file.name, file.is_dir) for file in sandbox.fs.list_files("tree")] == [("inner", True)]
    sandbox.fs.move_files("tree/inner/leaf.txt", "tree/leaf.txt")
    info = sandbox.fs.get_file_info("tree/leaf.txt")
    assert (info.name, info.is_dir, info.size, info.owner, info.group) == ("leaf.txt", False, 4, "daytona", "daytona")
    with pytest.raises(DaytonaBadRequestError):
        sandbox.fs.delete_file("tree")
    sandbox.fs.delete_file("tree", recursive=True)
    with pytest.raises(DaytonaNotFoundError):
        sandbox.fs.get_file_info("tree")


def test_permissions_are_set(sandbox):
    sandbox.fs.upload_file(b"#!/bin/sh\necho ran\n", "script.sh")
    assert sandbox.fs.get_file_info("script.sh").permissions == "0644"
    sandbox.fs.set_file_permissions("script.sh", mode="755", owner="daytona", group="daytona")
    assert sandbox.fs.get_file_info("script.sh").permissions == "0755"
    assert sandbox.process.exec("./script.sh").result == "ran\n"


def test_what_is_absent_is_not_found(sandbox):
    with pytest.raises(DaytonaNotFoundError):
        sandbox.fs.get_file_info("/no/such/file")
    with pytest.raises(DaytonaNotFoundError):
        sandbox.fs.list_files("/no/such/folder")
