/** A component: the name under which wrapped calls are found, and the slot of rules that experiments and leases fill. */
import type { Rule } from './rule.ts'

/** Stands for every component. */
export const EVERY = '*'

export class Component {
  readonly name: string
  /** Undefined when nothing is to be done: all that a call looks at. */
  rules: readonly Rule[] | undefined
  /** Something of the application carries this name, rather than only an experiment's wish. */
  wrapped = false
  /** A function of it answers without a promise: a delay stops the whole thread. */
  isSync = false
  /** Calls so far, broken or not. */
  calls = 0

  constructor(name: string) {
    this.name = name
  }
}
