/**
 * Real servers that do not speak HTTP, on free ports of loopback with their data in a temporary folder: PostgreSQL,
 * Redis, MariaDB, Mosquitto and OpenSSH.
 *
 * Each is ready when its starter returns, and ends with the group it was started in. Durability is switched off: the
 * data lives as long as the test.
 *
 * @module
 */
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { freePort, type ProcessGroup, type RunningProcess } from "./processes.ts";
import { ensurePackage, findBinary } from "./services.ts";

/** The Debian packages of a server and its clients, each with a program that shows that it is there. */
const PACKAGES = {
  postgres: [["postgresql", "pg_ctlcluster"], ["postgresql-client", "psql"]],
  redis: [["redis-server", "redis-server"], ["redis-tools", "redis-cli"]],
  mariadb: [["mariadb-server", "mariadbd"], ["mariadb-client", "mariadb"]],
  mosquitto: [["mosquitto", "mosquitto"], ["mosquitto-clients", "mosquitto_sub"]],
  ssh: [["openssh-server", "sshd"], ["openssh-client", "ssh"]],
} as const;

export type ServerKind = keyof typeof PACKAGES;

/** A server that takes connections. */
export interface Server {
  readonly port: number;
  /** Its data, and its unix socket where it has one. */
  readonly folder: string;
  readonly process: RunningProcess;
}

/** How long a server may take from its start to its first connection. */
const START_MS_MAX = 20_000;

/** How often a server is started again because another process took its port in between. */
const PORT_TRIES_MAX = 3;

/** Why a server cannot be started here, for the name of a skipped test; installs it where that is allowed. */
export function missingServer(kind: ServerKind): string | undefined {
  for (const [name, binary] of PACKAGES[kind]) {
    const program = ensurePackage(name, binary);
    if (program.path === undefined) return program.reason;
  }
  return kind === "postgres" && postgresFolder() === undefined ? "initdb is missing" : undefined;
}

/** Starts PostgreSQL for a superuser `postgres` without a password; its unix socket is in `folder`. */
export async function startPostgres(group: ProcessGroup): Promise<Server> {
  const binaries = postgresFolder()!;
  const folder = group.folder("postgres");
  const as = await asUser(group, "postgres", folder);
  const data = join(folder, "data");
  const cwd = folder;
  await group.run(
    [...as, join(binaries, "initdb"), "-D", data, "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8"],
    { cwd },
  );
  const settings = ["listen_addresses=127.0.0.1", "fsync=off", `unix_socket_directories=${folder}`];
  return await startServer(group, folder, (port) => [
    ...[...as, join(binaries, "postgres"), "-D", data, "-p", String(port)],
    ...settings.flatMap((setting) => ["-c", setting]),
  ]);
}

/** Starts Redis; it listens at `redis.sock` in its folder as well. */
export async function startRedis(group: ProcessGroup): Promise<Server> {
  const folder = group.folder("redis");
  return await startServer(group, folder, (port) => [
    ...[findBinary("redis-server")!, "--port", String(port), "--bind", "127.0.0.1", "--dir", folder],
    ...["--save", "", "--appendonly", "no", "--unixsocket", join(folder, "redis.sock")],
  ]);
}

/** Starts MariaDB with a user `visitor` without a password. */
export async function startMariadb(group: ProcessGroup): Promise<Server> {
  const folder = group.folder("mariadb");
  await asUser(group, "mysql", folder);
  const data = join(folder, "data");
  const user = process.getuid?.() === 0 ? ["--user=mysql"] : [];
  const install = ["--auth-root-authentication-method=normal", "--skip-test-db", `--datadir=${data}`];
  await group.run([findBinary("mariadb-install-db")!, "--no-defaults", ...user, ...install], { cwd: folder });
  const users = join(folder, "users.sql");
  // One statement in a line: that is all that MariaDB reads of it.
  writeFileSync(
    users,
    "CREATE USER visitor@localhost;\nCREATE DATABASE shop;\nGRANT ALL ON shop.* TO visitor@localhost;\n",
  );
  return await startServer(group, folder, (port) => [
    ...[findBinary("mariadbd")!, "--no-defaults", ...user, `--datadir=${data}`, `--port=${port}`],
    ...["--bind-address=127.0.0.1", `--socket=${join(folder, "s.sock")}`, `--init-file=${users}`],
    ...["--innodb-flush-log-at-trx-commit=0", `--pid-file=${join(folder, "pid")}`],
  ]);
}

