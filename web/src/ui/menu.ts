import type { Component, Snippet } from 'svelte';

export interface MenuItem {
  text: string;
  note?: string;
  icon?: Component<{ size?: number; 'aria-hidden'?: 'true'; class?: string }>;
  /** A coloured square before the text: a token of `--tenant-…`. */
  swatch?: string;
  checked?: boolean;
  keys?: string;
  act: () => unknown;
}

export interface MenuProps {
  label: string;
  items: readonly MenuItem[];
  children: Snippet;
  /** Draws the trigger as a bordered button. */
  framed?: boolean;
  align?: 'start' | 'end';
}

/** Look of the button that opens a menu, before and after the menu's own code has arrived. */
export const menuTriggerClass = (framed: boolean): string =>
  `hover:bg-hover inline-flex min-h-8 min-w-8 items-center justify-center gap-2 rounded-md px-2 max-md:min-h-11 max-md:min-w-11 ${
    framed ? 'border-line-strong border px-3' : ''
  }`;
