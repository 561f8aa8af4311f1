"""What a home's keeper tells: home.json for a page, a notice in the home itself, lines in the log."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from images.lib.files import replace_json
from images.lib.home_files import HomeFolder, Seen
from images.lib.home_plan import LINK, NOTICE, Known
from images.lib.home_settings import HomeSettings
from images.lib.home_sync import Conflict, Round

log = logging.getLogger("tenanthub.home")
STATUS = "home.json"
_EXAMPLES, _CONFLICTS = 10, 50


class Status:
    """The state of a home, told as it changes."""

    def __init__(self, settings: HomeSettings, folder: HomeFolder) -> None:
        self._settings, self._folder = settings, folder
        self._path = settings.state_folder / STATUS
        self._state = "restoring"
        self._doing = ""
        self.error = ""
        self.saved: datetime | None = None
        self.unsaved_files = self.unsaved_bytes = self.to_restore = 0
        self._unsaved: list[str] = []
        self._files = self._bytes = 0
        self._conflicts: list[Conflict] = []
        self._problems: dict[str, str] = {}
        self._not_kept: dict[str, str] = {}
        self._ended = False

    def doing(self, words: str) -> None:
        """It does this now."""
        self._doing = words
        if words.startswith("saving"):
            self._state = "saving"
        self._write()

    def looked(self, seen: Seen, unsaved: Sequence[str], base: Mapping[str, Known]) -> None:
        """What is there, and what of it is not saved."""
        self._files, self._bytes, self._not_kept = len(seen.files), seen.bytes, dict(seen.skipped)
        self.unsaved_files = len(unsaved)
        self.unsaved_bytes = sum(seen.files[path].size for path in unsaved if path in seen.files)
        self._unsaved = [path.removesuffix(LINK) for path in unsaved[:_EXAMPLES]]
        del base
        self._write()

    def after(self, done: Round, seen: Seen, unsaved: Sequence[str], base: Mapping[str, Known]) -> None:
        """A round went through."""
        self._doing, self.to_restore = "", done.to_fetch
        self._conflicts = [*self._conflicts, *done.conflicts][-_CONFLICTS:]
        self._problems = {path or "store": why for path, why in list(done.wrong.items())[:_EXAMPLES]}
        self.error = done.wrong.get("", "")
        self._state = "not saved" if self.error or any(path for path in done.wrong) else "kept"
        if self.to_restore:
            self._state = "restoring"
        if not done.wrong and not done.to_fetch:
            self.saved = datetime.now(UTC)
        if done.saved or done.fetched or done.deleted or done.wrong:
            told = f"{done.saved} saved, {done.fetched} fetched, {done.deleted} deleted"
            log.info("%s%s", told, f"; {len(done.wrong)} not: {_first(done.wrong)}" if done.wrong else "")
        self._notice()
        self.looked(seen, unsaved, base)

    def failed(self, why: str) -> None:
        """A round did not go through."""
        if why != self.error:
            log.warning("Not saved: %s", why)
        self._doing, self.error = "", why
        self._state = "restoring" if self._state == "restoring" and self.saved is None else "not saved"
        self._notice()
        self._write()

    def ended(self) -> None:
        """It is over."""
        self._doing, self._state, self._ended = "", "ended", True
        self._write()

    def last_words(self) -> str:
        """What is lost, or waits for the next start."""
        files = f"{self.unsaved_files} file{'s' if self.unsaved_files != 1 else ''} ({self.unsaved_bytes} bytes)"
        names = ", ".join(self._unsaved[:3])
        why = f": {self.error or _first(self._problems)}" if self.error or self._problems else ""
        end = "it waits on this machine for the next start" if self._settings.lasting else "it is lost"
        return f"The home was not wholly saved to {self._settings.remote}{why}. {files}, e.g. {names}: {end}"

    def _notice(self) -> None:
        if not self.error and not self.to_restore:
            self._folder.write_notice(NOTICE, None)
            return
        when = f"Last saved: {self.saved:%Y-%m-%d %H:%M} UTC." if self.saved else "Nothing was saved in this session."
        left = f"{self.to_restore} files are still to be restored.\n" if self.to_restore else ""
        why = f"This home cannot be saved just now: {self.error}\n" if self.error else ""
        self._folder.write_notice(NOTICE, f"{why}{left}{when}\nIt is tried again; this file goes when all is saved.\n")

    def _write(self) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        replace_json(
            self._path,
            {
                "state": self._state,
                "doing": self._doing,
                "where": self._settings.remote,
                "saved": self.saved.isoformat(timespec="seconds") if self.saved else None,
                "files": self._files,
                "bytes": self._bytes,
                "unsaved_files": self.unsaved_files,
                "unsaved_bytes": self.unsaved_bytes,
                "unsaved": self._unsaved,
                "to_restore": self.to_restore,
                "conflicts": [asdict(one) for one in self._conflicts],
                "error": self.error,
                "problems": self._problems,
                "not_kept": self._not_kept,
                "lasting": self._settings.lasting,
                "updated": now,
            },
        )


def _first(wrong: Mapping[str, str]) -> str:
    path, why = next(iter(wrong.items()), ("", ""))
    return f"{path}: {why}" if path and path != "store" else why
