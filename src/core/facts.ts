/** What a sentence is about, as fields: machines read these, and the sentence beside them says the same for people. */

export interface Facts {
  /** The run that is in the way, or that is meant. */
  run?: string
  experiment?: string
  endpoint?: string
  /** One thing: an id on its target, or a claim key. */
  resource?: string
  /** The step that has to be undone first. */
  waits_for?: number
  /** How many steps, sessions or resources. */
  count?: number
  /** How a process ended. */
  exit_code?: number
  signal?: string
}

/** What a warning is about. */
export type WarningCode =
  | 'journal' // a journal cannot be written or read
  | 'report' // a report cannot be written
  | 'not_undone' // what a run has left could not be undone yet
  | 'recovery' // a round of recovery failed as a whole
  | 'not_cleared' // files of a run that is over stay
  | 'claims' // what a run held is not given back
  | 'identity_unknown' // a system does not say who it is
  | 'not_observed' // what a fault met is not known
  | 'soak_end' // whether a fault lasted is not known
  | 'left_alone' // something has our name and is not shown to be ours
  | 'swept' // something that an earlier run had left is ended
  | 'not_swept' // that was not looked for
  | 'first_run' // a system was never broken before
  | 'configuration'
  | 'schedule'
  | 'due_times' // what became of a due time is not recorded or not known
  | 'digest'
  | 'notify' // a notification was not delivered
  | 'control' // of the control socket
  | 'log_file'
