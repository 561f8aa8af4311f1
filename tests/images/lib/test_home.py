"""A home kept in a remote: the real program, real rclone, a real S3 endpoint."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from images.lib.home_plan import NOTICE, OWN
from tests.images.lib.keeping import KeptHome
from tests.images.s3 import RCLONE, S3Server, wait_for

Make = Callable[..., KeptHome]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Homes that are ended with the test."""
    made: list[KeptHome] = []

    def one(s3: S3Server, where: str, **more: Any) -> KeptHome:
        made.append(KeptHome(tmp_path / f"server-{len(made)}", s3, where, **more))
        return made[-1]

    yield one
    for home in made:
        if home.process is not None and home.process.poll() is None:
            home.kill()


@pytest.fixture
def where(s3: S3Server) -> str:
    """A place of this test's own in the shared store."""
    bucket = f"test-{uuid.uuid4().hex[:12]}"
    s3.bucket(bucket)
    return f"{bucket}/homes/jane/lab"


def in_the_bucket(s3: S3Server, *words: str, text: str | None = None) -> None:
    """Somebody works in the bucket by hand: rclone's own command."""
    argv = [str(RCLONE), "--config", str(s3.config), *words]
    subprocess.run(argv, input=text, text=True, check=True, timeout=60)


def saved_since(home: KeptHome, moment: str) -> bool:
    """Whether a round went through after *moment*."""
    return bool(home.status()["saved"] > moment)


def others(home: KeptHome, stem: str) -> list[str]:
    """What the other versions of a file hold."""
    return [path.read_text() for path in home.home.glob(f"{stem} (other version *")]


