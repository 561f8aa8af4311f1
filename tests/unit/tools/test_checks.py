"""The checks behind make lint, on small inputs; and make help on the real Makefile."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.tiers import need
from tools import dependencies, files
from tools.places import ROOT


def test_a_file_of_the_limit_passes_and_one_line_more_does_not(tmp_path: Path) -> None:
    (tmp_path / "fits.py").write_text("\n" * files.LONGEST)
    (tmp_path / "long.py").write_text("\n" * (files.LONGEST + 1))
    (tmp_path / "long.lock").write_text("\n" * 5000)
    (tmp_path / "Makefile").write_text("\n" * 500)
    names = [Path(name) for name in ("fits.py", "long.py", "long.lock", "Makefile")]
    assert [line.split(":")[0] for line in files.too_long(names, tmp_path)] == ["long.py", "Makefile"]


@pytest.mark.parametrize(
    "text",
    [
        "https://py" + "pi.org/simple",
        "https://files.python" + "hosted.org/x.whl",
        "see /wo" + "rk/main/hub",
        "cd '/ro" + "ot/.cache'",
        '{\n      "resolved": "https://example.org/x.tgz"\n}',
        "--index" + "-url https://example.org",
    ],
)
def test_traces_of_a_machine_are_found_with_their_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.md").write_text(f"fine\n{text}\n")
    found = files.forbidden([Path("a.md")], tmp_path)
    assert len(found) == 1
    assert found[0].startswith(("a.md:2: ", "a.md:3: "))


def test_plain_text_and_pictures_are_no_traces(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("the network /srv/work/main and ./root/ and a workshop; my-root/x\n")
    (tmp_path / "b.png").write_bytes(b"\x89PNG\0 /wo" + b"rk/main")
    assert files.forbidden([Path("a.md"), Path("b.png")], tmp_path) == []


def test_new_files_are_checked_and_ignored_ones_are_not(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    for name, text in {".gitignore": "state/\n", "new.py": "", "state/x.py": ""}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert files.tracked(tmp_path) == [Path(".gitignore"), Path("new.py")]


def test_outside_of_git_the_check_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(RuntimeError, match="needs git"):
        files.tracked(tmp_path)


PROJECT = {
    "project": {
        "dependencies": ["Alpha_One>=2,<3", "beta"],
        "optional-dependencies": {"setup": ["uv>=1"], "dev": ["gamma>=1"]},
    }
}


def test_a_lock_that_fell_behind_is_named() -> None:
    wanted = dependencies.declared(PROJECT)
    locked = dependencies.pins("alpha-one==1.9 \\\n    --hash=sha256:aa\nuv==1.5 ; python_version >= '3'\n")
    assert dependencies.unlocked(wanted["run"], locked, "r.lock") == [
        "r.lock: Alpha_One==1.9 is not <3,>=2; run make lock",
        "r.lock: beta is missing; run make lock",
    ]
    assert dependencies.unlocked(wanted["dev"][-1:], {"gamma": {"1.0"}}, "d.lock") == []


def test_the_development_lock_may_hold_more_but_nothing_else() -> None:
    run, dev = dependencies.pins("a==1\nb==1\nc==1\n"), dependencies.pins("a==1\nb==2\nd==1\n")
    assert [line.split(": ")[1].split()[0] for line in dependencies.differing(run, dev)] == ["b", "c"]


def test_a_package_lock_made_from_another_package_json_is_named() -> None:
    lock = {"packages": {"": {"dependencies": {"x": "^1"}}}}
    assert dependencies.node_drift({"dependencies": {"x": "^1"}}, lock) == []
    assert len(dependencies.node_drift({"dependencies": {"x": "^2"}, "devDependencies": {"y": "1"}}, lock)) == 2


def test_each_dependency_must_stand_on_the_page_by_its_name() -> None:
    assert dependencies.unexplained(["uv", "uvicorn", "ruff"], "| `uvicorn` | and ruff |") == [
        "docs/dependencies.md: `uv` is not explained",
        "docs/dependencies.md: `ruff` is not explained",
    ]


def test_the_repository_itself_is_locked_and_explained() -> None:
    assert dependencies.lock_problems() == []
    assert dependencies.page_problems() == []


def test_make_help_names_every_target() -> None:
    need("unit", shutil.which("make"), "make is not installed")
    shown = subprocess.run(["make", "help"], check=True, cwd=ROOT, capture_output=True, text=True).stdout
    phony = [name for line in _makefile() if line.startswith(".PHONY:") for name in line.split()[1:]]
    assert len(phony) > 10
    for name in phony:
        assert f" {name} " in shown, name


def test_what_make_cannot_do_is_said_in_a_line() -> None:
    need("unit", shutil.which("make"), "make is not installed")
    result = subprocess.run(["make", "token"], check=False, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2
    assert "usage: make token" in result.stderr


def _makefile() -> list[str]:
    return (ROOT / "Makefile").read_text().splitlines()
