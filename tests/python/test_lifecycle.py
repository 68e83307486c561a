"""From `create` to a 404, through the SDK."""

import uuid

import pytest
from daytona import (
    Daytona,
    DaytonaAuthenticationError,
    DaytonaBadRequestError,
    DaytonaConfig,
    DaytonaConflictError,
    DaytonaNotFoundError,
    ListSandboxesQuery,
    SandboxState,
)


def test_a_created_sandbox_is_started_and_knows_what_it_was_asked_for(create):
    sandbox = create(name="sdk-first", env_vars={"GREETING": "hello"}, labels={"made": "here"})
    assert sandbox.state == SandboxState.STARTED
    assert sandbox.name == "sdk-first"
    assert sandbox.env == {"GREETING": "hello"}
    assert sandbox.labels == {"made": "here", "code-toolbox-language": "python"}
    assert sandbox.process.exec("echo $GREETING").result == "hello\n"
    assert sandbox.get_user_home_dir() == "/home/daytona"
    assert sandbox.get_work_dir() == "/home/daytona"


def test_a_sandbox_is_got_by_id_and_by_name(daytona, create):
    sandbox = create(name="sdk-named")
    assert daytona.get(sandbox.id).name == "sdk-named"
    assert daytona.get("sdk-named").id == sandbox.id


def test_a_list_filters_by_labels_and_pages_by_itself(daytona, create):
    made = {create(labels={"batch": "listed"}).id for _ in range(3)}
    other = create(labels={"batch": "other"})
    query = ListSandboxesQuery(labels={"batch": "listed"}, limit=2)
    assert {sandbox.id for sandbox in daytona.list(query)} == made
    assert made | {other.id} <= {sandbox.id for sandbox in daytona.list()}


def test_labels_and_intervals_are_set(daytona, create):
    sandbox = create()
    labels = {"stage": "two", "code-toolbox-language": "python"}
    assert sandbox.set_labels(labels) == labels
    sandbox.set_autostop_interval(45)
    sandbox.set_auto_archive_interval(120)
    sandbox.set_auto_delete_interval(240)
    sandbox.refresh_activity()
    again = daytona.get(sandbox.id)
    assert again.labels == labels
    assert (again.auto_stop_interval, again.auto_archive_interval, again.auto_delete_interval) == (45, 120, 240)


def test_stop_and_start_keep_files(create):
    sandbox = create()
    sandbox.fs.upload_file(b"kept", "note.txt")
    sandbox.stop()
    assert sandbox.state == SandboxState.STOPPED
    sandbox.start()
    assert sandbox.state == SandboxState.STARTED
    assert sandbox.fs.download_file("note.txt") == b"kept"


def test_a_deleted_sandbox_is_not_found(daytona, create):
    sandbox = create()
    sandbox.delete(wait=True)
    assert sandbox.state == SandboxState.DESTROYED
    with pytest.raises(DaytonaNotFoundError):
        daytona.get(sandbox.id)
    with pytest.raises(DaytonaNotFoundError):
        sandbox.process.exec("true")


def test_an_ephemeral_sandbox_is_gone_once_it_is_stopped(daytona, create):
    sandbox = create(ephemeral=True)
    sandbox.stop()
    with pytest.raises(DaytonaNotFoundError):
        daytona.get(sandbox.id)


def test_errors_have_the_classes_that_programs_catch(daytona, create):
    create(name="sdk-taken")
    with pytest.raises(DaytonaConflictError):
        create(name="sdk-taken")
    with pytest.raises(DaytonaBadRequestError, match="no-such-snapshot"):
        create(snapshot="no-such-snapshot")
    with pytest.raises(DaytonaNotFoundError):
        daytona.get(str(uuid.uuid4()))


def test_a_wrong_key_is_an_authentication_error():
    stranger = Daytona(DaytonaConfig(api_key="dtn_" + "0" * 64))
    with pytest.raises(DaytonaAuthenticationError):
        list(stranger.list())
