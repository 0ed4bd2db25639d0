/**
 * A server as the cluster module runs it: several processes behind one port, every one with the same
 * store. The primary prints the port; `/add?key` counts a request and answers who served it.
 */
import cluster from 'node:cluster'
import { createServer } from 'node:http'
import { open } from '../../src/store/index.js'
import { smallOptions } from './options.js'

const [path, workerCount] = process.argv.slice(2)

function serve(): void {
  const store = open<number>(path, { ...smallOptions, encoding: 'json' })
  const server = createServer((request, response) => {
    const key = request.url ?? ''
    for (;;) {
      const entry = store.getEntry(key)
      const isCounted =
        entry === undefined
          ? store.put(key, 1, { ifAbsent: true })
          : store.put(key, entry.value + 1, { ifVersion: entry.version })
      if (isCounted) break
    }
    response.setHeader('connection', 'close').end(String(process.pid))
  })
  server.listen(0)
}

if (cluster.isPrimary) {
  for (let count = Number(workerCount); count > 0; count--) cluster.fork()
  const served = new Set<number>()
  cluster.on('listening', (worker, { port }) => {
    served.add(worker.id)
    if (served.size === Number(workerCount)) process.send?.(port)
  })
  // A worker that died is replaced, as everybody does; one that could not begin is the end.
  cluster.on('exit', (worker) => {
    if (!served.has(worker.id)) process.exit(1)
    cluster.fork()
  })
  process.on('disconnect', () => {
    for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill('SIGKILL')
    process.exit(0)
  })
} else {
  serve()
}
