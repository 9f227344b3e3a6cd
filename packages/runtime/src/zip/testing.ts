import { ZipFile } from "yazl";

export interface ZipEntry {
  readonly name: string;
  readonly text?: string | Buffer;
  /** Unix mode, with the file type. */
  readonly mode?: number;
  readonly isStored?: boolean;
}

/** A zip archive; names are written as they are when `patches` say so. */
export async function aZip(
  entries: readonly ZipEntry[],
  patches: readonly (readonly [string, string])[] = [],
): Promise<Buffer> {
  const zip = new ZipFile();
  for (const { name, text = "content", mode, isStored } of entries) {
    const options = { mtime: new Date(0), ...(mode !== undefined && { mode }) };
    if (name.endsWith("/")) zip.addEmptyDirectory(name, options);
    else zip.addBuffer(Buffer.from(text), name, { ...options, compress: !isStored });
  }
  zip.end();
  const chunks: Buffer[] = [];
  for await (const chunk of zip.outputStream) chunks.push(chunk as Buffer);
  return patch(Buffer.concat(chunks), patches);
}

/** Replaces text of the same length everywhere: a way to names that no packer would write. */
function patch(bytes: Buffer, patches: readonly (readonly [string, string])[]): Buffer {
  for (const [from, to] of patches) {
    const replacement = Buffer.from(to, "latin1");
    for (let at = bytes.indexOf(from); at >= 0; at = bytes.indexOf(from, at + 1)) replacement.copy(bytes, at);
  }
  return bytes;
}
