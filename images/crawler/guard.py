"""The resolver that Twisted connects through: addresses that a crawl must not reach never come out of it.

Being the last step before connect(), it holds for links, redirects and robots.txt, for names and for addresses in
every spelling (http://0x7f.1/), and for a name that answers differently the second time (DNS rebinding): what was
checked is what is connected to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.interfaces import IAddress, IHostnameResolver, IHostResolution, IResolutionReceiver
from zope.interface import implementer  # type: ignore[import-untyped]  # zope.interface ships no types

from images.crawler.addresses import refusal


@implementer(IResolutionReceiver)
class _Filter:
    """Passes on the addresses that may be reached, and remembers the reason for one that may not."""

    def __init__(self, receiver: Any, host: str, guard: GuardedResolver) -> None:
        self._receiver, self._host, self._guard = receiver, host, guard

    def resolutionBegan(self, resolution: IHostResolution) -> None:
        self._receiver.resolutionBegan(resolution)

    def addressResolved(self, address: Any) -> None:
        reason = refusal(address.host, self._guard.allow_private)
        if reason is None:
            self._receiver.addressResolved(address)
        else:
            self._guard.refused[self._host] = reason

    def resolutionComplete(self) -> None:
        self._receiver.resolutionComplete()


@implementer(IHostnameResolver)
class GuardedResolver:
    """A name resolver that leaves out every address which `addresses.refusal` names a reason against.

    `refused` holds the last such reason for each host name, for the message.
    """

    def __init__(self, original: Any, allow_private: bool) -> None:
        """*original* is the reactor's own resolver (getaddrinfo in threads, IPv4 and IPv6)."""
        self._original = original
        self.allow_private = allow_private
        self.refused: dict[str, str] = {}

    def resolveHostName(  # noqa: D102  # Twisted's interface, documented there
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> Any:
        self.refused.pop(hostName, None)
        receiver = _Filter(resolutionReceiver, hostName, self)
        return self._original.resolveHostName(receiver, hostName, portNumber, addressTypes, transportSemantics)
