import { type ConfigError, parseConfig } from "@sluice/runtime";
import { expect, test } from "vitest";
import { backendProblems, backendSettings } from "./settings.ts";

const spec = { service: "test", summary: "A service.", settings: backendSettings, checks: [backendProblems] };
const good = {
  SLUICE_POSTGRES_URL: "postgres://sluice:secret@db:5432/sluice",
  SLUICE_NATS_SERVERS: "nats-1:4222, nats-2:4222",
  SLUICE_ETCD_HOSTS: "etcd-1:2379,https://etcd-2:2379",
};

function problemsOf(env: Record<string, string>): readonly string[] {
  try {
    parseConfig(spec, { argv: [], env });
    return [];
  } catch (error) {
    return (error as ConfigError).problems;
  }
}

test("addresses are enough", () => {
  expect(parseConfig(spec, { argv: [], env: good })).toMatchObject({
    postgresUrl: "postgres://sluice:secret@db:5432/sluice",
    natsServers: ["nats-1:4222", "nats-2:4222"],
    etcdHosts: ["etcd-1:2379", "https://etcd-2:2379"],
    natsReplicas: "1",
    natsUser: undefined,
    etcdTlsCa: undefined,
  });
});

test("without addresses every one is missed", () => {
  expect(problemsOf({}).map((problem) => problem.split(" is missing")[0])).toEqual([
    "SLUICE_POSTGRES_URL",
    "--nats-servers (SLUICE_NATS_SERVERS)",
    "--etcd-hosts (SLUICE_ETCD_HOSTS)",
  ]);
});

test("what is wrong is told without the password", () => {
  const problems = problemsOf({
    SLUICE_POSTGRES_URL: "mysql://sluice:secret@db/sluice",
    SLUICE_NATS_SERVERS: "nats-1",
    SLUICE_ETCD_HOSTS: "etcd-1:2379,ftp://etcd-2",
    SLUICE_NATS_REPLICAS: "2",
  });
  expect(problems).toHaveLength(4);
  expect(problems.join()).not.toContain("secret");
});

test("what belongs together is asked for together", () => {
  const some = { SLUICE_NATS_USER: "sluice", SLUICE_ETCD_PASSWORD: "secret", SLUICE_POSTGRES_TLS_CERT: "cert.pem" };
  expect(problemsOf({ ...good, ...some })).toEqual([
    "--nats-user and SLUICE_NATS_PASSWORD must be given together",
    "--etcd-user and SLUICE_ETCD_PASSWORD must be given together",
    "--postgres-tls-cert and --postgres-tls-key must be given together",
    "--postgres-tls-cert needs --postgres-tls-ca",
  ]);
});
