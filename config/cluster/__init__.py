"""The only part of config/ that talks to an API server."""
