/**
 * Tests of lib/agent/container.ts: files as each engine leaves them, what lies about them, and what is not there.
 *
 * @module
 */
import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  containerIdentity,
  type ContainerPlace,
  NAME_CHARS_MAX,
  ownPlace,
} from "../../lib/agent/container.ts";
import { denoBinary, ROOT, useProcesses } from "../support/processes.ts";

const A = "a3cb50357669b6dd9533ee0adb166c98db3d34a6d7603d0b1a8b92a3cc449463";
const B = "63c7f7b6f90a6d75d09e01901ff99b6683b15f9aebda8d0665eafcac846cfbdf";
const POD_UID = "0c4f2b0e-6d0b-4a43-9c86-2f3d6a1f7e55";

type Files = Readonly<Record<string, string>>;

function identify(files: Files, rest: Partial<ContainerPlace> = {}): ReturnType<typeof containerIdentity> {
  return containerIdentity({ read: (path) => files[path], env: {}, hostname: "machine", ...rest });
}

/** A line of the table of mounts. */
const mount = (root: string, at: string, type = "ext4"): string =>
  `75 69 254:0 ${root} ${at} rw,relatime shared:1 - ${type} /dev/vda1 rw,discard`;

/** A root as every engine makes it: its path has an id of another kind, which must not be taken. */
const OVERLAY =
  `69 45 0:52 / / rw,relatime - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/Q5,upperdir=/var/lib/docker/overlay2/${
    "b".repeat(64)
  }/diff`;

const table = (...lines: string[]): string => [OVERLAY, ...lines, ""].join("\n");

const dockerMounts = (id: string): string =>
  table(
    ...["resolv.conf", "hostname", "hosts"].map((name) =>
      mount(`/var/lib/docker/containers/${id}/${name}`, `/etc/${name}`)
    ),
  );

const podmanMounts = (folder: string, id: string): string =>
  table(
    mount(`${folder}/${id}/userdata/hosts`, "/etc/hosts", "tmpfs"),
    mount(`${folder}/${id}/userdata/.containerenv`, "/run/.containerenv", "tmpfs"),
    mount(`${folder}/${id}/userdata/hostname`, "/etc/hostname", "tmpfs"),
  );

/** Control groups of version 1: the same path under each controller. */
const v1 = (path: string): string =>
  ["12:pids", "11:cpu,cpuacct", "2:memory", "1:name=systemd"].map((each) => `${each}:${path}\n`).join("");

const PODMAN_PRIVILEGED =
  `engine="podman-4.3.1"\nname="shop-front"\nid="${A}"\nimage="docker.io/shop/front:1.0"\nimageid="${B}"\nrootless=0\n`;

const POD_ENV = { KUBERNETES_SERVICE_HOST: "10.96.0.1", KUBERNETES_SERVICE_PORT: "443" };
const KUBELET = `/var/lib/kubelet/pods/${POD_UID}`;
const podMounts = (sandbox: string): string =>
  table(
    mount(`${KUBELET}/etc-hosts`, "/etc/hosts"),
    mount(`${KUBELET}/containers/front-end/1f2e3d4c`, "/dev/termination-log"),
    mount(sandbox.replace("FILE", "hostname"), "/etc/hostname"),
    mount(sandbox.replace("FILE", "resolv.conf"), "/etc/resolv.conf"),
  );
const CONTAINERD = `/var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/${B}/FILE`;
const CRIO = `/containers/storage/overlay-containers/${B}/userdata/FILE`;

