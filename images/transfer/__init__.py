"""Copy, synchronise or move files between object storage, folders and ssh hosts: one run a process."""
