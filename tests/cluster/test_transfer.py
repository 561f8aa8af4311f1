"""Transfers as Jobs on real nodes with the real image: rclone between two stores, rsync between two ssh hosts."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.emit.common import Manifest
from config.names import keys
from spawners.kinds.transfer import TransferKind
from spawners.kube.enforce import admit
from spawners.kube.launch import Launch
from spawners.kube.manifests import manifests
from spawners.kube.remotes import CREDENTIALS, holds, made_of, secret_of
from spawners.kube.runs import run_of
from tests.cluster import images
from tests.cluster.bed import Bed
from tests.cluster.journeys.store import Store, serving
from tests.cluster.kube import eventually
from tests.cluster.room import Room, room
from tests.images.transfer.running import tree
from tests.images.transfer.sshd import SshHost, sshd

BUCKET = "lab"


@pytest.fixture(scope="module")
def image(bed: Bed) -> str:
    return images.pushed(bed)["transfer"]


@pytest.fixture(scope="module")
def servers(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, SshHost, SshHost]]:
    """An object store and two ssh servers at the host's address in the machine room, which Pods reach."""
    folder, host = tmp_path_factory.mktemp("servers"), str(bed.host[0])
    with (
        serving(bed, folder, ("physics",)) as stores,
        sshd(folder / "one", host) as one,
        sshd(folder / "two", host) as two,
    ):
        yield stores["physics"], one, two


@pytest.fixture(scope="module")
def place(
    bed: Bed, servers: tuple[Store, SshHost, SshHost], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Room]:
    """A tenant whose remotes are the three, and its Secret with them as the hub makes it of the operator's."""
    store, *hosts = servers
    s3 = {"provider": "Rclone", "endpoint": store.endpoint, "force_path_style": "true"}
    remotes = [{"name": "data", "type": "s3", "bucket": store.objects.name, "options": s3, "credentials": "data"}]
    for name, host in zip(("one", "two"), hosts, strict=True):
        options = {"host": host.address, "port": str(host.port), "user": "root"}
        remotes.append({"name": name, "type": "sftp", "bucket": BUCKET, "options": options, "credentials": name})
    profile = {"name": "transfer", "kind": "transfer"}
    with room(bed, tmp_path_factory.mktemp("world"), [profile], 140, remotes=remotes) as made:
        tenant, site = made.world.tenants[made.tenant], made.world.site
        given = {
            "data": {"access_key_id": store.access_key, "secret_access_key": store.secret_key},
            **{name: _credentials(host) for name, host in zip(("one", "two"), hosts, strict=True)},
        }
        found = made_of(tenant, {name: _secret(site, name, values) for name, values in given.items()}, keys(site))
        assert not found.problems and found.text
        made.kube.apply(secret_of(tenant, found.text, site))
        yield made


def _credentials(host: SshHost) -> dict[str, str]:
    return {"key_pem": host.key.read_text().strip().replace("\n", "\\n"), "host_keys": host.host_key}


def _secret(site: Any, name: str, values: dict[str, str]) -> Manifest:
    labels = {holds(keys(site)): CREDENTIALS}
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"metadata": {"name": name, "labels": labels}, "data": data}


def _applied(place: Room, image: str, name: str, **options: Any) -> Launch:
    launch = place.launch(TransferKind(), "transfer", name, options, {"transfer": image})
    for one in manifests(launch):
        admit(one, launch)
        place.kube.apply(one)
    return launch


def _ended(place: Room, job: str) -> dict[str, Any]:
    """The Job's row, as a page shows it, once it has ended."""

    def look() -> dict[str, Any]:
        found = place.get("job", job)
        pods = place.pods(f"batch.kubernetes.io/job-name={job}")
        row = run_of(found, pods)
        return row.model_dump() if row.outcome != "running" else {}

    return eventually(f"{job} has ended", look, patience_s=150)


