"""One transfer from its settings to its result: which steps, in which order, and what their end means."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from pathlib import Path
from typing import Literal

from images.transfer import child, rclone, rsync, ssh
from images.transfer.events import Event, Trouble
from images.transfer.events import Planned as Coming
from images.transfer.fence import FenceError, private_file, resolve_endpoints
from images.transfer.ledger import Ledger, Phase
from images.transfer.legs import Planned, legs, needs_staging
from images.transfer.settings import TransferSettings, is_local
from images.transfer.words import in_words

Outcome = Literal["ok", "failed", "stopped"]
_PHASES: dict[rclone.Step, Phase] = {"dry-run": "dry-run", "transfer": "copying", "check": "checking"}
_RETRY_PAUSE_S = 3.0


class RunError(Exception):
    """The run cannot go on; the text is the message of its result."""


class StoppedError(Exception):
    """SIGTERM came."""


class TransferRun:
    """One run. *stop* is set by SIGTERM."""

    def __init__(self, settings: TransferSettings) -> None:
        self.settings = settings
        self.ledger = Ledger(settings.run_dir, settings.run_id)
        self.stop = asyncio.Event()
        self._deadline: float | None = None

    async def run(self) -> Outcome:
        """Do it; result.json is written in every case. Nothing is raised but what a bug raises."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop.set)
        if self.settings.time_limit_s is not None:
            self._deadline = loop.time() + self.settings.time_limit_s
        outcome: Outcome
        try:
            message = await self._work()
            outcome = "ok"
        except (RunError, FenceError, ssh.SshError) as error:
            outcome, message = "failed", str(error)
        except OSError as error:
            outcome, message = "failed", in_words(f"{error.strerror or error} {error.filename or ''}")
        except StoppedError:
            outcome, message = "stopped", "Stopped; what was copied is kept, and a new run goes on from there"
        self.ledger.finish(outcome, message)
        return outcome

    async def _work(self) -> str:
        self._tool_is_there()
        source, destination = resolve_endpoints(self.settings)
        self._secrets_are_private()
        ssh.require_pinned(self.settings)
        staging = self.settings.run_dir / "staging"
        try:
            if self.settings.tool == "rsync":
                self._write_ssh_config(source, destination)
                source, destination = ssh.endpoint(source), ssh.endpoint(destination)
            if needs_staging(self.settings, source, destination):
                staging.mkdir(mode=0o700, exist_ok=True)
                await self._require_room(source, staging)
            for planned in legs(self.settings, source, destination, staging):
                await self._step(planned)
                if planned.step == "dry-run":
                    self._judge_plan()
            return self._summary()
        finally:
            ssh.forget(self.settings.run_dir)
            shutil.rmtree(staging, ignore_errors=True)

    async def _require_room(self, source: str, staging: Path) -> None:
        """RunError unless what comes from an ssh host, to go on to another, fits here."""
        looking = self.settings.model_copy(update={"mode": "copy", "checksum": False, "max_delete": None})
        wanted = 0

        def count(line: str) -> None:
            nonlocal wanted
            for event in rsync.parse("dry-run", line):
                if isinstance(event, Coming):
                    wanted += event.size or 0
                elif isinstance(event, Trouble):
                    self.ledger.take(event)

        argv = rsync.command(looking, "dry-run", source, f"{staging}/")
        ended = await child.run(argv, self.settings.run_dir, count, self.stop, self._deadline)
        await self._judge(Planned("dry-run", looking), ended)
        room = min(shutil.disk_usage(staging).free, self.settings.staging_bytes or sys.maxsize)
        if wanted > room:
            raise RunError(
                f"{wanted} bytes would lie here on their way from one ssh host to the other, and there is room for"
                f" {room}: give it more, or transfer it in parts. Nothing was changed"
            )

    def _tool_is_there(self) -> None:
        name = self.settings.tool
        if shutil.which(self.settings.rclone if name == "rclone" else self.settings.rsync) is None:
            raise RunError(f"{name} is not installed on this machine")
        far = [side for side in (self.settings.source, self.settings.destination) if not is_local(side)]
        if name == "rsync" and far and shutil.which("ssh") is None:
            raise RunError("ssh is not installed on this machine")

    def _secrets_are_private(self) -> None:
        if self.settings.rclone_config is not None:
            private_file(self.settings.rclone_config, "rclone configuration")
        if self.settings.ssh_key is not None:
            private_file(self.settings.ssh_key, "ssh key")

    def _write_ssh_config(self, source: str, destination: str) -> None:
        text = ssh.configure(self.settings, self.settings.run_dir, rsync.COMMON)
        for side in (source, destination):
            if not is_local(side) and text is None:
                text = rsync.ssh_config(self.settings, side)
        if text is not None:
            (self.settings.run_dir / rsync.SSH_CONFIG).write_text(text, encoding="utf-8")

    async def _step(self, planned: Planned) -> None:
        self.ledger.begin(_PHASES[planned.step])
        tool = rclone if planned.settings.tool == "rclone" else rsync
        argv = tool.command(planned.settings, planned.step, planned.source, planned.destination)
        # rclone retries by itself, with what it knows of the failed files; rsync has to be run again.
        attempts = 1 if planned.settings.tool == "rclone" else planned.settings.retries + 1
        for attempt in range(1, attempts + 1):
            ended = await child.run(
                argv, self.settings.run_dir, lambda line: self._line(planned, line), self.stop, self._deadline
            )
            again = ended.cut is None and ended.code in rsync.WORTH_A_RETRY and attempt < attempts
            if not again:
                break
            self.ledger.log(f"The connection was lost or files changed; attempt {attempt + 1} of {attempts} follows")
            self.ledger.troubles.clear()
            await self._pause(_RETRY_PAUSE_S)
        if planned.step == "transfer" and planned.counted:
            self.ledger.close_copy(planned.settings.mode)
        await self._judge(planned, ended)

    async def _pause(self, seconds: float) -> None:
        """Wait, or less if SIGTERM comes."""
        try:
            await asyncio.wait_for(self.stop.wait(), seconds)
        except TimeoutError:
            return

    def _line(self, planned: Planned, line: str) -> None:
        events = rclone.parse(line) if planned.settings.tool == "rclone" else rsync.parse(planned.step, line)
        for event in events:
            if not _expected(planned.step, event):
                self.ledger.take(event)

    async def _judge(self, planned: Planned, ended: child.Ended) -> None:
        """Raise unless the step is done: StoppedError for SIGTERM, RunError for a failure."""
        if ended.cut == "stopped" or self.stop.is_set():
            raise StoppedError
        if ended.cut == "time limit":
            limit = self.settings.time_limit_s
            raise RunError(
                f"Stopped at the time limit of {limit} s; what was copied is kept, a new run goes on from there"
            )
        different = self.ledger.counts["different"]
        if planned.step == "check" and different:
            raise RunError(f"The check found {_files(different)} missing or different at the destination")
        if ended.code != 0:
            raise RunError(await self._reason(ended))

    async def _reason(self, ended: child.Ended) -> str:
        troubles = self.ledger.troubles
        if any("is a file not a directory" in trouble.text for trouble in troubles):
            await self._diagnose()
        text = _telling(self.ledger.troubles)
        if text is None:
            return f"{self.settings.tool} ended with exit code {ended.code} and said nothing"
        return in_words(text)

    async def _diagnose(self) -> None:
        """Let rclone say what is really wrong with a remote (rclone.diagnosis tells why it has to be asked)."""
        for endpoint in (self.settings.source, self.settings.destination):
            if not is_local(endpoint):
                self.ledger.troubles.clear()
                argv = rclone.diagnosis(self.settings, endpoint)
                ended = await child.run(argv, self.settings.run_dir, self._diagnosis_line, self.stop, self._deadline)
                if ended.code != 0:
                    return

    def _diagnosis_line(self, line: str) -> None:
        for event in rclone.parse(line):
            if isinstance(event, Trouble):
                self.ledger.troubles.append(event)

    def _judge_plan(self) -> None:
        """After the dry run of a sync: RunError if going on would delete what it must not."""
        if self.settings.mode != "sync":
            return
        counts, would_delete = self.ledger.counts, self.ledger.counts["would_delete"]
        kept = int(self.ledger.state.get("compared", 0))
        # rsync's "compared" is all files of the source, rclone's those found on both sides: zero either way, if empty.
        if would_delete and not counts["would_copy"] and not kept:
            raise RunError(
                f"The source has no files, or does not exist: a sync would delete all {_files(would_delete)} at the"
                " destination. Nothing was changed"
            )
        limit = self.settings.max_delete
        if limit is not None and would_delete > limit and self.settings.dry_run != "only":
            raise RunError(
                f"A sync would delete {_files(would_delete)} at the destination, more than the {limit} allowed."
                " Nothing was changed"
            )

    def _summary(self) -> str:
        counts = self.ledger.counts
        if self.settings.dry_run == "only":
            return (
                f"Dry run: {_files(counts['would_copy'])} ({counts['would_copy_bytes']} bytes) would be copied,"
                f" {_files(counts['would_delete'])} deleted; nothing was changed"
            )
        parts = [f"{_files(counts['files'])} ({counts['bytes']} bytes) transferred"]
        if counts["deleted"] and self.settings.mode == "sync":
            parts.append(f"{_files(counts['deleted'])} deleted at the destination")
        if self.settings.checksum:
            parts.append(f"{_files(counts['checked'])} verified" if counts["checked"] else "contents verified")
        if counts["size_only"]:
            parts.append(f"{_files(counts['size_only'])} compared by size only (no common checksum)")
        return ", ".join(parts)


def _expected(step: rclone.Step, event: Event) -> bool:
    # In a check a difference is a result, counted by its own line; rclone also logs it as an error a file.
    return step == "check" and isinstance(event, Trouble) and event.text.startswith("Failed to check")


def _telling(troubles: list[Trouble]) -> str | None:
    """The error that says most: one of a single file or folder if there is one that has words for people, else the
    tool's last sentence."""
    for trouble in troubles:
        if in_words(trouble.text) != trouble.text and "rsync error:" not in trouble.text:
            return f"{trouble.path}: {trouble.text}" if trouble.path else trouble.text
    return troubles[-1].text if troubles else None


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
