/**
 * The gate of a run that is no journey: a backup, a restore, upkeep. Lists show its vault, machine,
 * state and attention; its page shows what it waits for.
 */
import type { SearchAttributeUpdatePair } from '@temporalio/common';
import { setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow';
import { attentionTag } from '../domain/attention.ts';
import { SEARCH } from './definitions.ts';
import { type Gate, openGate } from './gate.ts';

export interface Run {
  readonly vault: string;
  readonly machine?: string;
  readonly subject: string;
  readonly heartbeatMs: number;
}

export function openRunGate({ vault, machine, subject, heartbeatMs }: Run): Gate {
  let shown = '';
  const show = () => {
    const open = gate.open.list;
    const state = gate.state === 'Running' && open.length > 0 ? 'Attention' : gate.state;
    setCurrentDetails(
      [
        `**${gate.step}** · ${state}`,
        ...open.map(
          (one) => `- **${one.id} ${one.code}**: ${one.message}. ${one.hint}. Choices: ${one.choices.join(', ')}`,
        ),
      ].join('\n'),
    );
    const changing: SearchAttributeUpdatePair[] = [
      { key: SEARCH.state, value: state },
      { key: SEARCH.attention, value: open.map(attentionTag) },
    ];
    const text = JSON.stringify(changing.map(({ value }) => value));
    if (text === shown) return;
    if (shown === '') changing.push({ key: SEARCH.vault, value: vault });
    if (shown === '' && machine !== undefined) changing.push({ key: SEARCH.machine, value: machine });
    shown = text;
    upsertSearchAttributes(changing);
  };
  const gate = openGate(heartbeatMs, { vault, subject, show });
  gate.changed();
  return gate;
}