def test_what_is_written_is_there_at_the_next_start_elsewhere(s3: S3Server, where: str, make: Make) -> None:
    first = make(s3, where).start()
    first.write("notes/日本 語 #1.txt", "before")
    script = first.write("run.sh", "#!/bin/sh\n")
    script.chmod(0o755)
    key = first.write(".ssh/id", "secret")
    key.chmod(0o600)
    key.parent.chmod(0o700)
    (first.home / "empty" / "folder").mkdir(parents=True)
    (first.home / "latest").symlink_to("notes")
    (first.home / "nowhere").symlink_to("/no/such/place")
    first.write(".cache/big", "not kept")
    first.write("data/raw.bin", "not kept either")
    first.write(".nosave", "# too large\n*.bin\n")
    os.mkfifo(first.home / "pipe")
    assert first.stop() == 0
    assert first.status()["unsaved_files"] == 0

    second = make(s3, where).start()
    assert second.read("notes/日本 語 #1.txt") == "before"
    assert (second.home / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (second.home / ".ssh/id").stat().st_mode & 0o777 == 0o600
    assert (second.home / ".ssh").stat().st_mode & 0o777 == 0o700
    assert (second.home / "empty" / "folder").is_dir()
    assert (second.home / "latest").readlink() == Path("notes")
    assert (second.home / "nowhere").readlink() == Path("/no/such/place")
    assert (second.home / "run.sh").stat().st_mtime == script.stat().st_mtime
    assert second.read(".nosave") is not None
    for left_out in (".cache", "data", "pipe"):
        assert not (second.home / left_out).exists(), left_out
    assert second.status()["state"] == "kept"
    assert " 0 saved" in second.words()  # what came in is not taken for a change
    kept = {path: path.stat().st_ino for path in second.kept.rglob("files/*")}
    assert second.stop() == 0
    assert {path: path.stat().st_ino for path in second.kept.rglob("files/*")} == kept


def test_changes_are_saved_while_it_runs_and_nothing_is_done_when_nothing_changed(
    s3: S3Server, where: str, make: Make
) -> None:
    home = make(s3, where).start()
    home.write("a.txt", "one")
    home.until_saved("a.txt", "one")
    wait_for(lambda: "1 saved" in home.words(), "it says so")
    before = (home.kept / "files/a.txt").stat().st_ino, home.words()
    for _ in range(3):
        saved = home.status()["saved"]
        wait_for(partial(saved_since, home, saved), "another round")
    assert ((home.kept / "files/a.txt").stat().st_ino, home.words()) == before
    home.write("a.txt", "two")
    home.until_saved("a.txt", "two")
    (home.home / "a.txt").rename(home.home / "b.txt")
    home.until_saved("b.txt", "two")
    wait_for(lambda: home.stored("a.txt") is None, "the old name is gone")


def test_two_servers_with_one_home_see_each_others_work_and_a_conflict_keeps_both(
    s3: S3Server, where: str, make: Make
) -> None:
    first, second = make(s3, where).start(), make(s3, where).start()
    first.write("shared.txt", "from the first")
    second.until("shared.txt", "from the first")
    second.write("shared.txt", "and the second")
    first.until("shared.txt", "and the second")

    assert second.stop() == 0
    second.start(every_s=3600)
    first.write("shared.txt", "changed by the first")
    first.until_saved("shared.txt", "changed by the first")
    second.write("shared.txt", "changed by the second")
    assert second.stop() == 0  # the last save finds the conflict, and loses neither

    told = second.status()["conflicts"]
    assert [one["path"] for one in told] == ["shared.txt"]
    assert second.read(told[0]["other"]) == "changed by the first"
    assert second.stored(told[0]["other"]) == "changed by the first"
    assert second.stored("shared.txt") == second.read("shared.txt") == "changed by the second"
    first.until(told[0]["other"], "changed by the first")
    first.until("shared.txt", "changed by the second")


def test_work_in_the_bucket_comes_in_and_a_conflict_with_it_keeps_both(s3: S3Server, where: str, make: Make) -> None:
    home = make(s3, where).start()
    home.write("a.txt", "mine")
    home.write("b.txt", "mine too")
    home.until_saved("b.txt", "mine too")
    in_the_bucket(s3, "rcat", f"lab:{where}/files/a.txt", text="edited in the bucket")
    in_the_bucket(s3, "rcat", f"lab:{where}/files/new/c.txt", text="put into the bucket")
    home.until("a.txt", "edited in the bucket")
    home.until("new/c.txt", "put into the bucket")
    assert (home.home / OWN / "replaced" / "a.txt").read_text() == "mine"  # until the server ends, it is undone so
    in_the_bucket(s3, "deletefile", f"lab:{where}/files/b.txt")
    home.until("b.txt", None)
    assert (home.home / OWN / "replaced" / "b.txt").read_text() == "mine too"
    assert home.stop() == 0

    in_the_bucket(s3, "rcat", f"lab:{where}/files/a.txt", text="edited while it was off")
    home.write("a.txt", "edited here while it was off")
    home.start()
    home.until_saved("a.txt", "edited here while it was off")
    assert others(home, "a") == ["edited while it was off"]


def test_a_change_wins_over_a_deletion_on_either_side(s3: S3Server, where: str, make: Make) -> None:
    home = make(s3, where).start()
    for name in ("here.txt", "there.txt"):
        home.write(name, "one")
        home.until_saved(name, "one")
    assert home.stop() == 0
    (home.home / "here.txt").unlink()
    in_the_bucket(s3, "rcat", f"lab:{where}/files/here.txt", text="changed there")
    in_the_bucket(s3, "deletefile", f"lab:{where}/files/there.txt")
    home.write("there.txt", "changed here")
    home.start()
    home.until("here.txt", "changed there")
    home.until_saved("there.txt", "changed here")


def test_killed_in_the_middle_of_a_save_nothing_is_lost_and_nothing_is_half(
    s3: S3Server, where: str, make: Make
) -> None:
    home = make(s3, where).start(every_s=3600)
    bodies = {f"many/{number:04}.txt": f"{number} " * 2000 for number in range(1200)}
    for name, body in bodies.items():
        home.write(name, body)
    assert home.process is not None
    home.process.terminate()  # the last save begins
    wait_for(lambda: len(list(home.kept.glob("files/many/*"))) > 50, "some of it is saved")
    home.kill()
    at_the_kill = {path.name: path.read_text() for path in home.kept.glob("files/many/*.txt")}
    assert len(at_the_kill) < len(bodies), "all was saved before the kill"
    for name, body in at_the_kill.items():
        assert body == bodies[f"many/{name}"], name

    home.start(every_s=3600)  # the same machine: what was not saved is there still
    assert home.stop() == 0
    assert {path.name for path in home.kept.glob("files/many/*")} == {name[5:] for name in bodies}
    assert home.status()["conflicts"] == []

    elsewhere = make(s3, where).start()
    assert {f"many/{path.name}": path.read_text() for path in (elsewhere.home / "many").iterdir()} == bodies


def test_killed_in_the_middle_of_a_restore_the_next_start_goes_on(s3: S3Server, where: str, make: Make) -> None:
    first = make(s3, where).start(every_s=3600)
    bodies = {f"{number:04}.txt": f"{number} " * 2000 for number in range(1200)}
    for name, body in bodies.items():
        first.write(name, body)
    assert first.stop() == 0
    second = make(s3, where)
    second.launch()
    wait_for(lambda: len(list(second.home.glob(f"{OWN}/incoming/*.txt"))) > 50, "some of it is fetched")
    second.kill()
    assert not second.started.exists()
    for path in second.home.glob("*.txt"):
        assert path.read_text() == bodies[path.name]
    second.start()
    assert {path.name: path.read_text() for path in second.home.glob("*.txt")} == bodies
    assert second.status()["conflicts"] == []
    assert len(list(second.kept.glob("files/*"))) == len(bodies)


def test_a_store_that_is_away_at_the_start_starts_no_empty_home(own_s3: S3Server, make: Make) -> None:
    own_s3.bucket("physics")
    where = "physics/homes/jane/lab"
    first = make(own_s3, where).start()
    first.write("a.txt", "work")
    assert first.stop() == 0
    own_s3.kill()
    second = make(own_s3, where)
    second.launch()
    wait_for(lambda: second.code() is not None, "it gives up")
    assert second.code() == 1
    assert not second.started.exists()
    last = second.words().strip().splitlines()[-1]
    assert "could not be restored from lab:physics/homes/jane/lab" in last
    assert "Nothing was started" in last
    assert "Traceback" not in second.words()
    assert (second.state / "result.json").exists()
    own_s3.start()
    second.start()
    assert second.read("a.txt") == "work"


def test_a_bucket_that_is_not_there_is_no_new_home(s3: S3Server, make: Make) -> None:
    home = make(s3, "no-such-bucket/homes/jane/lab")
    home.launch()
    wait_for(lambda: home.code() is not None, "it gives up")
    assert home.code() == 1
    assert "lab:no-such-bucket is not there" in home.words()


def test_a_remote_without_buckets_need_not_have_the_top_folder_yet(s3: S3Server, make: Make, tmp_path: Path) -> None:
    config = tmp_path / "folder.conf"
    config.write_text(f"[lab]\ntype = alias\nremote = {tmp_path / 'remote'}\n")
    home = make(s3, "physics-data/homes/jane/lab", rclone_config=str(config)).start()
    home.write("a.txt", "work")
    assert home.stop() == 0
    assert (tmp_path / "remote/physics-data/homes/jane/lab/files/a.txt").read_text() == "work"


def test_a_store_that_goes_away_is_told_and_caught_up_with(own_s3: S3Server, make: Make) -> None:
    own_s3.bucket("physics")
    home = make(own_s3, "physics/homes/jane/lab").start()
    home.write("a.txt", "one")
    home.until_saved("a.txt", "one")
    own_s3.kill()
    home.write("a.txt", "two, unsaved")
    wait_for(lambda: home.status()["state"] == "not saved" and home.status()["unsaved_files"] == 1, "it says so")
    assert home.status()["unsaved"] == ["a.txt"]
    assert home.status()["unsaved_bytes"] == len("two, unsaved")
    assert "cannot be saved" in (home.read(NOTICE) or "")
    assert home.read(NOTICE) is not None
    own_s3.start()
    home.until_saved("a.txt", "two, unsaved")
    wait_for(lambda: home.read(NOTICE) is None, "the notice goes")
    assert home.stored(NOTICE) is None


def test_what_jupyter_writes_of_itself_is_kept_and_is_no_unsaved_work(own_s3: S3Server, make: Make) -> None:
    own_s3.bucket("physics")
    home = make(own_s3, "physics/homes/jane/lab").start(every_s=3600)
    books = (".ipython/profile_default/history.sqlite", ".local/share/jupyter/notebook_secret")
    for name in books:
        home.write(name, "of the machine")
    home.write("run.ipynb", "of a person")
    wait_for(lambda: home.status()["unsaved"] == ["run.ipynb"], "what people wrote is told, and nothing else")
    assert home.status()["unsaved_files"] == 1
    assert home.stop() == 0
    assert [home.stored(name) for name in books] == ["of the machine"] * 2
    home.start(every_s=3600, last_save_s=1)
    home.write(books[0], "a cell more")
    own_s3.kill()
    assert home.stop() == 1, "what is lost is told, whoever wrote it"
    assert books[0] in home.words()


def test_a_store_that_is_away_at_the_end_is_waited_for_and_what_is_unsaved_is_told(
    own_s3: S3Server, make: Make
) -> None:
    own_s3.bucket("physics")
    home = make(own_s3, "physics/homes/jane/lab").start(every_s=3600)
    home.write("a.txt", "unsaved")
    own_s3.kill()
    assert home.process is not None
    home.process.terminate()
    wait_for(lambda: "Not saved" in home.words(), "the first try of the last save")
    own_s3.start()  # back within the grace
    assert home.process.wait(60) == 0
    assert home.stored("a.txt") == "unsaved"

    home.start(every_s=3600)
    home.write("b.txt", "unsaved")
    own_s3.kill()
    home.settings["last_save_s"] = 1
    assert home.stop() == 1
    own_s3.start()


def test_the_end_of_a_lasting_folder_loses_nothing(own_s3: S3Server, make: Make) -> None:
    own_s3.bucket("physics")
    home = make(own_s3, "physics/homes/jane/lab", lasting=True, last_save_s=1).start(every_s=3600)
    home.write("a.txt", "one")
    own_s3.kill()
    assert home.stop() == 0
    assert "waits on this machine for the next start" in home.words().splitlines()[-1]
    assert "1 file (3 bytes), e.g. a.txt" in home.words()
    home.start(every_s=3600)  # the store is away still: what this machine has is good
    assert home.read("a.txt") == "one"
    own_s3.start()
    assert home.stop() == 0
    assert home.stored("a.txt") == "one"


def test_an_emptied_bucket_takes_nothing_from_a_running_home(s3: S3Server, where: str, make: Make) -> None:
    home = make(s3, where).start()
    home.write("a.txt", "work")
    home.until_saved("a.txt", "work")
    in_the_bucket(s3, "purge", f"lab:{where}")
    home.until_saved("a.txt", "work")
    assert home.read("a.txt") == "work"


def test_a_wiped_home_is_restored_and_never_taken_for_a_deletion(s3: S3Server, where: str, make: Make) -> None:
    home = make(s3, where).start(every_s=3600)
    home.write("a.txt", "work")
    assert home.stop() == 0
    subprocess.run(["rm", "-rf", str(home.home)], check=True)
    home.start()
    assert home.read("a.txt") == "work"


def test_a_kept_link_leads_nothing_out_of_the_home(s3: S3Server, where: str, make: Make, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    in_the_bucket(s3, "rcat", f"lab:{where}/files/way.rclonelink", text=str(outside))
    in_the_bucket(s3, "rcat", f"lab:{where}/files/way/evil.txt", text="evil")
    home = make(s3, where).start()
    wait_for(lambda: home.status()["problems"], "it is told")
    assert list(outside.iterdir()) == []


def test_a_file_that_is_being_written_is_saved_once_it_rests(s3: S3Server, where: str, make: Make) -> None:
    home = make(s3, where).start()
    path = home.home / "growing.bin"
    with path.open("wb") as stream:
        for _ in range(60):
            stream.write(os.urandom(1 << 20))
            stream.flush()
    wait_for(
        lambda: (
            (home.kept / "files/growing.bin").exists()
            and (home.kept / "files/growing.bin").read_bytes() == path.read_bytes()
        ),
        "the whole file is kept",
    )


def test_its_programs_end_is_its_own_and_wrong_settings_are_one_line_each(s3: S3Server, where: str, make: Make) -> None:
    home = make(s3, where, command=["sh", "-c", "echo made > made.txt; exit 7"])
    home.launch()
    wait_for(lambda: home.code() is not None, "it ends")
    assert home.code() == 7
    assert home.stored("made.txt") == "made\n"
    home.launch(home="relative", remote="no remote")
    wait_for(lambda: home.code() == 2, "it refuses")
    assert "home: Value error, must be an absolute path" in home.words()
    assert "remote: " in home.words()


def test_no_secret_is_in_its_words_or_its_command_lines(s3: S3Server, where: str, make: Make) -> None:
    home = make(s3, where).start()
    home.write("a.txt", "x")
    home.until_saved("a.txt", "x")
    home.stop()
    for text in (home.words(), (home.state / "home.json").read_text(), (home.folder / "settings.json").read_text()):
        assert s3.secret_key not in text
