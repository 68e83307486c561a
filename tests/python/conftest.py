"""What the cases share: a client for the server that the environment names, and sandboxes that go when the cases end."""

import pytest
from daytona import CreateSandboxFromSnapshotParams, Daytona


@pytest.fixture(scope="session")
def daytona():
    return Daytona()


@pytest.fixture
def create(daytona):
    """Creates sandboxes and deletes them again, also when the case fails."""
    created = []

    def make(**params):
        sandbox = daytona.create(CreateSandboxFromSnapshotParams(**params))
        created.append(sandbox)
        return sandbox

    yield make
    for sandbox in created:
        delete(daytona, sandbox)


@pytest.fixture(scope="module")
def sandbox(daytona):
    """One sandbox for all cases of a file that do not mind each other."""
    sandbox = daytona.create()
    yield sandbox
    delete(daytona, sandbox)


def delete(daytona, sandbox):
    """Deletes it unless the case has done so itself."""
    if any(known.id == sandbox.id for known in daytona.list()):
        sandbox.delete(wait=True)
