"""`tenanthub token USER`: an API token of the running embedded hub, for scripts and tests."""

from __future__ import annotations

import sys

import httpx

from hub.embedded.settings import StartError, open_settings


def token(user: str, expires_s: int, note: str) -> int:
    """Print a token of *user* that expires after *expires_s* seconds; the exit code."""
    try:
        settings = open_settings(create=False)
        answer = httpx.post(
            f"{settings.hub_api}/users/{user}/tokens",
            headers={"Authorization": f"token {settings.tokens['cli']}"},
            json={"expires_in": expires_s, "note": note},
            timeout=10,
            trust_env=False,
        )
    except StartError as error:
        print(f"tenanthub: {error}", file=sys.stderr)
        return 1
    except httpx.HTTPError:
        print("tenanthub: the hub does not answer; start it with `make run`", file=sys.stderr)
        return 1
    # The hub tells a service about an account that is not there with 403 as well as with 404.
    if answer.status_code == 404 or (answer.status_code == 403 and "not found" in answer.text):
        print(f"tenanthub: there is no account {user!r} in this hub", file=sys.stderr)
        return 1
    if answer.is_error:
        print(f"tenanthub: the hub refused ({answer.status_code}): {answer.text[:200]}", file=sys.stderr)
        return 1
    print(answer.json()["token"])
    return 0
