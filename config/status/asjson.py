"""The report for programs; docs/status.md describes each field."""

from __future__ import annotations

import json
from dataclasses import asdict

from config.status.model import Report

FORMAT = 1
"""Rises when a field changes its meaning or goes; new fields do not raise it."""


def as_json(report: Report) -> str:
    """The report as JSON, keys in the order of the dataclasses."""
    told = asdict(report)
    for tenant, row in zip(report.tenants, told["tenants"], strict=True):
        row["as_declared"] = tenant.as_declared
    return json.dumps({"format": FORMAT, "as_declared": report.as_declared, **told}, indent=2, ensure_ascii=False)
