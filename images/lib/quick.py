"""A quicker start of what is built on JupyterHub and Jupyter Server, with nothing left out: it is done when needed.

Measured with jupyterhub 6.1.1, jupyter_server 2.21.1, jsonschema 4.26.0 on Python 3.11; docs/activity.md has the table.
"""

from __future__ import annotations

import gc
import importlib
import sys
from types import ModuleType


class _Deferred(ModuleType):
    """Stands for a module until something of it is used; from then on it answers with what the real one holds."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):  # the import system asks for __path__ and __spec__: that is no use yet
            raise AttributeError(name)
        return getattr(_real(self.__name__), name)


def _real(name: str) -> ModuleType:
    for known in [known for known in sys.modules if known == name or name.startswith(f"{known}.")]:
        if isinstance(sys.modules[known], _Deferred):
            del sys.modules[known]
    return importlib.import_module(name)


def _defer(name: str, **at_hand: object) -> None:
    """Put a stand-in for the module *name* in place, with the attributes *at_hand*; not if it is loaded already."""
    if name not in sys.modules:
        module = _Deferred(name)
        module.__dict__.update(at_hand)
        sys.modules[name] = module


def defer_iri_grammar() -> None:
    """Let rfc3987_syntax compile its grammar when the first IRI is checked, not when it is imported.

    jsonschema imports it for the formats "iri" and "iri-reference", which no schema of Jupyter uses; compiling the
    grammar takes more than a second, a quarter of the whole start. A schema that does use them finds them working.
    """

    def is_valid_syntax(term: str, value: str) -> bool:
        return bool(_real("rfc3987_syntax").is_valid_syntax(term, value))

    _defer("rfc3987_syntax", is_valid_syntax=is_valid_syntax)


def defer_hub_database() -> None:
    """Do not import the hub's own pages and database mapping (SQLAlchemy's ORM, alembic) into a user's server.

    jupyterhub.log wants one class of the hub's pages, to log its health check quietly (a single-user server has no
    such handler, so a class of our own without instances answers the same), and jupyterhub.scopes names jupyterhub.orm
    for functions that only the hub calls.
    """

    class HealthCheckHandler:
        """Nothing is ever an instance of this."""

    _defer("jupyterhub.orm")
    _defer("jupyterhub.handlers")
    _defer("jupyterhub.handlers.pages", HealthCheckHandler=HealthCheckHandler)


def pause_garbage_collection() -> None:
    """No collection while importing: nothing imported is ever garbage, but each full collection walks all of it."""
    gc.disable()


def resume_garbage_collection() -> None:
    """Collect again from here on, and never look at what exists already (it lives as long as the server)."""
    gc.freeze()
    gc.enable()
