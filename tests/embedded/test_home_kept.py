"""A home kept in the embedded object store: written in a notebook, brought to the next server, seen as unsaved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from images.lib.home_status import STATUS
from tests.embedded.harness import Hub, until
from tests.embedded.test_interactive import run_cell

MEMBER = "physics-member"
IN_REMOTE = {"home": "remote:data", "home_name": "thesis"}


def start(hub: Hub, name: str, options: dict[str, Any]) -> str:
    answer = hub.launch(MEMBER, MEMBER, name, "notebook", options)
    assert answer.status_code in (201, 202), answer.text  # 202: it takes longer than the hub waits
    until("it runs", lambda: hub.record(MEMBER, name)["phase"] == "running")
    return f"{hub.url}/user/{MEMBER}/{name}"


def stop(hub: Hub, name: str) -> None:
    assert hub.api(MEMBER, "DELETE", f"/users/{MEMBER}/servers/{name}").status_code in (202, 204)
    until("it is stopped", lambda: hub.record(MEMBER, name)["phase"] == "stopped")


def told(hub: Hub, name: str) -> dict[str, Any]:
    path = hub.state / "workloads" / "physics" / MEMBER / name / STATUS
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def kept(hub: Hub, name: str = "thesis") -> Path:
    (found,) = (hub.state / "objectstore" / "physics").glob(f"*/homes/{MEMBER}/{name}")
    return found


def test_a_home_in_the_object_store_outlives_its_server_and_this_machines_copy_of_it(hub: Hub) -> None:
    url = start(hub, "first", IN_REMOTE)
    write = "import os; os.makedirs('work', exist_ok=True); open('work/a.txt', 'w').write('kept'); print(os.getcwd())"
    folder = run_cell(url, hub.token(MEMBER), write).strip()
    assert folder == str(hub.state / "homes" / "physics" / ".kept" / MEMBER / "thesis")
    until("it is told as unsaved", lambda: told(hub, "first")["unsaved_files"] > 0)
    stop(hub, "first")
    assert told(hub, "first")["unsaved_files"] == 0
    assert (kept(hub) / "files" / "work" / "a.txt").read_text() == "kept"

    # As on another machine: only what is in the object store is there.
    Path(folder).rename(hub.root / "lost")
    url = start(hub, "second", IN_REMOTE)
    assert run_cell(url, hub.token(MEMBER), "print(open('work/a.txt').read())").strip() == "kept"
    stop(hub, "second")


def test_it_is_its_owners_and_its_names_alone_and_the_usual_home_is_left_as_it_was(hub: Hub) -> None:
    usual = start(hub, "usual", {})
    run_cell(usual, hub.token(MEMBER), "open('usual.txt', 'w').write('x')")
    stop(hub, "usual")
    url = start(hub, "other", {"home": "remote:data"})
    assert "usual.txt" not in run_cell(url, hub.token(MEMBER), "import os; print(os.listdir())")
    stop(hub, "other")
    assert not (kept(hub, "other") / "files" / "usual.txt").exists()
    refused = hub.launch(
        MEMBER, MEMBER, "thief", "notebook", {"home": "remote:data", "home_name": "../physics-admin/x"}
    )
    assert refused.status_code == 400
    assert "home_name" in refused.text


def test_no_secret_of_the_store_is_where_people_look(hub: Hub) -> None:
    secret = json.loads((hub.state / "secrets" / "objectstore-physics.json").read_text())["secret_access_key"]
    start(hub, "quiet", IN_REMOTE)
    stop(hub, "quiet")
    folder = hub.state / "workloads" / "physics" / MEMBER / "quiet"
    for path in [path for path in folder.rglob("*") if path.is_file() and path.parent.name != "secrets"]:
        assert secret not in path.read_text(errors="replace"), path
    for path in [path for path in kept(hub).rglob("*") if path.is_file()]:
        assert secret.encode() not in path.read_bytes(), path
