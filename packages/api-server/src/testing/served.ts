// An api-server behind real gRPC on a free port, with clients for it.
import { fileURLToPath } from "node:url";
import {
  type ClientDuplexStream,
  credentials,
  type GrpcObject,
  loadPackageDefinition,
  Server,
  ServerCredentials,
  type ServiceClientConstructor,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { type Api, apiClient, type Definition, serverOptions } from "@sluice/protocol";
import { protoPath as healthProto } from "grpc-health-check";
import type { ApiServer } from "../api-server.ts";
import { serveApi } from "../serve.ts";

export interface Served extends AsyncDisposable {
  readonly address: string;
  client<D extends Definition>(definition: D, authorization: string): Api<D>;
  /** What `grpc.health.v1` says of a service. */
  health(service: string): Promise<string>;
  /** One question to `grpc.reflection.v1`. */
  reflect(question: object): Promise<ReflectionAnswer>;
}

interface ReflectionAnswer {
  readonly listServicesResponse?: { readonly service: readonly { readonly name: string }[] };
  readonly fileDescriptorResponse?: { readonly fileDescriptorProto: readonly Buffer[] };
}

interface HealthClient {
  Check(question: { service: string }, done: (error: Error | null, answer: { status: string }) => void): void;
}
interface ReflectionClient {
  ServerReflectionInfo(): ClientDuplexStream<object, ReflectionAnswer>;
}

export async function serve(apiServer: ApiServer): Promise<Served> {
  const server = new Server(serverOptions);
  serveApi(server, apiServer, { reflection: true });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  const address = `127.0.0.1:${port}`;
  const closes: (() => void)[] = [];

  function plainClient<Methods>(protoFile: string, ...names: string[]): Methods {
    let found: unknown = loadPackageDefinition(loadSync(protoFile, { enums: String }));
    for (const name of names) found = (found as GrpcObject)[name];
    const client = new (found as ServiceClientConstructor)(address, credentials.createInsecure());
    closes.push(() => client.close());
    return client as unknown as Methods;
  }
  const health = plainClient<HealthClient>(healthProto, "grpc", "health", "v1", "Health");
  const reflectionProto = fileURLToPath(
    new URL("../proto/grpc/reflection/v1/reflection.proto", import.meta.resolve("@grpc/reflection")),
  );
  const reflection = plainClient<ReflectionClient>(reflectionProto, "grpc", "reflection", "v1", "ServerReflection");

  return {
    address,
    client(definition, authorization) {
      const { api, close } = apiClient(definition, address, { headers: { authorization } });
      closes.push(close);
      return api;
    },
    health: (service) =>
      new Promise((resolve, reject) => {
        health.Check({ service }, (error, answer) => (error ? reject(error) : resolve(answer.status)));
      }),
    reflect: (question) =>
      new Promise((resolve, reject) => {
        const call = reflection.ServerReflectionInfo();
        call.on("data", (answer: ReflectionAnswer) => {
          resolve(answer);
          call.end();
        });
        call.on("error", reject);
        call.write(question);
      }),
    async [Symbol.asyncDispose]() {
      for (const close of closes) close();
      server.forceShutdown();
    },
  };
}
