// The time line of a plan: when which node is down and which pod moves where; it can be played and wound.

import { useEffect, useRef, useState } from 'preact/hooks'
import { counted, span } from '../../format'
import { Note } from '../../parts/Note'
import { Gantt } from './Gantt'

export interface Move {
  pod: string
  from: string
  /** Empty for a pod that finds no new place, of which `ready` is null. */
  to: string
  at: number
  ready: number | null
}

export interface NodeForecast {
  node: string
  begins: number
  drained: number
  ends: number
}

export interface RehearsalView {
  digest: string
  waves: string[][]
  forecast: {
    makespan: number
    moves: number
    nodes: NodeForecast[]
    stuck: string[]
  }
  moves: Move[]
}

const SHORTEST = 4 // seconds of a time line, whose four parts are told in whole ones
const PLAY_SECONDS = 12
const LISTED = 60
const FEW = 8

/** `shown` is the digest of the plan above it, `plays` counts how often it was asked to be played. */
export function Rehearsal({ view, shown, plays }: { view: RehearsalView; shown: string; plays: number }) {
  const { forecast, moves } = view
  const total = Math.max(forecast.makespan, SHORTEST)
  const [at, setAt] = useState(total)
  const [isPlaying, setPlaying] = useState(false)
  const slider = useRef<HTMLInputElement>(null)

  useEffect(() => {
    setAt(plays > 0 ? 0 : total)
    setPlaying(plays > 0 && !matchMedia('(prefers-reduced-motion: reduce)').matches)
    // It is brought into view, told by a screen reader, and wound by keys from its beginning on.
    if (plays > 0) slider.current?.focus()
  }, [view, plays])
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

  return (
    <section class="rehearsal" aria-label="Time line">
      <header>
        <h3>Time line</h3>
        <p class="dim">
          done after <span class="strong">{span(forecast.makespan)}</span>, {counted(forecast.moves, 'move')}
        </p>
      </header>
      {view.digest !== shown && (
        <Note
          tone="wait"
          title="The cluster has changed since: this is the time line of the plan that would be made now"
          hint="Change something above, or close it and plan again, to see that plan."
        />
      )}
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
          ref={slider}
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
      <Gantt nodes={forecast.nodes} waves={view.waves} total={total} at={at} />
      {moves.length > 0 ? (
        <Moves moves={moves} at={at} isOver={at >= total} />
      ) : (
        forecast.stuck.length === 0 && <p class="dim">No pod moves.</p>
      )}
    </section>
  )
}

/** Pods that move, and where: those on the way, and all of them. */
function Moves({ moves, at, isOver }: { moves: Move[]; at: number; isOver: boolean }) {
  const lost = moves.filter((move) => !move.to)
  const underWay = moves.filter((move) => move.ready !== null && move.at <= at && at < move.ready)
  return (
    <>
      {lost.length > 0 && (
        <Note
          tone="wait"
          title={`Pods that find no new place: ${lost.length.toLocaleString()} of ${moves.length.toLocaleString()}`}
          hint="Nothing makes them anew, or they fit on no node that is left. They come first below."
        />
      )}
      {!isOver && (
        <div class="moves" aria-live="off">
          <p class="dim">{counted(underWay.length, 'pod')} on the way now</p>
          <ul>
            {underWay.slice(0, FEW).map((move) => (
              <li title={`${move.pod}: ${way(move)}`}>
                <span class="ellipsis">{move.pod}</span>
                <span class="dim ellipsis">{way(move)}</span>
              </li>
            ))}
          </ul>
        </div>
      )}
      <details open={moves.length <= FEW}>
        <summary>{counted(moves.length, 'move')} of pods, and where to</summary>
        <div class="scroll" tabIndex={0} role="region" aria-label="Moves of pods">
          <table class="plain-table moves-table">
            <thead>
              <tr>
                <th scope="col">Pod</th>
                <th scope="col">From, and to</th>
                <th scope="col" class="number">
                  Leaves, and Ready
                </th>
              </tr>
            </thead>
            <tbody>
              {moves.slice(0, LISTED).map((move) => (
                <tr>
                  <td>{move.pod}</td>
                  <td>{way(move)}</td>
                  <td class="number brief">
                    {span(move.at)} to {move.ready === null ? 'never' : span(move.ready)}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
          {moves.length > LISTED && <p class="dim">and {counted(moves.length - LISTED, 'other')}</p>}
        </div>
      </details>
    </>
  )
}

const way = (move: Move) => `${move.from} → ${move.to || 'nowhere'}`
