"""The JSON API: what the pages do, for programs. Described at `api/` and in `api/v1/openapi.json`."""

DESCRIPTION = """\
What the portal's pages do, for programs.

**Authentication**: an API token of JupyterHub (page *API tokens*), sent as `Authorization: token …`. Reading needs the
scope `access:services!service=portal`; what acts on a workload, or shows its password, needs `servers!user=<its owner>`
too. A browser's session works as well; then each request carries the header `X-CSRF-Token`.

**Errors** are `{"message": …, "violations": [{"field": …, "message": …}]}`. What is not there and what is not yours
answers 404 in the same words.

**Names**: `owner` is an account: a person's, or `tenant-<tenant>` for what the tenant itself owns. Starting the same
name twice starts it once. Times are UTC (ISO 8601), CPU in cores, memory and sizes in bytes.
"""
TAGS = [
    {"name": "tenants", "description": "Tenants of the caller, their quota and what they may start."},
    {"name": "workloads", "description": "Start, see and stop."},
    {"name": "schedule", "description": "What a cron expression means."},
]
