// Draws a board from a real Prometheus: 
// ?board=URL&prometheus=URL&scrape=SECONDS&since=now-1h&theme=light
import {
  applyFieldOverrides,
  createTheme,
  dateTime,
  getDisplayProcessor,
  getFieldDisplayValues,
  transformDataFrame,
} from '@grafana/data';
import { BarGauge, BigValue, GlobalStyles, PanelChrome, Table, ThemeContext, TimeSeries } from '@grafana/ui';
import { StrictMode, useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { lastValueFrom } from 'rxjs';

import { ask, filled, frames, intervals, rangeOf } from './prometheus';
import { fill, properties } from './registries';

const CELL = { width: 1600 / 24, height: 38 };
const GAP = 8;
const address = new URLSearchParams(location.search);
const theme = createTheme({ colors: { mode: address.get('theme') ?? 'dark' } });
const server = address.get('prometheus');
const scrape = Number(address.get('scrape') ?? 15);
const timeZone = 'browser';

/** Values of the board's variables, and all nodes. */
async function choices(board) {
  const [machine] = await ask(server, 'label/instance/values', { 'match[]': 'swarm_exporter_build_info' });
  const nodes = await ask(server, 'label/node/values', { 'match[]': 'swarm_node_info' });
  const values = {};
  for (const variable of board.templating.list) {
    if (variable.includeAll) {
      values[variable.name] = variable.allValue;
    } else if (variable.type === 'textbox') {
      values[variable.name] = variable.query;
    }
  }
  return { values: { ...values, machine: values.machine ?? machine }, nodes };
}

/** Panels with their place in cells; rows that repeat are there once for each value. */
function layout(board, nodes) {
  const placed = [];
  let shift = 0;
  for (const [index, panel] of board.panels.entries()) {
    if (panel.type !== 'row' || panel.repeat !== 'node') {
      placed.push({ panel, ...panel.gridPos, y: panel.gridPos.y + shift, values: {} });
      continue;
    }
    const members = board.panels.slice(index + 1);
    const height = Math.max(...members.map(({ gridPos }) => gridPos.y + gridPos.h)) - panel.gridPos.y;
    for (const node of nodes) {
      for (const member of [panel, ...members]) {
        placed.push({ panel: member, ...member.gridPos, y: member.gridPos.y + shift, values: { node } });
      }
      shift += height;
    }
    break;
  }
  return placed;
}

async function load(panel, board, values, now) {
  const range = rangeOf(panel, board, now);
  const { step, values: builtin } = intervals(panel, range, scrape);
  const several = panel.targets.length > 1;
  const answers = await Promise.all(
    panel.targets.map((target) => frames(server, target, several, range, step, { ...values, ...builtin })),
  );
  const steps = (panel.transformations ?? []).map(({ id, options }) => ({ id, options }));
  const transformed = await lastValueFrom(transformDataFrame(steps, answers.flat()));
  const data = applyFieldOverrides({
    data: transformed,
    fieldConfig: panel.fieldConfig,
    fieldConfigRegistry: properties,
    replaceVariables: (text) => filled(text, values),
    theme,
    timeZone,
  });
  for (const frame of data) {
    for (const field of frame.fields) {
      field.display = getDisplayProcessor({ field, theme, timeZone });
    }
  }
  return { data, range };
}

function Drawn({ panel, data, range, width, height }) {
  if (panel.type === 'timeseries') {
    const time = { from: dateTime(range.start * 1000), to: dateTime(range.end * 1000) };
    return data.length ? (
      <TimeSeries
        frames={data}
        structureRev={1}
        width={width}
        height={height}
        timeRange={{ ...time, raw: time }}
        timeZone={timeZone}
        legend={{ displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] }}
        options={panel.options}
      />
    ) : (
      <Quiet>No data</Quiet>
    );
  }
  if (panel.type === 'table') {
    return data[0]?.length ? <Table data={data[0]} width={width} height={height} /> : <Quiet>No data</Quiet>;
  }
  if (panel.type === 'stat' || panel.type === 'bargauge') {
    const shown = getFieldDisplayValues({
      data,
      fieldConfig: panel.fieldConfig,
      reduceOptions: { calcs: ['lastNotNull'] },
      replaceVariables: (text) => text,
      theme,
      timeZone,
      sparkline: panel.options?.graphMode === 'area',
    });
    const Value = panel.type === 'stat' ? Figure : Bar;
    const each = { width: panel.type === 'stat' ? width / shown.length : width, height: panel.type === 'stat' ? height : height / shown.length };
    return (
      <div style={{ display: 'flex', flexDirection: panel.type === 'stat' ? 'row' : 'column' }}>
        {shown.map((found, index) => (
          <Value key={index} panel={panel} found={found} {...each} />
        ))}
      </div>
    );
  }
  return <Quiet>{panel.type}: not drawn here, no package has it</Quiet>;
}