const cases: [string, Files, Partial<ContainerPlace>, object][] = [
  ["Docker, control groups v1", { "/.dockerenv": "", "/proc/self/cgroup": v1(`/docker/${A}`) }, {}, {
    containerId: A,
  }],
  ["Docker under systemd, v1", { "/proc/self/cgroup": v1(`/system.slice/docker-${A}.scope`) }, {}, {
    containerId: A,
  }],
  [
    "Docker, v2: only the mounts tell",
    {
      ...{ "/.dockerenv": "", "/proc/self/cgroup": "0::/\n", "/proc/self/mountinfo": dockerMounts(A) },
    },
    { hostname: A.slice(0, 12) },
    { containerId: A },
  ],
  [
    "Docker within Docker: the inner one",
    {
      "/proc/self/cgroup": v1(`/docker/${B}/docker/${A}`),
    },
    {},
    { containerId: A },
  ],
  ["Docker, an init of its own within", { "/proc/self/cgroup": `0::/docker/${A}/init.scope\n` }, {}, {
    containerId: A,
  }],
  ["Docker where nothing can be read: the host name", {}, { hostname: A.slice(0, 12) }, {
    containerId: A.slice(0, 12),
  }],
  ["containerd by itself", { "/proc/self/cgroup": v1(`/default/${A}`) }, {}, { containerId: A }],
  [
    "containerd under Kubernetes, v1",
    {
      "/proc/self/cgroup": v1(`/kubepods/burstable/pod${POD_UID}/${A}`),
      "/proc/self/mountinfo": podMounts(CONTAINERD),
      "/var/run/secrets/kubernetes.io/serviceaccount/namespace": "shop",
    },
    { env: POD_ENV, hostname: "front-end-7c9f-x2x" },
    {
      ...{ containerId: A, containerName: "front-end", podName: "front-end-7c9f-x2x", podNamespace: "shop" },
    },
  ],
  [
    "containerd under Kubernetes and systemd, the host's control groups",
    {
      "/proc/self/cgroup": `0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${
        POD_UID.replaceAll("-", "_")
      }.slice/cri-containerd-${A}.scope\n`,
    },
    {},
    { containerId: A },
  ],
  [
    "containerd under Kubernetes, colons",
    {
      "/proc/self/cgroup": `0::/kubelet/kubepods/pod${POD_UID}/kubepods-pod.slice:cri-containerd:${A}\n`,
    },
    {},
    { containerId: A },
  ],
  [
    "containerd under Kubernetes, v2: the sandbox",
    {
      "/proc/self/cgroup": "0::/\n",
      "/proc/self/mountinfo": podMounts(CONTAINERD),
    },
    { env: { ...POD_ENV, POD_NAME: "front-1", POD_NAMESPACE: "shop" }, hostname: "other" },
    {
      ...{ containerId: B, containerName: "front-end", podName: "front-1", podNamespace: "shop" },
    },
  ],
  [
    "CRI-O, v1",
    {
      "/proc/self/cgroup": v1(`/kubepods.slice/kubepods-pod1.slice/crio-${A}.scope`),
      "/proc/self/mountinfo": podMounts(CRIO),
    },
    { env: POD_ENV, hostname: "front" },
    { containerId: A, containerName: "front-end", podName: "front" },
  ],
  ["CRI-O, v2: the sandbox", { "/proc/self/cgroup": "0::/\n", "/proc/self/mountinfo": podMounts(CRIO) }, {
    ...{ env: POD_ENV, hostname: "front" },
  }, { containerId: B, containerName: "front-end", podName: "front" }],
  [
    "podman, root, v1: an empty .containerenv",
    {
      "/run/.containerenv": "",
      "/proc/self/cgroup": v1(`/libpod_parent/libpod-${A}`),
      "/proc/self/mountinfo": podmanMounts("/run/containers/storage/vfs-containers", A),
    },
    { hostname: A.slice(0, 12) },
    { containerId: A },
  ],
  ["podman --privileged: all is told", { "/run/.containerenv": PODMAN_PRIVILEGED }, {
    env: { container: "podman" },
  }, { containerId: A, containerName: "shop-front" }],
  [
    "podman without root, v2",
    {
      "/run/.containerenv": "",
      "/proc/self/cgroup": "0::/\n",
      "/proc/self/mountinfo": podmanMounts("/containers/overlay-containers", A),
    },
    { env: { container: "podman" }, hostname: "front" },
    { containerId: A },
  ],
  [
    "podman without root, the user's control groups",
    {
      "/proc/self/cgroup":
        `0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-${A}.scope/container\n`,
    },
    {},
    { containerId: A },
  ],
  [
    "podman, a container of a pod: its own file comes before those of the pod",
    {
      "/proc/self/mountinfo": table(
        mount(`/run/containers/storage/overlay-containers/${B}/userdata/hosts`, "/etc/hosts"),
        mount(`/run/containers/storage/overlay-containers/${A}/userdata/.containerenv`, "/run/.containerenv"),
      ),
    },
    {},
    { containerId: A },
  ],
  ["a name by hand comes first", { "/run/.containerenv": PODMAN_PRIVILEGED }, {
    env: { NETWALL_CONTAINER_NAME: "front" },
  }, { containerId: A, containerName: "front" }],
  ["an id by hand comes first", { "/run/.containerenv": PODMAN_PRIVILEGED }, {
    env: { NETWALL_CONTAINER_ID: B.slice(0, 16) },
  }, { containerId: B.slice(0, 16), containerName: "shop-front" }],
  [
    "a control group seen by its mount alone",
    {
      "/proc/self/mountinfo": table(mount(`/docker/${A}`, "/sys/fs/cgroup/pids", "cgroup")),
    },
    {},
    { containerId: A },
  ],
  [
    "no container",
    {
      "/proc/self/cgroup": "0::/user.slice/user-1000.slice/session-2.scope\n",
      "/proc/self/mountinfo": table(mount("/", "/home"), mount(`/x/${A}`, "/mnt")),
    },
    {},
    {},
  ],
  [
    "no container, on a host named like a short id",
    {
      "/proc/self/mountinfo": table(),
    },
    { hostname: "0123456789ab" },
    {},
  ],
  ["nothing can be read, and the host is named by a person", {}, { hostname: "deadbeefcafe" }, {}],
  ["a pod named like a short id", {}, { env: POD_ENV, hostname: "0123456789ab" }, {
    podName: "0123456789ab",
  }],
];

