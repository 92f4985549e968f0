// Check manifests against the schemas of Kubernetes and prometheus-operator, as npm has them:
//   node check.js < DOCUMENTS.json        a list of documents
// Once by their JSON schemas (types, formats, what is required), once by their types (no key that
// they do not know). Prints what is wrong, one line each; exit code 1 if anything is.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const here = dirname(fileURLToPath(import.meta.url));
const documents = JSON.parse(readFileSync(0, 'utf8'));

/** Which package has a document's kind. */
function source({ apiVersion }) {
  return apiVersion.startsWith('monitoring.coreos.com/')
    ? `@kubernetes-models/prometheus-operator/${apiVersion}`
    : `kubernetes-models/${apiVersion}`;
}

async function bySchema(document) {
  const module = await import(`${source(document)}/${document.kind}`).catch(() => ({}));
  const model = module[document.kind];
  if (model === undefined) {
    return [`${document.apiVersion} has no ${document.kind}`];
  }
  try {
    await new model(document).validate();
    return [];
  } catch (error) {
    return error.message.split('\n');
  }
}

/** What TypeScript says of the documents as literals of their types: it knows every key. */
function byType() {
  const name = join(here, 'documents.ts');
  const text = documents
    .map((document, index) => {
      const type = `I${document.kind}`;
      const from = `${source(document)}/${document.kind}`;
      return `import type { ${type} as T${index} } from '${from}';\nexport const d${index}: T${index} = ${JSON.stringify(document)};`;
    })
    .join('\n');
  const options = {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    noEmit: true,
    skipLibCheck: true,
    strict: true,
    types: [],
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile } = host;
  host.getSourceFile = (file, ...rest) =>
    file === name ? ts.createSourceFile(file, text, rest[0]) : getSourceFile.call(host, file, ...rest);
  host.fileExists = (file) => file === name || fileExists.call(host, file);
  host.readFile = (file) => (file === name ? text : readFile.call(host, file));
  const program = ts.createProgram([name], options, host);
  return ts
    .getPreEmitDiagnostics(program)
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '));
}

const wrong = byType();
for (const document of documents) {
  for (const line of await bySchema(document)) {
    wrong.push(`${document.kind} ${document.metadata?.name}: ${line}`);
  }
}
for (const line of wrong) {
  console.log(line);
}
process.exit(wrong.length ? 1 : 0);
