// A board as Grafana's own front end types it (@grafana/schema), each panel by its plugin.
// 13.x of the package no longer ships the plugins' types.
import type {
  AnnotationQuery,
  Dashboard,
  DashboardLink,
  DataSourceRef,
  FieldConfig,
  MatcherConfig,
  Panel as AnyPanel,
  RowPanel,
  ThresholdsConfig,
  ValueMapping,
  VariableModel,
} from './node_modules/@grafana/schema/dist/types/raw/dashboard/x/dashboard_types.gen';
import type * as bargauge from './node_modules/@grafana/schema/dist/types/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type * as stat from './node_modules/@grafana/schema/dist/types/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as statetimeline from './node_modules/@grafana/schema/dist/types/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type * as table from './node_modules/@grafana/schema/dist/types/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as timeseries from './node_modules/@grafana/schema/dist/types/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';
import type { GraphFieldConfig, TableCellOptions } from './node_modules/@grafana/schema/dist/types';

interface Query {
  datasource: DataSourceRef;
  expr: string;
  refId: string;
  legendFormat?: string;
  format?: 'table' | 'time_series';
  instant?: boolean;
  range?: boolean;
}

interface DataLink {
  title: string;
  url: string;
  targetBlank?: boolean;
}

type Property =
  | { id: 'unit'; value: string }
  | { id: 'decimals'; value: number }
  | { id: 'mappings'; value: ValueMapping[] }
  | { id: 'thresholds'; value: ThresholdsConfig }
  | { id: 'color'; value: FieldConfig['color'] }
  | { id: 'links'; value: DataLink[] }
  | { id: 'custom.width'; value: number }
  | { id: 'custom.align'; value: 'auto' | 'left' | 'right' | 'center' }
  | { id: 'custom.cellOptions'; value: TableCellOptions }
  | { id: 'custom.stacking'; value: GraphFieldConfig['stacking'] }
  | { id: 'custom.lineStyle'; value: GraphFieldConfig['lineStyle'] }
  | { id: 'custom.lineWidth'; value: number }
  | { id: 'custom.fillOpacity'; value: number };

type Transformation =
  | { id: 'filterFieldsByName'; options: { exclude: { names: string[] } } }
  | { id: 'joinByField'; options: { byField: string; mode: 'outer' } }
  | { id: 'sortBy'; options: { fields: Record<string, never>; sort: Array<{ field: string; desc: boolean }> } }
  | { id: 'limit'; options: { limitField: number } }
  | {
      id: 'organize';
      options: {
        excludeByName: Record<string, boolean>;
        indexByName: Record<string, number>;
        renameByName: Record<string, string>;
      };
    };

type PanelOf<Name extends string, Options, Custom> = Omit<
  AnyPanel,
  'type' | 'options' | 'fieldConfig' | 'targets' | 'transformations' | 'title' | 'description' | 'gridPos' | 'id'
> & {
  id: number;
  type: Name;
  title: string;
  description: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets: Query[];
  options?: Partial<Options>;
  fieldConfig: {
    defaults: Omit<FieldConfig, 'custom'> & { custom?: Partial<Custom> };
    overrides: Array<{ matcher: MatcherConfig; properties: Property[] }>;
  };
  transformations?: Transformation[];
};

/** The panels by the name of their plugin. */
export interface Panels {
  timeseries: PanelOf<'timeseries', timeseries.Options, timeseries.FieldConfig>;
  stat: PanelOf<'stat', stat.Options, Record<string, never>>;
  table: PanelOf<'table', table.Options, table.FieldConfig>;
  'state-timeline': PanelOf<'state-timeline', statetimeline.Options, statetimeline.FieldConfig>;
  bargauge: PanelOf<'bargauge', bargauge.Options, Record<string, never>>;
  row: Omit<RowPanel, 'panels'> & { panels: never[] };
}

// Prometheus' own keys of an annotation; no package types them.
type Annotation = AnnotationQuery & {
  expr: string;
  step: string;
  titleFormat: string;
  useValueForTime: boolean;
};

// Keys of the interval variable, which Foundation SDK writes for each kind of variable.
type Variable = Omit<VariableModel, 'query' | 'current'> & {
  query: string | { query: string; refId: string };
  current?: { text: string; value: string };
  auto?: boolean;
  auto_count?: number;
  auto_min?: string;
};

/** The board around its panels. */
export type Board = Omit<Dashboard, 'panels' | 'annotations' | 'templating' | 'links'> & {
  uid: string;
  title: string;
  description: string;
  schemaVersion: 39 | 40 | 41;
  panels: Array<{ type: keyof Panels; [key: string]: unknown }>;
  annotations: { list?: Annotation[] };
  templating: { list: Variable[] };
  links: Array<DashboardLink>;
};
