/** A thread that reads and writes what another one has open, too. */
import { parentPort, workerData } from 'node:worker_threads'
import { VarveLevel } from '../../src/level/index.js'

const { path } = workerData as { path: string }
const db = new VarveLevel(path)
const seen = await db.get('from')
await db.put('from', 'another thread')
await db.sublevel('inner').put('a', '1')
parentPort?.postMessage(seen)
await db.close()
