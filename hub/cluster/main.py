"""The commands of a cluster, tenanthub hub, portal, culler, proxy: settings are read, then it becomes its program."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from config.errors import WorldError
from hub.cluster.settings import Bind, Cluster, Part, SettingsError, read

WRONG = 2
"""Exit code for settings that are missing or wrong."""
_AGAIN_S = 2
_HERE = Path(__file__).resolve().parent


def start(part: Part) -> int:
    """Run *part* until it is told to stop; the exit code. What is wrong is said, one line each."""
    try:
        settings = read(part, os.environ)
        return _PARTS[part](settings)
    except SettingsError as error:
        for line in error.lines:
            print(f"tenanthub {part}: {line}", file=sys.stderr)
    except WorldError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        print(f"tenanthub {part}: the declared world in TENANTHUB_CONFIG cannot be used", file=sys.stderr)
    return WRONG


def _hub(settings: Cluster) -> int:
    if settings.kubeconfig is not None:
        os.environ["KUBECONFIG"] = str(settings.kubeconfig)  # KubeSpawner's client reads it when it is imported
    from traitlets.config import Config

    from hub.app import main
    from hub.cluster.configure import configure
    from hub.cluster.database import reach

    configure(Config(), settings)  # JupyterHub would show a traceback where the site's own file fails
    reach(settings.database)
    os.chdir(settings.state)
    main(["--config", str(_HERE / "jupyterhub_config.py")])
    return 0


def _portal(settings: Cluster) -> int:
    from hub.cluster.portal import serve

    return serve(settings)


def _culler(settings: Cluster) -> int:
    from hub.cluster.culling import end_on_sigterm, worlds_of

    end_on_sigterm()
    worlds_of(settings)[0].current()  # WorldError
    _wait_for(f"{settings.hub_api}/")
    env = {"JUPYTERHUB_API_TOKEN": settings.secrets["culler-token"], "JUPYTERHUB_API_URL": settings.hub_api}
    argv = [sys.executable, "-P", "-m", "jupyterhub_idle_culler", "--config", str(_HERE / "culler_config.py")]
    return _become(argv, env)


def _wait_for(url: str) -> None:
    """Until something answers there: the culler, which has no patience at its start, would end with a traceback."""
    import httpx

    said = False
    while True:
        try:
            httpx.get(url, timeout=10, trust_env=False)
        except httpx.HTTPError as error:
            if not said:
                print(f"tenanthub culler: the hub at {url} does not answer yet, waiting: {error}", file=sys.stderr)
            said = True
            time.sleep(_AGAIN_S)
        else:
            return


def _proxy(settings: Cluster) -> int:
    node = shutil.which("node") or str(Path(sys.executable).with_name("node"))
    argv = [node, str(settings.proxy_program), *proxy_arguments(settings)]
    return _become(argv, {"CONFIGPROXY_AUTH_TOKEN": settings.secrets["proxy-token"]})


def proxy_arguments(settings: Cluster) -> list[str]:
    """Of configurable-http-proxy. Its token goes by the environment, where no process list shows it."""
    return [
        *_listen("", settings.proxy_bind),
        *_listen("api-", settings.proxy_api_bind),
        "--error-target", f"{settings.hub_connect}{settings.base_url}hub/error",
        "--log-level", {"WARNING": "warn"}.get(settings.log_level, settings.log_level.lower()),
    ]  # fmt: skip


def _listen(prefix: str, bind: Bind) -> list[str]:
    """Empty: all addresses, of the families that there are."""
    return [f"--{prefix}ip", bind.host, f"--{prefix}port", str(bind.port)]


def _become(argv: list[str], env: Mapping[str, str]) -> int:
    """Be another program from now on: signals reach it, its exit code is ours. SettingsError where it is missing."""
    try:
        os.execve(argv[0], argv, {**os.environ, **env})  # noqa: S606  no shell is wanted
    except OSError as error:
        raise SettingsError([f"{argv[0]} cannot be started: {error.strerror}"]) from None


_PARTS: Mapping[Part, Callable[[Cluster], int]] = {"hub": _hub, "portal": _portal, "culler": _culler, "proxy": _proxy}
