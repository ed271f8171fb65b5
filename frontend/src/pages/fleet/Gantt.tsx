// Waves on a time line: a bar for each node, from its cordon until it is back.

import { span } from '../../format'
import type { NodeForecast } from './Rehearsal'

const TICKS = [0, 0.25, 0.5, 0.75, 1]

export function Gantt(props: { nodes: NodeForecast[]; waves: string[][]; total: number; at: number }) {
  const { waves, total, at } = props
  const found = new Map(props.nodes.map((each) => [each.node, each]))
  return (
    <div>
      <div class="gantt-axis" aria-hidden="true">
        {TICKS.map((part) => (
          <span style={{ left: `${part * 100}%` }}>{span(part * total)}</span>
        ))}
      </div>
      <div class="gantt" role="region" tabIndex={0} aria-label="Waves and nodes on the time line">
        {waves.map((wave, index) => (
          <Wave key={index} number={index + 1} nodes={wave.flatMap((name) => found.get(name) ?? [])} total={total} at={at} />
        ))}
      </div>
      <p class="legend">
        <span class="swatch drain" /> drains <span class="swatch work" /> is worked on, until it is back
      </p>
    </div>
  )
}

function Wave({ number, nodes, total, at }: { number: number; nodes: NodeForecast[]; total: number; at: number }) {
  if (nodes.length === 0) return null
  const begins = Math.min(...nodes.map((each) => each.begins))
  const ends = Math.max(...nodes.map((each) => each.ends))
  return (
    <section>
      <h4 class="gantt-wave">
        Wave {number} <span class="dim">{`${span(begins)} to ${span(ends)}`}</span>
      </h4>
      {nodes.map((each) => (
        <Bar key={each.node} node={each} total={total} at={at} />
      ))}
    </section>
  )
}

function Bar({ node, total, at }: { node: NodeForecast; total: number; at: number }) {
  const percent = (seconds: number) => `${(seconds / total) * 100}%`
  const words = `begins ${span(node.begins)}, drained ${span(node.drained)}, back ${span(node.ends)}`
  return (
    <div class="gantt-row" title={`${node.node}: ${words}`}>
      <span class="gantt-name ellipsis">{node.node}</span>
      <span class="visually-hidden">{words}</span>
      <span class="gantt-track" aria-hidden="true">
        <span
          class={`bar drain ${at > node.begins ? 'on' : ''}`}
          style={{ left: percent(node.begins), width: percent(node.drained - node.begins) }}
        />
        <span
          class={`bar work ${at > node.drained ? 'on' : ''}`}
          style={{ left: percent(node.drained), width: percent(node.ends - node.drained) }}
        />
        <span class="now" style={{ left: percent(at) }} />
      </span>
    </div>
  )
}
