/** The garbage collector, for tests of what happens when nobody can reach a thing any more. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Collects until `isDone`; its callbacks run between turns of the event loop. */
export async function collectUntil(isDone: () => boolean): Promise<void> {
  for (let turn = 0; turn < 200 && !isDone(); turn++) {
    collect()
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
