/**
 * Which container this is, as far as it can be told from inside.
 *
 * No engine promises a way to ask, so the marks that they leave are read: the control groups of this process, the
 * files that they mount over `/etc/hostname` and its like, and what podman writes into `/run/.containerenv`. All of
 * it is a claim, for people who read events: whoever owns the container can make it say anything, and nothing is
 * decided by it. What cannot be read is left out and is no error.
 *
 * What is not told from inside: the name of a container of Docker, of containerd, and of podman without
 * `--privileged`. `NETWALL_CONTAINER_NAME` says it by hand, and `NETWALL_CONTAINER_ID` the id.
 *
 * Source: proc_pid_cgroup(5), proc_pid_mountinfo(5), podman-run(1) (`/run/.containerenv`), Kubernetes documentation
 * "Downward API" and the folders of the kubelet.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { closeSync, openSync, readSync } from "node:fs";
import { hostname } from "node:os";
import { openPermissions } from "../runtime/permissions.ts";

/** What a container is known by. What cannot be told is not there. */
export interface ContainerIdentity {
  /**
   * 64 hexadecimal digits, or the 12 of a short id. Where only the sandbox of a pod can be told, as under containerd
   * and CRI-O with control groups of version 2, it is that one's.
   */
  readonly containerId?: string;
  readonly containerName?: string;
  readonly podName?: string;
  readonly podNamespace?: string;
}

/** What is known of the place that this process runs in. */
export interface OwnPlace extends ContainerIdentity {
  /** Missing where Deno was not given `--allow-sys=hostname`. */
  readonly hostname?: string;
}

/** What an operator says of the container. */
export interface Said {
  readonly containerId?: string | undefined;
  readonly containerName?: string | undefined;
}

/** Where the marks are looked for; tests put others in their place. */
export interface ContainerPlace {
  /** The text of a file, or `undefined` when it is not there or may not be read. */
  read(path: string): string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly hostname: string;
}

/** What is read of one file. The table of mounts of a crowded host has some 100 KiB. */
export const FILE_BYTES_MAX = 256 << 10;
/** The longest name: the one of a pod can have 253 characters. */
export const NAME_CHARS_MAX = 253;

const ID = /^[0-9a-f]{64}$/;
const SAID_ID = /^[0-9a-f]{12,64}$/;
const SHORT_ID = /^[0-9a-f]{12}$/;
const NAME = /^[\x21-\x7e]+$/;

/**
 * One part of the path of a control group that is a container's: `ID`, `docker-ID.scope`, `libpod-ID`,
 * `cri-containerd-ID.scope`, `crio-ID.scope`, or after containerd's own fashion `kubepods-….slice:cri-containerd:ID`.
 * `libpod-conmon-ID.scope` and the like are of the engine's own process beside the container.
 */
const CGROUP_PART = /^(?:(?:docker|libpod|cri-containerd|crio|nerdctl)-|.*:)?([0-9a-f]{64})(?:\.scope)?$/;

/**
 * What the engines mount over these files comes from a folder that has the id in its path. `.containerenv` is the
 * container's own; the others can be those of the pod that it is in.
 */
const ENGINE_FILES = ["/run/.containerenv", "/etc/hostname", "/etc/resolv.conf", "/etc/hosts"];
const ENGINE_FOLDER =
  /\/(?:containers|overlay-containers|vfs-containers|btrfs-containers|zfs-containers|sandboxes)\/([0-9a-f]{64})\//;

/** The kubelet mounts this file of every container from `…/pods/UID/containers/NAME/…`. */
const TERMINATION_LOG = "/dev/termination-log";
const KUBELET_FOLDER = /\/pods\/[0-9A-Za-z-]+\/containers\/([^/]+)\/[^/]+$/;

const POD_NAMESPACE_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/** Tells which container this is. Never throws. */
export function containerIdentity(place: ContainerPlace): ContainerIdentity {
  const { env } = place;
  const podman = place.read("/run/.containerenv");
  const mountTable = place.read("/proc/self/mountinfo");
  const mounts = readMounts(mountTable ?? "");
  const isPod = (env["KUBERNETES_SERVICE_HOST"] ?? "") !== "";
  const fromFiles = idSaid(env["NETWALL_CONTAINER_ID"]) ?? idOf(assignment(podman, "id")) ??
    idOfCgroups(place.read("/proc/self/cgroup") ?? "") ??
    mounts.id;
  // Docker and podman name the host by the short id. A host that can be looked at, and shows no mark, is none.
  const isMarked = podman !== undefined || (env["container"] ?? "") !== "" ||
    place.read("/.dockerenv") !== undefined;
  const mayBeShort = !isPod && (isMarked || mountTable === undefined) && isShortId(place.hostname);
  const containerId = fromFiles ?? (mayBeShort ? place.hostname : undefined);
  const containerName = nameOf(env["NETWALL_CONTAINER_NAME"]) ?? nameOf(assignment(podman, "name")) ??
    nameOf(mounts.name);
  const podName = nameOf(env["POD_NAME"]) ?? (isPod ? nameOf(place.hostname) : undefined);
  const podNamespace = nameOf(env["POD_NAMESPACE"]) ??
    (isPod ? nameOf(place.read(POD_NAMESPACE_FILE)) : undefined);
  return {
    ...(containerId === undefined ? {} : { containerId }),
    ...(containerName === undefined ? {} : { containerName }),
    ...(podName === undefined ? {} : { podName }),
    ...(podNamespace === undefined ? {} : { podNamespace }),
  };
}

