/** Directories for tests: one of their own, copies of them, and what lies in them. */
import { createHash } from 'node:crypto'
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { atEnd, type Ending } from './ending.js'

/** Removes it, also where somebody in the background, a thread or a dying process, still makes a file there. */
export function removeDirectory(path: string): void {
  const giveUpMs = Date.now() + 10_000
  for (;;) {
    try {
      rmSync(path, { recursive: true, force: true })
      return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOTEMPTY' || Date.now() > giveUpMs)
        throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
    }
  }
}

/** A fresh directory, removed when the test ends. */
export function temporaryDirectory(test: Ending): string {
  const directory = mkdtempSync(join(tmpdir(), 'varve-'))
  atEnd(test, () => removeDirectory(directory))
  return directory
}

/** Runs `action` with a fresh directory: for many short runs within one test. */
export async function withDirectory<T>(action: (directory: string) => Promise<T> | T): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'varve-'))
  try {
    return await action(directory)
  } finally {
    removeDirectory(directory)
  }
}

/**
 * Copies a store's files, byte for byte, into a directory that does not exist yet. The copies have
 * inodes of their own, so the copy is a store of another boot.
 */
export function copyStore(from: string, to: string): void {
  mkdirSync(to, { recursive: true })
  for (const name of readdirSync(from)) copyFileSync(join(from, name), join(to, name))
}

/** Name and content hash of every file: equal before and after for a directory left alone. */
export function contentsOf(directory: string): Record<string, string> {
  const contents: Record<string, string> = {}
  if (!existsSync(directory)) return contents
  for (const name of readdirSync(directory).sort()) {
    contents[name] = createHash('sha1')
      .update(readFileSync(join(directory, name)))
      .digest('hex')
  }
  return contents
}

/** Overwrites bytes of a file in place. */
export function overwrite(path: string, position: number, bytes: Uint8Array): void {
  const fd = openSync(path, 'r+')
  try {
    writeSync(fd, bytes, 0, bytes.byteLength, position)
  } finally {
    closeSync(fd)
  }
}

/** The segment files of a store, log segments before value segments, each kind in order. */
export function segmentNames(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => /^(segment|value)-\d+$/.test(name))
    .sort()
}

export function readDoubles(path: string): Float64Array {
  const bytes = readFileSync(path)
  return new Float64Array(Uint8Array.from(bytes).buffer, 0, Math.floor(bytes.byteLength / 8))
}

export function writeDoubles(path: string, doubles: Float64Array): void {
  overwrite(path, 0, new Uint8Array(doubles.buffer, doubles.byteOffset, doubles.byteLength))
}
