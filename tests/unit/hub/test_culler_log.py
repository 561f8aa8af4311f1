"""The real culler while its hub is away: what its log says."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from config import demo
from hub import culling

TOKEN = "culler-token-that-nobody-may-read"


def test_a_hub_that_is_away_is_one_line_and_the_token_is_in_none(tmp_path: Path) -> None:
    demo.write_demo(tmp_path / "world")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, not listening: refused
        env = {
            **os.environ,
            "JUPYTERHUB_API_TOKEN": TOKEN,
            "JUPYTERHUB_API_URL": f"http://127.0.0.1:{nobody.getsockname()[1]}/hub/api",
            "TENANTHUB_CONFIG": str(tmp_path / "world"),
            "TENANTHUB_STATE": str(tmp_path / "state"),
            "TENANTHUB_CULL_EVERY_S": "1",
        }
        argv = [
            sys.executable,
            "-P",
            "-m",
            "jupyterhub_idle_culler",
            "--config",
            str(Path(culling.__file__).parent / "culler_config.py"),
        ]
        culler = subprocess.Popen(argv, env=env, stderr=subprocess.PIPE, text=True)
        assert culler.stderr is not None
        said: list[str] = []
        try:
            for line in culler.stderr:
                said.append(line)
                if sum("does not answer" in one for one in said) == 3:  # the first round, and those of the clock
                    break
        finally:
            culler.kill()
            culler.wait()
    assert sum("does not answer" in one for one in said) == 3, said
    assert not [one for one in said if TOKEN in one or "Traceback" in one], said
