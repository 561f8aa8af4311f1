"""CPU and memory as Kubernetes writes them ("500m", "2Gi"), held as cores and bytes.

Source: Kubernetes, "Resource Management for Pods and Containers", section Resource units.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50}
_DECIMAL = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_CPU = re.compile(r"^([0-9]{1,9}(?:\.[0-9]{1,9})?)(m?)$")
_MEMORY = re.compile(r"^([0-9]{1,18}(?:\.[0-9]{1,9})?)(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P|)$")


def parse_cpu(value: Any) -> float:
    """Cores from 2, 0.5, "500m" or "2". ValueError says what would be right."""
    match = _CPU.match(str(value).strip()) if not isinstance(value, bool) else None
    cores = Decimal(match[1]) / (1000 if match[2] else 1) if match else Decimal(0)
    if cores <= 0 or cores * 1000 % 1:
        raise ValueError(f"{value!r} is not a number of CPUs; write e.g. 2, 0.5 or 500m (at least 1m)")
    return float(cores)


def parse_memory(value: Any) -> int:
    """Bytes from "2Gi", "512Mi", "1G" or a plain number of bytes. ValueError says what would be right."""
    match = _MEMORY.match(str(value).strip()) if not isinstance(value, bool) else None
    amount = int(Decimal(match[1]) * (_BINARY | _DECIMAL)[match[2]]) if match else 0
    if amount < 2**20:
        raise ValueError(f"{value!r} is not an amount of memory; write e.g. 512Mi or 4Gi (at least 1Mi)")
    return amount


def format_memory(amount: int) -> str:
    """The shortest exact Kubernetes quantity: 2147483648 -> "2Gi"; parse_memory reads it back."""
    for suffix, factor in reversed(_BINARY.items()):
        if amount % factor == 0:
            return f"{amount // factor}{suffix}"
    return str(amount)


def format_cpu(cores: float) -> str:
    """The Kubernetes quantity of *cores*: 0.5 -> "500m", 2.0 -> "2"."""
    millis = round(cores * 1000)
    return f"{millis}m" if millis % 1000 else str(millis // 1000)


Cpu = Annotated[
    float,
    BeforeValidator(parse_cpu),
    PlainSerializer(format_cpu, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": _CPU.pattern}],
            "examples": [2, "500m"],
        }
    ),
]
Memory = Annotated[
    int,
    BeforeValidator(parse_memory),
    PlainSerializer(format_memory, return_type=str, when_used="json"),
    WithJsonSchema(
        {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": _MEMORY.pattern}], "examples": ["4Gi"]}
    ),
]