describe("containerIdentity()", () => {
  test("there is a case for each engine", () => expect(cases).toHaveLength(25));

  test.each(cases)("%s", (_name, files, rest, expected) => {
    expect(identify(files, rest)).toStrictEqual(expected);
  });

  test("takes nothing for an id that is none", () => {
    const lies = [
      v1(`/docker/${A}0`),
      v1(`/docker/${A.toUpperCase()}`),
      v1(`/docker/${A.slice(0, 63)}`),
      v1(`/libpod-conmon-${A}.scope`),
      v1(`/crio-conmon-${A}.scope`),
      v1(`/docker-${A}.slice`),
      `/docker/${A}\n`,
      `0:/docker/${A}\n`,
      "::::\n\0\n",
      "/".repeat(100_000),
    ];
    const found = lies.map((cgroup) => identify({ "/proc/self/cgroup": cgroup, "/proc/self/mountinfo": "" }));
    expect(found).toEqual(lies.map(() => ({})));
  });

  test("takes only what the engine mounts at the places where it does", () => {
    const lies = [
      mount(`/var/lib/docker/containers/${A}/hostname`, "/host/etc/hostname"),
      mount(`/var/lib/docker/containers/${A}`, "/var/lib/docker"),
      mount(`/var/lib/docker/containers/${A}x/hostname`, "/etc/hostname"),
      mount(`/var/lib/docker/volumes/${A}/hostname`, "/etc/hostname"),
      `${mount("/", "/mnt")} /var/lib/docker/containers/${A}/hostname /etc/hostname`,
      mount(`/pods/${POD_UID}/containers/../../x/1f2e`, "/dev/termination-log"),
      "75 69 254:0",
      " ".repeat(100_000),
    ];
    const found = lies.map((line) => identify({ "/proc/self/mountinfo": table(line) }));
    expect(found).toEqual(lies.map(() => ({})));
  });

  test("takes no name that could act on a terminal, holds a space, or is too long", () => {
    const names = [
      "a b",
      "\u001b[31mred",
      "a\nb",
      "x".repeat(NAME_CHARS_MAX + 1),
      "x".repeat(1e6),
      "ü",
      "\u202e",
      "",
    ];
    for (const name of names) {
      expect(identify({}, { env: { NETWALL_CONTAINER_NAME: name, POD_NAME: name, POD_NAMESPACE: name } }))
        .toEqual({});
      expect(identify({ "/run/.containerenv": `name="${name}"\nid="${name}"\n` })).toEqual({});
    }
    expect(identify({}, { env: { NETWALL_CONTAINER_NAME: "x".repeat(NAME_CHARS_MAX) } })).toEqual({
      containerName: "x".repeat(NAME_CHARS_MAX),
    });
    expect(names).toHaveLength(8);
  });
});

describe("ownPlace()", () => {
  const processes = useProcesses();
  const program = `import { ownPlace } from "${ROOT}/lib/agent/container.ts";
    process.stdout.write(JSON.stringify(ownPlace({ containerName: "front" })));`;

  test("does not throw here, whatever here is", () => {
    expect(ownPlace({ containerName: "front" })).toMatchObject({ containerName: "front" });
  });

  test.each([
    ["nothing", []],
    ["nothing, and not tell the name of the host", ["--deny-sys"]],
    ["all files, which are not those below /proc", ["--allow-read"]],
    ["everything", ["--allow-all"]],
  ])("on Deno that may read %s it asks for nothing and fails nowhere", async (_name, flags) => {
    const needed = flags[0] === "--allow-all"
      ? []
      : ["--allow-env", ...(flags[0] === "--deny-sys" ? [] : ["--allow-sys=hostname"])];
    const entry = join(processes.folder(), "entry.ts");
    writeFileSync(entry, program);
    // Without --no-prompt, so that a question would be asked where there is a terminal, and fail elsewhere.
    const text = await processes.run([
      denoBinary(),
      "run",
      "--no-check",
      "--quiet",
      ...needed,
      ...flags,
      entry,
    ]);
    expect(JSON.parse(text)).toMatchObject({ containerName: "front" });
  });
});
