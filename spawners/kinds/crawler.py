"""Crawls on schedule: Scrapy writes WARC, JSONL and a manifest a run into the tenant's object storage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from config.models import Site, Tenant
from images.crawler.patterns import check_pattern
from images.crawler.settings import check_web_address, normal_host
from spawners.kinds.base import Kind, Options
from spawners.kinds.remotes import Folder, RemoteName, remote_path, remote_violations
from spawners.kinds.times import Cron, TimeZone, schedule_of
from spawners.kube.plan import GIB, RCLONE_CONF, RUNS, STATE, TMP, KubePlace, KubePlan, Scratch, remotes
from spawners.plan import LocalPlace, LocalPlan
from spawners.refusal import Violation
from spawners.workload import Workload

Lines = Annotated[tuple[str, ...], Field(max_length=200)]


class CrawlerOptions(Options):
    """What to crawl, when, how much, and where the archive goes."""

    start_urls: Annotated[tuple[str, ...], Field(min_length=1, max_length=200)] = Field(
        title="Start URLs", json_schema_extra={"placeholder": "https://example.org/", "widget": "lines"}
    )
    """Where a run begins, one a line."""
    allowed_domains: Lines = Field(
        default=(), title="Allowed domains", json_schema_extra={"placeholder": "example.org", "widget": "lines"}
    )
    """The crawl never leaves them, nor by a redirect; empty: the hosts of the start URLs."""
    cron: Cron = Field(default="0 2 * * *", title="When", json_schema_extra={"widget": "cron"})
    """A cron expression: minute, hour, day of month, month, day of week."""
    timezone: TimeZone = Field(default="UTC", title="Time zone", json_schema_extra={"widget": "timezone"})
    """The zone that the expression is read in; summer time is followed."""
    remote: RemoteName = Field(title="Remote", json_schema_extra={"source": "remotes"})
    """Object storage that the archive goes to, a folder a run."""
    folder: Folder = Field(
        default="crawls", title="Folder", json_schema_extra={"placeholder": "crawls/news", "widget": "folder"}
    )
    """Folder in the bucket; each run makes one of its own in it."""
    max_depth: Annotated[int, Field(ge=0, le=100)] = Field(
        default=3, title="Depth", json_schema_extra={"unit": "links"}
    )
    """How many links from a start URL."""
    max_pages: Annotated[int, Field(ge=1, le=1_000_000)] = Field(default=1000, title="Pages at most")
    """A run ends well when it has this many."""
    max_mib: Annotated[int, Field(ge=1, le=1_048_576)] = Field(
        default=1024, title="Bytes at most", json_schema_extra={"unit": "MiB"}
    )
    """A run ends well when it has loaded this much."""
    time_limit_min: Annotated[int, Field(ge=1, le=43_200)] = Field(
        default=360, title="Time limit of a run", json_schema_extra={"unit": "min"}
    )
    """A run past it is stopped; what it had is kept."""
    missed: Literal["run-once", "skip"] = Field(
        default="run-once",
        title="Missed runs",
        json_schema_extra={
            "group": "More",
            "labels": {"run-once": "Run once when the machine is back", "skip": "Skip until the next time"},
        },
    )
    """What to do when the machine was off at the time; missed runs are shown either way."""
    catch_up_h: Annotated[int, Field(ge=1, le=8760)] = Field(
        default=168, title="Catch up within", json_schema_extra={"unit": "h", "group": "More"}
    )
    """A missed run older than this is only shown."""
    delay_s: Annotated[float, Field(ge=0.1, le=3600)] = Field(
        default=1.0, title="Pause between requests", json_schema_extra={"unit": "s", "group": "More"}
    )
    """To one host. A longer Crawl-delay of the site's robots.txt wins; robots.txt is always obeyed."""
    include: Lines = Field(
        default=(), title="Only URLs that match", json_schema_extra={"group": "More", "widget": "lines"}
    )
    """Regular expressions, one a line; empty: all in the allowed domains."""
    exclude: Lines = Field(
        default=(), title="Never URLs that match", json_schema_extra={"group": "More", "widget": "lines"}
    )
    """Regular expressions, one a line."""
    allow_private: bool = Field(default=False, title="Allow private addresses", json_schema_extra={"group": "More"})
    """Also crawl servers at private and loopback addresses; the metadata address never."""

    @field_validator("start_urls")
    @classmethod
    def _web(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            check_web_address(url)
        return urls

    @field_validator("allowed_domains")
    @classmethod
    def _hosts(cls, domains: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(normal_host(domain) for domain in domains)

    @field_validator("include", "exclude")
    @classmethod
    def _patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_pattern(pattern) for pattern in patterns)


class CrawlerKind(Kind):
    """One bounded run at each time of the schedule."""

    name = "crawler"
    title = "Crawl"
    icon = "🕸️"
    options = CrawlerOptions
    owners = frozenset({"tenant"})
    panels = ("schedule", "progress", "runs", "log", "options")

    def check(self, options: Mapping[str, Any], tenant: Tenant, site: Site) -> list[Violation]:
        """The remote must be the tenant's."""
        del site
        return remote_violations(tenant, dict(options), "remote")

    def endpoints(self, workload: Workload, tenant: Tenant, address: str | None) -> tuple[tuple[str, str], ...]:
        """Where the archive goes."""
        del address
        options = workload.options
        return (("Archive goes to", remote_path(tenant, options["remote"], options["folder"])),)

    def local(self, workload: Workload, tenant: Tenant, site: Site, place: LocalPlace) -> LocalPlan:
        """A run of images.crawler at each time of the schedule."""
        options = workload.options
        return LocalPlan(
            mode="schedule",
            argv=(str(place.tools.python), "-P", "-m", "images.crawler", "{settings}"),
            schedule=schedule_of(options),
            settings={
                "name": workload.name,
                "rclone": str(place.tools.rclone),
                "rclone_config": str(place.rclone_config),
                **_crawl(workload, tenant, site),
            },
            salvage=True,
            # The program ends itself at its own limit and uploads what it has; the keeper's limit is the backstop.
            time_limit_s=options["time_limit_min"] * 60 + 600,
            grace_s=120,
        )

    def kube(self, workload: Workload, tenant: Tenant, site: Site, place: KubePlace) -> KubePlan:
        """A CronJob of images.crawler, by images.lib.run, which gives each run its name and folder."""
        options = workload.options
        limit = options["time_limit_min"] * 60
        return KubePlan(
            mode="schedule",
            image=place.image,
            argv=("python", "-P", "-m", "images.lib.run", "images.crawler", "{settings}", RUNS),
            schedule=schedule_of(options),
            settings={
                "name": workload.name,
                "rclone": "rclone",
                "rclone_config": RCLONE_CONF,
                # What is not uploaded is lost with the Pod, so a store that is down is waited for.
                "upload_retry_s": _UPLOAD_RETRY_S,
                # A Pod that is lost is tried again, as the same run with the same folder.
                "may_be_again": True,
                **_crawl(workload, tenant, site),
            },
            secrets=(remotes(),),
            scratch=(
                # What was loaded is kept compressed in WARC, once more as text in JSONL.
                Scratch(name="state", path=STATE, size=2 * options["max_mib"] * 2**20 + GIB),
                Scratch(name="tmp", path=TMP, size=GIB),
            ),
            time_limit_s=limit + _UPLOAD_RETRY_S + 600,
            grace_s=120,
        )


_UPLOAD_RETRY_S = 6 * 3600


def _crawl(workload: Workload, tenant: Tenant, site: Site) -> dict[str, Any]:
    """What is the same wherever it runs."""
    options = workload.options
    contact = site.contact if "@" in site.contact or "://" in site.contact else "mailto:root@localhost"
    return {
        "destination": remote_path(tenant, options["remote"], options["folder"]),
        "start_urls": list(options["start_urls"]),
        "allowed_domains": list(options["allowed_domains"]),
        "max_depth": options["max_depth"],
        "max_pages": options["max_pages"],
        "max_bytes": options["max_mib"] * 2**20,
        "time_limit_s": options["time_limit_min"] * 60,
        "delay_s": options["delay_s"],
        "include": list(options["include"]),
        "exclude": list(options["exclude"]),
        "allow_private": options["allow_private"],
        "user_agent": f"TenantHub-crawler/1 ({tenant.name}; +{contact})",
    }
