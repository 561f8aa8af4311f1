"""What the rows share: the options of this run, a folder, and the two hubs, started when a row first needs them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from tests.bench.contest import FAILURES, CannotRun, reason
from tests.bench.stock import StockHub, proxy_command
from tests.embedded.harness import Hub

T = TypeVar("T")
OURS = "TenantHub"
STOCK = "stock JupyterHub"


@dataclass(frozen=True)
class Options:
    """What the command line says. Sizes in the units of their names."""

    rounds: int = 5
    large_mib: int = 256
    small_files: int = 200
    small_kib: int = 10
    tenants: int = 1000
    peer_tenants: int = 100
    """For whoever needs minutes for all of them; at most `tenants`."""
    launches: int = 50
    """At once, on real nodes."""
    first_launches: int = 150
    """Tenants that launch for the first time."""
    workloads: int = 2000
    """Live when the hub is restarted."""


@dataclass
class _Once(Generic[T]):
    """Something that several rows use. What failed is not tried again: each try may wait minutes in vain."""

    start: Callable[[], T]
    kept: T | None = None
    failed: str = ""

    def get(self) -> T:
        """It, started when this is first called. CannotRun with the reason of the first failure."""
        if self.failed:
            raise CannotRun(self.failed)
        if self.kept is None:
            try:
                self.kept = self.start()
            except FAILURES as error:
                self.failed = reason(error)
                raise CannotRun(self.failed) from None
        return self.kept


class Lab:
    """One run with its *options*, in its *folder*. *stack* ends what was started, in any case."""

    def __init__(self, options: Options, folder: Path, stack: ExitStack) -> None:
        self.options = options
        self.stack = stack
        self._folder = folder
        self._hub = _Once(lambda: self.new_hub("hub").start())
        self._stock = _Once(lambda: self.new_stock("stock").start())

    def new_folder(self, name: str) -> Path:
        """A new empty folder of this run."""
        folder = self._folder / name
        folder.mkdir(parents=True)
        return folder

    def new_hub(self, name: str) -> Hub:
        """An embedded hub with the demo world and a state folder of its own; not started."""
        proxy_command()  # both hubs need it; it says so where it is missing
        # The tests cull every second, to see it happen; here it would only disturb.
        hub = Hub(self.new_folder(name), {"TENANTHUB_CULL_EVERY_S": "600"})
        hub.write_world()
        self.stack.callback(hub.stop)
        return hub

    def new_stock(self, name: str) -> StockHub:
        """Stock JupyterHub on a folder of its own; not started."""
        stock = StockHub(self.new_folder(name))
        self.stack.callback(stock.stop)
        return stock

    def hub(self) -> Hub:
        """The embedded hub that several rows use, running."""
        return self._hub.get()

    def stock(self) -> StockHub:
        """The stock hub that several rows use, running."""
        return self._stock.get()
