/** Moving the read-only boundary up to the tail: nothing that was written is updated in place any more. */
import type { Control } from '../control/control.js'
import * as layout from '../format/control-layout.js'
import type { Engine } from './engine.js'
import { enter, leave } from './exclusive.js'

/** By who holds the writer's word, under which in-place updates ask for the boundary (I4). */
export function freezeLog(control: Control): void {
  const tail = control.get(layout.tail)
  if (control.get(layout.readOnly) === tail) return
  control.begin()
  control.set(layout.readOnly, tail)
  control.commit()
}

/** Sees to it that the record at `address` never changes again. Not for one that may not write. */
export function freezeRecord(engine: Engine, address: number): void {
  const { control, views } = engine
  views.frozenEnd = control.read(layout.readOnly)
  if (address < views.frozenEnd) return
  enter(engine)
  try {
    freezeLog(control)
    views.frozenEnd = control.get(layout.readOnly)
  } finally {
    leave(engine)
  }
}
