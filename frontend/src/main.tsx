import { render } from 'preact'
import './style/base.css'
import './style/shell.css'
import './style/parts.css'
import './style/fleet.css'
import './theme'
import { begin } from './session'
import { Shell } from './shell'

const root = document.getElementById('app')
if (root) render(<Shell />, root)
void begin()
