// What stands around answers: that they are on their way, why there is none, and of when they are.

import type { ProblemBody } from '../api'
import { clock } from '../format'
import type { Missing } from '../stream'
import { Note } from './Note'

export function ProblemNote({ problem, again }: { problem: ProblemBody; again?: () => void }) {
  return (
    <Note tone="bad" title={problem.message} hint={problem.hint}>
      {again && (
        <button class="button" onClick={again}>
          Try again
        </button>
      )}
    </Note>
  )
}

export function Loading({ what }: { what: string }) {
  return <div class="skeleton" role="status" aria-busy="true" aria-label={`Loading ${what}`} />
}

/** Of when something is, and the way to have it newer. */
export function AsOf(props: { at: string | undefined; isBusy: boolean; again: () => void }) {
  return (
    <span class="as-of">
      <span class="dim" role="status">
        {props.isBusy ? 'Reading …' : props.at ? `As of ${clock(props.at)}` : ''}
      </span>
      <button class="button small" disabled={props.isBusy} onClick={props.again}>
        Read again
      </button>
    </span>
  )
}

/** Permissions that somebody lacks, and how to check them. */
export function MissingNote({ title, missing }: { title: string; missing: Missing[] }) {
  if (!missing.length) return null
  return (
    <Note tone="wait" title={title} hint="Ask for these permissions:">
      <ul class="missing">
        {missing.map((each) => (
          <li>
            {each.words} <code>kubectl auth can-i {each.canI}</code>
          </li>
        ))}
      </ul>
    </Note>
  )
}
