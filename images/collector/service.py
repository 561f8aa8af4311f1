"""What all sessions of the FTP server share, and who may come in."""

from __future__ import annotations

import hmac
import threading
from dataclasses import dataclass, field
from typing import Any

from pyftpdlib.exceptions import AuthenticationFailed

from images.collector.data import PassivePorts
from images.collector.defender import Defender
from images.collector.filesystem import Folders
from images.collector.ledger import Ledger
from images.collector.publish import Publisher
from images.collector.settings import Settings
from images.collector.spool import Spool
from images.collector.store import Store


@dataclass
class Service:
    """What all sessions share."""

    settings: Settings
    password: str
    spool: Spool
    store: Store
    publisher: Publisher
    ledger: Ledger
    folders: Folders
    defender: Defender
    ports: PassivePorts
    stopping: threading.Event = field(default_factory=threading.Event)
    busy: set[object] = field(default_factory=set)  # uploads being received or stored now; waited for at the end


class Authorizer:
    """pyftpdlib's interface: one user, whose rights the settings say."""

    def __init__(self, settings: Settings, password: str) -> None:
        if not password:
            raise ValueError("an empty password would let everyone in")
        self._user = settings.username.encode()
        self._password = password.encode()
        self._perms = "elrafmwMT"  # what is not allowed is refused by the handler, with its reason

    def validate_authentication(self, username: str, password: str, handler: Any) -> None:
        """AuthenticationFailed unless both are right; the time it takes does not tell which was wrong."""
        user_fits = hmac.compare_digest(username.encode(errors="replace"), self._user)
        password_fits = hmac.compare_digest(password.encode(errors="replace"), self._password)
        if not (user_fits and password_fits):
            raise AuthenticationFailed("Wrong user or password.")

    def get_home_dir(self, username: str) -> str:
        """Everyone's root is the destination folder."""
        return "/"

    def has_perm(self, username: str, perm: str, path: str | None = None) -> bool:
        """Everything reaches the handler's methods."""
        return True

    def get_perms(self, username: str) -> str:
        """What MLSD shows."""
        return self._perms

    def get_msg_login(self, username: str) -> str:
        """The text of 230."""
        return "Logged in."

    def get_msg_quit(self, username: str) -> str:
        """The text of 221."""
        return "Goodbye."

    def impersonate_user(self, username: str, password: str) -> None:
        """Nothing: there are no system users here."""

    def terminate_impersonation(self, username: str) -> None:
        """Nothing, as above."""
