"""View models: everything that a page shows, decided purely from the world and from what runs."""
