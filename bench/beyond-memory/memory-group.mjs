// A group of processes with a limit on their memory, page cache included: a control group (Linux, version 1),
// within that of this process. Undefined where there can be none.
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const root = '/sys/fs/cgroup/memory'

/** @param {string} name */
export function createMemoryGroup(name) {
  try {
    const [own] = readFileSync('/proc/self/cgroup', 'utf8').match(/(?<=:memory:).*/)
    const path = join(root, own, name)
    mkdirSync(path)
    return new MemoryGroup(path)
  } catch {
    return undefined
  }
}

class MemoryGroup {
  /** A process joins by writing its number there. */
  joinPath
  #path

  constructor(path) {
    this.#path = path
    this.joinPath = join(path, 'cgroup.procs')
  }

  /** What its processes have on heaps and stacks. */
  get ownBytes() {
    return Number(this.#read('memory.stat').match(/^total_rss (\d+)/m)[1])
  }

  limit(bytes) {
    writeFileSync(join(this.#path, 'memory.limit_in_bytes'), String(bytes))
  }

  /** When all of its processes have ended. */
  remove() {
    rmdirSync(this.#path)
  }

  #read(name) {
    return readFileSync(join(this.#path, name), 'utf8')
  }
}
