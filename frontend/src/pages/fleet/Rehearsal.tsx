// The rehearsal: the run played in virtual time, on a time line that can be played and wound.

import { useEffect, useState } from 'preact/hooks'
import { counted, span } from '../../format'
import { Note } from '../../parts/Note'
import type { PlanView } from './PlanPanel'

interface Move {
  pod: string
  from: string
  to: string
  at: number
  ready: number
}

export interface RehearsalView {
  digest: string
  forecast: {
    makespan: number
    moves: number
    nodes: { node: string; begins: number; drained: number; ends: number }[]
    stuck: string[]
  }
  moves: Move[]
}

const PLAY_SECONDS = 12
const LISTED = 60

export function Rehearsal({ view, plan }: { view: RehearsalView; plan: PlanView }) {
  const { forecast, moves } = view
  const total = Math.max(forecast.makespan, 1)
  const [at, setAt] = useState(total)
  const [isPlaying, setPlaying] = useState(true)

  useEffect(() => {
    setAt(0)
    setPlaying(!matchMedia('(prefers-reduced-motion: reduce)').matches)
    if (matchMedia('(prefers-reduced-motion: reduce)').matches) setAt(total)
  }, [view])
  useEffect(() => {
    if (!isPlaying) return
    let frame = 0
    let before = performance.now()
    const step = (now: number) => {
      const passed = ((now - before) / 1000 / PLAY_SECONDS) * total
      before = now
      setAt((old) => {
        const next = Math.min(old + passed, total)
        if (next >= total) setPlaying(false)
        return next
      })
      frame = requestAnimationFrame(step)
    }
    frame = requestAnimationFrame(step)
    return () => cancelAnimationFrame(frame)
  }, [isPlaying, total])

  const order = new Map(plan.waves.flat().map((node, index) => [node, index]))
  const nodes = [...forecast.nodes].sort((a, b) => a.begins - b.begins || (order.get(a.node) ?? 0) - (order.get(b.node) ?? 0))
  const underWay = moves.filter((move) => move.at <= at && at < move.ready)
  const percent = (seconds: number) => `${(seconds / total) * 100}%`
  return (
    <section class="rehearsal" aria-label="Rehearsal">
      <header>
        <h3>Rehearsal</h3>
        <p class="dim">
          done after <span class="strong">{span(forecast.makespan)}</span>, {counted(forecast.moves, 'move')}
        </p>
      </header>
      {forecast.stuck.length > 0 && (
        <Note
          tone="bad"
          title={`Never done, as pods wait for their budgets: ${forecast.stuck.join(', ')}`}
          hint="See the verdicts of these nodes."
        />
      )}
      <div class="player">
        <button
          class="button"
          onClick={() => {
            if (at >= total) setAt(0)
            setPlaying(!isPlaying)
          }}
        >
          {isPlaying ? 'Hold' : 'Play'}
        </button>
        <input
          type="range"
          min={0}
          max={total}
          step={total / 500}
          value={at}
          aria-label="Time of the rehearsal"
          aria-valuetext={span(at)}
          onInput={(event) => {
            setPlaying(false)
            setAt(event.currentTarget.valueAsNumber)
          }}
        />
        <span class="number clock">{span(at)}</span>
      </div>
      <div class="gantt" role="img" aria-label={`Time line of ${counted(nodes.length, 'node')} over ${span(total)}`}>
        {nodes.map((node) => (
          <div class="gantt-row" title={`${node.node}: begins ${span(node.begins)}, drained ${span(node.drained)}, back ${span(node.ends)}`}>
            <span class="gantt-name ellipsis">{node.node}</span>
            <span class="gantt-track">
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
        ))}
        <p class="legend">
          <span class="swatch drain" /> drains <span class="swatch work" /> is worked on, until it is back
        </p>
      </div>
      <div class="moves" aria-live="off">
        <p class="dim">{counted(underWay.length, 'pod')} on the way now</p>
        <ul>
          {underWay.slice(0, 8).map((move) => (
            <li>
              <span class="ellipsis">{move.pod}</span>
              <span class="dim">
                {move.from} → {move.to}
              </span>
            </li>
          ))}
        </ul>
      </div>
      <details>
        <summary>All {counted(moves.length, 'move')}</summary>
        <div class="scroll">
          <table class="plain-table">
            <thead>
              <tr>
                <th scope="col">Pod</th>
                <th scope="col">From</th>
                <th scope="col">To</th>
                <th scope="col" class="number">
                  Leaves
                </th>
                <th scope="col" class="number">
                  Ready
                </th>
              </tr>
            </thead>
            <tbody>
              {moves.slice(0, LISTED).map((move) => (
                <tr>
                  <td>{move.pod}</td>
                  <td>{move.from}</td>
                  <td>{move.to}</td>
                  <td class="number">{span(move.at)}</td>
                  <td class="number">{span(move.ready)}</td>
                </tr>
              ))}
            </tbody>
          </table>
          {moves.length > LISTED && <p class="dim">and {counted(moves.length - LISTED, 'other')}</p>}
        </div>
      </details>
    </section>
  )
}
