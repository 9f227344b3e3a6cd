// The folder of a cluster:
//
//   cluster.json   what runs, for people and scripts      client.json   address and access key, for the command line
//   secrets.json   keys that the services share           logs/         one file per service
//   etcd/  nats-<n>/  postgres/                            data and log of each backend
//   agents/<name>/                                         code, instances and journal of each agent
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, realpathSync, renameSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { AppError, type Random } from "@sluice/core";
import { openFolder } from "@sluice/testbed";

export interface Secrets {
  readonly joinToken: string;
  /** 64 hexadecimal digits. */
  readonly masterKey: string;
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
}

export interface DataDir extends Disposable {
  readonly path: string;
  readonly isTemporary: boolean;
  /** The same in every life of the folder. */
  readonly secrets: Secrets;
  /** Writes a JSON file that only its owner can read; it appears whole or not at all. */
  write(name: string, value: unknown): void;
}

/**
 * Opens the folder for this process alone; without `path` a temporary one, which is deleted at the end. Throws
 * `DATA_DIR_IN_USE`.
 */
export async function openDataDir(path: string | undefined, random: Random): Promise<DataDir> {
  const folder = openFolder({ name: "cluster", path, mode: 0o711 });
  const lock = await hold(folder.path);
  for (const name of ["logs", "agents"]) mkdirSync(join(folder.path, name), { recursive: true, mode: 0o700 });
  const write = (name: string, value: unknown) => writePrivate(join(folder.path, name), value);
  return {
    path: folder.path,
    isTemporary: folder.isTemporary,
    secrets: readSecrets(join(folder.path, "secrets.json"), random),
    write,
    [Symbol.dispose]() {
      lock.close();
      folder.delete();
    },
  };
}

/** A name that the kernel frees with its process, however that ends. */
function hold(path: string): Promise<Server> {
  const name = createHash("sha256").update(realpathSync(path)).digest("hex");
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (cause) =>
      reject(
        new AppError("precondition", "DATA_DIR_IN_USE", `another cluster runs on ${path}; give this one its own`, {
          cause,
        }),
      ),
    );
    server.listen({ path: `\0sluice-cluster-${name}`, exclusive: true }, () => resolve(server.unref()));
  });
}

function readSecrets(file: string, random: Random): Secrets {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Secrets;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause;
  }
  const secrets: Secrets = {
    joinToken: random.hex(24),
    masterKey: random.hex(32),
    accessKeyId: `ak${random.hex(10)}`,
    accessKeySecret: random.hex(24),
  };
  writePrivate(file, secrets);
  return secrets;
}

function writePrivate(file: string, value: unknown): void {
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
  renameSync(draft, file);
}
