"""Programs out of Debian packages, unpacked into a folder of the cache: nothing is installed.

The machine's apt stays as it is: apt runs on a configuration, index and archive folder of its own here. Two suites: the
machine's own (runc, nftables, with the libraries that the machine lacks), and `sid` for what the machine's is too old
in: kubelet 1.36 wants containerd 2, the API server wants etcd 3.5. Those are Go programs that need libc6 2.34 only; sid
has a low pin, so that nothing comes from there unasked.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.bed.names import BedError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SID = ("etcd-server", "etcd-client", "containerd", "containernetworking-plugins")

# Programs that are used as the machine has them; where it lacks one, this package of its own suite brings it.
PACKAGE_OF = {
    "runc": "runc",
    "nft": "nftables",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "docker-registry": "docker-registry",
}
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # sbin is not on every user's


@dataclass(frozen=True)
class Mirror:
    """Where this machine gets Debian from."""

    uri: str
    codename: str  # of the machine's own release, e.g. bookworm


def find(program: str) -> str | None:
    """The machine's own copy of a program, those of the system's administrator included."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}")


def lacking() -> tuple[str, ...]:
    """The programs of PACKAGE_OF that this machine has not got, sorted."""
    return tuple(sorted(program for program in PACKAGE_OF if not find(program)))


def mirror() -> Mirror:
    """The mirror that the machine's apt is set to. Raises BedError where this is no Debian, or it has none."""
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "") if _is_debian() else ""
    if not codename or not find("apt-get") or not find("dpkg"):
        raise BedError("this is not a Debian with apt-get and dpkg")
    argv = ["apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"]
    return choose(_run(argv), codename)


def choose(targets: str, codename: str) -> Mirror:
    """The first repository of that release's main component, from lines `release component uri` of apt.

    Raises BedError where there is none.
    """
    for line in targets.splitlines():
        release, component, uri = line.split(" ", 2)
        if (release, component) == (codename, "main"):
            return Mirror(uri, codename)
    raise BedError(f"apt has no source for Debian {codename}, component main")


def _is_debian() -> bool:
    try:
        return platform.freedesktop_os_release().get("ID") == "debian"
    except OSError:
        return False


def unpack(folder: Path, programs: Sequence[str], sid: Sequence[str] = SID) -> None:
    """Unpack the packages of the programs, with the libraries missing here, and those of sid, into folder/root.

    folder/bin then has a link or, where libraries lie beside it, a small wrapper for each program, and folder/versions
    one line a package. Raises BedError when apt cannot get them.
    """
    apt = _private_apt(folder / "apt", mirror())
    archives = folder / "apt" / "archives"
    _run([*apt, "update", "--error-on=any"])
    if programs:
        packages = sorted({PACKAGE_OF[program] for program in programs})
        _run([*apt, "install", "--download-only", "--no-install-recommends", "--yes", *packages])
    if sid:
        _run([*apt, "download", *(f"{package}/sid" for package in sid)], cwd=archives)
    versions = []
    for archive in sorted(archives.glob("*.deb")):
        _run(["dpkg-deb", "--extract", str(archive), str(folder / "root")])
        versions.append(_run(["dpkg-deb", "--show", "--showformat=${Package} ${Version}", str(archive)]))
    (folder / "versions").write_text("\n".join(versions) + "\n")
    shutil.rmtree(folder / "apt")  # indexes and archives: 120 MB nobody needs again
    _make_bin(folder)


def _make_bin(folder: Path) -> None:
    """Fill folder/bin. Paths in it are relative: the folder is renamed into its place afterwards."""
    root, target = folder / "root", folder / "bin"
    target.mkdir()
    for place in ("usr/sbin", "usr/bin", "sbin", "bin"):
        for program in sorted((root / place).glob("*")):
            # /sbin first: a program that is in two places is a link from one to the other
            if not os.path.lexists(target / program.name):
                _enter(root, program, target / program.name)
    # Debian's alternatives are made at installation, so here `iptables` has only its full name.
    for name in ("iptables", "ip6tables", "iptables-save", "ip6tables-save", "iptables-restore", "ip6tables-restore"):
        variant = name.replace("tables", "tables-nft", 1)
        if os.path.lexists(target / variant) and not os.path.lexists(target / name):
            (target / name).symlink_to(variant)


def _enter(root: Path, program: Path, name: Path) -> None:
    """A link, or a wrapper where the program needs libraries (or iptables its extensions) that only root has."""
    linked = subprocess.run(["ldd", str(program)], check=False, capture_output=True, text=True).stdout
    if "not found" not in linked and "tables" not in program.name:
        name.symlink_to(Path("..") / program.relative_to(root.parent))
        return
    name.write_text(
        "#!/bin/sh\n"
        "# $0 may be a link to this file (iptables), from wherever\n"
        'root=$(dirname "$(readlink -f "$0")")/../root\n'
        'export LD_LIBRARY_PATH="$(echo "$root"/usr/lib/*-linux-gnu):$(echo "$root"/lib/*-linux-gnu)"\n'
        'for folder in "$root"/usr/lib/*-linux-gnu/xtables; do\n'
        '    [ -d "$folder" ] && export XTABLES_LIBDIR="$folder"\n'
        "done\n"
        f'exec "$root/{program.relative_to(root)}" "$@"\n'
    )
    name.chmod(0o755)


def _private_apt(folder: Path, source: Mirror) -> list[str]:
    """`apt-get` that reads and writes only in that folder, and the machine's list of installed packages."""
    for name in ("lists/partial", "archives/partial", "sources", "preferences"):
        (folder / name).mkdir(parents=True)
    signed = f"Signed-By: {KEYRING}\n" if KEYRING.exists() else ""  # else apt's own trusted keys
    (folder / "sources" / "bed.sources").write_text(
        f"Types: deb\nURIs: {source.uri}\nSuites: {source.codename} sid\nComponents: main\n{signed}"
    )
    (folder / "preferences" / "sid").write_text("Package: *\nPin: release n=sid\nPin-Priority: 100\n")
    settings = {
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder,
        "Dir::Cache::archives": folder / "archives",
        "Dir::Etc::SourceList": "/dev/null",
        "Dir::Etc::SourceParts": folder / "sources",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": folder / "preferences",
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "root",  # the sandbox's user cannot read a private cache folder
        "Acquire::Retries": "3",
        "Debug::NoLocking": "true",  # nothing is installed, so dpkg's lock is nobody's concern
    }
    return ["apt-get", "-qq", *(item for key, value in settings.items() for item in ("-o", f"{key}={value}"))]


def _run(argv: Sequence[str], cwd: Path | None = None) -> str:
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    result = subprocess.run(argv, check=False, cwd=cwd, env=environment, capture_output=True, text=True)
    if result.returncode:
        said = (result.stderr or result.stdout).strip().splitlines() or [f"exit code {result.returncode}"]
        raise BedError(f"{argv[0]}: {said[-1]}")
    return result.stdout
