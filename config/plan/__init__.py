"""What would change in the cluster, as data: pure, from what is wanted and what is there."""
