import { type ConfigOf, setting } from "@sluice/runtime";

/**
 * Where PostgreSQL, NATS and etcd are, for the specs of api-server and scheduler. The variables carry no service's name,
 * because every service of a cluster has the same.
 */
export const backendSettings = {
  postgresUrl: setting.required(
    setting.secret({
      default: undefined,
      variable: "SLUICE_POSTGRES_URL",
      pattern: /^postgres(?:ql)?:\/\/\S+$/,
      form: "an address such as postgres://user:password@host:5432/database",
      why: "PostgreSQL, the record of every task; its tables are created at the first start.",
    }),
  ),
  postgresConnectionsMax: setting.integer({
    default: 10,
    min: 2,
    max: 1_000,
    variable: "SLUICE_POSTGRES_CONNECTIONS_MAX",
    why: "Connections of this process to PostgreSQL.",
  }),
  ...tlsFilesOf("postgres", "PostgreSQL"),
  natsServers: setting.required(
    setting.list({
      default: [],
      variable: "SLUICE_NATS_SERVERS",
      pattern: /^(?:(?:nats|tls):\/\/)?[^\s/]+:\d{1,5}$/,
      form: "addresses such as nats-1:4222,nats-2:4222",
      why: "NATS servers with JetStream, which carries the numbers of waiting tasks.",
    }),
  ),
  natsReplicas: setting.choice({
    default: "1",
    of: ["1", "3"],
    variable: "SLUICE_NATS_REPLICAS",
    why: "Copies of every stream; 3 needs a NATS cluster of three.",
  }),
  ...credentialsOf("nats", "NATS"),
  ...tlsFilesOf("nats", "NATS"),
  etcdHosts: setting.required(
    setting.list({
      default: [],
      variable: "SLUICE_ETCD_HOSTS",
      pattern: /^(?:https?:\/\/)?[^\s/]+:\d{1,5}$/,
      form: "addresses such as etcd-1:2379,etcd-2:2379",
      why: "Members of the etcd cluster, which says which scheduler may own what.",
    }),
  ),
  ...credentialsOf("etcd", "etcd"),
  etcdNamespace: setting.text({
    default: "sluice",
    variable: "SLUICE_ETCD_NAMESPACE",
    pattern: /^[A-Za-z0-9._/-]{1,128}$/,
    form: "1 to 128 letters, digits, `.`, `_`, `/` or `-`",
    why: "Begins every key, so that clusters can share an etcd.",
  }),
  ...tlsFilesOf("etcd", "etcd"),
};
export type BackendConfig = ConfigOf<typeof backendSettings>;

/** What is wrong with the values as a whole; for `ConfigSpec.check`. */
export function backendProblems(config: BackendConfig): string[] {
  const problems: string[] = [];
  if (!URL.canParse(config.postgresUrl))
    problems.push("SLUICE_POSTGRES_URL is not a url; escape what its password has");
  const together = (first: [string, unknown], second: [string, unknown]) => {
    if ((first[1] === undefined) !== (second[1] === undefined)) {
      problems.push(`${first[0]} and ${second[0]} must be given together`);
    }
  };
  together(["--nats-user", config.natsUser], ["SLUICE_NATS_PASSWORD", config.natsPassword]);
  together(["--etcd-user", config.etcdUser], ["SLUICE_ETCD_PASSWORD", config.etcdPassword]);
  for (const name of ["postgres", "nats", "etcd"] as const) {
    const [ca, cert, key] = [config[`${name}TlsCa`], config[`${name}TlsCert`], config[`${name}TlsKey`]];
    together([`--${name}-tls-cert`, cert], [`--${name}-tls-key`, key]);
    if (ca === undefined && cert !== undefined) problems.push(`--${name}-tls-cert needs --${name}-tls-ca`);
  }
  return problems;
}

type Backend = "postgres" | "nats" | "etcd";

function tlsFilesOf<B extends Backend>(backend: B, name: string) {
  const file = (part: string, why: string) =>
    setting.text({ default: undefined, variable: `SLUICE_${backend.toUpperCase()}_TLS_${part}`, why });
  return {
    [`${backend}TlsCa`]: file("CA", `PEM file of the authority that signed ${name}'s certificate; switches TLS on.`),
    [`${backend}TlsCert`]: file("CERT", `PEM file of the certificate that this process shows to ${name}.`),
    [`${backend}TlsKey`]: file("KEY", `PEM file of the private key of that certificate.`),
  } as Record<`${B}Tls${"Ca" | "Cert" | "Key"}`, ReturnType<typeof file>>;
}

function credentialsOf<B extends Backend>(backend: B, name: string) {
  const prefix = `SLUICE_${backend.toUpperCase()}`;
  const user = setting.text({ default: undefined, variable: `${prefix}_USER`, why: `User at ${name}; default: none.` });
  const password = setting.secret({
    default: undefined,
    variable: `${prefix}_PASSWORD`,
    why: "Password of that user.",
  });
  return { [`${backend}User`]: user, [`${backend}Password`]: password } as Record<
    `${B}${"User" | "Password"}`,
    typeof user
  >;
}
