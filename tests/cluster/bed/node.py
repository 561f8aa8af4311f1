"""A node: a network namespace, an init with namespaces of its own, and in them containerd, kubelet and kube-proxy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.cluster.bed import control, images, processes
from tests.cluster.bed.binaries import Binaries
from tests.cluster.bed.certs import private_file
from tests.cluster.bed.names import Bed, BedError, Node

SCRIPT = Path(__file__).with_name("node.sh")
CNI_PLUGIN = "ptp-at-once"
SOCKET = "/run/containerd/containerd.sock"


def start(bed: Bed, node: Node, programs: Binaries) -> None:
    """Start a node whose network namespace and control group folder are there; `wait_ready` says when it can be used.

    Parts that run are left alone, so this also brings back a node of which one was ended.

    Raises:
        BedError: Its init or its containerd did not come up.
    """
    _write_settings(bed, node, programs)
    start_init(bed, node)
    path = {"PATH": programs.path}
    inside = init(bed, node)
    containerd = [str(programs.containerd), f"--config={bed.node_state(node.name) / 'containerd.toml'}"]
    processes.start(bed, f"{node.name}-containerd", containerd, env=path, inside=inside)
    processes.start(bed, f"{node.name}-kube-proxy", _kube_proxy(bed, node, programs), env=path, inside=inside)
    watch = [node.name, f"{node.name}-containerd"]
    processes.wait(bed, f"containerd of {node.name}", lambda: _containerd_answers(bed, node, programs), watch=watch)
    load(bed, node, programs, programs.pause_image)
    processes.start(bed, f"{node.name}-kubelet", _kubelet(bed, node, programs), env=path, inside=inside)
    load(bed, node, programs, programs.tool_image)


def start_init(bed: Bed, node: Node) -> None:
    """Start the node's init unless it runs, and wait until it has made its mounts."""
    if processes.pid_of(bed, node.name) is not None:
        return
    state, data = bed.node_state(node.name), bed.data / node.name
    data.mkdir(parents=True, exist_ok=True, mode=0o711)
    (state / "ready").unlink(missing_ok=True)
    unshare = ["unshare", "--mount", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child"]
    argv = [*unshare, "sh", str(SCRIPT), node.name, str(state), str(data)]
    processes.start(bed, node.name, argv, netns=node.netns)
    processes.wait(bed, f"the init of {node.name}", (state / "ready").exists, watch=[node.name], patience_s=20)


def init(bed: Bed, node: Node) -> int:
    """Process number, as the host sees it, of the node's init.

    Raises:
        BedError: The node does not run.
    """
    leader = processes.pid_of(bed, node.name)
    found = processes.children(leader) if leader else []
    if not found:
        raise BedError(f"node {node.name} does not run")
    return found[0]


def execute(bed: Bed, node: Node, argv: Sequence[str], *, path: str = processes.PATH, timeout_s: float = 60) -> str:
    """Run a short command inside a node, as its root, and give back its output.

    Raises:
        BedError: The node does not run, or the command failed.
    """
    enter = ["nsenter", f"--target={init(bed, node)}", "--mount", "--uts", "--pid", "--net", "--"]
    return processes.run(bed.name, [*enter, "env", f"PATH={path}", *argv], timeout_s=timeout_s)


def load(bed: Bed, node: Node, programs: Binaries, archive: Path) -> None:
    """Put the image of an OCI archive on a node, so that a pod there can use it without a registry."""
    argv = [str(programs.ctr), f"--address={SOCKET}", "--namespace=k8s.io", "images", "import", "--local", str(archive)]
    execute(bed, node, argv, path=programs.path, timeout_s=300)


def register(bed: Bed, node: Node) -> None:
    """Make the Node object, with its pod networks from the start: its kubelet finds it there and takes it over."""
    body = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name, "labels": {"kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux"}},
        "spec": {"podCIDR": str(node.pods[0]), "podCIDRs": [str(network) for network in node.pods]},
    }
    control.call(bed, "POST", "/api/v1/nodes", body)


def wait_ready(bed: Bed) -> None:
    """Wait until every node is Ready.

    Raises:
        BedError: A part of one has ended, or the time is over.
    """
    watch = [f"{node.name}-{part}" for node in bed.nodes for part in ("containerd", "kubelet", "kube-proxy")]
    processes.wait(bed, "Ready of every node", lambda: not unready(bed), watch=watch, patience_s=90)


def unready(bed: Bed) -> list[str]:
    """The names of the bed's nodes that are not Ready."""
    items = control.call(bed, "GET", "/api/v1/nodes")["items"]
    ready = {
        item["metadata"]["name"]
        for item in items
        for each in item["status"].get("conditions", [])
        if each["type"] == "Ready" and each["status"] == "True"
    }
    return [node.name for node in bed.nodes if node.name not in ready]


def _containerd_answers(bed: Bed, node: Node, programs: Binaries) -> bool:
    execute(bed, node, [str(programs.ctr), f"--address={SOCKET}", "version"], path=programs.path)
    return True


