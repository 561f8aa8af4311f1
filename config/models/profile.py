"""profiles/*.yaml: the cards that people choose from."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from config.models.base import Declared, Name, pattern
from config.models.quantity import Cpu, Memory

Title = Annotated[str, StringConstraints(min_length=1, max_length=80)]
Option = Annotated[
    str, pattern(r"^[a-z][a-z0-9_]*$", "the name of an option: lower-case letters, digits and _", max_length=40)
]
"""Name of an option of the profile's kind."""


class Size(Declared):
    """How much of a worker a workload gets, as declared (limits, not use)."""

    name: Name
    """Unique in the profile, e.g. small."""
    title: Annotated[str, StringConstraints(max_length=80)] = ""
    """Shown in the form; default: the name with CPU and memory."""
    cpu: Cpu
    """CPUs, e.g. 2 or 500m."""
    memory: Memory
    """Memory, e.g. 4Gi."""


class IdleRule(Declared):
    """When an interactive workload is stopped by itself. Unattended ones never are."""

    stop_after_s: Annotated[int, Field(ge=60, le=30 * 86400)] = 3600
    """Seconds without activity; running kernels and terminals count as activity."""
    max_age_s: Annotated[int, Field(ge=600)] | None = None
    """Seconds after the start at which it is stopped whatever it does; none: no such limit."""


class Profile(Declared):
    """One card: a kind with its image, sizes and the options that are preset, locked or hidden."""

    name: Name
    """Unique in the site; what tenants and user_options call it."""
    kind: Annotated[Name, Field(examples=["notebook"])]
    """notebook, ide, collector, crawler, transfer, app, or a kind that the site added."""
    title: Title
    """The heading of the card."""
    description: Annotated[str, StringConstraints(max_length=400)] = ""
    """What it is for, in a sentence or two."""
    icon: Annotated[str, StringConstraints(max_length=8)] = ""
    """One emoji; default: the kind's."""
    image: (
        Annotated[
            str,
            pattern(
                r"^[^\s:@/]+(:\d+)?(/[^\s:@]+)*(:[\w][\w.-]*)?(@sha256:[0-9a-f]{64})?$",
                "an image by tag or digest, e.g. registry.example.org/lab/tool:1.2",
                max_length=400,
            ),
            Field(examples=["registry.example.org/lab/tool:1.2"]),
        ]
        | None
    ) = None
    """Image by digest or tag (Kubernetes only); default: the kind's own image of this release."""
    sizes: Annotated[tuple[Size, ...], Field(min_length=1, max_length=12)]
    """What a person may choose from, 1 to 12."""
    default_size: Name | None = None
    """Which size is chosen unless the person chooses; default: the first."""
    defaults: dict[Option, Any] = Field(default_factory=dict, examples=[{"depth": 2}])
    """Preset values of the kind's options."""
    locked: tuple[Option, ...] = ()
    """Options that nobody may change; each needs a value in defaults or the kind's own default."""
    hidden: tuple[Option, ...] = ()
    """Options that the form does not show (still changeable over REST unless locked too)."""
    choices: dict[Option, Annotated[tuple[Any, ...], Field(min_length=1)]] = Field(
        default_factory=dict, examples=[{"depth": [1, 2, 3]}]
    )
    """The only values an option may take."""
    network: Name | None = None
    """Which of the tenant's networks it uses; default: the tenant's first."""
    idle: IdleRule | None = None
    """Idle rule of interactive kinds; default: stop after an hour."""

    def size(self, name: str | None) -> Size | None:
        """The size called *name*; the default size for None; None where there is no such size."""
        wanted = name or self.default_size or self.sizes[0].name
        return next((size for size in self.sizes if size.name == wanted), None)
