"""VS Code (code-server) behind the hub's sign-in."""
