"""From the declared world to Kubernetes objects: one pure emitter per concern, none knows another.

An emitter takes the world and yields manifests in any order; `config.compile` orders them and marks them as ours.
"""
