/** Which encodings a keyspace has: those it was written with. */
import { shown } from '../base/shown.js'
import type { Engine } from '../engine/engine.js'
import { defaultKeyspaceName } from '../engine/keyspaces.js'
import { encodingName, type KeyEncoding, type ValueEncoding } from './encoding.js'
import { sharedMsgpackName, sharedMsgpackOf } from './msgpack.js'

/** @internal */
export interface Encodings {
  readonly encoding: ValueEncoding<never>
  readonly keyEncoding: KeyEncoding
}

export function resolveEncodings(
  engine: Engine,
  name: string,
  registered: { readonly encoding: string; readonly keyEncoding: string } | undefined,
  wanted: {
    readonly encoding: ValueEncoding<unknown> | undefined
    readonly keyEncoding: KeyEncoding | undefined
  },
): Encodings {
  const encoding = (wanted.encoding ?? registered?.encoding ?? 'msgpack') as ValueEncoding<never>
  const keyEncoding = wanted.keyEncoding ?? (registered?.keyEncoding as KeyEncoding) ?? 'utf8'
  if (registered !== undefined) {
    requireSame(name, 'encoding', encodingName(encoding), registered.encoding)
    requireSame(name, 'keyEncoding', keyEncoding, registered.keyEncoding)
    if (registered.encoding === 'custom' && typeof encoding === 'string') {
      throw new TypeError(
        `${described(name)} was written with an encoding of its own; option "encoding" must be { encode, decode }`,
      )
    }
  }
  return { encoding: codecOf(engine, encoding), keyEncoding }
}

/** What values are encoded with: of `'msgpack-shared'` the store's own. */
export function codecOf(engine: Engine, encoding: ValueEncoding<never>): ValueEncoding<never> {
  if (encoding !== sharedMsgpackName) return encoding
  return sharedMsgpackOf(engine) as unknown as ValueEncoding<never>
}

export function requireSame(name: string, option: string, value: string, registered: string): void {
  if (value === registered) return
  throw new TypeError(
    `option "${option}" is "${value}", but ${described(name)} was written with "${registered}"; accepted: "${registered}", or leave it out`,
  )
}

function described(name: string): string {
  return name === defaultKeyspaceName ? 'the store' : `keyspace ${shown(name)}`
}
