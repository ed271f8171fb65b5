import { useEffect, useRef } from 'preact/hooks'
import { onKey } from '../keys'
import { Icon } from './Icon'

/** The filter of a page; `/` goes there, Esc empties it and leaves it. */
export function Search(props: { value: string; label: string; hint: string; onChange: (text: string) => void }) {
  const input = useRef<HTMLInputElement>(null)
  const timer = useRef(0)
  useEffect(() => onKey('/', 'filter', () => input.current?.focus()), [])
  useEffect(() => {
    if (input.current && document.activeElement !== input.current) input.current.value = props.value
  }, [props.value])
  return (
    <div class="search">
      <Icon name="search" />
      <input
        ref={input}
        class="field"
        type="search"
        aria-label={props.label}
        placeholder={props.hint}
        spellcheck={false}
        autocomplete="off"
        defaultValue={props.value}
        onInput={(event) => {
          const text = event.currentTarget.value
          window.clearTimeout(timer.current)
          timer.current = window.setTimeout(() => props.onChange(text), 120)
        }}
        onKeyDown={(event) => {
          if (event.key !== 'Escape') return
          event.currentTarget.value = ''
          props.onChange('')
          event.currentTarget.blur()
        }}
      />
      <kbd aria-hidden="true">/</kbd>
    </div>
  )
}
