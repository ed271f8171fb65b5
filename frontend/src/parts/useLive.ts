import { useEffect, useMemo } from 'preact/hooks'
import { Live, type Query } from '../stream'

/** The stream of a page, turned whenever the query changes and closed with the page. */
export function useLive(page: string, query: Query): Live {
  const live = useMemo(() => new Live(page, query), [page])
  useEffect(() => () => live.close(), [live])
  const text = JSON.stringify(query)
  useEffect(() => live.turn(query), [live, text])
  return live
}
