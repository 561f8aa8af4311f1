"""The configuration of every notebook server (a Jupyter configuration file: `c` is given by Jupyter)."""

from __future__ import annotations

from traitlets.config import get_config

c = get_config()

# Nothing is fetched from the internet by the server itself: no release check, no news. The extension manager shows
# what is installed; installing is pip's work, in the user's own environment.
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.LabApp.extension_manager = "readonly"

# The files page deletes; a trash folder in a home directory would eat quota unseen.
c.FileContentsManager.delete_to_trash = False
# A folder with something in it may be deleted: the page asks first.
c.FileContentsManager.always_delete_dir = True
