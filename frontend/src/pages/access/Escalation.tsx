// The ways to more power: a list of who has one, and the graph itself, walked step by step.

import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'
import { counted } from '../../format'
import { Loading, ProblemNote } from '../../parts/Asking'
import { SeverityMark } from '../../parts/Findings'
import { Note } from '../../parts/Note'
import { Search } from '../../parts/Search'
import { asked, useAsk } from '../../parts/useAsk'
import { adjust, at, place } from '../../router'
import { shortName } from './names'
import { GOALS, isPartial, type Ahead, type Crossing, type Head, type Onward, type PolicyHead, type Way } from './types'

interface Spot {
  kind: string
  name: string
}

export function Escalation({ head }: { head: PolicyHead }) {
  const walk = readWalk(place.value.query.get('walk') ?? '')
  return walk.length ? <Walk walk={walk} of={head.readAt} /> : <Ways of={head.readAt} isPartial={isPartial(head)} />
}

function Ways({ of, isPartial }: { of: string; isPartial: boolean }) {
  const query = place.value.query
  const system = query.get('system') ?? ''
  const find = query.get('find') ?? ''
  const answer = useAsk<Head & { findings: Way[]; total: number; matching: number }>(
    asked('/api/access/escalation', { system, find, of }),
  )
  const found = answer.value
  return (
    <>
      <div class="tools">
        <Search
          value={find}
          label="Filter ways"
          hint="Filter: a name, a goal, a binding …"
          onChange={(text) => adjust({ find: text })}
        />
        <label class="tick-label">
          <input
            type="checkbox"
            checked={system === 'true'}
            onChange={(event) => adjust({ system: event.currentTarget.checked ? 'true' : '' })}
          />
          Also what Kubernetes grants itself
        </label>
      </div>
      {answer.problem && <ProblemNote problem={answer.problem} again={() => answer.again()} />}
      {!found && !answer.problem && <Loading what="the ways" />}
      {found && found.total === 0 && (
        <Note
          tone={isPartial ? 'wait' : 'good'}
          title={
            isPartial
              ? 'No way to more power is seen in what could be read'
              : 'Nobody can come to more power than they were given'
          }
          hint="As far as roles, bindings, pods and Secrets could be read; what Kubernetes grants itself is left out."
        />
      )}
      {found && found.total > 0 && found.matching === 0 && <Note tone="info" title="No way is found by this filter" />}
      {found && found.findings.length > 0 && (
        <>
          <p class="dim">
            {found.matching.toLocaleString()} of {counted(found.total, 'way')}
            {found.findings.length < found.matching && `, the first ${found.findings.length} shown`}. Open one to walk
            it.
          </p>
          <ul class="escalations">
            {found.findings.map((each) => (
              <WayRow way={each} key={`${each.rule} ${each.target} ${each.goal} ${each.cut}`} />
            ))}
          </ul>
        </>
      )}
    </>
  )
}

function WayRow({ way }: { way: Way }) {
  const spot = spotOf(way.target)
  return (
    <li class="escalation card">
      <div class="way-head">
        <SeverityMark severity={way.severity} />
        <a class="way-who" href={at(asked('/access/escalation', { walk: writeWalk([spot]) }))}>
          <span class="kind">{spot.kind}</span> {shortName(spot.kind, spot.name)}
        </a>
        <GoalMark goal={way.goal} />
      </div>
      <ol class="way-steps">
        {way.evidence.map((each) => (
          <li>{each}</li>
        ))}
      </ol>
      {way.remedy && (
        <p class="remedy">
          <span class="strong">Remedy</span> {way.remedy} <span class="dim">{way.rule}</span>
        </p>
      )}
    </li>
  )
}

function GoalMark({ goal, steps }: { goal: string; steps?: number }) {
  const looks = GOALS[goal] ?? { word: goal, tone: 'idle' }
  return (
    <span class={`goal ${looks.tone}`}>
      {looks.word}
      {steps !== undefined && ` in ${steps}`}
    </span>
  )
}

function Walk({ walk, of }: { walk: Spot[]; of: string }) {
  const board = useRef<HTMLDivElement>(null)
  const [lines, setLines] = useState<string[]>([])
  const [isSettled, setSettled] = useState(0)
  const text = writeWalk(walk)
  const go = (to: Spot[]) => adjust({ walk: writeWalk(to) })

  useLayoutEffect(() => {
    const element = board.current
    if (!element) return
    const draw = () => setLines(linesOf(element))
    draw()
    const observer = new ResizeObserver(draw)
    observer.observe(element)
    return () => observer.disconnect()
  }, [text, isSettled])
  useEffect(() => {
    board.current?.parentElement?.scrollTo({ left: board.current.scrollWidth })
  }, [text, isSettled])

  return (
    <>
      <div class="tools">
        <button class="button" onClick={() => adjust({ walk: '' })}>
          All ways
        </button>
        <ol class="crumbs" aria-label="The way so far">
          {walk.map((each, index) => (
            <li>
              <button class="link" onClick={() => go(walk.slice(0, index + 1))}>
                {each.kind} {shortName(each.kind, each.name)}
              </button>
            </li>
          ))}
        </ol>
      </div>
      <div class="graph-frame" tabIndex={0} role="region" aria-label="The graph; choose where to go next">
        <div class="graph" ref={board}>
          <svg class="graph-lines" aria-hidden="true">
            {lines.map((each) => (
              <path d={each} />
            ))}
          </svg>
          <div class="stage">
            <Stop spot={walk[0] as Spot} isOn from="" />
          </div>
          {walk.map((each, index) => (
            <Stage
              key={`${index} ${each.kind}/${each.name}`}
              spot={each}
              of={of}
              level={index}
              next={walk[index + 1]}
              onGo={(to) => go([...walk.slice(0, index + 1), to])}
              onSettled={() => setSettled((count) => count + 1)}
            />
          ))}
        </div>
      </div>
    </>
  )
}