def _kubelet(bed: Bed, node: Node, programs: Binaries) -> list[str]:
    folder = bed.node_state(node.name)
    return [
        str(programs.kube_program("kubelet")),
        f"--config={folder / 'kubelet.yaml'}",
        f"--kubeconfig={folder / 'kubelet.kubeconfig'}",
        f"--hostname-override={node.name}",
        f"--node-ip={node.ipv4},{node.ipv6}",
    ]


def _kube_proxy(bed: Bed, node: Node, programs: Binaries) -> list[str]:
    return [str(programs.kube_program("kube-proxy")), f"--config={bed.node_state(node.name) / 'kube-proxy.yaml'}"]


def _write_settings(bed: Bed, node: Node, programs: Binaries) -> None:
    folder = bed.node_state(node.name)
    private_file(folder / "kubelet.yaml", json.dumps(_kubelet_settings(bed, node, folder), indent=1))
    private_file(folder / "kube-proxy.yaml", json.dumps(_kube_proxy_settings(bed, node, folder), indent=1))
    private_file(folder / "containerd.toml", _containerd_settings(folder, programs))
    private_file(folder / "cni" / "10-bed.conflist", json.dumps(_cni_settings(node), indent=1))
    private_file(folder / "cni-bin" / CNI_PLUGIN, _CNI_SCRIPT.format(programs.cni_dir)).chmod(0o700)
    # No name server of the machine's: what a bed's pods can look up is the cluster's own.
    private_file(folder / "resolv.conf", f"nameserver {bed.dns}\n")
    if bed.registry:
        server = (
            f'server = "http://{bed.registry}"\n[host."http://{bed.registry}"]\ncapabilities = ["pull", "resolve"]\n'
        )
        private_file(folder / "registries" / bed.registry / "hosts.toml", server)


def _kubelet_settings(bed: Bed, node: Node, folder: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": str(node.ipv4),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(folder / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(folder / "kubelet.crt"),
        "tlsPrivateKeyFile": str(folder / "kubelet.key"),
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{bed.cgroup}/{node.name}",
        "failCgroupV1": False,
        "enforceNodeAllocatable": [],
        "clusterDNS": [str(bed.dns)],
        "clusterDomain": "cluster.local",
        "resolvConf": str(folder / "resolv.conf"),
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "serializeImagePulls": False,
        # Disk and memory of the machine are shared by three nodes and much else: they are not the nodes' to mend.
        "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%"},
        "imageGCHighThresholdPercent": 100,
    }


def _kube_proxy_settings(bed: Bed, node: Node, folder: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "hostnameOverride": node.name,
        "clientConnection": {"kubeconfig": str(folder / "kube-proxy.kubeconfig")},
        "clusterCIDR": ",".join(map(str, bed.pods)),
        # A network namespace may read the size of the machine's connection table, but not set it; and where nothing has
        # used that table yet, its timeouts are not there to be set.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def _containerd_settings(folder: Path, programs: Binaries) -> str:
    runtime, image = "plugins.'io.containerd.cri.v1.runtime'", "plugins.'io.containerd.cri.v1.images'"
    return f"""\
version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
oom_score = 0
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.blockfile", \
"io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", \
"io.containerd.snapshotter.v1.erofs", "io.containerd.snapshotter.v1.zfs"]

[grpc]
address = "{SOCKET}"

[plugins.'io.containerd.internal.v1.opt']
path = "/var/lib/containerd/opt"

[{runtime}]
# Where lowering oom_score_adj is refused (a machine inside a container or a small VM), no sandbox starts without this.
restrict_oom_score_adj = true
# A profile would be loaded into the host's kernel, and stay.
disable_apparmor = true

[{runtime}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[{runtime}.containerd.runtimes.runc.options]
BinaryName = "{programs.runc}"
SystemdCgroup = false

[{runtime}.cni]
bin_dirs = ["{programs.cni_dir}", "{folder / "cni-bin"}"]
conf_dir = "{folder / "cni"}"

[{image}]
snapshotter = "overlayfs"
[{image}.pinned_images]
sandbox = "{images.PAUSE}"
[{image}.registry]
config_path = "{folder / "registries"}"
"""


# A new address of IPv6 is first looked for on the link (duplicate address detection): 2 s for which a pod waits. Nobody
# else is on a pod's link, so it is switched off in its network namespace before ptp makes the link.
_CNI_SCRIPT = """\
#!/bin/sh
[ "$CNI_COMMAND" != ADD ] || nsenter "--net=$CNI_NETNS" sh -c 'echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad'
exec "{}/ptp"
"""


def _cni_settings(node: Node) -> dict[str, Any]:
    # Point to point, without a bridge: all a pod sends passes the node's routing, so that Services and filters see it
    # also between two pods of one node, whatever the host's settings for bridges are.
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": str(network)}] for network in node.pods],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
    }
    return {
        "cniVersion": "1.0.0",
        "name": "bed",
        "plugins": [
            {"type": CNI_PLUGIN, "ipMasq": False, "mtu": 1500, "ipam": ipam},
            {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True},
        ],
    }
