"""JupyterLab behind the hub's sign-in: a quicker start, and activity that counts running work."""