const FEW = 8

function Stage(props: {
  spot: Spot
  of: string
  level: number
  next: Spot | undefined
  onGo: (to: Spot) => void
  onSettled: () => void
}) {
  const { spot, next } = props
  const answer = useAsk<Head & { crossing: Crossing }>(
    asked('/api/access/place', { kind: spot.kind, name: spot.name, of: props.of }),
  )
  const [isAll, setAll] = useState(false)
  const found = answer.value?.crossing
  const groups = found ? grouped(found.onward) : []
  const few = groups.filter((each, index) => isAll || index < FEW || isSame(each, next))
  useEffect(() => props.onSettled(), [found, isAll])
  return (
    <div class="stage">
      {answer.problem && <ProblemNote problem={answer.problem} />}
      {!found && !answer.problem && <p class="dim">Looking …</p>}
      {found && groups.length === 0 && <p class="dim stop-end">Nothing further leads on from here.</p>}
      {few.map((each) => (
        <Stop
          key={`${each.kind}/${each.name}`}
          spot={each}
          hows={each.hows}
          ahead={each.ahead}
          isOn={isSame(each, next)}
          from={`${props.level}`}
          onGo={() => props.onGo({ kind: each.kind, name: each.name })}
        />
      ))}
      {groups.length > few.length && (
        <button class="button small" onClick={() => setAll(true)}>
          {(groups.length - few.length).toLocaleString()} more
        </button>
      )}
      {isAll && (found?.leftOut ?? 0) > 0 && <p class="dim">and {found?.leftOut} that are not shown</p>}
    </div>
  )
}

interface Group extends Spot {
  hows: string[]
  ahead: Ahead[]
}

function grouped(onward: Onward[]): Group[] {
  const found = new Map<string, Group>()
  for (const each of onward) {
    const key = `${each.kind}/${each.name}`
    const known = found.get(key)
    if (known) {
      if (!known.hows.includes(each.how)) known.hows.push(each.how)
    } else {
      found.set(key, { kind: each.kind, name: each.name, hows: [each.how], ahead: each.ahead ?? [] })
    }
  }
  return [...found.values()]
}

function Stop(props: {
  spot: Spot
  hows?: string[]
  ahead?: Ahead[]
  isOn: boolean
  from: string
  onGo?: () => void
}) {
  const { kind, name } = props.spot
  const goal = kind === 'Goal' ? GOALS[name] : undefined
  const inside = (
    <>
      <span class="kind">{WORDS[kind] ?? kind}</span>
      <span class="stop-name">{goal?.word ?? (name === '*' ? 'everywhere' : shortName(kind, name))}</span>
      {props.hows?.slice(0, 2).map((how) => <span class="stop-how">{how}</span>)}
      {(props.hows?.length ?? 0) > 2 && <span class="dim">and {(props.hows?.length ?? 0) - 2} ways more</span>}
      {props.ahead && props.ahead.length > 0 && (
        <span class="stop-ahead">
          {props.ahead.map((each) => (
            <GoalMark goal={each.goal} steps={each.steps} />
          ))}
        </span>
      )}
    </>
  )
  const looks = `stop ${goal ? `is-goal ${goal.tone}` : ''}`
  if (!props.onGo)
    return (
      <div class={looks} data-on data-root>
        {inside}
      </div>
    )
  return (
    <button
      class={looks}
      aria-pressed={props.isOn}
      data-from={props.from}
      data-on={props.isOn ? '' : undefined}
      onClick={props.onGo}
    >
      {inside}
    </button>
  )
}

const WORDS: Record<string, string> = {
  Pods: 'Makes pods in',
  Secrets: 'Reads Secrets of',
  Tokens: 'Is any ServiceAccount of',
  Inside: 'Is inside pods of',
  AnyUser: 'Is any user',
  AnyNode: 'Is any kubelet',
}

/** A curve from the stop that was chosen in each stage to every stop of the next one. */
function linesOf(board: HTMLElement): string[] {
  const frame = board.getBoundingClientRect()
  const stages = [...board.querySelectorAll('.stage')]
  const found: string[] = []
  stages.slice(1).forEach((stage, index) => {
    const from = stages[index]?.querySelector('[data-on]')?.getBoundingClientRect()
    if (!from) return
    const x1 = from.right - frame.left
    const y1 = from.top + Math.min(from.height / 2, 40) - frame.top
    for (const stop of stage.querySelectorAll('.stop')) {
      const to = stop.getBoundingClientRect()
      const x2 = to.left - frame.left
      const y2 = to.top + Math.min(to.height / 2, 40) - frame.top
      const bend = (x2 - x1) / 2
      found.push(`M${x1},${y1} C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2},${y2}`)
    }
  })
  return found
}

function isSame(one: Spot, other: Spot | undefined): boolean {
  return one.kind === other?.kind && one.name === other.name
}

const KINDS: Record<string, string> = { user: 'User', group: 'Group', serviceaccount: 'ServiceAccount' }

function spotOf(target: string): Spot {
  const at = target.indexOf('/')
  const kind = target.slice(0, at)
  return { kind: KINDS[kind] ?? kind, name: target.slice(at + 1) }
}

function readWalk(text: string): Spot[] {
  return text
    .split(',')
    .filter(Boolean)
    .map((each) => {
      const plain = decode(each)
      const at = plain.indexOf('/')
      return { kind: plain.slice(0, at), name: plain.slice(at + 1) }
    })
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function writeWalk(walk: Spot[]): string {
  return walk.map((each) => encodeURIComponent(`${each.kind}/${each.name}`)).join(',')
}
