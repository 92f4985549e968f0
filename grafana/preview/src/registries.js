// Grafana's application fills these registries; its packages alone have them empty.
import {
  FieldConfigOptionsRegistry,
  standardFieldConfigEditorRegistry,
  standardTransformers,
  standardTransformersRegistry,
} from '@grafana/data';

const PROPERTIES = ['unit', 'decimals', 'mappings', 'thresholds', 'color', 'links', 'min', 'max', 'noValue', 'displayName'];
const CUSTOM = [
  'width', 'align', 'cellOptions', 'stacking', 'lineStyle', 'lineWidth', 'fillOpacity',
  'drawStyle', 'barAlignment', 'showPoints', 'spanNulls',
];

const item = (path, isCustom) => ({
  id: isCustom ? `custom.${path}` : path,
  path,
  name: path,
  isCustom,
  process: (value) => value,
  shouldApply: () => true,
  editor: () => null,
  override: () => null,
  settings: {},
});

export const properties = new FieldConfigOptionsRegistry(() => [
  ...PROPERTIES.map((path) => item(path, false)),
  ...CUSTOM.map((path) => item(path, true)),
]);

export function fill() {
  standardFieldConfigEditorRegistry.setInit(() => PROPERTIES.map((path) => item(path, false)));
  // Some stand there under two names.
  const transformers = new Map(Object.values(standardTransformers).map((found) => [found.id, found]));
  standardTransformersRegistry.setInit(() =>
    [...transformers.values()].map((transformation) => ({
      id: transformation.id,
      name: transformation.name,
      transformation: () => Promise.resolve(transformation),
      editor: () => null,
    })),
  );
}
