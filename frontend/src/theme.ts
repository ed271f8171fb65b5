// Light, dark, or as the system has it; remembered in this browser.

import { effect, signal } from '@preact/signals'

export type Theme = 'system' | 'light' | 'dark'
const KEY = 'shipkeeper-theme'

function stored(): Theme {
  const found = localStorage.getItem(KEY)
  return found === 'light' || found === 'dark' ? found : 'system'
}

export const theme = signal<Theme>(stored())

effect(() => {
  const root = document.documentElement
  if (theme.value === 'system') {
    localStorage.removeItem(KEY)
    delete root.dataset['theme']
  } else {
    localStorage.setItem(KEY, theme.value)
    root.dataset['theme'] = theme.value
  }
})

export function turnTheme(): void {
  const next: Record<Theme, Theme> = { system: 'dark', dark: 'light', light: 'system' }
  theme.value = next[theme.value]
}
