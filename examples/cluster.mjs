// Four processes write and read one store. Run it with: node examples/cluster.mjs [directory]
import cluster from 'node:cluster'
import { once } from 'node:events'
import { open } from 'varve'

const store = open(process.argv[2] ?? 'cluster-store')

if (cluster.isPrimary) {
  store.put('visits', 0)
  const workers = [1, 2, 3, 4].map(() => cluster.fork())
  await Promise.all(workers.map((worker) => once(worker, 'exit')))
  console.log(store.get('visits'), store.get('worker 4')) // 4000 done
} else {
  for (let visit = 0; visit < 1000; visit++) {
    let entry
    do entry = store.getEntry('visits')
    while (!store.put('visits', entry.value + 1, { ifVersion: entry.version }))
  }
  store.put(`worker ${cluster.worker.id}`, 'done')
  cluster.worker.disconnect()
}

await store.close()
