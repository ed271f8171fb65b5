// Access: who can do what and why, the ways to more power, and when certificates end.

import { AsOf, Loading, MissingNote, ProblemNote } from '../../parts/Asking'
import { Note } from '../../parts/Note'
import { Subpages, type Subpage } from '../../parts/Subpages'
import { useAsk } from '../../parts/useAsk'
import { place } from '../../router'
import { counted } from '../../format'
import { Certificates } from './Certificates'
import { Escalation } from './Escalation'
import { Explain } from './Explain'
import { MatrixMap } from './MatrixMap'
import type { PolicyHead } from './types'
import { WhoCan } from './WhoCan'

const PARTS: Subpage[] = [
  { path: '/access', title: 'Who can' },
  { path: '/access/explain', title: 'Explain' },
  { path: '/access/escalation', title: 'Escalation' },
  { path: '/access/matrix', title: 'Matrix' },
  { path: '/access/certificates', title: 'Certificates' },
]

export function AccessPage() {
  const rest = place.value.rest
  const now = rest ? `/access/${rest}` : '/access'
  return (
    <div class="page">
      <div class="title-row">
        <h1>Access</h1>
      </div>
      <Subpages parts={PARTS} now={now} label="Parts of the access page" />
      {rest === 'certificates' ? <Certificates /> : <OfPolicy part={rest} />}
    </div>
  )
}

function OfPolicy({ part }: { part: string }) {
  const policy = useAsk<PolicyHead>('/api/access/policy')
  const head = policy.value
  return (
    <>
      <div class="title-row">
        <p class="dim">
          {head &&
            `${counted(head.bindings, 'binding')}, ${counted(head.roles, 'role')}; decided by ${head.authorizers.join(', ')}${assumed(head)}`}
        </p>
        <span class="grow" />
        <AsOf at={head?.readAt} isBusy={policy.isBusy} again={() => policy.again('anew=true')} />
      </div>
      {policy.problem && <ProblemNote problem={policy.problem} again={() => policy.again()} />}
      {head && <Gaps head={head} />}
      {!head && !policy.problem && <Loading what="the policy" />}
      {head && <Part part={part} head={head} />}
    </>
  )
}

function Part({ part, head }: { part: string; head: PolicyHead }) {
  switch (part) {
    case '':
      return <WhoCan head={head} />
    case 'explain':
      return <Explain head={head} />
    case 'escalation':
      return <Escalation head={head} />
    case 'matrix':
      return <MatrixMap head={head} />
    default:
      return <Note tone="info" title="There is no such part of this page" hint="Choose one above." />
  }
}

/** Why the authorizers are not known but taken for the usual ones. */
function assumed(head: PolicyHead): string {
  if (head.isChainKnown) return ''
  const why = head.gaps.find((each) => each.what === 'authorizers')?.why
  return why ? ` (${why})` : ' (assumed)'
}

function Gaps({ head }: { head: PolicyHead }) {
  const others = [...head.gaps, ...head.unread].filter((each) => each.what !== 'authorizers')
  return (
    <>
      <MissingNote
        title={
          head.gaps.some((each) => each.what !== 'authorizers')
            ? 'You may not read all that decides, so answers may be wrong'
            : 'You may not read all that is looked at, so ways to more power may be missing'
        }
        missing={head.missing}
      />
      {head.missing.length === 0 && others.length > 0 && (
        <Note
          tone="wait"
          title="Not everything could be read: answers may be wrong"
          hint={others.map((each) => `${each.what}: ${each.why}`).join('; ')}
        />
      )}
    </>
  )
}
