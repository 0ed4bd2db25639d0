/** Bytes that are kept aside for a while: in a file that has no name any more, or in memory. */
import { randomBytes } from 'node:crypto'
import { type FileHandle, open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { asStoreFull } from './node-files.js'

const pieceSizeBytes = 262_144

export interface Spool {
  append(bytes: Uint8Array): Promise<void>
  /** Everything, from the beginning, piece by piece. */
  pieces(): AsyncGenerator<Uint8Array>
  close(): Promise<void>
}

/** A file in `directory`, or memory for undefined. */
export async function openSpool(directory: string | undefined): Promise<Spool> {
  if (directory === undefined) return new MemorySpool()
  const path = join(directory, `import-${randomBytes(8).toString('hex')}`)
  const file = await open(path, 'wx+').catch((error: unknown) => {
    throw asStoreFull(error, path)
  })
  const isUnnamed = await unlink(path).then(
    () => true,
    // Windows keeps the name as long as the file is open.
    () => false,
  )
  return new FileSpool(file, path, isUnnamed)
}

class FileSpool implements Spool {
  readonly #file: FileHandle
  readonly #path: string
  readonly #isUnnamed: boolean

  constructor(file: FileHandle, path: string, isUnnamed: boolean) {
    this.#file = file
    this.#path = path
    this.#isUnnamed = isUnnamed
  }

  async append(bytes: Uint8Array): Promise<void> {
    try {
      await this.#file.appendFile(bytes)
    } catch (error) {
      throw asStoreFull(error, this.#path)
    }
  }

  async *pieces(): AsyncGenerator<Uint8Array> {
    for (let position = 0; ; ) {
      const piece = Buffer.alloc(pieceSizeBytes)
      const { bytesRead } = await this.#file.read(piece, 0, pieceSizeBytes, position)
      if (bytesRead === 0) return
      yield piece.subarray(0, bytesRead)
      position += bytesRead
    }
  }

  async close(): Promise<void> {
    await this.#file.close()
    if (!this.#isUnnamed) await unlink(this.#path)
  }
}

class MemorySpool implements Spool {
  #bytes: Buffer = Buffer.alloc(65_536)
  #sizeBytes = 0

  async append(bytes: Uint8Array): Promise<void> {
    const sizeBytes = this.#sizeBytes + bytes.byteLength
    if (sizeBytes > this.#bytes.byteLength) {
      const grown = Buffer.alloc(2 * sizeBytes)
      grown.set(this.#bytes)
      this.#bytes = grown
    }
    this.#bytes.set(bytes, this.#sizeBytes)
    this.#sizeBytes = sizeBytes
  }

  async *pieces(): AsyncGenerator<Uint8Array> {
    for (let position = 0; position < this.#sizeBytes; position += pieceSizeBytes) {
      yield this.#bytes.subarray(position, Math.min(this.#sizeBytes, position + pieceSizeBytes))
      await new Promise(setImmediate)
    }
  }

  async close(): Promise<void> {
    this.#bytes = Buffer.alloc(0)
  }
}
