/** Explicit snapshots: a pin of the store, closed with its last use or with its database. */
import { type AbstractLevel, AbstractSnapshot } from 'abstract-level'
import type { Engine } from '../engine/engine.js'
import type { Moment } from '../engine/snapshot.js'
import { Pin } from '../store/snapshot.js'
import { asLevelError } from './errors.js'

/** The declared class does not say what its constructor takes. */
const OwnedSnapshot = AbstractSnapshot as unknown as new (options: {
  readonly owner: AbstractLevel<unknown, unknown, unknown>
}) => AbstractSnapshot

export class LevelSnapshot extends OwnedSnapshot {
  readonly #pin: Pin

  constructor(pin: Pin, options: { readonly owner: AbstractLevel<unknown, unknown, unknown> }) {
    super(options)
    this.#pin = pin
  }

  /** What a read of this engine goes by. */
  momentIn(engine: Engine): Moment {
    if (this.#pin.engine === engine) return this.#pin
    throw new TypeError(
      'the snapshot is of another database, or was made before this one was closed',
    )
  }

  async _close(): Promise<void> {
    try {
      this.#pin.close()
    } catch (error) {
      throw asLevelError(error)
    }
  }
}

export function pinOf(engine: Engine): Pin {
  try {
    return new Pin(engine)
  } catch (error) {
    throw asLevelError(error)
  }
}

/** The moment that the option `snapshot` of a read asks for; undefined for the newest state. */
export function momentOf(engine: Engine, snapshot: unknown): Moment | undefined {
  if (snapshot === undefined || snapshot === null) return undefined
  if (snapshot instanceof LevelSnapshot) return snapshot.momentIn(engine)
  throw new TypeError('option "snapshot" is not a snapshot of this database')
}
