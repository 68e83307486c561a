"""What a client sees that asks for too much, and too fast: two cores and three creates in a minute are allowed."""

import pytest
from daytona import DaytonaError, DaytonaRateLimitError


def test_too_much_and_too_fast(create):
    first = create()
    create()
    with pytest.raises(DaytonaError, match="Total CPU limit exceeded. Maximum allowed: 2") as refused:
        create()
    assert refused.value.status_code == 400
    first.delete(wait=True)
    create()
    with pytest.raises(DaytonaRateLimitError, match="ThrottlerException: Too Many Requests") as refused:
        create()
    assert refused.value.status_code == 429
    headers = {name.lower(): value for name, value in refused.value.headers.items()}
    assert 1 <= int(headers["retry-after-sandbox-create"]) <= 60
    assert headers["x-ratelimit-remaining-sandbox-create"] == "0"
    assert "retry-after" not in headers
