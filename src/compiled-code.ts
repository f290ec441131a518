/**
 * The file with what V8 compiled of the program: the code, and a checksum behind it.
 *
 * V8 believes its content, whatever it is: a flipped bit can crash the process, and of the program it looks at the length
 * only. So it is used only when the checksum over Node's version, program and code is right, and when nobody but root and
 * the owner of the program can have written it. V8 itself refuses code of another version or under other options.
 */
import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { crc32 } from "node:zlib";

const CHECKSUM_BYTES = 4;
const WRITABLE_BY_OTHERS = 0o022;

interface Program {
  readonly source: Buffer;
  /** The user whose file it is. */
  readonly owner: number;
}

/** The code in `path` if it may be given to V8; else undefined. */
export function readCode(path: string, { source, owner }: Program): Buffer | undefined {
  try {
    // Not a link to a file of somebody who could not write here; and nothing that one waits for.
    const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const { mode, uid } = fstatSync(fd);
      if ((mode & constants.S_IFMT) !== constants.S_IFREG) return undefined;
      if ((mode & WRITABLE_BY_OTHERS) !== 0 || (uid !== 0 && uid !== owner)) return undefined;
      const content = readFileSync(fd);
      if (content.length <= CHECKSUM_BYTES) return undefined;
      const code = content.subarray(0, -CHECKSUM_BYTES);
      return content.readUInt32LE(code.length) === checksum(code, source) ? code : undefined;
    } finally {
      closeSync(fd);
    }
  } catch {
    // It is not there or not readable: then everything is compiled, which only takes longer.
    return undefined;
  }
}

/** Writes `code` for everybody to read. Throws what writing throws, and when nobody would use the file. */
export function writeCode(path: string, { code, source, owner }: Program & { readonly code: Buffer }): void {
  const user = process.geteuid?.();
  if (user !== 0 && user !== owner) throw new Error("the program belongs to another user");
  const end = Buffer.alloc(CHECKSUM_BYTES);
  end.writeUInt32LE(checksum(code, source));
  const temporary = `${path}.${process.pid}`;
  try {
    writeFileSync(temporary, Buffer.concat([code, end]), { flag: "wx" });
    chmodSync(temporary, 0o644);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

function checksum(code: Buffer, source: Buffer): number {
  return crc32(code, crc32(source, crc32(`${process.version} ${process.arch}`)));
}
