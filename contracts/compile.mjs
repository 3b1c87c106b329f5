// Compiles solidity/ with the pinned solc and writes artifacts/. With --check it writes nothing and fails if what is
// committed is not what the sources give.
import { createRequire } from "node:module";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);
const root = dirname(fileURLToPath(import.meta.url));
const sourceFolder = join(root, "solidity");
const artifactFolder = join(root, "artifacts");
const remedy = "run `npm ci && npm run compile` in contracts/, look at the difference, commit it";

// What others build on. Everything else is compiled and not kept.
const KEPT = [
    "ZrSign",
    "ZrSignHardened",
    "ZrProxy",
    "IZrProxy",
    "ZrSignUpgrader",
    "ExampleConsumer",
    "TestOwner",
];

// No metadata in the bytecode: the code's hash is that of the code, whatever a comment says. The target is the oldest
// that all chains we know run. The Yul optimizer of this compiler has a published bug (docs/contracts.md): it is off.
const SETTINGS = {
    optimizer: { enabled: true, runs: 200, details: { yul: false } },
    evmVersion: "shanghai",
    metadata: { bytecodeHash: "none", appendCBOR: false },
};

function sources() {
    const files = readdirSync(sourceFolder, { recursive: true })
        .filter((file) => file.endsWith(".sol"))
        .sort();
    return Object.fromEntries(
        files.map((file) => [
            relative(root, join(sourceFolder, file)).split(sep).join("/"),
            { content: readFileSync(join(sourceFolder, file), "utf8") },
        ]),
    );
}

function library(path) {
    try {
        return { contents: readFileSync(join(root, "node_modules", path), "utf8") };
    } catch {
        return { error: `${path} is not installed: run \`npm ci\` in contracts/` };
    }
}

function compile() {
    const solc = require("solc");
    const input = {
        language: "Solidity",
        sources: sources(),
        settings: {
            ...SETTINGS,
            outputSelection: {
                "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "evm.deployedBytecode.immutableReferences"] },
            },
        },
    };
    const output = JSON.parse(solc.compile(JSON.stringify(input), { import: library }));
    // What the compiler warns of in libraries is theirs; in our own sources a warning is an error.
    const complaints = (output.errors ?? []).filter(
        (one) => one.severity === "error" || !one.sourceLocation?.file.startsWith("@"),
    );
    for (const complaint of complaints) console.error(complaint.formattedMessage);
    if (complaints.length > 0) throw new Error("the compiler complains; in our own sources a warning is an error");
    return { version: solc.version(), contracts: output.contracts };
}

// One line an entry of the ABI, so that a difference can be read.
function artifact(name, source, contract) {
    const { keccak256 } = require("js-sha3");
    const runtime = contract.evm.deployedBytecode.object;
    const immutable = Object.keys(contract.evm.deployedBytecode.immutableReferences ?? {}).length > 0;
    const fields = [
        ["contractName", JSON.stringify(name)],
        ["sourceName", JSON.stringify(source)],
        ["abi", `[\n${contract.abi.map((entry) => `    ${JSON.stringify(entry)}`).join(",\n")}\n  ]`],
        ["bytecode", JSON.stringify(`0x${contract.evm.bytecode.object}`)],
        ["runtimeBytes", String(runtime.length / 2)],
        // With immutables every deployment has a code of its own.
        ["runtimeHash", runtime && !immutable ? JSON.stringify(`0x${keccak256(Buffer.from(runtime, "hex"))}`) : "null"],
    ];
    return `{\n${fields.map(([key, value]) => `  "${key}": ${value}`).join(",\n")}\n}\n`;
}

function artifacts({ version, contracts }) {
    const made = {};
    for (const [source, inside] of Object.entries(contracts)) {
        for (const [name, contract] of Object.entries(inside)) {
            if (source.startsWith("solidity/") && KEPT.includes(name)) made[`${name}.json`] = artifact(name, source, contract);
        }
    }
    const missing = KEPT.filter((name) => !(`${name}.json` in made));
    if (missing.length > 0) throw new Error(`no such contract: ${missing.join(", ")}`);
    made["compiler.json"] = `${JSON.stringify({ solc: version, settings: SETTINGS }, null, 2)}\n`;
    return made;
}

function stale(made) {
    const there = existsSync(artifactFolder) ? readdirSync(artifactFolder) : [];
    const all = [...new Set([...there, ...Object.keys(made)])].sort();
    return all.filter(
        (file) => !there.includes(file) || readFileSync(join(artifactFolder, file), "utf8") !== made[file],
    );
}

function main() {
    const made = artifacts(compile());
    const different = stale(made);
    if (process.argv.includes("--check")) {
        if (different.length === 0) return console.log(`${Object.keys(made).length} artifacts are what the sources give`);
        throw new Error(`artifacts/ is not what the sources give: ${different.join(", ")}; ${remedy}`);
    }
    mkdirSync(artifactFolder, { recursive: true });
    for (const file of different) {
        if (file in made) writeFileSync(join(artifactFolder, file), made[file]);
        else rmSync(join(artifactFolder, file));
    }
    console.log(different.length === 0 ? "nothing changed" : `written: ${different.join(", ")}`);
}

try {
    main();
} catch (error) {
    console.error(error.message);
    process.exit(1);
}
