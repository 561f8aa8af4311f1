"""Desired against live, for an operator at three in the morning: pure, from world and live objects to a report."""
