"""What the parts on a cluster are told: everything that is missing or wrong at once, and no secret in any word."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.cluster.main import proxy_arguments
from hub.cluster.settings import HUB_SERVICES, Bind, SettingsError, read

FILES = ("proxy-token", "cookie-secret", "crypt-key", "portal-cookie-key", *(f"{name}-token" for name in HUB_SERVICES))


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    for name in ("world", "state", "secrets", "modules"):
        (tmp_path / name).mkdir()
    for number, name in enumerate(FILES):
        (tmp_path / "secrets" / name).write_text(f"{number:064x}\n")
    program = tmp_path / "modules" / "configurable-http-proxy" / "bin"
    program.mkdir(parents=True)
    (program / "configurable-http-proxy").touch()
    return {
        "TENANTHUB_CONFIG": str(tmp_path / "world"),
        "TENANTHUB_STATE": str(tmp_path / "state"),
        "TENANTHUB_SECRETS": str(tmp_path / "secrets"),
        "TENANTHUB_NODE_MODULES": str(tmp_path / "modules"),
        "TENANTHUB_PUBLIC_URL": "https://hub.example.org/lab",
        "TENANTHUB_HUB_CONNECT": "http://hub.tenanthub.svc:8081/",
        "TENANTHUB_PORTAL_URL": "http://portal.tenanthub.svc:8080",
        "TENANTHUB_PROXY_API": "http://proxy-api.tenanthub.svc:8001",
    }


def wrong(part: str, env: dict[str, str]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        read(part, env)  # type: ignore[arg-type]
    return caught.value.lines


def test_what_the_hub_is_told(env: dict[str, str]) -> None:
    found = read("hub", {**env, "TENANTHUB_KIND_IMAGES": '{"notebook": "registry.example.org/notebook:1"}'})
    assert found.public_url == "https://hub.example.org/lab/"
    assert found.base_url == "/lab/"
    assert found.https
    assert found.hub_api == "http://hub.tenanthub.svc:8081/lab/hub/api"
    assert found.hub_bind == "http://:8081"
    assert found.database == f"sqlite:///{env['TENANTHUB_STATE']}/jupyterhub.sqlite"
    assert found.kind_images == {"notebook": "registry.example.org/notebook:1"}
    assert found.secrets["cookie-secret"] == f"{1:064x}"


def test_a_database_of_its_own(env: dict[str, str]) -> None:
    url = "postgresql+psycopg://hub:hidden-word@db.example.org/hub"
    (Path(env["TENANTHUB_SECRETS"]) / "db-url").write_text(url + "\n")
    found = read("hub", env)
    assert found.database == url
    assert "hidden-word" not in repr(found)
    (Path(env["TENANTHUB_SECRETS"]) / "db-url").write_text("hidden-word")
    (line,) = wrong("hub", env)
    assert line.startswith("TENANTHUB_SECRETS: db-url must be a URL")
    assert "hidden-word" not in line


def test_everything_that_is_missing_is_said_at_once() -> None:
    for part, names in {
        "hub": {"SECRETS", "CONFIG", "STATE", "PUBLIC_URL", "HUB_CONNECT", "PORTAL_URL", "PROXY_API"},
        "portal": {"SECRETS", "CONFIG", "PUBLIC_URL", "HUB_CONNECT"},
        "culler": {"SECRETS", "CONFIG", "PUBLIC_URL", "HUB_CONNECT"},
    }.items():
        lines = wrong(part, {})
        assert {line.split()[0].removeprefix("TENANTHUB_") for line in lines} == names
        assert all("is not set" in line for line in lines)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TENANTHUB_STATE", "/nowhere/at/all", "/nowhere/at/all is no folder"),
        ("TENANTHUB_CONFIG", "/nowhere/at/all", "/nowhere/at/all is no folder"),
        ("TENANTHUB_PUBLIC_URL", "hub.example.org", "is no URL"),
        ("TENANTHUB_PUBLIC_URL", "https://user:word@hub.example.org", "is no URL"),
        ("TENANTHUB_HUB_CONNECT", "http://hub:99999", "is no URL"),
        ("TENANTHUB_HUB_CONNECT", "http://hub:8081/hub", "must have no path"),
        ("TENANTHUB_HUB_BIND", "https://:8081", "is not like http://:8081"),
        ("TENANTHUB_HUB_BIND", ":8081", "is not like http://:8081"),
        ("TENANTHUB_PORTAL_BIND", "portal", "is not like :8080"),
        ("TENANTHUB_PROXY_BIND", ":0", "is not like :8000"),
        ("TENANTHUB_KIND_IMAGES", "notebook=1", "is no JSON"),
        ("TENANTHUB_KIND_IMAGES", '["notebook"]', "must be an object"),
        ("TENANTHUB_KIND_IMAGES", '{"notebook": 1}', "must be an object"),
        ("TENANTHUB_ACCOUNTS", "/nowhere/at/all", "cannot be read"),
        ("TENANTHUB_EXTRA_CONFIG", "/nowhere/at/all", "cannot be read"),
        ("TENANTHUB_KUBECONFIG", "/nowhere/at/all", "cannot be read"),
        ("TENANTHUB_START_TIMEOUT_S", "5", "at least 30"),
        ("TENANTHUB_START_TIMEOUT_S", "soon", "at least 30"),
        ("TENANTHUB_LOG_LEVEL", "loud", "is none of"),
    ],
)
def test_one_wrong_value_is_one_line_with_its_name(env: dict[str, str], name: str, value: str, said: str) -> None:
    (line,) = wrong("hub", {**env, name: value})
    assert line.startswith(name)
    assert said in line


def test_a_url_that_is_refused_shows_no_password(env: dict[str, str]) -> None:
    (line,) = wrong("hub", {**env, "TENANTHUB_PUBLIC_URL": "https://user:hidden-word@hub.example.org"})
    assert "hidden-word" not in line


@pytest.mark.parametrize("text", ["", "short", "f" * 63, "g" * 64])
def test_a_wrong_secret_is_named_and_not_shown(env: dict[str, str], text: str) -> None:
    (Path(env["TENANTHUB_SECRETS"]) / "cookie-secret").write_text(text)
    assert wrong("hub", env) == ("TENANTHUB_SECRETS: cookie-secret must be 64 hexadecimal characters",)


def test_a_secret_that_is_not_there_and_one_that_is_there_twice(env: dict[str, str]) -> None:
    folder = Path(env["TENANTHUB_SECRETS"])
    (folder / "cli-token").unlink()
    (folder / "culler-token").write_text((folder / "portal-token").read_text())
    gone, same = wrong("hub", env)
    assert str(folder / "cli-token") in gone
    assert "two tokens are the same" in same


def test_each_part_needs_only_its_own_secrets(env: dict[str, str]) -> None:
    folder = Path(env["TENANTHUB_SECRETS"])
    own = {"portal": {"portal-token", "portal-cookie-key"}, "culler": {"culler-token"}, "proxy": {"proxy-token"}}
    for part, names in own.items():
        assert set(read(part, env).secrets) == names  # type: ignore[arg-type]
    for name in set(FILES) - {"culler-token"}:
        (folder / name).unlink()
    assert set(read("culler", env).secrets) == {"culler-token"}


def test_a_folder_that_cannot_be_written(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.cluster.settings._writable", lambda _: False)
    (line,) = wrong("hub", env)
    assert "nothing can be written" in line
    assert "fsGroup" in line


def test_where_things_listen(env: dict[str, str]) -> None:
    found = read("portal", {**env, "TENANTHUB_PORTAL_BIND": "[::1]:9000"})
    assert found.portal_bind == Bind("::1", 9000)
    assert read("portal", env).portal_bind == Bind("", 8080)


def test_the_proxy_listens_on_all_addresses_and_gets_no_token_as_an_argument(env: dict[str, str]) -> None:
    found = read("proxy", env)
    arguments = proxy_arguments(found)
    assert arguments[:8] == ["--ip", "", "--port", "8000", "--api-ip", "", "--api-port", "8001"]
    assert "http://hub.tenanthub.svc:8081/lab/hub/error" in arguments
    assert found.secrets["proxy-token"] not in " ".join(arguments)


def test_a_proxy_that_is_not_installed(env: dict[str, str]) -> None:
    (line,) = wrong("proxy", {**env, "TENANTHUB_NODE_MODULES": "/nowhere/at/all"})
    assert line.startswith("TENANTHUB_NODE_MODULES: there is no /nowhere/at/all")


def test_trusted_proxies(env: dict[str, str]) -> None:
    assert read("portal", {**env, "TENANTHUB_TRUSTED_PROXIES": "10.0.0.7/8, ::1"}).trusted == ("10.0.0.0/8", "::1/128")
    (line,) = wrong("portal", {**env, "TENANTHUB_TRUSTED_PROXIES": "everybody"})
    assert "'everybody'" in line
