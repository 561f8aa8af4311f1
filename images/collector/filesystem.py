"""The destination folder as an FTP client sees it. Listings come from the object store; uploads do not pass here."""

from __future__ import annotations

import os
import stat
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

from pyftpdlib.filesystems import AbstractedFS, FilesystemError

from images.collector.names import refusal
from images.collector.store import Entry, StoreError
from images.lib.files import read_json, replace_json

_MAX_FOLDERS = 10_000


class Folders:
    """Folders made by MKD, or seen to be there. An object store has none, so an empty one lives in our memory alone;
    those made by MKD are kept in *path* (JSON). The oldest go beyond 10,000.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        kept = read_json(path)
        names = [name for name in kept if isinstance(name, str)] if isinstance(kept, list) else []
        self._made: dict[str, None] = dict.fromkeys(names[-_MAX_FOLDERS:])
        self._seen: dict[str, None] = {}

    def known(self, folder: str) -> bool:
        """Whether *folder* ("" is the root) is known; False says only that the store must be asked."""
        return folder == "" or folder in self._made or folder in self._seen

    def made_in(self, folder: str) -> set[str]:
        """The names directly in *folder* that MKD made."""
        start = f"{folder}/" if folder else ""
        with self._lock:
            return {name[len(start) :].split("/")[0] for name in self._made if name.startswith(start)}

    def make(self, folder: str) -> None:
        """Remember *folder*. OSError where that cannot be written down."""
        with self._lock:
            self._made[folder] = None
            self._keep()

    def seen(self, file: str) -> None:
        """*file* was stored: the folders above it are there."""
        folder = file.rpartition("/")[0]
        if folder and folder not in self._seen:
            with self._lock:
                while folder:
                    self._add(self._seen, folder)
                    folder = folder.rpartition("/")[0]

    def remove(self, folder: str) -> None:
        """Forget *folder*."""
        with self._lock:
            self._seen.pop(folder, None)
            if folder in self._made:
                del self._made[folder]
                self._keep()

    def _add(self, names: dict[str, None], folder: str) -> None:
        names[folder] = None
        if len(names) > _MAX_FOLDERS:
            del names[next(iter(names))]

    def _keep(self) -> None:
        while len(self._made) > _MAX_FOLDERS:
            del self._made[next(iter(self._made))]
        replace_json(self._path, list(self._made))


class RemoteFS(AbstractedFS):  # type: ignore[misc]  # pyftpdlib has no types
    """Paths are those that the client sees ("/a/b"); nothing here touches the local disk but a download in flight."""

    def __init__(self, root: str, cmd_channel: Any) -> None:
        super().__init__(root, cmd_channel)
        self._service = cmd_channel.service
        self._looked: dict[str, Entry | None] = {}

    def forget(self) -> None:
        """What was looked up for the last command is stale."""
        self._looked.clear()

    # paths: ftpnorm() has resolved "." and ".." against "/", so none can leave the root

    def ftp2fs(self, ftppath: str) -> str:
        """The path as the client sees it."""
        return str(self.ftpnorm(ftppath))

    def fs2ftp(self, fspath: str) -> str:
        """The same."""
        return fspath

    def validpath(self, path: str) -> bool:
        """Always inside."""
        return path.startswith("/")

    def realpath(self, path: str) -> str:
        """There are no links."""
        return path

    def islink(self, path: str) -> bool:
        """There are no links."""
        return False

    # looking

    def _entry(self, path: str) -> Entry | None:
        """What is at *path*, asked once for each command. FilesystemError where the store does not answer."""
        relative = path.strip("/")
        if self._service.folders.known(relative):
            return Entry(relative.rpartition("/")[2], True, 0, time.time())
        if path not in self._looked:
            try:
                self._looked[path] = self._service.store.stat(relative)
            except StoreError as error:
                raise FilesystemError(f"The object store does not answer: {error}") from None
        return self._looked[path]

    def isdir(self, path: str) -> bool:
        """Whether a folder is there."""
        entry = self._entry(path)
        return entry is not None and entry.folder

    def isfile(self, path: str) -> bool:
        """Whether a file is there."""
        entry = self._entry(path)
        return entry is not None and not entry.folder

    def lexists(self, path: str) -> bool:
        """Whether anything is there."""
        return self._entry(path) is not None

    def stat(self, path: str) -> os.stat_result:
        """Size and time; the mode says folder or file. FilesystemError where nothing is there."""
        entry = self._entry(path)
        if entry is None:
            raise FilesystemError("No such file or folder")
        mode = stat.S_IFDIR | 0o755 if entry.folder else stat.S_IFREG | 0o644
        inode = hash(path) & 0xFFFFFFFF
        when = int(entry.modified)
        return os.stat_result((mode, inode, 0, 1, 0, 0, entry.size, when, when, when))

    lstat = stat

    def getsize(self, path: str) -> int:
        """Bytes."""
        return self.stat(path).st_size

    def getmtime(self, path: str) -> float:
        """Seconds since 1970."""
        return self.stat(path).st_mtime

    def listdir(self, path: str) -> list[str]:
        """The names in a folder, remembered so that the lines of the listing ask nothing more."""
        relative = path.strip("/")
        try:
            entries = self._service.store.list(relative)
        except StoreError as error:
            raise FilesystemError(f"The object store does not answer: {error}") from None
        found = {entry.name: entry for entry in entries}
        for name in self._service.folders.made_in(relative):
            found.setdefault(name, Entry(name, True, 0, time.time()))
        base = path.rstrip("/")
        self._looked.update({f"{base}/{name}": entry for name, entry in found.items()})
        return list(found)

    def get_user_by_uid(self, uid: int) -> str:
        """Objects have no owner."""
        return "owner"

    def get_group_by_gid(self, gid: int) -> str:
        """Objects have no group."""
        return "group"

    # changing

    def chdir(self, path: str) -> None:
        """Go to a folder: one made by MKD, or one that holds a file."""
        if not self.isdir(path):
            raise FilesystemError("No such folder")
        self.cwd = path

    def mkdir(self, path: str) -> None:
        """Remember a folder."""
        relative = path.strip("/")
        bad = refusal(relative, self._service.settings.destination.partition(":")[2])
        if bad:
            raise FilesystemError(bad)
        if self.lexists(path):
            raise FilesystemError("There is something of this name already")
        self._service.folders.make(relative)

    def rmdir(self, path: str) -> None:
        """Forget an empty folder."""
        if not self.isdir(path):
            raise FilesystemError("No such folder")
        if self.listdir(path):
            raise FilesystemError("The folder is not empty")
        self._service.folders.remove(path.strip("/"))

    def remove(self, path: str) -> None:
        """Delete a file, and with it what waits to be stored under its name."""
        relative = path.strip("/")
        with self._service.publisher.turn(relative):
            self._service.publisher.drop_waiting(relative)
            self._store("delete", relative)

    def rename(self, src: str, dst: str) -> None:
        """Rename a file, replacing *dst*: what instruments do that upload under a temporary name."""
        source, target = src.strip("/"), dst.strip("/")
        bad = refusal(target, self._service.settings.destination.partition(":")[2])
        if bad:
            raise FilesystemError(bad)
        if source == target:
            return
        with self._service.publisher.turn(source, target):
            if self._service.publisher.is_waiting(source):
                raise FilesystemError("The file waits for the object store; try again later")
            self.forget()
            if not self.isfile(src):
                raise FilesystemError("Only files can be renamed")
            size = self.getsize(src)
            if self.isdir(dst):
                raise FilesystemError("There is a folder of this name")
            self._store("move", source, target)
            self._service.publisher.drop_waiting(target)
        self._service.folders.seen(target)
        self.cmd_channel.renamed(source, target, size)

    def open(self, filename: str, mode: str) -> BinaryIO:
        """Open a stored file for reading: a copy in the spool's folder that has no name any more."""
        if not self.isfile(filename):
            raise FilesystemError("No such file")
        local = self._service.spool.folder / f"download-{os.urandom(8).hex()}"
        try:
            self._store("get", filename.strip("/"), local)
            opened: BinaryIO = local.open("rb")
            return opened
        finally:
            local.unlink(missing_ok=True)

    def _store(self, operation: str, *arguments: Any) -> None:
        try:
            getattr(self._service.store, operation)(*arguments)
        except StoreError as error:
            raise FilesystemError(str(error)) from None
