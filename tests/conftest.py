"""Tiers for every test: a marker by folder, skips that fail where a tier is required, a table at the end."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator, Iterator

import pytest

from tests.tiers import TIERS, optional, required, tier_of

_missing = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Register each tier's marker."""
    for tier, what in TIERS.items():
        config.addinivalue_line("markers", f"{tier}: {what}")


@pytest.fixture(autouse=True)
def same_umask() -> Iterator[None]:
    """The hub's state folder sets the process's umask; the next test starts with what this one found."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each test gets its tier as a marker (`-m browser`); the quick tiers run first."""
    order = list(TIERS)
    for item in items:
        item.add_marker(tier_of(item.nodeid))
    items.sort(key=lambda item: order.index(tier_of(item.nodeid)))  # stable: files stay together


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skip by any way (need, skipif, importorskip) is a failure where its tier is required."""
    report = yield
    failing = report.skipped and not hasattr(report, "wasxfail") and tier_of(item.nodeid) in required()
    if failing and not optional(_reason(report)):
        report.outcome = "failed"
        report.longrepr = f"{tier_of(item.nodeid)} is required (TENANTHUB_REQUIRE), but: {_reason(report)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a file that skips itself as a whole."""
    report = yield
    if report.skipped and tier_of(collector.nodeid) in required():
        reason = _reason(report)
        report.outcome = "failed"
        report.longrepr = f"{tier_of(collector.nodeid)} is required (TENANTHUB_REQUIRE), but: {reason}"
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A run of everything in which a required tier passed no test at all has failed, whatever the reason."""
    config = session.config
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    config.stash[_missing] = []
    selected = config.option.keyword or config.option.markexpr or config.args_source is config.ArgsSource.ARGS
    if reporter is None or selected or config.option.collectonly:
        return
    ran = {tier_of(report.nodeid) for report in reporter.stats.get("passed", [])}
    config.stash[_missing] = [tier for tier in TIERS if tier in required() and tier not in ran]
    if config.stash[_missing]:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Which tiers this run carried, and why it did not carry the rest."""
    counts: dict[str, Counter[str]] = {tier: Counter() for tier in TIERS}
    reasons: dict[str, Counter[str]] = {tier: Counter() for tier in TIERS}
    for outcome in ("passed", "failed", "error", "xfailed", "xpassed", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            tier = tier_of(report.nodeid)
            counts[tier][outcome] += 1
            if outcome == "skipped":
                reasons[tier][_reason(report)] += 1
    terminalreporter.section("tiers")
    for tier, what in TIERS.items():
        done = ", ".join(f"{number} {outcome}" for outcome, number in counts[tier].items()) or "no test run"
        terminalreporter.write_line(f"{tier:9} {done:40} {what}")
        for reason, number in reasons[tier].most_common():
            terminalreporter.write_line(f"{'':9} {number} not carried: {reason}")
    for tier in config.stash.get(_missing, []):
        terminalreporter.write_line(f"{tier} is required (TENANTHUB_REQUIRE), but none of its tests passed", red=True)


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")
