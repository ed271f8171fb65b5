// Whether what is shown is the cluster as it is, and if not, since when and why.

import type { Live } from '../stream'
import { clock } from '../format'
import { Note } from './Note'

export function LivePill({ live }: { live: Live }) {
  const trouble = live.trouble.value
  const link = live.link.value
  if (link === 'lost')
    return <Pill tone="bad" text={`No console since ${clock(live.heardAt.value)}`} />
  if (trouble) return <Pill tone="bad" text={trouble.since ? `Stale since ${clock(trouble.since)}` : 'No cluster'} />
  if (link === 'live') return <Pill tone="good" text="Live" />
  return <Pill tone="idle" text="Connecting" />
}

function Pill({ tone, text }: { tone: string; text: string }) {
  return (
    <span class={`pill ${tone}`} role="status">
      <span class="dot" aria-hidden="true" />
      {text}
    </span>
  )
}

/** What keeps the page from showing the truth; nothing while nothing does. */
export function LiveNotes({ live }: { live: Live }) {
  const trouble = live.trouble.value
  const problem = live.problem.value
  const missing = live.missing.value
  return (
    <>
      {live.link.value === 'lost' && (
        <Note
          tone="bad"
          title={`The console does not answer; this is how things stood at ${clock(live.heardAt.value)}`}
          hint="It is tried again every second. Does shipkeeper serve still run?"
        />
      )}
      {trouble && (
        <Note
          tone="bad"
          title={
            trouble.since
              ? `The API server cannot be followed; this is how things stood at ${clock(trouble.since)}`
              : 'The cluster cannot be seen'
          }
          hint={trouble.message}
        >
          {trouble.hint && <p>{trouble.hint}</p>}
        </Note>
      )}
      {missing.length > 0 && (
        <Note tone="wait" title="You may not see this page" hint="Ask for these permissions:">
          <ul class="missing">
            {missing.map((each) => (
              <li>
                {each.words} <code>kubectl auth can-i {each.canI}</code>
              </li>
            ))}
          </ul>
        </Note>
      )}
      {problem && <Note tone="bad" title={problem.message} hint={problem.hint} />}
    </>
  )
}
