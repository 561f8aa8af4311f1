"""The report for programs; docs/status.md describes each field."""

from __future__ import annotations

import json
from dataclasses import asdict

from config.status.model import Report

FORMAT = 1
"""Rises when a field changes its meaning or goes; new fields do not raise it."""


def as_json(report: Report, *, one_line: bool = False) -> str:
    """The report as JSON, keys in the order of the dataclasses; *one_line*: for one report after the other."""
    told = asdict(report)
    for tenant, row in zip(report.tenants, told["tenants"], strict=True):
        row["as_declared"] = tenant.as_declared
    whole = {"format": FORMAT, "as_declared": report.as_declared, **told}
    return json.dumps(whole, indent=None if one_line else 2, ensure_ascii=False)
