/** Opening and closing a store again and again, among others who do the same. */
import { open } from '../../src/store/index.js'
import { Random } from '../support/random.js'
import type { SharedOptions } from './options.js'

export interface StormSetup {
  readonly path: string
  readonly options: SharedOptions
  readonly client: string
  readonly seed: number
  readonly rounds: number
}

/** Each round finds what the round before left, and leaves a little more. */
export async function openAndClose(setup: StormSetup): Promise<void> {
  const { path, options, client, rounds } = setup
  const random = new Random(setup.seed)
  for (let round = 1; round <= rounds; round++) {
    const store = open<Buffer>(path, { ...options, encoding: 'binary' })
    const before = store.get(client)?.toString()
    const expected = round === 1 ? undefined : String(round - 1)
    if (before !== expected) throw new Error(`${client}, round ${round}: found ${before}`)
    for (let more = random.below(20); more > 0; more--) {
      store.put(`${client}-${random.below(2000)}`, Buffer.from(client))
    }
    store.put(client, Buffer.from(String(round)))
    if (random.chance(0.3)) await store.sync()
    if (store.stats().attachments < 1) throw new Error('an open store has no attachment')
    const closing = store.close()
    // A close under way does not keep the next one from opening.
    if (random.chance(0.7)) await closing
    else await Promise.all([closing, openOnceMore(setup)])
  }
}

async function openOnceMore({ path, options, client }: StormSetup): Promise<void> {
  const store = open<Buffer>(path, { ...options, encoding: 'binary' })
  if (store.get(client) === undefined) throw new Error(`${client} is missing`)
  await store.close()
}
