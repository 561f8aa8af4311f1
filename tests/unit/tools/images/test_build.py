"""Which files make which image, what is known by them, and what an engine is told."""

from __future__ import annotations

import re
import stat
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tools.images import base, build, inputs
from tools.images.__main__ import main, table
from tools.images.engines import Engine
from tools.images.inputs import IMAGES, Image
from tools.images.network import Network, network
from tools.images.problem import BuildError
from tools.places import ROOT

ONE = Image("notebook", ("images/base", "images/notebook"))
NOTHING = Network({})


class Noted(Engine):
    """An engine that builds nothing and notes what it was asked."""

    name = "noted"

    def __init__(self, *broken: str) -> None:
        self.there: set[str] = set()
        self.options: dict[str, list[str]] = {}
        self.broken = broken

    def has(self, reference: str) -> bool:
        return reference in self.there

    def build(
        self, context: Path, containerfile: str, reference: str, options: Sequence[str], log: Path, *, pull: bool
    ) -> None:
        assert (context / containerfile).is_file()
        name = reference.rpartition("/")[2].partition(":")[0]
        if name in self.broken:
            raise BuildError("no")
        self.options[name] = list(options)
        self.there.add(reference)

    def sizes(self, reference: str) -> tuple[int, int]:
        return 2_000_000, 5_000_000

    def file(self, reference: str, path: str) -> bytes | None:
        return b"{}"

    def push(self, reference: str, destination: str, log: Path, *, plain: bool) -> None:
        raise AssertionError("nobody asked for it")


def wanted(*names: str, **more: bool) -> build.Wanted:
    return build.Wanted(base="registry.example.org/python:3.13", names=names, **more)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENANTHUB_CACHE", str(tmp_path / "cache"))


def checkout(folder: Path) -> Path:
    for name, text in {"images/base/network": "a", "images/notebook/Containerfile": "b"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_the_key_follows_contents_names_and_base_and_nothing_else(tmp_path: Path) -> None:
    root = checkout(tmp_path)
    first = inputs.key(ONE, "debian", root)
    (root / "images/notebook/Containerfile").chmod(0o600)
    (root / "images/notebook/__pycache__").mkdir()
    (root / "images/notebook/__pycache__/x.pyc").write_text("c")
    assert inputs.key(ONE, "debian", root) == first
    assert inputs.key(ONE, "other", root) != first
    (root / "images/notebook/Containerfile").write_text("changed")
    assert inputs.key(ONE, "debian", root) != first


def test_a_file_that_is_named_and_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="images/base, of the image notebook"):
        list(inputs.files(ONE, tmp_path))


def test_the_context_can_be_read_by_the_images_user_whatever_the_checkouts_rights(tmp_path: Path) -> None:
    root = checkout(tmp_path / "root")
    (root / "images/notebook/Containerfile").chmod(0o600)
    inputs.stage(ONE, tmp_path / "context", root)
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "context").rglob("*")}
    assert found
    assert all(mode == (0o755 if path.is_dir() else 0o644) for path, mode in found.items())


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_all_that_a_containerfile_copies_is_among_its_inputs(image: Image) -> None:
    text = (ROOT / image.containerfile).read_text(encoding="utf-8").replace("\\\n", " ")
    named = {str(file) for file in inputs.files(image)}
    for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert any(name == source or name.startswith(f"{source}/") for name in named), source


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_each_is_of_one_base_and_has_a_numbered_user_who_is_not_root(image: Image) -> None:
    text = (ROOT / image.containerfile).read_text(encoding="utf-8")
    assert re.findall(r"^ARG BASE=(\S+)$", text, re.MULTILINE) == [base.upstream()]
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${BASE}"}
    (user,) = re.findall(r"^USER (\d+):\d+$", text, re.MULTILINE)
    assert int(user) > 0


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_what_fetches_does_so_by_the_builders_settings_and_keeps_none_of_them(image: Image) -> None:
    text = (ROOT / image.containerfile).read_text(encoding="utf-8").replace("\\\n", " ")
    steps = [line for line in text.splitlines() if line.startswith("RUN")]
    assert steps
    for step in steps:
        if re.search(r"/(build|mnt)/(network|python|debian)\b", step):
            assert "type=secret,id=ca" in step
        assert not re.search(r"\b(apt-get|curl|wget)\b", step)
    assert not re.search(r"^(ENV|ARG).*(proxy|CERT|TOKEN|INDEX)", text, re.MULTILINE | re.IGNORECASE)


def test_what_is_there_is_not_built_again() -> None:
    engine = Noted()
    first = build.build(engine, wanted("transfer", "app"), NOTHING, print)
    assert set(first) == {"transfer", "app"} == set(engine.options)
    engine.options.clear()
    again = build.build(engine, wanted("transfer", "app"), NOTHING, print)
    assert not engine.options and [one.reference for one in again.values()] == [one.reference for one in first.values()]
    build.build(engine, wanted("app", again=True), NOTHING, print)
    assert set(engine.options) == {"app"}


def test_one_that_fails_is_named_and_the_others_are_kept() -> None:
    engine = Noted("app")
    with pytest.raises(BuildError, match="app: no"):
        build.build(engine, wanted("transfer", "app"), NOTHING, print)
    assert [reference.rpartition("/")[2].partition(":")[0] for reference in engine.there] == ["transfer"]


def test_an_unknown_name_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(BuildError, match="no such image: notebok; there are app, collector"):
        build.chosen(["notebok"])


def test_network_settings_are_secrets_of_the_build_and_a_proxys_password_is_on_no_command_line(tmp_path: Path) -> None:
    bundle = tmp_path / "site.pem"
    bundle.write_text("-----BEGIN CERTIFICATE-----")
    found = network(ca=None, pip=None, npm=None, apt=None, environ={"SSL_CERT_FILE": str(bundle)})
    environ = {"https_proxy": "http://jane:swordfish@proxy.example.org:3128"}
    assert found.options(environ) == [f"--secret=id=ca,src={bundle}", "--build-arg=https_proxy"]
    assert network(ca="none", pip=None, npm=None, apt=None, environ={"SSL_CERT_FILE": str(bundle)}).options({}) == []
    with pytest.raises(BuildError, match=r"pip\.conf: this file \(pip\) cannot be read"):
        network(ca="none", pip=str(tmp_path / "pip.conf"), npm=None, apt=None)


def test_the_local_base_is_another_one_each_month() -> None:
    november, later, december = (
        base.local_key(datetime(2026, month, day, tzinfo=UTC)) for month, day in ((11, 1), (11, 30), (12, 1))
    )
    assert november == later != december


def test_the_table_tells_what_was_built_and_what_was_there() -> None:
    made = build.Built("hub", "0" * 16, "localhost/tenanthub/hub:0", 90_000_000, 250_000_000, 71.4)
    there = build.Built("app", "1" * 16, "localhost/tenanthub/app:1", 0, 99_000_000, 0)
    head, first, second = table([made, there]).splitlines()
    assert "pulled" in head
    assert "90 MB" in first and "71 s" in first
    assert "–" in second and "was there" in second


def test_wrong_arguments_are_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--ca-bundle", str(tmp_path / "nowhere.pem")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("images: ") and "nowhere.pem" in said and said.count("\n") == 1
