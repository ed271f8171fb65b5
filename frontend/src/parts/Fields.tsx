// Fields of a form, each with its label.

import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'

export function Labelled({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <label class="labelled">
      <span class="label">{label}</span>
      {children}
    </label>
  )
}

/** What is being typed stays, whatever is drawn anew meanwhile; it is told when it is finished. */
export function Text(props: { label: string; value: string; hint?: string; onText: (text: string) => void }) {
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => {
    if (input.current && document.activeElement !== input.current) input.current.value = props.value
  })
  return (
    <Labelled label={props.label}>
      <input
        ref={input}
        class="field"
        defaultValue={props.value}
        placeholder={props.hint ?? ''}
        spellcheck={false}
        autocomplete="off"
        onChange={(event) => props.onText(event.currentTarget.value.trim())}
      />
    </Labelled>
  )
}

/** A box to tick; `flag` is what remedies call it, which speak of the command line. */
export function Tick(props: { label: string; flag?: string; is: boolean; on: (is: boolean) => void }) {
  return (
    <label class="tick-label">
      <input type="checkbox" checked={props.is} onChange={(event) => props.on(event.currentTarget.checked)} />
      <span>
        {props.label} {props.flag && <code>{props.flag}</code>}
      </span>
    </label>
  )
}
