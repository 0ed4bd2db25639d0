/**
 * A directory that records are written into as files, and nothing outside it: a key that would lead
 * elsewhere is refused, and so is a way through a symbolic link.
 */
import { isUtf8 } from 'node:buffer'
import { existsSync, lstatSync, mkdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { systemErrorCode } from '../base/errors.js'
import type { StoreKey } from '../store/index.js'
import { UsageError } from './failure.js'
import { isWithin } from './file-tree.js'

/** What a system says to one name, while it may take the next. */
const refusalCodes: readonly unknown[] = [
  'EACCES',
  'EEXIST',
  'EILSEQ',
  'EINVAL',
  'EISDIR',
  'ENAMETOOLONG',
  'ENOTDIR',
  'EPERM',
  'ERR_FS_EISDIR',
]

/** A record that is not written, and why. */
export class Refusal extends Error {}

export class TargetTree {
  /** A real path: no part of it is a symbolic link. */
  readonly #directory: string
  /** The store that is read, which may lie within. */
  readonly #storeDirectory: string
  readonly #isOverwriting: boolean
  /** Directories that are known to be such. */
  readonly #directories = new Set<string>()

  constructor(directory: string, storePath: string, options: { readonly isOverwriting: boolean }) {
    this.#storeDirectory = realpathSync.native(storePath)
    if (isWithin(realAncestor(directory), this.#storeDirectory)) {
      throw new UsageError(`${directory} is the store's own directory, or lies in it`)
    }
    mkdirSync(directory, { recursive: true })
    this.#directory = realpathSync.native(directory)
    this.#isOverwriting = options.isOverwriting
    this.#directories.add(this.#directory)
  }

  /** Writes a file. Throws `Refusal` where the key cannot be one, and others still may. */
  write(key: StoreKey, content: string | Uint8Array): void {
    const path = join(this.#directory, nameOf(key))
    try {
      this.#makeDirectory(dirname(path))
      if (this.#isOverwriting) rmSync(path, { force: true })
      // Makes the file itself: it can neither follow a link nor change a file that was there.
      writeFileSync(path, content, { flag: 'wx' })
    } catch (error) {
      const code = systemErrorCode(error)
      if (code === 'EEXIST') throw new Refusal('there is such a file already', { cause: error })
      if (!refusalCodes.includes(code)) throw error
      throw new Refusal((error as Error).message, { cause: error })
    }
  }

  #makeDirectory(path: string): void {
    if (this.#directories.has(path)) return
    this.#makeDirectory(dirname(path))
    try {
      mkdirSync(path)
    } catch (error) {
      if (systemErrorCode(error) !== 'EEXIST') throw error
      if (!lstatSync(path).isDirectory()) throw new Refusal(`${path} is not a directory`)
      if (path === this.#storeDirectory) throw new Refusal(`${path} is the store itself`)
    }
    this.#directories.add(path)
  }
}

/** The real path of the directory, or of the nearest one above it that exists. */
function realAncestor(directory: string): string {
  let path = resolve(directory)
  while (!existsSync(path)) path = dirname(path)
  return realpathSync.native(path)
}

/** The key as a path within a directory. Throws `Refusal` where it is none. */
function nameOf(key: StoreKey): string {
  const name = key instanceof Uint8Array && isUtf8(key) ? Buffer.from(key).toString('utf8') : key
  if (typeof name !== 'string') throw new Refusal('the key is no text')
  if (name === '') throw new Refusal('the key is empty')
  if (name.includes('\0')) throw new Refusal('the key has a zero byte')
  if (name.startsWith('/')) throw new Refusal('the key is an absolute path')
  const parts = name.split('/')
  if (parts.includes('..')) throw new Refusal('the key has a part ".."')
  if (parts.includes('.') || parts.includes('')) {
    throw new Refusal('the key has an empty part, or a part "."')
  }
  if (process.platform === 'win32' && /[\\:]/.test(name)) {
    throw new Refusal('the key has a backslash or a colon')
  }
  return name
}
