"""Configuration file of jupyterhub-idle-culler; all of it is in hub/culling.py."""

from hub.culling import configure

configure(c)  # type: ignore[name-defined]  # noqa: F821  (traitlets gives it)
