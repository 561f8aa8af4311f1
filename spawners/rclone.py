"""rclone's configuration out of a tenant's remotes. Pure: where credentials are kept is the caller's business."""

from __future__ import annotations

import configparser
import io
import re
from collections.abc import Mapping

from config.models import Remote

_OPTION = re.compile(r"[a-z][a-z0-9_]*")
_LONGEST = 10_000
"""Characters of one value: an SSH key in one line fits."""


def rclone_conf(sections: Mapping[str, Mapping[str, str]]) -> str:
    """The file's text: *sections* by the remote's name."""
    parser = configparser.ConfigParser(interpolation=None)
    for name, options in sections.items():
        parser[name] = dict(options)
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()


def section(remote: Remote, credentials: Mapping[str, str]) -> dict[str, str]:
    """The section of a remote that is not builtin. ValueError names an entry of *credentials* that is no option of one
    line; never its value."""
    for name, value in credentials.items():
        if not _OPTION.fullmatch(name) or name == "type":
            raise ValueError(f"{name!r} is no option of rclone's: write e.g. access_key_id and secret_access_key")
        if len(value) > _LONGEST or any(ord(one) < 32 or ord(one) == 127 for one in value):
            raise ValueError(f"{name} must be text of one line")
    options = {**remote.options, **credentials}
    options.pop("type", None)  # the backend is declared, and checked, in a field of its own
    return {"type": remote.type, **options}
