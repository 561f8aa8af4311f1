"""Images come from the site's registries, where it declares any."""

from __future__ import annotations

from collections.abc import Iterator

from config.emit.admission.cel import texts
from config.emit.admission.policy import Rule
from config.images import registry_prefix
from config.models import Site

_DOMAIN = "^(localhost|[^/]*[.:A-Z][^/]*)/"
"""A reference begins with a host's name if its first part says so; else it is Docker Hub's. This and the two steps of
_NORMAL are what containers' runtimes do (github.com/distribution/reference, splitDockerDomain)."""
_NORMAL = (
    f".map(name, name.matches('{_DOMAIN}') ? name : 'docker.io/' + name)"
    ".map(name, name.startsWith('index.docker.io/') ? name.replace('index.docker.io/', 'docker.io/', 1) : name)"
    ".map(name, name.matches('^docker[.]io/[^/]*$') ? name.replace('docker.io/', 'docker.io/library/', 1) : name)"
)
_IMAGES = (
    "(it.spec.containers.map(c, c.?image.orValue(''))"
    " + it.spec.?initContainers.orValue([]).map(c, c.?image.orValue(''))"
    " + it.spec.?ephemeralContainers.orValue([]).map(c, c.?image.orValue(''))"
    # A volume can be an image as well (Kubernetes 1.31), and is pulled from wherever it says.
    " + it.spec.?volumes.orValue([]).filter(v, has(v.image)).map(v, v.image.?reference.orValue('')))"
)


def images(site: Site) -> Iterator[Rule]:
    """No rule for a site without `image_registries`.

    A registry matches up to a slash: neither registry.example.org/research-evil nor registry.example.org.evil nor
    registry.example.org:5000 is registry.example.org/research.
    """
    if not site.image_registries:
        return
    registries = tuple(dict.fromkeys(map(registry_prefix, site.image_registries)))
    allowed = f"[image]{_NORMAL}.exists(name, {texts(registries)}.exists(prefix, name.startsWith(prefix)))"
    told = " or ".join(prefix.rstrip("/") for prefix in registries)
    problem = f"'image ' + image + ' does not come from ' + {texts([told])}[0] + ': use one that does'"
    yield Rule("images", f"{_IMAGES}.filter(image, image != '' && !{allowed}).map(image, {problem})")
