// Compiles TestToken.sol and prints the artifact that stands in TestToken.json.
//
//   node compile.mjs <path of TestToken.sol>
//
// The packages are those of testkit/peers/solc; the test `the_committed_token_is_what_its_source_compiles_to` runs this
// and compares. To renew the artifact: TOLLGATE_BLESS=1 cargo test -p tollgate-testkit committed_token
import { readFileSync } from "node:fs";
import solc from "solc";

const source = readFileSync(process.argv[2], "utf8");
const output = JSON.parse(
  solc.compile(
    JSON.stringify({
      language: "Solidity",
      sources: { "TestToken.sol": { content: source } },
      settings: {
        evmVersion: "cancun",
        optimizer: { enabled: true, runs: 200 },
        // Without it the code would end in a hash of this source's comments.
        metadata: { bytecodeHash: "none" },
        outputSelection: { "TestToken.sol": { TestToken: ["evm.deployedBytecode.object", "evm.methodIdentifiers"] } },
      },
    }),
  ),
);
const problems = (output.errors ?? []).map((problem) => problem.formattedMessage);
if (problems.length > 0) {
  console.error(problems.join("\n"));
  process.exit(1);
}
const { evm } = output.contracts["TestToken.sol"].TestToken;
console.log(
  JSON.stringify(
    {
      compiler: solc.version(),
      evmVersion: "cancun",
      runtimeBytecode: `0x${evm.deployedBytecode.object}`,
      selectors: Object.fromEntries(
        Object.entries(evm.methodIdentifiers).map(([signature, selector]) => [signature, `0x${selector}`]),
      ),
    },
    null,
    2,
  ),
);
