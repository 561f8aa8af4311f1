"""What the rows about launches on a cluster share: clusters, hubs, crowds, and how they are counted."""
