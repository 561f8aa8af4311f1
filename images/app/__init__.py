"""Any command with a port, behind the hub's sign-in."""
