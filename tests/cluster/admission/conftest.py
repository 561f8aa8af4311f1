"""The tenants' hall is set up once a run, whichever files are run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.cluster.admission.hall import Hall, hall
from tests.cluster.bed import Bed


@pytest.fixture(scope="session")
def people(control_plane: Callable[[str], Bed]) -> Iterator[Hall]:
    """Policies, three tenants' namespaces and Roles on a real API server."""
    with hall(control_plane("current").kubeconfig) as found:
        yield found
