"""State folder, ports and tokens of an embedded hub; its commands where they cannot do what they are asked."""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub import cli
from hub.embedded import run
from hub.embedded.objectstore_auth import answer
from hub.embedded.settings import PARTS, StartError, open_settings
from spawners.local.ports import free_port, is_free
from spawners.local.secrets import builtin_keys
from spawners.local.tools import find_tools
from spawners.plan import Tools


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment with a state folder of the test's own, also for what reads os.environ."""
    values = {"TENANTHUB_STATE": str(tmp_path / "state"), "TENANTHUB_PORT": str(free_port())}
    for name in ("TENANTHUB_CONFIG", "TENANTHUB_NODE_MODULES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return values


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


@pytest.mark.parametrize("text", ["0", "80", "65536", "eight", "-8000", "8000.5", "８０００", " 8000"])
def test_a_port_that_is_none_is_told_with_an_example(env: dict[str, str], text: str) -> None:
    with pytest.raises(StartError, match=r"TENANTHUB_PORT.*8001"):
        open_settings({**env, "TENANTHUB_PORT": text})


def test_ports_and_tokens_are_the_same_at_each_start_and_nobody_elses(env: dict[str, str]) -> None:
    first, second = open_settings(env), open_settings(env)
    assert (first.ports, first.tokens) == (second.ports, second.tokens)
    assert len({*first.ports.values(), first.port}) == len(PARTS) + 1, "all different, the public one too"
    assert len(set(first.tokens.values())) == len(first.tokens)
    secret = first.state.secrets / "services.json"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(first.state.root.stat().st_mode) == 0o700


def test_a_public_port_that_a_part_uses_inside_is_told(env: dict[str, str]) -> None:
    inner = open_settings(env).ports["hub"]
    with pytest.raises(StartError, match=f"port {inner}.*TENANTHUB_PORT"):
        open_settings({**env, "TENANTHUB_PORT": str(inner)})
    assert open_settings({**env, "TENANTHUB_PORT": str(inner)}, create=False).port == inner, (
        "to stop it must be possible"
    )


def test_a_newer_version_adds_what_is_missing_and_keeps_the_rest(env: dict[str, str]) -> None:
    settings = open_settings(env)
    kept = {name: str(port) for name, port in settings.ports.items() if name != "portal"}
    settings.state.ports.write_text(json.dumps(kept))
    again = open_settings(env)
    assert {name: str(port) for name, port in again.ports.items() if name != "portal"} == kept
    assert again.ports["portal"] not in map(int, kept.values())


@pytest.mark.parametrize("content", ["{", "[]", '{"hub": 5}', "null"])
def test_a_broken_file_of_ports_is_one_clear_line(env: dict[str, str], content: str) -> None:
    settings = open_settings(env)
    settings.state.ports.write_text(content)
    with pytest.raises(StartError, match=r"state folder .* cannot be used") as told:
        open_settings(env)
    assert "\n" not in str(told.value)


def test_a_state_folder_that_cannot_be_one_is_told(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match="TENANTHUB_STATE"):
        open_settings({**env, "TENANTHUB_STATE": str(tmp_path / "file")})


def test_commands_for_a_running_hub_say_so_where_there_is_none(
    env: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["stop"], ["token", "physics-member"]):
        assert cli.main(words) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("tenanthub: there is no TenantHub in ")
    assert not Path(env["TENANTHUB_STATE"]).exists(), "asking makes nothing"


def test_a_token_of_a_hub_that_is_not_running(env: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    open_settings(env)
    assert cli.main(["token", "physics-member"]) == 1
    assert capsys.readouterr().err == "tenanthub: the hub does not answer; start it with `make run`\n"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert all(word in text for word in ("run", "stop", "token", "check", "schema"))
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", "--help"])
    assert "TENANTHUB_STATE" in capsys.readouterr().out


# -- what would make a start fail ------------------------------------------------------------------------------------


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "node_modules"
    for file in ("configurable-http-proxy/bin/configurable-http-proxy", "htmx.org/dist/htmx.min.js"):
        (folder / file).parent.mkdir(parents=True)
        (folder / file).write_text("")
    monkeypatch.setenv("TENANTHUB_NODE_MODULES", str(folder))
    return folder


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return Tools(python=Path("/bin/sh"), rclone=Path("/bin/true"), node=Path("/bin/true"))


def test_all_is_well(env: dict[str, str], modules: Path, tools: Tools) -> None:
    run._check(open_settings(env), tools)


def test_a_busy_port_is_named_with_another_to_choose(
    env: dict[str, str], modules: Path, tools: Tools, taken: int
) -> None:
    with pytest.raises(StartError, match=rf"port {taken} is taken .*TENANTHUB_PORT=8001"):
        run._check(open_settings({**env, "TENANTHUB_PORT": str(taken)}), tools)


def test_a_busy_inner_port_is_named_with_its_part(env: dict[str, str], modules: Path, tools: Tools, taken: int) -> None:
    settings = open_settings(env)
    settings.state.ports.write_text(json.dumps({**{k: str(v) for k, v in settings.ports.items()}, "hub": str(taken)}))
    with pytest.raises(StartError, match=rf"port {taken}, which the hub uses"):
        run._check(open_settings(env), tools)


def test_missing_parts_say_how_to_get_them(env: dict[str, str], modules: Path, tools: Tools) -> None:
    settings = open_settings(env)
    with pytest.raises(StartError, match=r"Node is missing: run `make setup`"):
        run._check(settings, tools.model_copy(update={"node": None}))
    (modules / "htmx.org/dist/htmx.min.js").unlink()
    with pytest.raises(StartError, match=r"htmx.min.js is missing: run `make setup`"):
        run._check(settings, tools)


def test_a_missing_rclone_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"rclone is missing: run `make setup`"):
        find_tools()


def test_two_hubs_do_not_share_a_state_folder(env: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    settings = open_settings(env)
    with run._alone(settings):
        assert run.run() == 1
        said = capsys.readouterr().err
    assert (
        said == f"tenanthub: TenantHub already runs with this state folder (process {os.getpid()}) at {settings.url}\n"
    )


# -- ports and the object store --------------------------------------------------------------------------------------


def test_a_free_port_is_free_and_never_one_of_outgoing_connections(taken: int) -> None:
    found = {free_port() for _ in range(20)}
    assert all(is_free(port) and 10_000 <= port < 32_768 for port in found)
    assert not is_free(taken)
    first = free_port()
    assert free_port({first}) != first


def test_the_object_store_gives_each_key_its_tenants_folder_and_no_other_key_anything(env: dict[str, str]) -> None:
    state = open_settings(env).state
    (physics, secret), (history, _) = builtin_keys(state, "physics"), builtin_keys(state, "history")
    (state.secrets / "objectstore-broken.json").write_text("{")
    given = answer(state.root, {"user": physics})
    assert given["_root"] == str(state.root / "objectstore" / "physics")
    assert given["_secret_access_key"] == secret
    assert answer(state.root, {"user": history})["_root"] == str(state.root / "objectstore" / "history")
    for stranger in ({}, {"user": ""}, {"user": physics[:-1]}, {"user": "physics"}, {"user": "../physics"}):
        refused = answer(state.root, stranger)
        assert refused["_secret_access_key"] == ""
        assert not Path(refused["_root"]).exists()
