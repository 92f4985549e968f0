// Queries as Grafana's Prometheus data source sends them, and its answers as data frames.
import { FieldType, toDataFrame } from '@grafana/data';

const UNITS = { s: 1, m: 60, h: 3600, d: 86400, w: 604800 };
const ROUND = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 21600, 43200, 86400];

export const seconds = (duration) => Number(duration.slice(0, -1)) * UNITS[duration.at(-1)];

/** The range of a panel in Unix seconds: the board's, or its own. */
export function rangeOf(panel, board, now) {
  if (panel.timeFrom === 'now/d') {
    return { start: new Date(now * 1000).setHours(0, 0, 0, 0) / 1000, end: now };
  }
  const span = panel.timeFrom ?? board.time.from.replace('now-', '');
  return { start: now - seconds(span), end: now };
}

/** Fill in variables and intervals. */
export function filled(text, values) {
  return text.replace(/\$\{?(\w+)\}?/g, (whole, name) => values[name] ?? whole);
}

export function intervals(panel, range, scrape) {
  const wanted = (range.end - range.start) / (panel.maxDataPoints ?? 400);
  const step = Math.max(
    ROUND.find((round) => wanted <= round * 1.25) ?? 86400,
    panel.interval ? seconds(panel.interval) : 0,
    scrape,
  );
  return {
    step,
    values: {
      __interval: `${step}s`,
      __rate_interval: `${Math.max(step + scrape, 4 * scrape)}s`,
      __range: `${Math.ceil(range.end - range.start)}s`,
    },
  };
}

export async function ask(server, path, parameters) {
  const answer = await (await fetch(`${server}/api/v1/${path}?${new URLSearchParams(parameters)}`)).json();
  if (answer.status !== 'success') {
    throw new Error(answer.error);
  }
  return answer.data;
}

/** The frames of one target: a table of all its series, or a frame for each. */
export async function frames(server, target, several, range, step, values) {
  const expr = filled(target.expr, values);
  if (target.instant) {
    const { result } = await ask(server, 'query', { query: expr, time: range.end });
    return target.format === 'table' ? [table(target, several, result)] : result.map((found) => series(target, { ...found, values: [found.value] }));
  }
  const start = Math.floor(range.start / step) * step;
  const end = Math.floor(range.end / step) * step;
  const { result } = await ask(server, 'query_range', { query: expr, start, end, step });
  return result.map((found) => series(target, found));
}

function series(target, { metric, values }) {
  const legend = target.legendFormat === '__auto' ? '' : target.legendFormat;
  const name = legend.replace(/{{(\w+)}}/g, (_, label) => metric[label] ?? label);
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: values.map(([time]) => time * 1000) },
      {
        name: 'Value',
        type: FieldType.number,
        labels: metric,
        config: name ? { displayNameFromDS: name } : {},
        values: values.map(([, value]) => Number(value)),
      },
    ],
  });
}

function table(target, several, result) {
  const labels = [...new Set(result.flatMap(({ metric }) => Object.keys(metric)))].sort();
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: result.map(({ value }) => value[0] * 1000) },
      ...labels.map((name) => ({
        name,
        type: FieldType.string,
        values: result.map(({ metric }) => metric[name] ?? ''),
      })),
      {
        name: several ? `Value #${target.refId}` : 'Value',
        type: FieldType.number,
        values: result.map(({ value }) => Number(value[1])),
      },
    ],
  });
}
