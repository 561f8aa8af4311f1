"""What is said of a database that cannot be used: one line, which holds no password and nothing else of the URL."""

from __future__ import annotations

import pytest

from hub.cluster.database import reach
from hub.cluster.settings import SettingsError

PASSWORD = "hidden-word"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (f"postgresql+psycopg://hub:{PASSWORD}@db.example.org:port/hub", "no URL that SQLAlchemy reads"),
        (f"postgresql+carrier://hub:{PASSWORD}@db.example.org/hub", "no driver 'postgresql+carrier' is installed"),
        (f"nothing://hub:{PASSWORD}@db.example.org/hub", "no driver 'nothing' is installed"),
    ],
)
def test_what_is_wrong_with_a_url(url: str, told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        reach(url)
    [line] = caught.value.lines
    assert told in line
    assert PASSWORD not in line


def test_a_file_is_jupyterhubs_own_matter() -> None:
    reach("sqlite:////nowhere/at/all/jupyterhub.sqlite")