/** Starts Mosquitto, open to anybody. */
export async function startMosquitto(group: ProcessGroup): Promise<Server> {
  const folder = group.folder("mosquitto");
  const file = join(folder, "mosquitto.conf");
  return await startServer(group, folder, (port) => {
    const user = process.getuid?.() === 0 ? "user root\n" : "";
    writeFileSync(file, `${user}listener ${port} 127.0.0.1\nallow_anonymous true\n`);
    return [findBinary("mosquitto")!, "-c", file];
  });
}

/** Starts sshd for the user who runs the tests; `identity` in its folder is the key that opens it. */
export async function startSsh(group: ProcessGroup): Promise<Server> {
  const folder = group.folder("ssh");
  const keygen = [findBinary("ssh-keygen")!, "-q", "-t", "ed25519", "-N", "", "-f"];
  await group.run([...keygen, join(folder, "host")]);
  await group.run([...keygen, join(folder, "identity")]);
  const authorized = join(folder, "authorized_keys");
  writeFileSync(authorized, readFileSync(join(folder, "identity.pub")));
  // Where Debian's sshd gives up its rights; its absence ends it.
  if (process.getuid?.() === 0) mkdirSync("/run/sshd", { recursive: true });
  const options = [
    ...[`HostKey=${join(folder, "host")}`, "ListenAddress=127.0.0.1", "PidFile=none", "UsePAM=no"],
    ...[`AuthorizedKeysFile=${authorized}`, "StrictModes=no", "PasswordAuthentication=no"],
    ...["Subsystem=sftp internal-sftp"],
  ];
  return await startServer(group, folder, (port) => [
    ...[findBinary("sshd")!, "-D", "-e", "-f", "/dev/null", "-p", String(port)],
    ...options.flatMap((option) => ["-o", option]),
  ]);
}

/** The newest version that Debian put beside the others. */
function postgresFolder(): string | undefined {
  const root = "/usr/lib/postgresql";
  const versions = existsSync(root) ? readdirSync(root).sort((a, b) => Number(b) - Number(a)) : [];
  return versions.map((version) => join(root, version, "bin")).find((path) =>
    existsSync(join(path, "initdb"))
  );
}

/** Gives a folder to a user, and the words that run a command as that user. As somebody else, nothing of that. */
async function asUser(group: ProcessGroup, user: string, folder: string): Promise<string[]> {
  if (process.getuid?.() !== 0) return [];
  const [uid, gid] = await Promise.all(["-u", "-g"].map((flag) => group.run(["id", flag, user])));
  chownSync(folder, Number(uid), Number(gid));
  return ["setpriv", `--reuid=${user}`, `--regid=${user}`, "--init-groups"];
}

/** Starts a server and waits for its first connection; once more on another port when it ends at once. */
async function startServer(
  group: ProcessGroup,
  folder: string,
  command: (port: number) => string[],
): Promise<Server> {
  let said = "";
  for (let i = 0; i < PORT_TRIES_MAX; i++) {
    const port = await freePort();
    const server = group.start(command(port), { cwd: folder });
    let hasEnded = false;
    void server.exit.then(() => hasEnded = true);
    const deadlineMs = Date.now() + START_MS_MAX;
    while (!hasEnded && Date.now() < deadlineMs) {
      if (await takesConnections(port)) return { port, folder, process: server };
    }
    server.kill();
    said = server.stderr() + server.stdout();
  }
  throw new Error(`Cannot start ${command(0).join(" ")}: ${said}`);
}

/** Tries one connection; a server that is not there yet gets a moment. */
function takesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const settle = (isUp: boolean): void => {
      socket.destroy();
      setTimeout(() => resolve(isUp), isUp ? 0 : 20);
    };
    socket.once("connect", () => settle(true)).once("error", () => settle(false));
  });
}
