// The examples of `deploy/keda`, as far as they can be checked without a cluster: against the scaler, the settings of the
// services, each other, and what KEDA's published specifications name.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { createExternalScaler } from "../packages/api-server/src/autoscaling/external-scaler.ts";
import { durationMs, imageEnvironment, root, textOf } from "./deploy/compose-file.ts";
import { services, stopWithinMs } from "./deploy/services.ts";

/** Of all kinds together: each has those of its own. */
interface Spec {
  readonly scaleTargetRef: { readonly kind: string; readonly name: string };
  readonly minReplicaCount: number;
  readonly maxReplicaCount: number;
  readonly triggers: readonly {
    readonly type: string;
    readonly metadata: Readonly<Record<string, string>>;
    readonly authenticationRef?: { readonly name: string };
  }[];
  readonly secretTargetRef: readonly { readonly parameter: string }[];
  readonly selector: object;
  readonly podSelector: { readonly matchLabels: object };
  readonly ports: readonly { readonly port: number }[];
  readonly template: { readonly spec: Pod };
}
interface Pod {
  readonly terminationGracePeriodSeconds: number;
  readonly containers: readonly {
    readonly args: readonly string[];
    readonly env: readonly { readonly name: string; readonly value?: string }[];
    readonly ports: readonly { readonly containerPort: number }[];
  }[];
}
interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: Spec;
}

const folder = join(root, "deploy/keda");
const manifestsOf = (file: string) =>
  parseAllDocuments(textOf(`deploy/keda/${file}`)).map((document) => document.toJS() as Manifest);
const files = readdirSync(folder).filter((file) => file.endsWith(".yaml"));
const all = files.flatMap(manifestsOf);
function named(kind: string, name: string | undefined): Manifest {
  const found = all.find((manifest) => manifest.kind === kind && manifest.metadata.name === name);
  if (!found) throw new Error(`there is no ${kind} ${name}`);
  return found;
}
const scaledObjects = all.filter(({ kind }) => kind === "ScaledObject");
const triggers = scaledObjects.flatMap(({ spec }) => spec.triggers);

/** Of the triggers `external` and `external-push`, as keda.sh/docs specifies them; everything else goes to the scaler. */
const metadataOfKeda = ["scalerAddress", "enableTLS", "unsafeSsl"];
const parametersOfKeda = ["caCert", "tlsClientCert", "tlsClientKey"];

test("what is scaled is the agents, by a trigger that KEDA knows", () => {
  expect(scaledObjects).toHaveLength(2);
  for (const { apiVersion, spec } of scaledObjects) {
    expect(apiVersion).toBe("keda.sh/v1alpha1");
    expect(named(spec.scaleTargetRef.kind, spec.scaleTargetRef.name).kind).toBe("StatefulSet");
    expect(spec.minReplicaCount).toBeLessThan(spec.maxReplicaCount);
  }
  expect(triggers.map(({ type }) => type)).toEqual(["external-push", "external-push"]);
  // With TLS and without, but for the trigger's credentials.
  const [plain, secured] = scaledObjects.map(({ spec }) => ({ ...spec, triggers: [] }));
  expect(secured).toEqual(plain);
});

test("what the triggers say is understood by KEDA or by the scaler", async () => {
  const scaler = createExternalScaler({ clock: {}, coordinator: {}, store: {} } as never);
  for (const { metadata, authenticationRef } of triggers) {
    const ours = Object.keys(metadata).filter((name) => !metadataOfKeda.includes(name));
    expect(ours.sort()).toEqual(["headroomPercent", "slotsPerAgent"]);
    expect(Object.values(metadata).every((value) => typeof value === "string")).toBe(true);
    const object = { name: "sluice-agents", namespace: "default", scalerMetadata: { ...metadata } };
    const { metricSpecs } = await scaler.getMetricSpec(object, { signal: new AbortController().signal });
    expect(metricSpecs[0]?.targetSizeFloat).toBe(64);
    if (!authenticationRef) continue;
    const { secretTargetRef } = named("TriggerAuthentication", authenticationRef.name).spec;
    expect(secretTargetRef.map(({ parameter }) => parameter)).toEqual(parametersOfKeda);
  }
});

test("KEDA asks at the port of the service, on which an api-server can serve", () => {
  for (const { metadata } of triggers) {
    const [name, port] = metadata["scalerAddress"]?.split(":") ?? [];
    const { ports, selector } = named("Service", name).spec;
    expect(ports[0]?.port).toBe(Number(port));
    expect(named("NetworkPolicy", name).spec.podSelector.matchLabels).toEqual(selector);
  }
  const [, address = ""] =
    /SLUICE_API_SERVER_SCALER_ADDRESS to (\S+) there/.exec(textOf("deploy/keda/scaler.yaml")) ?? [];
  expect(address.endsWith(":50053")).toBe(true);
  expect(services["api-server"].variables.has("SLUICE_API_SERVER_SCALER_ADDRESS")).toBe(true);
});

test("the agents' settings are right, have the slots that the trigger says, and time to stop", () => {
  const pod = named("StatefulSet", "sluice-agent").spec.template.spec;
  const [container] = pod.containers;
  expect(container?.args).toEqual(["agent"]);
  const own = Object.fromEntries(
    (container?.env ?? [])
      .filter(({ name }) => name.startsWith("SLUICE_"))
      .map(({ name, value = "abc-0123456789abcdef" }) => [name, value.replace("$(POD_IP)", "10.0.0.1")]),
  );
  for (const name of Object.keys(own)) expect(services.agent.variables, name).toContain(name);
  const environment = { ...imageEnvironment(), ...own };
  const config = services.agent.configOf(environment);
  expect(config["slots"]).toBe(Number(triggers[0]?.metadata["slotsPerAgent"]));
  expect(config["drainMs"]).toBe(durationMs(environment["SLUICE_AGENT_DRAIN_MS"]));
  expect(pod.terminationGracePeriodSeconds * 1_000).toBeGreaterThan(stopWithinMs("agent", config));
  expect(container?.ports.map(({ containerPort }) => containerPort)).toEqual([config["port"], config["httpPort"]]);
});
