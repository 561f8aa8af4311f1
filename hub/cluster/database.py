"""The hub's database, asked for before JupyterHub is: its words of one that is away are a traceback."""

from __future__ import annotations

from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from hub.cluster.settings import SettingsError

CONNECT_S = 15
"""How long a Postgres may take to answer, in seconds; its client by itself would wait for minutes."""


def reach(url: str) -> None:
    """Connect once, and let go. SettingsError says in one line why not; nothing of the URL but its host is in it.

    *url*: SQLAlchemy's. A file's (SQLite) is not looked at: JupyterHub makes it, and says where it cannot.
    """
    try:
        where = make_url(url)
    except (ArgumentError, ValueError):  # a port that is no number; their words have the URL in them
        raise SettingsError(["TENANTHUB_SECRETS: db-url is no URL that SQLAlchemy reads"]) from None
    name = where.get_backend_name()
    if name == "sqlite":
        return
    try:
        engine = create_engine(where, connect_args={"connect_timeout": CONNECT_S} if name == "postgresql" else {})
    except (NoSuchModuleError, ModuleNotFoundError):
        told = f"no driver {where.drivername!r} is installed here; postgresql+psycopg is in the hub's image"
        raise SettingsError([f"TENANTHUB_SECRETS: db-url: {told}"]) from None
    try:
        engine.connect().close()
    except DBAPIError as error:
        raise SettingsError([f"the database cannot be used: {_words(error, where.password)}"]) from None
    finally:
        engine.dispose()


def _words(error: DBAPIError, password: object) -> str:
    """The driver's own words, in one line. They name host, port and account; the password never, but to be sure."""
    text = " ".join(str(error.orig or error).split())
    return text.replace(str(password), "…") if password else text
