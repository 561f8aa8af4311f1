"""Where an image comes from, by the name that a container runtime gives it. Pure."""

from __future__ import annotations

from collections.abc import Iterable

_HUB = "docker.io"


def full_name(image: str) -> str:
    """*image* with its registry's host spelt out, as runtimes do it (github.com/distribution/reference).

    >>> full_name("tool"), full_name("lab/tool:1"), full_name("registry.example.org:5000/tool")
    ('docker.io/library/tool', 'docker.io/lab/tool:1', 'registry.example.org:5000/tool')
    """
    first, slash, rest = image.partition("/")
    is_host = bool(slash) and (first == "localhost" or "." in first or ":" in first or first != first.lower())
    host, path = (first, rest) if is_host else (_HUB, image)
    if host == f"index.{_HUB}":
        host = _HUB
    return f"{host}/{path}" if host != _HUB or "/" in path else f"{host}/library/{path}"


def comes_from(image: str, registries: Iterable[str]) -> bool:
    """Whether *image* is of one of *registries* (host, or host/path), whole words between slashes.

    Neither registry.example.org/research-evil nor registry.example.org.evil is registry.example.org/research.
    """
    name = full_name(image)
    return any(name.startswith(registry_prefix(registry)) for registry in registries)


def registry_prefix(registry: str) -> str:
    """What the full name of an image from *registry* begins with; Docker Hub's host is spelt out.

    >>> registry_prefix("registry.example.org/research"), registry_prefix("jupyter"), registry_prefix("docker.io")
    ('registry.example.org/research/', 'docker.io/jupyter/', 'docker.io/')
    """
    name = registry.strip("/")
    return full_name(f"{name}/x/x" if name else "x/x").removesuffix("x/x")
