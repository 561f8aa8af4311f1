"""`user_options` as the form and JupyterHub's REST API send it: exactly tenant, profile and options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spawners.refusal import Refusal, Violation

FIELDS = ("tenant", "profile", "options")


@dataclass(frozen=True)
class Request:
    """What somebody asks for, before anything of it is believed."""

    tenant: str
    profile: str
    options: Mapping[str, Any]

    def user_options(self) -> dict[str, Any]:
        """As JupyterHub stores and sends it."""
        return {"tenant": self.tenant, "profile": self.profile, "options": dict(self.options)}


def shown(text: Any) -> str:
    """What somebody sent, fit to be repeated in one line for people."""
    plain = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(text))
    return plain if len(plain) <= 60 else f"{plain[:59]}…"


def parse(user_options: Any) -> Request:
    """Read *user_options*; Refusal names every field that is missing, unknown or of the wrong type."""
    example = 'send {"tenant": "physics", "profile": "notebook", "options": {}}'
    if not isinstance(user_options, Mapping):
        raise Refusal.of("options", f"user_options must be an object; {example}")
    wrong = [Violation(shown(key), f"unknown key; {example}") for key in user_options if key not in FIELDS]
    for key in ("tenant", "profile"):
        value = user_options.get(key)
        if not isinstance(value, str) or not value:
            wrong.append(Violation(key, f"must be a name; {example}"))
    options = user_options.get("options") or {}
    if not isinstance(options, Mapping):
        wrong.append(Violation("options", f"must be an object of the kind's options; {example}"))
    if wrong:
        raise Refusal("options", wrong)
    return Request(user_options["tenant"], user_options["profile"], {str(k): v for k, v in options.items()})
