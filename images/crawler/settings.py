"""The settings of one run: the JSON file that `python -m images.crawler` takes, checked before anything is fetched."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from images.crawler.patterns import check_pattern

Mebibyte = 1024 * 1024

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
RemotePath = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_ .+@-]*:[^\x00-\x1f]+$", max_length=1000)
]
Pattern = Annotated[str, AfterValidator(check_pattern)]
HeaderText = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$", max_length=300)]

_HOST_LABELS = re.compile(
    r"^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$"
)


class SettingsError(Exception):
    """The settings can't be used; the text has one line for each thing that is wrong."""


def normal_host(host: str) -> str:
    """*host* as it is compared: lower case, no final dot, international names in ASCII. ValueError if it is none."""
    host = host.strip().rstrip(".").lower()
    try:
        return str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        pass
    try:
        ascii_host = host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise ValueError(f"“{host}” is not a host name") from error
    if not _HOST_LABELS.fullmatch(ascii_host):
        raise ValueError(f"“{host}” is not a host name")
    return ascii_host


class CrawlSettings(BaseModel):
    """What to crawl, how politely, how much, and where the files of the run go.

    Sizes are in bytes and times in seconds. The object holds no secret: the object store's key is in `rclone_config`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: Identifier = Field(description="Names the run and its folder, e.g. 20261121T101500Z.")
    name: Identifier = Field(description="The workload that this is a run of.")
    run_dir: Path = Field(description="The folder of this run; nothing is written outside of it.")

    rclone: Path = Field(description="The rclone program.")
    rclone_config: Path = Field(description="rclone's configuration file (mode 0600): the only place with a key in it.")
    destination: RemotePath = Field(description="remote:bucket/folder; the files of the run go to destination/run_id/.")
    upload_retry_s: float = Field(300, ge=0, le=86_400, description="How long a store that is down is tried again.")
    may_be_again: bool = Field(
        False, description="An earlier try of this run may have brought its files in already, or a part of them."
    )
    stop_upload_s: float = Field(20, ge=0, le=3600, description="How long the upload may take after SIGTERM.")

    start_urls: tuple[str, ...] = Field(min_length=1, max_length=1000)
    allowed_domains: tuple[str, ...] = Field(
        (), description="Hosts, each with its subdomains; none: the start URLs' hosts."
    )
    max_depth: int = Field(3, ge=0, le=1000, description="Links away from a start URL; 0 fetches the start URLs only.")
    max_pages: int = Field(1000, ge=1, le=10_000_000)
    max_bytes: int = Field(
        1024 * Mebibyte, ge=1, description="All answers' bodies together, as they came over the wire."
    )
    max_response_bytes: int = Field(64 * Mebibyte, ge=1, le=1024 * Mebibyte)
    time_limit_s: float = Field(6 * 3600, gt=0, le=30 * 86_400)
    include: tuple[Pattern, ...] = Field(
        (), max_length=50, description="A link is followed only if one of these finds a match."
    )
    exclude: tuple[Pattern, ...] = Field(
        (), max_length=50, description="A link is not followed if one of these finds a match."
    )
    content_types: tuple[str, ...] = Field(
        (), max_length=50, description="Kept answers, e.g. text/html or image/*; none: all. Links are read either way."
    )
    page_resources: bool = Field(
        True, description="Also fetch a page's images, styles and scripts, so that it can be replayed."
    )

    user_agent: HeaderText = Field(description="Name, version and a contact: “Name/1.0 (+https://… or mailto:…)”.")
    delay_s: float = Field(1.0, ge=0, le=3600, description="The least time between two requests to one host.")
    max_crawl_delay_s: float = Field(
        300, ge=0, le=86_400, description="A host that asks for a longer Crawl-delay is left out."
    )
    concurrency_per_host: int = Field(1, ge=1, le=16)
    request_timeout_s: float = Field(60, gt=0, le=3600)
    verify_tls: bool = Field(True, description="Refuse https sites whose certificate doesn't hold.")
    allow_private: bool = Field(False, description="Also reach private and loopback addresses (never link-local ones).")

    warc_bytes: int = Field(
        1024 * Mebibyte, ge=1, description="A WARC file that has grown past this is followed by a new one."
    )
    salvage_dirs: tuple[Path, ...] = Field(
        (), max_length=1000, description="Folders of earlier runs that may not be uploaded yet."
    )

    @property
    def run_destination(self) -> str:
        """The remote folder of this run."""
        return remote_folder(self.destination, self.run_id)

    @field_validator("user_agent")
    @classmethod
    def _has_contact(cls, value: str) -> str:
        if "@" not in value and "://" not in value:
            raise ValueError("needs a contact for the sites' operators, e.g. “MyCrawler/1.0 (+mailto:lab@example.org)”")
        return value

    @field_validator("start_urls")
    @classmethod
    def _are_web_addresses(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            check_web_address(url)
        return tuple(dict.fromkeys(urls))

    @field_validator("allowed_domains")
    @classmethod
    def _are_hosts(cls, domains: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(normal_host(domain) for domain in domains))

    @field_validator("content_types")
    @classmethod
    def _are_types(cls, types: tuple[str, ...]) -> tuple[str, ...]:
        for value in types:
            if not re.fullmatch(r"[\w.+-]+/([\w.+-]+|\*)", value):
                raise ValueError(f"“{value}” is not a content type such as text/html or image/*")
        return tuple(value.lower() for value in types)

    @model_validator(mode="after")
    def _starts_inside(self) -> CrawlSettings:
        hosts = tuple(dict.fromkeys(normal_host(urlsplit(url).hostname or "") for url in self.start_urls))
        if not self.allowed_domains:
            object.__setattr__(self, "allowed_domains", hosts)  # frozen for everyone else; here it is still being made
        for host in hosts:
            if not any(host_within(host, domain) for domain in self.allowed_domains):
                raise ValueError(
                    f"start URL host “{host}” is not in allowed_domains ({', '.join(self.allowed_domains)})"
                )
        return self


def remote_folder(destination: str, name: str) -> str:
    """The folder *name* in the rclone remote path *destination*."""
    return f"{destination.rstrip('/')}/{name}"


def host_within(host: str, domain: str) -> bool:
    """Whether *host* is *domain* or a subdomain of it. An address, or a name without a dot, has no subdomains.

    A bare top-level name such as “jp” would otherwise open a whole country.
    """
    if host == domain:
        return True
    has_subdomains = "." in domain and not domain.replace(".", "").isdigit() and ":" not in domain
    return has_subdomains and host.endswith("." + domain)


def check_web_address(url: str) -> None:
    """ValueError unless *url* is an http(s) address with a host and without a name or password in it."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"“{url}” is not a web address: {error}") from error
    if parts.username is not None or parts.password is not None:
        raise ValueError(
            f"an address at “{parts.hostname}” has a user name in it, which would be written into the archive"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"“{url}” is not a web address: it must begin with http:// or https:// and name a host")
    normal_host(parts.hostname)


def load_settings(path: Path) -> CrawlSettings:
    """The settings in the JSON file *path*. SettingsError says, a line each, what is wrong."""
    try:
        return CrawlSettings.model_validate_json(path.read_bytes())
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        lines = (
            f"{path}: {_place(item['loc'])}{_text(item['msg'])}"
            for item in error.errors(include_url=False, include_input=False)
        )
        raise SettingsError("\n".join(lines)) from error


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) + ": " if location else ""


def _text(message: str) -> str:
    return message.removeprefix("Value error, ")
