"""From a resolved Workload to Kubernetes manifests, and the last check before one is created. Pure: no API client."""
