// Writes SwarmCoordinator.json, the creation code of each contract, to standard output.
// `npm ci --ignore-scripts` installs the compiler.
const fs = require("fs");
const path = require("path");
const solc = require("solc");

const name = "SwarmCoordinator.sol";
const content = fs.readFileSync(path.join(__dirname, name), "utf8");
const output = JSON.parse(
  solc.compile(
    JSON.stringify({
      language: "Solidity",
      sources: { [name]: { content } },
      settings: {
        evmVersion: "paris",
        optimizer: { enabled: true, runs: 1 },
        metadata: { appendCBOR: false, bytecodeHash: "none" },
        outputSelection: { "*": { "*": ["evm.bytecode.object"] } },
      },
    }),
  ),
);
for (const problem of output.errors ?? []) {
  console.error(problem.formattedMessage);
  process.exitCode = 1;
}
const code = {};
for (const [contract, found] of Object.entries(output.contracts?.[name] ?? {})) {
  code[contract] = `0x${found.evm.bytecode.object}`;
}
console.log(JSON.stringify({ compiler: solc.version(), code }, null, 1));