def _folder(host: SshHost) -> Path:
    """A new folder of files on a host."""
    folder = host.home / BUCKET / secrets.token_hex(4)
    (folder / "deep").mkdir(parents=True)
    (folder / "a.tif").write_bytes(secrets.token_bytes(3_000_000))
    (folder / "deep" / "notes.txt").write_text("what was seen")
    return folder


def test_rsync_from_one_ssh_host_to_another(place: Room, image: str, servers: tuple[Store, SshHost, SshHost]) -> None:
    _, one, two = servers
    folder = _folder(one)
    sides = {"source": f"one:{folder.name}", "destination": "two:copies/of-one"}
    launch = _applied(place, image, "copy", tool="rsync", **sides)
    row = _ended(place, manifests(launch)[-1]["metadata"]["name"])
    assert (row["outcome"], row["counts"]["files"]) == ("ok", 2), row
    assert tree(two.home / BUCKET / "copies/of-one") == tree(folder)
    (pod,) = place.pods(f"{place.operator.keys.workload}=copy")
    assert pod["spec"]["nodeName"] == "n1"
    text = json.dumps(pod) + place.kube.must("logs", pod["metadata"]["name"], f"--namespace={place.namespace}")
    assert "PRIVATE KEY" not in text and one.host_key.split()[1] not in text


def test_a_schedule_of_rclone_between_two_remotes_runs_under_the_id_that_the_page_shows(
    place: Room, image: str, servers: tuple[Store, SshHost, SshHost]
) -> None:
    store, one, _ = servers
    folder = _folder(one)
    options = {
        "source": f"one:{folder.name}",
        "destination": "data:nightly",
        "cron": "0 3 * * *",
        "timezone": "Asia/Tokyo",
    }
    _applied(place, image, "nightly", **options)
    cron = place.get("cronjob", "nightly")["spec"]
    assert (cron["schedule"], cron["timeZone"], cron["concurrencyPolicy"]) == ("0 3 * * *", "Asia/Tokyo", "Forbid")
    space = f"--namespace={place.namespace}"
    job = "nightly-29920935"  # as the controller calls the run of that minute
    place.kube.must("create", "job", job, "--from=cronjob/nightly", space)
    row = _ended(place, job)
    assert (row["outcome"], row["id"]) == ("ok", "20261121T101500Z-29920935"), row
    assert {name: (store.objects / "nightly" / name).read_bytes() for name in tree(folder)} == tree(folder)
    (pod,) = place.pods(f"batch.kubernetes.io/job-name={job}")
    said = json.loads(pod["status"]["containerStatuses"][0]["state"]["terminated"]["message"])
    assert said["run_id"] == row["id"], "what the program calls its run is what the page does"
    place.kube.must("delete", "cronjob", "nightly", space)


def test_a_host_whose_key_has_changed_is_told_in_words_and_gets_nothing(
    place: Room, image: str, servers: tuple[Store, SshHost, SshHost]
) -> None:
    _, one, two = servers
    folder = _folder(one)
    tenant, site = place.world.tenants[place.tenant], place.world.site
    wrong = {**_credentials(two), "host_keys": one.host_key}
    given = {"one": _credentials(one), "two": wrong, "data": {}}
    found = made_of(tenant, {name: _secret(site, name, values) for name, values in given.items()}, keys(site))
    assert found.text
    before = place.get("secret", "tenanthub.remotes")["data"]
    place.kube.apply(secret_of(tenant, found.text, site))
    try:
        launch = _applied(place, image, "changed", tool="rsync", source=f"one:{folder.name}", destination="two:changed")
        row = _ended(place, manifests(launch)[-1]["metadata"]["name"])
        assert row["outcome"] == "failed" and "host is not known" in row["message"], row
        assert not (two.home / BUCKET / "changed").exists()
    finally:
        patch = json.dumps({"data": before})
        place.kube.must("patch", "secret", "tenanthub.remotes", f"--namespace={place.namespace}", f"--patch={patch}")
