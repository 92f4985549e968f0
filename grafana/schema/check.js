// Check boards against Grafana's types: node check.js BOARD.json ...
// Prints what is wrong, one line each; exit code 1 if anything is.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Ajv from 'ajv';
import { createGenerator } from 'ts-json-schema-generator';

const here = dirname(fileURLToPath(import.meta.url));
const generator = createGenerator({ path: join(here, 'board.ts'), skipTypeCheck: true });
const ajv = new Ajv({ allErrors: true, strict: false });
const isBoard = ajv.compile(generator.createSchema('Board'));
const panels = generator.createSchema('Panels');
const kinds = Object.keys(panels.definitions.Panels.properties);
const isPanel = Object.fromEntries(
  kinds.map((kind) => [
    kind,
    ajv.compile({ ...panels, $ref: `#/definitions/Panels/properties/${kind}` }),
  ]),
);

/** What a validator has to say of a document, one line for each thing. */
function told(validate, document) {
  if (validate(document)) {
    return [];
  }
  return validate.errors.map(({ instancePath, message, params }) => {
    const extra = params.additionalProperty ?? params.allowedValues ?? params.allowedValue;
    return `${instancePath} ${message}${extra === undefined ? '' : ` ${JSON.stringify(extra)}`}`;
  });
}

let wrong = 0;
for (const path of process.argv.slice(2)) {
  const board = JSON.parse(readFileSync(path, 'utf8'));
  const lines = told(isBoard, board);
  for (const panel of board.panels.filter(({ type }) => kinds.includes(type))) {
    lines.push(...told(isPanel[panel.type], panel).map((line) => `${panel.title}: ${line}`));
  }
  wrong += lines.length;
  for (const line of lines) {
    console.log(`${path}: ${line}`);
  }
}
process.exit(wrong ? 1 : 0);
