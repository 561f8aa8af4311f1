"""python -P -m images.notebook [options of jupyterhub-singleuser].

-P keeps the folder it starts in (the user's home) out of the module path: a user's own `queue.py` must not stop the
server from starting.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from images.lib.quick import defer_hub_database, defer_iri_grammar, pause_garbage_collection

CONFIG = Path(__file__).with_name("jupyter_server_config.py")


def arguments(ours: list[str], is_root: bool) -> list[str]:
    """The arguments of the single-user server: our configuration first, so that *ours* (the spawner's) win. Pure."""
    root = ["--allow-root"] if is_root and "--allow-root" not in ours else []
    # The extension has to be named here: a configuration file is read after the extensions are found.
    extension = "--ServerApp.jpserver_extensions=images.notebook.activity=True"
    return [f"--config={CONFIG}", extension, *root, *ours]


def main() -> None:
    """Run the single-user server with our configuration; ends as it ends."""
    pause_garbage_collection()
    defer_iri_grammar()
    defer_hub_database()
    from jupyterhub.singleuser import main as singleuser

    sys.argv = ["jupyterhub-singleuser", *arguments(sys.argv[1:], os.geteuid() == 0)]
    singleuser()


if __name__ == "__main__":
    main()
