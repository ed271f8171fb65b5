import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { ask, asProblem, Problem, type ProblemBody } from '../api'
import { out } from '../session'

export interface Asked<T> {
  value: T | undefined
  problem: ProblemBody | null
  isBusy: boolean
  /** When it was answered. */
  at: string | undefined
  /** Ask the same again; with further words for the query, such as `anew=true`. */
  again: (more?: string) => void
}

/** The answer to a question; what was answered last stays until the next one is. Empty asks nothing. */
export function useAsk<T>(path: string): Asked<T> {
  const [state, setState] = useState<{ value: T | undefined; problem: ProblemBody | null; of: string; at?: string }>({
    value: undefined,
    problem: null,
    of: '',
  })
  const [busy, setBusy] = useState(0)
  const latest = useRef(0)

  const send = useCallback(
    (more = '') => {
      const mine = ++latest.current
      if (!path) return setState({ value: undefined, problem: null, of: '' })
      const asked = more ? `${path}${path.includes('?') ? '&' : '?'}${more}` : path
      setBusy((count) => count + 1)
      ask<T>(asked)
        .then(
          (value) => mine === latest.current && setState({ value, problem: null, of: path, at: new Date().toISOString() }),
          (error: unknown) => {
            if (error instanceof Problem && error.status === 401) return void out(true)
            if (mine !== latest.current) return
            setState((before) => ({
              value: before.of === path ? before.value : undefined,
              problem: asProblem(error),
              of: path,
              ...(before.at ? { at: before.at } : {}),
            }))
          },
        )
        .finally(() => setBusy((count) => count - 1))
    },
    [path],
  )
  useEffect(() => send(), [send])
  return { value: state.value, problem: state.problem, isBusy: busy > 0, at: state.at, again: send }
}

/** A path with a query; what is empty is left out. */
export function asked(path: string, query: Record<string, string>): string {
  const words = new URLSearchParams(Object.entries(query).filter(([, value]) => value))
  const text = words.toString()
  return text ? `${path}?${text}` : path
}
