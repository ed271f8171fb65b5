// The nodes of a run, wave by wave, each with its steps and its pods' ways.

import { counted, span } from '../../format'
import { Status } from '../../parts/Status'
import type { Live } from '../../stream'
import type { RunNode, Step, Way } from './types'

const STEP_TONES: Record<string, string> = {
  Pending: 'idle',
  Begun: 'busy',
  Done: 'good',
  Failed: 'bad',
  Undone: 'held',
  'Left begun': 'held',
}
const AT_REST = new Set(['Pending', 'Done', 'Undone', 'Failed'])
const PODS_SHOWN = 30

export function WaveBoard(props: {
  live: Live
  nodes: RunNode[]
  gates: Step[]
  opened: string
  open: (node: string) => void
}) {
  const waves = new Map<number, RunNode[]>()
  for (const node of props.nodes) {
    const found = waves.get(node.wave)
    if (found) found.push(node)
    else waves.set(node.wave, [node])
  }
  return (
    <section class="board">
      <h2>Nodes</h2>
      <div class="board-waves">
      {[...waves]
        .sort(([a], [b]) => a - b)
        .map(([wave, nodes]) => (
          <section class={`board-wave ${nodes.length > 1 ? 'many' : ''}`} aria-label={wave ? `Wave ${wave}` : 'Nodes'}>
            {wave > 0 && (
              <h3>
                Wave {wave} <span class="dim">{progressOf(nodes)}</span>
              </h3>
            )}
            <div class="board-nodes">
              {nodes.map((node) => (
                <NodeCard
                  key={node.node}
                  node={node}
                  ways={props.live.get<Way[]>(`ways/${node.node}`) ?? []}
                  isOpen={props.opened === node.node}
                  open={props.open}
                />
              ))}
            </div>
          </section>
        ))}
      </div>
      {props.gates.map((gate) => (
        <p class="gate dim">
          <Status state={gate.state} /> {gate.effect}
        </p>
      ))}
    </section>
  )
}

function progressOf(nodes: RunNode[]): string {
  const done = nodes.filter((node) => node.state === 'Done').length
  return done === nodes.length ? 'done' : `${done} of ${counted(nodes.length, 'node')} done`
}

function NodeCard(props: { node: RunNode; ways: Way[]; isOpen: boolean; open: (node: string) => void }) {
  const { node, ways } = props
  const isBusy = !AT_REST.has(node.state)
  const showsPods = isBusy || props.isOpen || node.state === 'Failed'
  return (
    <article class={`node-card ${isBusy ? 'under-way' : ''}`}>
      <header>
        <h4 class="ellipsis" title={node.node}>
          {node.node}
        </h4>
        <Status state={node.waiting ? 'waiting' : isBusy ? 'Begun' : node.state} word={node.waiting ? `${node.state}, waiting` : node.state} />
      </header>
      <ol class="step-line" aria-label="Steps">
        {node.steps.map((step) => {
          const state = step.state === 'Begun' && node.state === 'Undone' ? 'Left begun' : step.state
          return (
            <li class={STEP_TONES[state] ?? 'idle'} title={`${step.effect}: ${state}`}>
              <span>{step.action}</span>
              <span class="visually-hidden">: {state}</span>
            </li>
          )
        })}
      </ol>
      {node.moving > 0 && (
        <p class="node-pods">
          <button class="link" aria-expanded={showsPods} onClick={() => props.open(props.isOpen ? '' : node.node)}>
            {node.moved} of {counted(node.moving, 'pod')} moved
          </button>
          {node.beganAt && <span class="dim">{took(node)}</span>}
        </p>
      )}
      {showsPods && ways.length > 0 && (
        <ul class="ways">
          {ways.slice(0, PODS_SHOWN).map((way) => (
            <PodWay key={way.pod.uid} way={way} />
          ))}
          {ways.length > PODS_SHOWN && <li class="dim">and {ways.length - PODS_SHOWN} more</li>}
        </ul>
      )}
    </article>
  )
}

function took(node: RunNode): string {
  const end = node.endedAt ? Date.parse(node.endedAt) : Date.now()
  return span((end - Date.parse(node.beganAt ?? '')) / 1000)
}

const POD_LOOKS: Record<string, { state: string; word: string }> = {
  Planned: { state: 'Pending', word: 'planned' },
  Leaving: { state: 'Begun', word: 'leaving' },
  Waiting: { state: 'waiting', word: 'waits' },
  Gone: { state: 'Done', word: 'gone' },
  Stayed: { state: 'Undone', word: 'stayed' },
  Failed: { state: 'Failed', word: 'failed' },
}

function PodWay({ way }: { way: Way }) {
  const { pod, replacement } = way
  const looks = POD_LOOKS[pod.state] ?? { state: 'Pending', word: pod.state }
  return (
    <li class="way">
      <p class="way-pod">
        <Status state={looks.state} word={looks.word} />
        <span class="ellipsis" title={pod.key}>
          {pod.key}
        </span>
      </p>
      {replacement && (
        <p class="way-new">
          <span aria-hidden="true">→</span>
          <span class="visually-hidden">replaced by</span>
          <span class="ellipsis" title={replacement.key}>
            {replacement.key}
          </span>
          <span class="dim">
            {replacement.node ? `on ${replacement.node}, ` : ''}
            {replacement.readyAt ? 'Ready' : 'not Ready yet'}
          </span>
        </p>
      )}
      {pod.message && (
        <p class="way-why">
          {pod.message}
          {pod.budget && <span class="dim"> (budget {pod.budget})</span>}
        </p>
      )}
    </li>
  )
}
