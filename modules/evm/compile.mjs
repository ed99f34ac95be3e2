// Compiles contracts/*.sol into one artifact a contract: { contractName, abi, bytecode }.
import { readFileSync, readdirSync, mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const solc = createRequire(import.meta.url)("solc");
const out = process.argv[2] ?? join(here, "..", "built", "evm");

const files = readdirSync(join(here, "contracts")).filter((name) => name.endsWith(".sol"));
const sources = Object.fromEntries(
  files.map((name) => [name, { content: readFileSync(join(here, "contracts", name), "utf8") }]),
);
const input = {
  language: "Solidity",
  sources,
  settings: {
    evmVersion: "prague",
    optimizer: { enabled: true, runs: 200 },
    // No hash of the sources in the code: the same text gives the same bytes, wherever it lies.
    metadata: { bytecodeHash: "none", appendCBOR: false },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
  },
};
const found = (path) => {
  try {
    return { contents: readFileSync(join(here, "node_modules", path), "utf8") };
  } catch {
    return { error: `${path} is not there; run npm ci in modules/evm` };
  }
};
const result = JSON.parse(solc.compile(JSON.stringify(input), { import: found }));
const errors = (result.errors ?? []).filter((error) => error.severity === "error");
if (errors.length > 0) {
  console.error(errors.map((error) => error.formattedMessage).join("\n"));
  process.exit(1);
}
mkdirSync(out, { recursive: true });
for (const name of files) {
  for (const [contract, made] of Object.entries(result.contracts[name] ?? {})) {
    const bytecode = made.evm.bytecode.object;
    if (bytecode === "" || contract === "Ao") continue;
    const artifact = { contractName: contract, abi: made.abi, bytecode: `0x${bytecode}` };
    writeFileSync(join(out, `${contract}.json`), JSON.stringify(artifact) + "\n");
    console.log(`${contract}: ${bytecode.length / 2} bytes`);
  }
}
