// The pipe protocol between the agent and a runner: fd 3 carries frames to the runner, fd 4 back. A frame is its length
// (u32, of what follows), its type (u8), the number of the request it belongs to (u32, 0: none) and a body. The runners
// repeat these numbers in their own languages.

/** Agent → runner. */
export const toRunner = {
  /** JSON: what to load. */
  initialize: 1,
  /** u16 length of a JSON header, the header, the payload. */
  invoke: 2,
  /** Abort the request's signal; answered with `cancelSeen` by a runner that is not blocked. */
  cancel: 3,
  /** Run the preStop hook. */
  preStop: 4,
} as const;

/** Runner → agent. */
export const fromRunner = {
  /** The handler's module is loaded; the initializer starts now. */
  loaded: 1,
  ready: 2,
  /** JSON {stage: "load" | "initialize", isFatal, body}; the runner exits. */
  startFailed: 3,
  result: 4,
  /** JSON `RunnerFailure`. */
  failed: 5,
  /** u8 stream (1 stdout, 2 stderr), bytes. Only from runners of several requests at a time. */
  log: 6,
  /** JSON, `progressBytesMax` at most. */
  progress: 7,
  cancelSeen: 8,
  /** The preStop hook has ended. */
  preStopDone: 9,
} as const;

/** A runner tells a handler that reports more so; it is told the number when it starts. */
export const progressBytesMax = 8 * 1024;

export interface Frame {
  readonly type: number;
  readonly request: number;
  readonly body: Buffer;
}

/** A runner that sends nonsense: user code has written to its pipe. Its instance is killed. */
export class ProtocolViolation extends Error {
  override readonly name = "ProtocolViolation";
}

const headBytes = 9;

export function encodeFrame(type: number, request: number, ...parts: readonly Uint8Array[]): Buffer {
  const bodyBytes = parts.reduce((sum, part) => sum + part.byteLength, 0);
  const frame = Buffer.allocUnsafe(headBytes + bodyBytes);
  frame.writeUInt32BE(headBytes - 4 + bodyBytes, 0);
  frame.writeUInt8(type, 4);
  frame.writeUInt32BE(request, 5);
  let offset = headBytes;
  for (const part of parts) {
    frame.set(part, offset);
    offset += part.byteLength;
  }
  return frame;
}

/** The body of an `invoke` frame. */
export function encodeInvoke(request: number, header: object, payload: Uint8Array): Buffer {
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.allocUnsafe(2);
  length.writeUInt16BE(json.byteLength, 0);
  return encodeFrame(toRunner.invoke, request, length, json, payload);
}

/** Cuts a stream of chunks into frames. The bodies are copies: a small result must not keep a whole chunk alive. */
export class FrameReader {
  readonly #bodyBytesMax: number;
  #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(bodyBytesMax: number) {
    this.#bodyBytesMax = bodyBytesMax;
  }

  read(chunk: Buffer): Frame[] {
    this.#chunks.push(chunk);
    this.#bytes += chunk.byteLength;
    if (this.#bytes < this.#needed()) return [];
    const data = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks);
    const frames: Frame[] = [];
    let offset = 0;
    while (data.byteLength - offset >= headBytes) {
      const end = offset + 4 + this.#lengthAt(data, offset);
      if (end > data.byteLength) break;
      const body = Buffer.from(data.subarray(offset + headBytes, end));
      frames.push({ type: data.readUInt8(offset + 4), request: data.readUInt32BE(offset + 5), body });
      offset = end;
    }
    this.#bytes = data.byteLength - offset;
    this.#chunks = this.#bytes === 0 ? [] : [data.subarray(offset)];
    return frames;
  }

  /** Bytes until the first waiting frame can be complete; a large one must not be joined anew with every chunk. */
  #needed(): number {
    const first = this.#chunks[0];
    return first && first.byteLength >= headBytes ? 4 + this.#lengthAt(first, 0) : headBytes;
  }

  #lengthAt(data: Buffer, offset: number): number {
    const length = data.readUInt32BE(offset);
    if (length < headBytes - 4 || length > headBytes - 4 + this.#bodyBytesMax) {
      throw new ProtocolViolation(`a frame of ${length} bytes`);
    }
    return length;
  }
}

/** Joins the frames of one turn of the event loop into one write, unless there will be but one: then it need not wait. */
export class FrameWriter {
  readonly #write: (bytes: Buffer) => void;
  readonly #joins: boolean;
  #frames: Buffer[] = [];

  constructor(write: (bytes: Buffer) => void, { joins }: { readonly joins: boolean }) {
    this.#write = write;
    this.#joins = joins;
  }

  send(frame: Buffer): void {
    this.#frames.push(frame);
    if (!this.#joins) this.#flush();
    else if (this.#frames.length === 1) setImmediate(() => this.#flush());
  }

  #flush(): void {
    const frames = this.#frames;
    this.#frames = [];
    const [first] = frames;
    if (first) this.#write(frames.length === 1 ? first : Buffer.concat(frames));
  }
}