function Figure({ panel, found, width, height }) {
  return (
    <BigValue
      value={panel.options.textMode === 'value_and_name' ? found.display : { ...found.display, title: '' }}
      sparkline={found.sparkline}
      colorMode={panel.options.colorMode}
      graphMode={panel.options.graphMode}
      textMode={panel.options.textMode}
      theme={theme}
      width={width}
      height={height}
    />
  );
}

function Bar({ found, width, height }) {
  return <BarGauge value={found.display} field={found.field} display={found.view?.getFieldDisplayProcessor(found.colIndex)} orientation="horizontal" displayMode="basic" theme={theme} width={width} height={height} />;
}

const Quiet = ({ children }) => (
  <div style={{ color: theme.colors.text.secondary, padding: 8, font: '13px sans-serif' }}>{children}</div>
);

function Panel({ place, board, values, now }) {
  const { panel } = place;
  const [state, setState] = useState();
  const all = { ...values, ...place.values };
  useEffect(() => {
    load(panel, board, all, now).then(setState, (error) => setState({ error: String(error) }));
  }, []);
  return (
    <div
      style={box(place)}
      data-panel={panel.title}
      data-state={state ? 'done' : 'asked'}
      data-error={state?.error ?? ''}
      data-frames={state?.data?.length ?? 0}
    >
      <PanelChrome
        title={panel.title}
        description={panel.description}
        width={place.w * CELL.width - GAP}
        height={place.h * CELL.height - GAP}
      >
        {(width, height) =>
          state?.data ? (
            <Drawn panel={panel} width={width} height={height} {...state} />
          ) : (
            <Quiet>{state?.error ?? ''}</Quiet>
          )
        }
      </PanelChrome>
    </div>
  );
}

const box = ({ x, y, w, h }) => ({
  position: 'absolute',
  left: x * CELL.width + GAP / 2,
  top: y * CELL.height + 48,
  width: w * CELL.width - GAP,
  height: h * CELL.height - GAP,
});

function Board({ board, values, nodes }) {
  const places = layout(board, nodes);
  const depth = Math.max(...places.map(({ y, h }) => y + h));
  const now = Math.floor(Date.now() / 1000);
  return (
    <div style={{ position: 'relative', width: 1600, height: depth * CELL.height + 56 }} data-board={board.uid} data-depth={depth * CELL.height + 56}>
      <h1 style={{ font: '500 20px sans-serif', color: theme.colors.text.primary, margin: 0, padding: '12px 8px' }}>{board.title}</h1>
      {places.map((place, index) =>
        place.panel.type === 'row' ? (
          <h2 key={index} style={{ ...box(place), font: '500 16px sans-serif', color: theme.colors.text.primary, margin: 0, padding: '8px 4px' }}>
            {filled(place.panel.title, place.values)}
          </h2>
        ) : (
          <Panel key={index} place={place} board={board} values={values} now={now} />
        ),
      )}
    </div>
  );
}

fill();
document.body.style.background = theme.colors.background.canvas;
const board = await (await fetch(address.get('board'))).json();
board.time.from = address.get('since') ?? board.time.from;
const found = await choices(board);
createRoot(document.getElementById('root')).render(
  <StrictMode>
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <Board board={board} {...found} />
    </ThemeContext.Provider>
  </StrictMode>,
);