/** The place of this process. @param said What was said by hand: it comes first. */
export function ownPlace(said: Said): OwnPlace {
  const env = {
    ...process.env,
    NETWALL_CONTAINER_ID: said.containerId,
    NETWALL_CONTAINER_NAME: said.containerName,
  };
  let host: string | undefined;
  try {
    host = hostname();
  } catch {
    // Deno denies it: agents do without a name that is only shown.
  }
  const identity = containerIdentity({ read: readIfAllowed, env, hostname: host ?? "" });
  return { ...(host === undefined ? {} : { hostname: host }), ...identity };
}

/** The innermost container of the first line that has one. */
function idOfCgroups(text: string): string | undefined {
  for (const line of text.split("\n")) {
    // A line is `NUMBER:CONTROLLERS:PATH`, and a path may hold colons.
    const path = /^\d+:[^:]*:(.*)$/.exec(line)?.[1];
    const id = path === undefined ? undefined : idOfCgroup(path);
    if (id !== undefined) return id;
  }
  return undefined;
}

function idOfCgroup(path: string): string | undefined {
  for (const part of path.split("/").reverse()) {
    const id = CGROUP_PART.exec(part)?.[1];
    if (id !== undefined) return id;
  }
  return undefined;
}

/** What the table of mounts says: an id, and the name that the kubelet gave. */
function readMounts(text: string): { id: string | undefined; name: string | undefined } {
  const ids = new Map<string, string>();
  let ofCgroup: string | undefined;
  let name: string | undefined;
  for (const line of text.split("\n")) {
    // The fields: id, parent, device, root within the file system, mount point, …, ` - `, type, ….
    const [, , , root = "", at = ""] = line.split(" ", 5);
    if (at.startsWith("/sys/fs/cgroup")) ofCgroup ??= idOfCgroup(root);
    if (at === TERMINATION_LOG) name ??= KUBELET_FOLDER.exec(root)?.[1];
    const id = ENGINE_FILES.includes(at) ? ENGINE_FOLDER.exec(root)?.[1] : undefined;
    if (id !== undefined) ids.set(at, id);
  }
  const engineFile = ENGINE_FILES.find((path) => ids.has(path));
  return { id: ofCgroup ?? (engineFile === undefined ? undefined : ids.get(engineFile)), name };
}

/** The value of `KEY="VALUE"`. */
function assignment(text: string | undefined, key: "id" | "name"): string | undefined {
  const line = text?.split("\n").find((each) => each.startsWith(`${key}="`));
  return line === undefined ? undefined : /="([^"]*)"$/.exec(line.trimEnd())?.[1];
}

function idOf(text: string | undefined): string | undefined {
  return text !== undefined && ID.test(text) ? text : undefined;
}

function idSaid(text: string | undefined): string | undefined {
  return text !== undefined && SAID_ID.test(text) ? text : undefined;
}

/** Digits alone could be a name that somebody gave, and so could letters alone. */
function isShortId(text: string): boolean {
  return SHORT_ID.test(text) && /\d/.test(text) && /[a-f]/.test(text);
}

function nameOf(text: string | undefined): string | undefined {
  const name = text?.slice(0, NAME_CHARS_MAX + 2).trim() ?? "";
  return name.length <= NAME_CHARS_MAX && NAME.test(name) ? name : undefined;
}

/** Asks before it reads: on a terminal Deno would stop and ask the user instead. */
function readIfAllowed(path: string): string | undefined {
  if (openPermissions()?.({ name: "read", path }) === false) return undefined;
  let file: number | undefined;
  try {
    file = openSync(path, "r");
    const bytes = Buffer.alloc(FILE_BYTES_MAX);
    let length = 0;
    // The kernel gives a table in parts.
    for (;;) {
      const count = readSync(file, bytes, length, bytes.length - length, null);
      length += count;
      if (count === 0 || length === bytes.length) return bytes.toString("utf8", 0, length);
    }
  } catch {
    // It is not there, or below /proc, where Deno lets only those read who may do everything.
    return undefined;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}
