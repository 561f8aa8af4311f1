"""`tenanthub token USER`: an API token of the running hub, for scripts and tests."""

from __future__ import annotations

import os
import sys

import httpx

from hub.embedded.settings import StartError, open_settings


def _hub() -> tuple[str, str]:
    """The hub's API, and the token of the service that makes tokens. StartError says what is missing."""
    if os.environ.get("TENANTHUB_SECRETS"):  # in the hub's Pod on a cluster, by kubectl exec
        from hub.cluster.settings import SettingsError, read

        try:
            settings = read("hub", os.environ)
        except SettingsError as error:
            raise StartError(str(error)) from None
        return settings.hub_api, settings.secrets["cli-token"]
    embedded = open_settings(create=False)
    return embedded.hub_api, embedded.tokens["cli"]


def token(user: str, expires_s: int, note: str) -> int:
    """Print a token of *user* that expires after *expires_s* seconds; the exit code."""
    try:
        api, own = _hub()
        answer = httpx.post(
            f"{api}/users/{user}/tokens",
            headers={"Authorization": f"token {own}"},
            json={"expires_in": expires_s, "note": note},
            timeout=10,
            trust_env=False,
        )
    except StartError as error:
        print(f"tenanthub: {error}", file=sys.stderr)
        return 1
    except httpx.HTTPError:
        how = "" if os.environ.get("TENANTHUB_SECRETS") else "; start it with `make run`"
        print(f"tenanthub: the hub does not answer{how}", file=sys.stderr)
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
