"""`tenanthub status` where it does not get as far as a cluster: one line, exit code 1, no traceback."""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

import pytest

from config.cli_status import add_commands
from config.status.paint import Paint

KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: none}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
"""


@pytest.fixture
def world(tmp_path: Path) -> Path:
    folder = tmp_path / "world"
    (folder / "tenants").mkdir(parents=True)
    site = "cluster: {pods: [10.244.0.0/16], services: [10.96.0.0/16], nodes: [10.99.0.0/24]}\n"
    (folder / "site.yaml").write_text(site)
    (folder / "tenants" / "physics.yaml").write_text("name: physics\nadmins: [ada]\nworkers: {nodes: [n1]}\n")
    return folder


def run(*argv: str) -> int:
    parser = argparse.ArgumentParser(prog="tenanthub")
    add_commands(parser.add_subparsers(required=True))
    arguments = parser.parse_args(["status", *argv])
    code: int = arguments.run(arguments)
    return code


def complaint(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert run(*argv) == 1
    said = capsys.readouterr()
    assert said.out == "" and "Traceback" not in said.err
    return said.err


def test_a_tenant_that_is_not_declared(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert complaint(capsys, str(world), "chemistry").endswith(
        f"tenanthub: chemistry is not declared in {world}; declared are physics\n"
    )


def test_a_world_that_is_wrong(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (world / "tenants" / "physics.yaml").write_text("name: physics\nadmins: [ada]\nworker: {}\n")
    assert "tenants/physics.yaml:3: worker" in complaint(capsys, str(world))


def test_no_kubeconfig(world: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    said = complaint(capsys, str(world), "--kubeconfig", str(tmp_path / "none"))
    assert "no cluster to talk to" in said and "--kubeconfig" in said


def test_a_cluster_that_does_not_answer(world: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(KUBECONFIG)
    assert "https://127.0.0.1:1 cannot be reached" in complaint(capsys, str(world), "--kubeconfig", str(file))


@pytest.mark.parametrize("seconds", ["0", "-1", "never", "nan", "inf"])
def test_a_watch_that_makes_no_sense(world: Path, seconds: str) -> None:
    with pytest.raises(SystemExit) as caught:
        run(str(world), "--watch", seconds)
    assert caught.value.code == 2


class Screen(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("encoding", "environ", "wanted"),
    [
        ("utf-8", {"TERM": "xterm"}, Paint(colour=True)),
        ("utf-8", {"TERM": "xterm", "NO_COLOR": "1"}, Paint()),
        ("utf-8", {"TERM": "dumb"}, Paint()),
        ("ascii", {"TERM": "xterm"}, Paint(colour=True, plain=True)),
    ],
)
def test_what_a_terminal_can_show(
    encoding: str, environ: dict[str, str], wanted: Paint, monkeypatch: pytest.MonkeyPatch
) -> None:
    from config.cli_status import _paint

    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", Screen(io.BytesIO(), encoding=encoding))
    assert _paint() == wanted
