import { mount } from 'svelte';
import './app.css';
import App from './App.svelte';
import { translator } from './messages/translate.state.svelte.ts';
import { preferences } from './preferences.state.svelte.ts';
import { session } from './session.state.svelte.ts';

const target = document.getElementById('app');
if (target === null) throw new Error('the page has no #app');

preferences.start();
// French unless this browser chose otherwise: the language is a choice, not a guess from the browser's headers.
await translator.use(preferences.locale ?? 'fr');
mount(App, { target });
await session.start();
const preferred = session.me?.locale;
if (preferences.locale === null && preferred !== undefined && preferred !== translator.locale) {
  await translator.use(preferred);
}
