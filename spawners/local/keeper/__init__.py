"""The keeper: one small process per unattended workload, so that the hub and the portal may die.

`python -m spawners.local.keeper FOLDER`. It imports no pydantic, psutil or asyncio: a machine may carry a hundred.
Everything it knows is in the folder (spawners/local/folder.py), so a new keeper goes on where a killed one stopped.
"""
