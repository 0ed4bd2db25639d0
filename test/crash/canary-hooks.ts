/** Changes the text of modules while they are loaded: see canaries.ts. */
import type { LoadHook } from 'node:module'
import type { Edit } from './canaries.js'

let edits: readonly Edit[] = []

export function initialize(given: readonly Edit[]): void {
  edits = given
}

export const load: LoadHook = async (url, context, nextLoad) => {
  const loaded = await nextLoad(url, context)
  const own = edits.filter(({ file }) => url.endsWith(`/build/src/${file}`))
  if (own.length === 0) return loaded
  let text = Buffer.from(loaded.source as Uint8Array).toString('utf8')
  for (const { file, from, to } of own) {
    const parts = text.split(from)
    if (parts.length !== 2)
      throw new Error(`${file} has "${from}" ${parts.length - 1} times, not once`)
    text = parts.join(to)
  }
  return { ...loaded, source: text }
}
